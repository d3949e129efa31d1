"""Rate limits: token buckets for requests, and moving windows for expensive or sensitive actions.

Windows are counted in memory and, over all processes, in one table. Frequent actions (commands, reports, wrong tracking
codes) are checked in memory and written to the table later, many hits in one transaction, so that no request waits for
SQL; each process learns within FLUSH_SECONDS which limits all processes together have used up. Rare and expensive
actions are counted in the table first, exactly. While the database is down, each process applies its own count.
"""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from db.hits import Hit, HitStore
from protocol.clock import now as now_utc
from protocol.errors import TooMany
from runtime.breaker import Breaker

T = TypeVar("T")

FLUSH_SECONDS: Final = 0.25
"""Seconds between two writes of hits (counted uses of limits) to the table."""
_TABLE_TIMEOUT: Final = 0.5
"""The most seconds a query of the table takes, so that a slow table holds up no request for long."""
_REST_SECONDS: Final = 2.0
"""Seconds between a failed query of the table and the next attempt."""
_MOST_KEYS: Final = 50_000
"""How many windows are kept in memory: those that were used last."""
_MOST_PENDING: Final = 5_000
_AT_ONCE: Final = 500
"""The most hits that may wait to be written (_MOST_PENDING), and that one transaction writes (_AT_ONCE)."""
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_BUCKET_SECONDS: Final = 60.0
_MOST_BUCKETS: Final = 100_000

Clock = Callable[[], float]
"""A function that returns the time in seconds."""


class TokenBuckets:
    """Limits the requests of each subject to `per_minute`; 0 means no limit.

    Each subject has a bucket that holds the requests of one minute and refills evenly.
    """

    def __init__(self, per_minute: int, clock: Clock = time.monotonic, *, limit: str = "requests") -> None:
        """`limit`: the name by which the caller is told of it."""
        self._limit = limit, f"{per_minute}/minute"
        self._pause = _BUCKET_SECONDS / per_minute if per_minute else 0.0
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, subject: str) -> None:
        """Counts a request. Raises TooMany, with the seconds until the next request is allowed."""
        now = self._clock()
        full_at = max(now, self._full_at.get(subject, now)) + self._pause
        if (wait := full_at - now - _BUCKET_SECONDS) > 0:
            raise TooMany(*self._limit, now_utc() + timedelta(seconds=math.ceil(wait)), math.ceil(wait))
        _remember(self._full_at, subject, full_at, _MOST_BUCKETS)


class Windows:
    """The moving windows of this process, in bounded memory: which hits under each key still count."""

    def __init__(self, most: int = _MOST_KEYS) -> None:
        self._most = most
        self._ends: OrderedDict[str, deque[float]] = OrderedDict()
        """By key, the times at which its hits stop counting, earliest first."""

    def room_at(self, hit: Hit) -> float | None:
        """None if the hit is within its limit, else the time at which there is room for it, in seconds since 1970."""
        ends = self._ends.get(hit.key)
        if ends is None:
            return None
        self._ends.move_to_end(hit.key)
        while ends and ends[0] <= hit.at:
            ends.popleft()
        return ends[0] if len(ends) >= hit.amount else None

    def add(self, hit: Hit) -> None:
        ends = self._ends.get(hit.key, deque())
        ends.append(hit.at + hit.seconds)
        _remember(self._ends, hit.key, ends, self._most)


class Quotas:
    """The limits on expensive or sensitive actions: a moving window for each name of a limit and each user (`who`).

    A name without a rate has no limit. The table holds a hash of `who`.
    """

    def __init__(
        self, rates: Mapping[str, str], store: HitStore, clock: Clock = time.time, patience: float = _TABLE_TIMEOUT
    ) -> None:
        """`rates`: the rate of each limit, such as ``60/hour``, by the name of the limit.

        `patience`: how many seconds a query of the table may take. After that the count of this process alone decides.
        """
        self._limits: Final = {name: _limit(rate) for name, rate in rates.items()}
        self._clock = clock
        self._store = store
        self._patience = patience
        self._here = Windows()
        self._full: OrderedDict[str, float] = OrderedDict()
        """Keys whose limit all processes together have used up, each with the time at which there is room again."""
        self._pending: deque[Hit] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._breaker = Breaker(
            _REST_SECONDS, opened="limits_of_this_process_only", closed="limits_of_all_processes", clock=clock
        )

    async def check(self, name: str, who: str) -> None:
        """Raises TooMany if the limit is used up, as far as this process knows. Counts nothing."""
        if (hit := self._hit(name, who)) is not None:
            self._check(hit)

    async def count(self, name: str, who: str) -> None:
        """Counts one use in memory, and soon in the table.

        Raises TooMany if the limit is used up, as far as this process knows.
        """
        if (hit := self._hit(name, who)) is None:
            return
        self._check(hit)
        self._here.add(hit)
        if len(self._pending) < _MOST_PENDING:  # beyond that, this process's own count is enough
            self._pending.append(hit)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_later())

    async def spend(self, name: str, who: str) -> None:
        """Counts one use in the table, exactly, over all processes. Raises TooMany if the limit is used up."""
        if (hit := self._hit(name, who)) is None:
            return
        self._check(hit)
        self._here.add(hit)
        until = await self._ask_table(lambda: self._store.take(hit))
        if until is not None:
            raise _too_many(until, hit)

    async def close(self) -> None:
        """Writes the hits that wait to be written."""
        self._closing.set()
        if self._flushing is not None:  # not cancelled: what it is writing would be lost
            await asyncio.wait({self._flushing})
        await self._flush()

    def _hit(self, name: str, who: str) -> Hit | None:
        if (limit := self._limits.get(name)) is None:
            return None
        amount, seconds = limit
        return Hit(f"{name}/{who}", amount, seconds, self._clock())

    def _check(self, hit: Hit) -> None:
        if (until := self._full.get(hit.key, 0.0)) > hit.at:
            raise _too_many(until, hit)
        if (room_at := self._here.room_at(hit)) is not None:
            raise _too_many(room_at, hit)

    async def _flush_later(self) -> None:
        while self._pending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        """Writes the hits that wait to be written. Drops those that cannot be written, since they would soon expire."""
        while self._pending:
            some = [self._pending.popleft() for _ in range(min(_AT_ONCE, len(self._pending)))]
            full = await self._ask_table(lambda some=some: self._store.add(some))
            for key, until in (full or {}).items():
                _remember(self._full, key, until, _MOST_KEYS)

    async def _ask_table(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The result of a query of the table; None if it fails or the breaker is open."""
        with self._breaker.attempt() as allowed:
            if not allowed:
                return None
            try:
                async with asyncio.timeout(self._patience):
                    found = await ask()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                self._breaker.trip(error)
                return None
            self._breaker.close()
            return found


def _limit(rate: str) -> tuple[int, int]:
    """The amount and the seconds of a rate: (60, 3600) for ``60/hour``."""
    amount, _, unit = rate.partition("/")
    return int(amount), _SECONDS[unit]


def _too_many(until: float, hit: Hit) -> TooMany:
    name, seconds = hit.key.partition("/")[0], math.ceil(until - hit.at)
    unit = next(unit for unit, length in _SECONDS.items() if length == hit.seconds)
    return TooMany(name, f"{hit.amount}/{unit}", datetime.fromtimestamp(math.ceil(until), UTC), max(1, seconds))


def _remember(cache: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > most:
        cache.popitem(last=False)
