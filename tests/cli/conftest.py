"""What an auditor finds, for the commands that audit it."""

from support.installation import installation

__all__ = ["installation"]
