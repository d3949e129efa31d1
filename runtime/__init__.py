"""What every process needs, and what knows nothing of issues."""
