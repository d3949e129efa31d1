"""Keys: how commands are signed, how payloads and personal texts are encrypted, and where the keys lie."""
