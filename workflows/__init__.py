"""Durable shells around the pure rules, one file per mechanism."""
