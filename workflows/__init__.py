"""Temporal workflows around the pure rules: they wait, fold and record."""
