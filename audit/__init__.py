"""The audit: derives what happened to an issue from the recorded histories alone, and compares what is stored."""
