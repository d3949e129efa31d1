"""Observes when rows become visible to a reader, by polling the ends of two tables on a connection of its own."""

import asyncio
import contextlib
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

LOOK: Final = 0.001
"""Seconds between two polls, which take some microseconds while nothing has changed."""
_ROUND: Final = 0.25


@dataclass(frozen=True)
class Climb:
    """A recorded climb: when it was visible, due, and folded by the workflow."""

    seen: float
    due: str
    folded: str


class RowWatch:
    """Records when receipts and climbs become visible, by `time.time`."""

    def __init__(self, file: Path) -> None:
        self.climbs: dict[str, Climb] = {}
        self._connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)
        self._waiting: dict[str, asyncio.Future[float]] = {}
        self._early: dict[str, float] = {}
        self._receipt = self._last("receipts")
        self._event = self._last("events")
        self._version = -1
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._connection.close()

    async def receipt(self, command: str, patience: float = 60.0) -> float:
        """When the receipt of a command became visible. Raises TimeoutError if it does not."""
        if (seen := self._early.pop(command, None)) is not None:
            return seen
        future = self._waiting[command] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience):
                return await future
        finally:
            self._waiting.pop(command, None)

    async def until_climbed(self, number: int, patience: float) -> None:
        """Waits until so many issues have climbed. Raises TimeoutError if they do not."""
        async with asyncio.timeout(patience):
            while len(self.climbs) < number:  # noqa: ASYNC110  only the database can tell
                await asyncio.sleep(_ROUND)

    def _last(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()[0])

    async def _follow(self) -> None:
        while True:
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                self._version = version
                self._look()
            await asyncio.sleep(LOOK)

    def _look(self) -> None:
        receipts = "SELECT rowid, command_id FROM receipts WHERE rowid > ? ORDER BY rowid"
        for row, command in self._connection.execute(receipts, (self._receipt,)).fetchall():
            self._receipt = row
            future = self._waiting.get(command)
            if future is None:
                self._early[command] = time.time()
            elif not future.done():
                future.set_result(time.time())
        events = "SELECT rowid, issue, kind, at, recorded_at FROM events WHERE rowid > ? ORDER BY rowid"
        for row, issue, kind, due, folded in self._connection.execute(events, (self._event,)).fetchall():
            self._event = row
            if kind == "escalated":
                self.climbs.setdefault(issue, Climb(time.time(), due, folded))
