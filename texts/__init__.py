"""Texts for people, in Chinese with English beside: catalogues only, and nothing of ours is imported here."""
