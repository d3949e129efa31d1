"""One value of the database in memory, read again after a moment, and kept while the database is down."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from protocol.read_model import ReadModel, SqlDown

T = TypeVar("T")

FRESH: Final = 2.0
"""Seconds between two readings. So long after a change, every process uses the new value."""
_REFRESH_SECONDS: Final = 0.2


class Cached(Generic[T]):
    """Reads a value by `read`, which is given the value in memory (None before the first reading)."""

    def __init__(
        self, model: ReadModel, read: Callable[[AsyncSession, T | None], Awaitable[T]], fresh: float = FRESH
    ) -> None:
        self._model = model
        self._read = read
        self._fresh = fresh
        self._value: T | None = None
        self._checked = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._is_stale = False

    async def get(self) -> T | None:
        """The value; the last one read if the database is down or hangs, None if it never was read."""
        if self._value is None or self._is_stale or self.age > self._fresh:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._refresh())
            # With a value in memory, no request waits long for a database that hangs.
            within = None if self._value is None else _REFRESH_SECONDS
            await asyncio.wait({self._reading}, timeout=within)
        return self._value

    def expire(self) -> None:
        """Has the next `get` read the value anew, since it has just been changed."""
        self._is_stale = True

    @property
    def age(self) -> float:
        """Seconds since the value was known to be the database's."""
        return time.monotonic() - self._checked

    async def _refresh(self) -> None:
        self._is_stale = False
        try:
            async with self._model.read() as session:
                self._value = await self._read(session, self._value)
        except SqlDown:
            return
        self._checked = time.monotonic()
