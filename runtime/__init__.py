"""The infrastructure of every process, independent of issues."""
