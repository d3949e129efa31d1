"""How often somebody may do what is expensive or gives much away: so many times in a window that moves.

Each process counts for itself, and all of them together in one table. What is frequent (commands, reports, wrong tracking
codes) is judged in memory and written afterwards, many hits in one transaction: no request waits for SQL, and a process
learns within a moment that the others have used something up. What is rare and expensive is counted in the table before
it is done, exactly. While the database is down each process goes on by its own count, and refuses nobody because of it.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from db.hits import Hit, HitStore
from protocol.errors import TooMany
from runtime.breaker import Breaker

T = TypeVar("T")

FLUSH_SECONDS: Final = 0.25
"""For so long hits are gathered before they are written, and processes know nothing of each other's."""
_TABLE_TIMEOUT: Final = 0.5
"""Seconds that the table may take; then this process's own count decides."""
_REST_SECONDS: Final = 2.0
"""How long the table is not asked after it failed."""
_MOST_KEYS: Final = 50_000
"""Windows that are remembered in memory: the ones used last."""
_MOST_PENDING: Final = 5_000
_AT_ONCE: Final = 500
"""Hits that wait to be written, and those written in one transaction."""
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_BUCKET_SECONDS: Final = 60.0
_MOST_BUCKETS: Final = 100_000

Clock = Callable[[], float]


class TokenBuckets:
    """How often one subject may send a request: a bucket holds a minute's requests and fills evenly; 0 means no limit."""

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        self._pause = _BUCKET_SECONDS / per_minute if per_minute else 0.0
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, subject: str) -> None:
        """Counts a request. Raises TooMany, which says when there is room for the next one."""
        now = self._clock()
        full_at = max(now, self._full_at.get(subject, now)) + self._pause
        if (wait := full_at - now - _BUCKET_SECONDS) > 0:
            raise TooMany(retry_after=math.ceil(wait))
        _remember(self._full_at, subject, full_at, _MOST_BUCKETS)


class Windows:
    """Moving windows of this process, in bounded memory."""

    def __init__(self, most: int = _MOST_KEYS) -> None:
        self._most = most
        self._ends: OrderedDict[str, deque[float]] = OrderedDict()
        """When each hit stops counting, the first one first."""

    def room_at(self, hit: Hit) -> float | None:
        """None where the hit fits, else when there is room for it, in seconds since 1970."""
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
    """See the module. A name without a rate has no limit; `who` is hashed before it is stored."""

    def __init__(
        self, rates: Mapping[str, str], store: HitStore, clock: Clock = time.time, most: int = _MOST_KEYS
    ) -> None:
        """`rates` by name, such as ``60/hour``."""
        self._limits: Final = {name: _limit(rate) for name, rate in rates.items()}
        self._clock = clock
        self._most = most
        self._store = store
        self._here = Windows(most)
        self._full: OrderedDict[str, float] = OrderedDict()
        """Keys that all processes together have used up, and until when."""
        self._pending: deque[Hit] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._breaker = Breaker(
            _REST_SECONDS, opened="limits_of_this_process_only", closed="limits_of_all_processes", clock=clock
        )

    async def check(self, name: str, who: str) -> None:
        """Counts nothing. Raises TooMany where it is used up, as far as this process knows."""
        if (hit := self._hit(name, who)) is not None:
            self._check(hit)

    async def count(self, name: str, who: str) -> None:
        """Counts one in memory, and soon in the table. Raises TooMany where it is used up, as `check`."""
        if (hit := self._hit(name, who)) is None:
            return
        self._check(hit)
        self._here.add(hit)
        if len(self._pending) < _MOST_PENDING:  # beyond that this process's own count has to do
            self._pending.append(hit)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_later())

    async def spend(self, name: str, who: str) -> None:
        """Counts one in the table, exactly, over all processes. Raises TooMany where it is used up."""
        if (hit := self._hit(name, who)) is None:
            return
        self._check(hit)
        self._here.add(hit)
        until = await self._ask_table(lambda: self._store.take(hit))
        if until is not None:
            raise _too_many(until, hit)

    async def close(self) -> None:
        """Writes what is to be written."""
        if self._flushing is not None:
            self._flushing.cancel()
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
            await asyncio.sleep(FLUSH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        """Writes what is pending; a part that cannot be written is dropped, as it loses its worth by waiting."""
        while self._pending:
            some = [self._pending.popleft() for _ in range(min(_AT_ONCE, len(self._pending)))]
            full = await self._ask_table(lambda some=some: self._store.add(some))
            for key, until in (full or {}).items():
                _remember(self._full, key, until, self._most)

    async def _ask_table(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What the table answers; None where it does not."""
        if not self._breaker.allows():
            return None
        try:
            async with asyncio.timeout(_TABLE_TIMEOUT):
                found = await ask()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._breaker.trip(error)
            return None
        self._breaker.close()
        return found


def _limit(rate: str) -> tuple[int, int]:
    """``60/hour`` -> (60, 3600)."""
    amount, _, unit = rate.partition("/")
    return int(amount), _SECONDS[unit]


def _too_many(until: float, hit: Hit) -> TooMany:
    return TooMany(retry_after=max(1, math.ceil(until - hit.at)))


def _remember(cache: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > most:
        cache.popitem(last=False)
