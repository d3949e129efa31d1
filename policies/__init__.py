"""Policy packs (TOML, one file a district's rule), the reader that checks them, and what they promise in dates."""
