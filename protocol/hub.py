"""Tells watchers when an issue or a worklist has changed; one look at the database every half second serves all of them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Literal, NamedTuple

import structlog

from db import stamps
from protocol.clock import Now, now
from protocol.read_model import ReadModel, SqlDown

log: Final = structlog.stdlib.get_logger(__name__)

LOOK_SECONDS: Final = 0.5
"""Seconds between two looks."""
TICK_SECONDS: Final = 10.0
"""After so many seconds without a change a watcher is told that it is still watching."""


class Watched(NamedTuple):
    """What is watched: an issue by its id, or the open issues that an organisation leads or handles."""

    kind: Literal["issue", "org"]
    id: str


def stamp_at(version: int) -> str:
    """The stamp of an issue at this version. Of one whose events were replaced it is none, so its watcher is told anew."""
    return f"0.{version}"


class News(NamedTuple):
    """What a watcher is told: the stamp of what it watches, whether that is new, and when it was last looked at."""

    stamp: str | None
    """Text that changes whenever what is watched changes; None while there is no row."""
    is_new: bool
    looked_at: datetime


class Hub:
    """Looks for changes while somebody watches. A watcher that is slow misses what is in between, never the newest."""

    def __init__(
        self, model: ReadModel, now: Now = now, pause: float = LOOK_SECONDS, tick: float = TICK_SECONDS
    ) -> None:
        self._model = model
        self._now = now
        self._pause = pause
        self._tick = tick
        self._watchers: defaultdict[Watched, set[asyncio.Event]] = defaultdict(set)
        self._stamps: dict[Watched, str | None] = {}
        self._looked_at: datetime | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        self.looks = 0
        """How many looks there were."""

    async def watch(self, what: Watched, known: str | None = None) -> AsyncGenerator[News]:
        """What is watched, at first if its stamp is not the `known` one, then whenever it changes; ends with the hub.

        At first, and where nothing changes for TICK_SECONDS, it gives news that `is_new` is false of.
        """
        with self._watching(what) as woken:
            told, is_first = known, True
            while not self._is_closed:
                woken.clear()
                if what in self._stamps and self._looked_at is not None:
                    stamp = self._stamps[what]
                    is_new = stamp != told
                    if is_new or is_first:
                        told, is_first = stamp, False
                        yield News(stamp, is_new=is_new, looked_at=self._looked_at)
                        continue
                try:
                    await asyncio.wait_for(woken.wait(), self._tick)
                except TimeoutError:
                    if self._looked_at is not None:
                        yield News(told, is_new=False, looked_at=self._looked_at)

    async def stamp(self, what: Watched) -> str | None:
        """The stamp of what a page shows, looked up before the page is made: a stream that knows it tells what is newer.

        None while nothing can be looked up.
        """
        look = stamps.of_issues if what.kind == "issue" else stamps.of_worklists
        try:
            async with self._model.read() as session:
                return (await look(session, [what.id])).get(what.id)
        except SqlDown:
            return None

    def close(self) -> None:
        """Ends all watching, now and later: a server that stops would wait for each stream otherwise."""
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
        self._wake(lambda _: True)

    @contextmanager
    def _watching(self, what: Watched) -> Generator[asyncio.Event]:
        woken = asyncio.Event()
        self._watchers[what].add(woken)
        if not self._is_closed and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_on())
        try:
            yield woken
        finally:
            self._watchers[what].discard(woken)
            if not self._watchers[what]:
                del self._watchers[what]
                self._stamps.pop(what, None)

    async def _look_on(self) -> None:
        while self._watchers:
            try:
                await self._look()
            except SqlDown:  # watchers see by the time of the last look that nothing was seen since
                pass
            except Exception:
                log.exception("look_failed")
            await asyncio.sleep(self._pause)

    async def _look(self) -> None:
        self.looks += 1
        wanted = list(self._watchers)
        began = self._now()
        async with self._model.read() as session:
            issues = await stamps.of_issues(session, [each.id for each in wanted if each.kind == "issue"])
            orgs = await stamps.of_worklists(session, [each.id for each in wanted if each.kind == "org"])
        self._looked_at = began
        seen = {
            each: (issues if each.kind == "issue" else orgs).get(each.id) for each in wanted if each in self._watchers
        }
        changed = {each for each, stamp in seen.items() if each not in self._stamps or self._stamps[each] != stamp}
        self._stamps.update(seen)
        self._wake(changed.__contains__)

    def _wake(self, is_meant: Callable[[Watched], bool]) -> None:
        for what, events in self._watchers.items():
            if is_meant(what):
                for event in events:
                    event.set()
