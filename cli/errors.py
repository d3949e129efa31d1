"""The one exception that subcommands raise for people."""


class Failure(Exception):
    """Something went wrong that the user can do something about; the message says what, on one line."""
