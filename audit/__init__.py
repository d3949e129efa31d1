"""Deriving again what happened, from the histories alone."""
