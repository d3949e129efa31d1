"""The ``jiesu`` command line, and the one place where what went wrong becomes one line."""

import sys


def main() -> None:
    """Never prints a traceback: what went wrong is one line, and the exit code is 1 (2 for wrong usage)."""
    try:
        # Loading takes a moment, in which Ctrl-C must not end in a traceback either.
        from cli.app import app
        from cli.errors import Failure

        try:
            app()
        except Failure as failure:
            sys.stderr.write(f"jiesu: {failure}\n")
            sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
