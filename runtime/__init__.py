"""What every process needs to run: settings, files, logging, child processes. Nothing here knows of issues."""
