"""Authentication: tokens, browser sessions, phones."""
