"""Policy packs (one TOML file per district), their reader and checks, and their promises in dates."""
