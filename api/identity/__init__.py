"""Who asks: tokens, sessions of browsers, phones."""
