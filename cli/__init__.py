"""The ``jiesu`` command line, and the one place where what went wrong becomes one line."""

import contextlib
import os
import sys
from typing import NoReturn


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
        except OSError as error:  # a full disk under the output, say
            sys.stderr.write(f"jiesu: {error.strerror or error}\n")
            sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def run() -> NoReturn:
    """`main` as a process: it ends without taking the interpreter down, into which Temporal's threads may still call.

    They would abort the process then, whatever it had come to.
    """
    code: object = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
