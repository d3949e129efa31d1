"""Takes reports and commands from admission to receipt, and reads issues for callers. HTTP is left to `api/`."""
