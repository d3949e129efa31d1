"""Texts for people in Chinese and English: data only, without imports of our own code."""
