"""A child process that replays with rules that never come to an end, in place of `audit.replaying.serve`."""

import time
from multiprocessing.connection import Connection

import workflows.issue
from audit.replaying import serve


def stalls(*_: object) -> None:
    time.sleep(100_000)


def serve_stalling(wire: Connection) -> None:
    workflows.issue.advance = stalls  # pyright: ignore[reportAttributeAccessIssue]
    serve(wire)
