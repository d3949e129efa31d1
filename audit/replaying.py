"""Replays histories in a child process, which is ended when a replay takes longer than its limit.

Temporal's core, in which a replay waits, cannot be interrupted in its own process, and neither can workflow code that
runs for ever. So each replay that auditors or the archiver ask for happens in a child that may be killed: see ADR 31.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Final

from temporalio.api.history.v1 import HistoryEvent

from audit.archive import history_bytes, parse_history
from audit.case import Finding
from audit.replay import ReplayedRun, refused, replay, why_unreplayable

LIMIT: Final = 60
"""The seconds that any replay may take; a usual one takes a hundredth of a second."""
EVENTS_A_SECOND: Final = 100
"""A long history may take a further second for so many events: a slow machine replays ten times as many."""
_BEGIN: Final = 300
"""How many seconds a child may take to begin."""
_BEGUN: Final = "begun"
_IDLE: Final = 60.0
"""A child ends after so many seconds without a question, which gives back its memory."""
_KEPT: Final = 2
"""How many idle children are kept for the next question."""

_SPAWN: Final = multiprocessing.get_context("spawn")
_idle: Final[list["_Child"]] = []


class ReplayError(RuntimeError):
    """No child process can replay: the message says why. It says nothing of any history."""


class UnendedReplayError(RuntimeError):
    """A replay was broken off, so there is no verdict; the message names issue, run and reason."""


def limit_of(events: Sequence[HistoryEvent]) -> int:
    """The seconds after which the replay of this history is broken off."""
    return LIMIT + len(events) // EVENTS_A_SECOND


async def replay_within(
    runs: Iterable[tuple[str, int, Sequence[HistoryEvent]]],
    limit: Callable[[Sequence[HistoryEvent]], int] = limit_of,
) -> AsyncGenerator[ReplayedRun]:
    """As `audit.replay.replay`, in a child process and each run within its limit.

    A run whose replay is broken off gets a finding that says so, and the others a new child. Raises ReplayError. Close
    it (`contextlib.aclosing`) if you do not read to the end: that ends the child.
    """
    child: _Child | None = None
    try:
        for issue, n, events in runs:
            if (why := why_unreplayable(events)) is not None:
                yield refused(issue, n, why)
                continue
            history, seconds, answer = history_bytes(list(events)), limit(events), None
            for is_again in (False, True):  # an idle child may have left a moment ago; any may be killed from outside
                child = child or (None if is_again else _taken()) or await asyncio.to_thread(_Child)
                answer = await asyncio.to_thread(child.ask, (issue, n, history), seconds)
                if isinstance(answer, ReplayedRun):
                    break
                child.end()
                child = None
                if answer is None:
                    break
            yield answer if isinstance(answer, ReplayedRun) else _unended(issue, n, answer, seconds)
        if child is not None:
            child.rest()
            child = None
    finally:
        if child is not None:
            child.end()


def _unended(issue: str, n: int, error: str | None, seconds: int) -> ReplayedRun:
    what = f"the replay did not end within {seconds} s" if error is None else f"the replay broke off: {error[:300]}"
    return ReplayedRun(0, (Finding("commands", issue, f"run {n}", what),), has_ended=False)


def _taken() -> "_Child | None":
    """An idle child that is still there."""
    with contextlib.suppress(IndexError):  # other threads take from it as well
        while True:
            child = _idle.pop()
            if child.is_alive:
                return child
    return None


class _Child:
    """A process that replays one history after another. It waits until it has begun. Raises ReplayError."""

    def __init__(self) -> None:
        self._wire, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=serve, args=(theirs,), name="jiesu-replay", daemon=True)
        self._process.start()
        theirs.close()
        if self._answer(_BEGIN) != _BEGUN:  # loading the code is no part of a replay
            self.end()
            raise ReplayError("the process that replays histories does not begin")

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def ask(self, run: tuple[str, int, bytes], seconds: int) -> ReplayedRun | str | None:
        """The replayed run; or why the replay broke off; or None if it did not end within so many seconds. It blocks."""
        try:
            self._wire.send(run)
        except OSError as error:
            return str(error)
        return self._answer(seconds)

    def _answer(self, seconds: int) -> ReplayedRun | str | None:
        try:
            # Counted one by one: a machine that slept, or a process that was stopped meanwhile, loses one of them at most.
            for _ in range(seconds):
                if self._wire.poll(1.0):
                    return self._wire.recv()
        except (EOFError, OSError):
            self._process.join(5.0)
            return f"its process ended, with {self._process.exitcode}"
        return None

    def rest(self) -> None:
        """Ends the batch, and keeps the process for the next one if few enough are kept."""
        try:
            self._wire.send(None)
        except OSError:
            self.end()
            return
        if len(_idle) < _KEPT:
            _idle.append(self)
        else:
            self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def serve(wire: Connection) -> None:
    """What the child does: it replays each run that it is given, until nobody has given one for a while."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        wire.send(_BEGUN)
        while wire.poll(_IDLE):
            asyncio.run(_replay_batch(wire))
    except (EOFError, OSError):  # the parent has ended, or broken this one off
        pass
    except Exception as error:  # noqa: BLE001 - the core refuses a history in ways of its own
        with contextlib.suppress(OSError):
            wire.send(f"{type(error).__name__}: {error}")
    os._exit(0)  # the SDK's threads now and then abort an interpreter that ends


def _end_with_parent() -> None:
    """Ends this process with its parent, though a replay waits for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


async def _replay_batch(wire: Connection) -> None:
    async for each in replay(_given(wire)):
        wire.send(each)


def _given(wire: Connection) -> Iterator[tuple[str, int, Sequence[HistoryEvent]]]:
    while (run := wire.recv()) is not None:
        issue, n, history = run
        yield issue, n, parse_history(f"run {n}", history)
