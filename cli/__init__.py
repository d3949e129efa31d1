"""The ``jiesu`` command line: one file for each group of subcommands."""
