"""Finds out who calls: by bearer tokens, browser sessions and phones."""
