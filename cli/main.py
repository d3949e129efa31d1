"""The entry point of ``jiesu``: prints errors as one line."""

import contextlib
import os
import sys
from typing import NoReturn


def main() -> None:
    """Runs ``jiesu``. Prints an error as one line, never a traceback; the exit code is then 1 (2 for wrong usage)."""
    try:
        # Imported here, so that Ctrl-C while it loads prints no traceback either.
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
    """Runs `main`, then ends the process without shutting the interpreter down.

    Temporal's threads may still call into the interpreter, which would abort the process during a shutdown.
    """
    code: object = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader has closed the pipe
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
