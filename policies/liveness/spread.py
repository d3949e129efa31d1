"""Work divided over processes that begin as copies of this one, so that nothing is sent to them."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def spread(work: Callable[[T], R], parts: Sequence[T], processes: int) -> Iterator[R]:
    """The results of `work` for each part, in their order. With more than one process each part has one of its own.

    Raises ChildProcessError if one of them ends without a result.
    """
    if processes < 2 or sys.platform == "win32":
        yield from map(work, parts)
        return
    results: list[Connection] = []
    fork = multiprocessing.get_context("fork")
    for part in parts:
        ours, theirs = fork.Pipe(duplex=False)
        process = fork.Process(target=_send, args=(theirs, work, part), daemon=True)
        process.start()
        theirs.close()
        results.append(ours)
    for ours in results:
        try:
            yield ours.recv()
        except EOFError:
            raise ChildProcessError("a part of the search ended without a result") from None


def _send(results: Connection, work: Callable[[T], R], part: T) -> None:
    results.send(work(part))
    results.close()
