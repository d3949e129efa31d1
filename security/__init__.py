"""Cryptography: signatures of commands, encryption of payloads and personal texts, and storage of the keys."""
