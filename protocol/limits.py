"""How often somebody may do what costs much or gives much away: so many times in a window that moves.

Each process counts for itself, and all of them together in one table. What happens often (commands, reports, wrong
tracking codes) is judged in memory and written behind, many hits in one transaction: no request waits for SQL, and a
process learns within a moment that the others have used something up. What is rare and dear is counted in the table
before it is done, exactly. While the database is away each process goes on by its own count: nobody is turned away
for want of it.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MovingWindowSupport, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from sqlalchemy.exc import SQLAlchemyError

from db.hits import Hit, HitStore
from protocol.errors import TooMany

log: Final = structlog.stdlib.get_logger(__name__)

FLUSH: Final = 0.25
"""Seconds for which hits are gathered; for so long processes know nothing of each other's."""
_PATIENCE: Final = 0.5
"""Seconds that the table may take; then this process's own count decides."""
_REST: Final = 2.0
"""Seconds for which it is left alone after it did not answer."""
_MOST_KEYS: Final = 50_000
"""Windows that are remembered in memory: those of whoever asked last."""
_MOST_PENDING: Final = 5_000
_AT_ONCE: Final = 500
"""Hits that wait to be written, and those written in one transaction."""

Clock = Callable[[], float]


class Windows(Storage, MovingWindowSupport):
    """Moving windows of this process, in bounded memory; nothing in it ever waits."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock = time.time, most: int = _MOST_KEYS) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._hits: OrderedDict[str, deque[float]] = OrderedDict()
        """When each counts no more, the first one first."""

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ValueError

    def _window(self, key: str) -> deque[float]:
        found = self._hits.setdefault(key, deque())
        self._hits.move_to_end(key)
        now = self._clock()
        while found and found[0] <= now:
            found.popleft()
        if len(self._hits) > self._most:
            self._hits.popitem(last=False)
        return found

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        found = self._window(key)
        if len(found) + amount > limit:
            return False
        found.extend([self._clock() + expiry] * amount)
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        found = self._window(key)
        return (found[0] - expiry if found else self._clock()), len(found)

    # What the library asks of every storage, for windows that do not move.

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        found = self._window(key)
        found.extend([self._clock() + expiry] * amount)
        return len(found)

    async def get(self, key: str) -> int:
        return len(self._window(key))

    async def get_expiry(self, key: str) -> float:
        found = self._window(key)
        return found[-1] if found else self._clock()

    async def check(self) -> bool:
        return True

    async def reset(self) -> int | None:
        count = len(self._hits)
        self._hits.clear()
        return count

    async def clear(self, key: str) -> None:
        self._hits.pop(key, None)


class Quotas:
    """See the module. A name without a rate has no limit; `who` is hashed before it is stored."""

    def __init__(
        self, rates: Mapping[str, str], store: HitStore, clock: Clock = time.time, most: int = _MOST_KEYS
    ) -> None:
        """`rates` as the library writes them: ``60/hour``. Raises ValueError for others."""
        self._items: Final = {name: parse(rate) for name, rate in rates.items()}
        self._clock = clock
        self._most = most
        self._store = store
        self._here = MovingWindowRateLimiter(Windows(clock, most))
        self._shared = MovingWindowRateLimiter(store)
        self._full: OrderedDict[str, float] = OrderedDict()
        """Keys that all processes together have used up, and until when."""
        self._pending: deque[Hit] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._rests_until = 0.0

    async def check(self, name: str, who: str) -> None:
        """Counts nothing. Raises TooMany where it is used up, as far as this process knows."""
        if (item := self._items.get(name)) is not None:
            self._check_full(item.key_for(name, who))
            if not await self._here.test(item, name, who):
                raise await self._too_many(self._here, item, name, who)

    async def count(self, name: str, who: str) -> None:
        """Counts one in memory, and soon in the table. Raises TooMany where it is used up, as `check`."""
        item = self._items.get(name)
        if item is None:
            return
        key = item.key_for(name, who)
        self._check_full(key)
        if not await self._here.hit(item, name, who):
            raise await self._too_many(self._here, item, name, who)
        if len(self._pending) < _MOST_PENDING:  # beyond that this process's own count has to do
            self._pending.append(Hit(key, item.amount, item.get_expiry(), self._clock()))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_later())

    async def spend(self, name: str, who: str) -> None:
        """Counts one in the table, exactly, whichever process it comes to. Raises TooMany where it is used up."""
        item = self._items.get(name)
        if item is None:
            return
        if not await self._here.hit(item, name, who):
            raise await self._too_many(self._here, item, name, who)
        if self._clock() < self._rests_until:
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                if await self._shared.hit(item, name, who):
                    return
                refusal = await self._too_many(self._shared, item, name, who)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._rest(error)
            return
        raise refusal

    async def close(self) -> None:
        """Writes what is to be written."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait({self._flushing})
        await self._flush()

    def _check_full(self, key: str) -> None:
        if (until := self._full.get(key)) is None:
            return
        if (wait := until - self._clock()) > 0:
            raise TooMany(retry_after=math.ceil(wait))
        del self._full[key]

    async def _too_many(self, limiter: MovingWindowRateLimiter, item: RateLimitItem, name: str, who: str) -> TooMany:
        reset = (await limiter.get_window_stats(item, name, who)).reset_time
        return TooMany(retry_after=max(1, math.ceil(reset - self._clock())))

    async def _flush_later(self) -> None:
        while self._pending:
            await asyncio.sleep(FLUSH)
            await self._flush()

    async def _flush(self) -> None:
        """Writes what is pending; a part of it that cannot be written is given up, as it loses its worth by waiting."""
        while self._pending:
            some = [self._pending.popleft() for _ in range(min(_AT_ONCE, len(self._pending)))]
            if self._clock() >= self._rests_until:
                await self._write(some)

    async def _write(self, hits: Sequence[Hit]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                full = await self._store.add(hits)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._rest(error)
            return
        for key, until in full.items():
            self._full[key] = until
            self._full.move_to_end(key)
        while len(self._full) > self._most:
            self._full.popitem(last=False)

    def _rest(self, error: Exception) -> None:
        if self._clock() >= self._rests_until + _REST:
            log.warning("limits_of_this_process_only", error=type(error).__name__)
        self._rests_until = self._clock() + _REST
