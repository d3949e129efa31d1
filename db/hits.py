"""How often something was done of late, counted for all processes together: a moving window as rows of one table.

It is a storage of the library `limits`. A row counts until its time is up and is removed soon after, so the table holds
no more than what is being counted. Keys are hashed with a secret: no address and no name can be read from them.
"""

import contextlib
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from limits.aio.storage import MovingWindowSupport, Storage
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import HitRow
from db.upsert import is_sqlite

_SWEEP: Final = 60.0
"""Seconds between two removals of what counts no more."""
_MOST_SWEPT: Final = 5_000
"""Rows in one removal, so that it never takes long; what is left goes with the next one."""

Clock = Callable[[], float]
"""Seconds since 1970."""


@dataclass(frozen=True)
class Hit:
    """Something that was done, at most `amount` times in `seconds`; `at` in seconds since 1970."""

    key: str
    amount: int
    seconds: int
    at: float


class HitStore(Storage, MovingWindowSupport):
    """See the module. Every method takes one transaction, and raises what the database raises."""

    STORAGE_SCHEME = None

    def __init__(self, database: Database, secret: bytes, clock: Clock = time.time) -> None:
        super().__init__()
        self._database = database
        self._secret = secret
        self._clock = clock
        self._swept_at = 0.0

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return SQLAlchemyError

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether `amount` more stay within `limit` in `expiry` seconds; they are counted if so, exactly."""
        hashed, now = self._hashed(key), self._clock()

        def work(session: Session) -> bool:
            if not is_sqlite(session):  # where writers take turns anyway
                session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _lock(hashed)})
            if _counts(session, [hashed], now).get(hashed, 0) + amount > limit:
                return False
            _put(session, [Hit(hashed, limit, expiry, now)] * amount)
            return True

        taken = await self._database.transact(work)
        await self._sweep(now)
        return taken

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Since when it counts, in seconds since 1970, and how many there are."""
        hashed, now = self._hashed(key), self._clock()
        query = select(HitRow.at).where(HitRow.key == hashed, HitRow.until > _moment(now)).order_by(HitRow.at)
        async with self._database.read() as session:
            found = (await session.scalars(query.limit(max(1, limit)))).all()
        return (found[0].timestamp() if found else now), len(found)

    async def add(self, hits: Sequence[Hit]) -> Mapping[str, float]:
        """Counts what was done already, whether or not it is too much.

        The keys that are used up, and until when, in seconds since 1970: then one more would fit again.
        """
        now = self._clock()
        named = {self._hashed(hit.key): hit for hit in hits}
        rows = [Hit(self._hashed(hit.key), hit.amount, hit.seconds, hit.at) for hit in hits]

        def work(session: Session) -> dict[str, float]:
            _put(session, rows)
            full: dict[str, float] = {}
            for hashed, count in _counts(session, list(named), now).items():
                if count >= (hit := named[hashed]).amount:
                    query = select(HitRow.until).where(HitRow.key == hashed).order_by(HitRow.at.desc())
                    until = session.scalar(query.offset(hit.amount - 1).limit(1))
                    full[hit.key] = until.timestamp() if until is not None else now
            return full

        full = await self._database.transact(work)
        await self._sweep(now)
        return full

    # What the library asks of every storage, for windows that do not move.

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        hashed, now = self._hashed(key), self._clock()

        def work(session: Session) -> int:
            _put(session, [Hit(hashed, amount, expiry, now)] * amount)
            return _counts(session, [hashed], now)[hashed]

        return await self._database.transact(work)

    async def get(self, key: str) -> int:
        query = select(func.count()).where(HitRow.key == self._hashed(key), HitRow.until > _moment(self._clock()))
        async with self._database.read() as session:
            return await session.scalar(query) or 0

    async def get_expiry(self, key: str) -> float:
        query = select(func.max(HitRow.until)).where(HitRow.key == self._hashed(key))
        async with self._database.read() as session:
            until = await session.scalar(query)
        return until.timestamp() if until is not None else self._clock()

    async def check(self) -> bool:
        try:
            async with self._database.read() as session:
                await session.execute(select(1))
        except (SQLAlchemyError, OSError):
            return False
        return True

    async def reset(self) -> int | None:
        await self._database.transact(lambda session: _forget(session, delete(HitRow)))
        return None

    async def clear(self, key: str) -> None:
        hashed = self._hashed(key)
        await self._database.transact(lambda session: _forget(session, delete(HitRow).where(HitRow.key == hashed)))

    async def _sweep(self, now: float) -> None:
        if now - self._swept_at < _SWEEP:
            return
        self._swept_at = now
        old = select(HitRow.id).where(HitRow.until <= _moment(now)).order_by(HitRow.until).limit(_MOST_SWEPT)
        # What was counted is counted, whatever becomes of this; a minute later it is tried again.
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self._database.transact(lambda session: _forget(session, delete(HitRow).where(HitRow.id.in_(old))))

    def _hashed(self, key: str) -> str:
        return hmac.digest(self._secret, b"hit:" + key.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


def _put(session: Session, hits: Sequence[Hit]) -> None:
    rows: list[dict[str, Any]] = []
    for hit in hits:
        at = _moment(hit.at)
        rows.append({"key": hit.key, "at": at, "until": at + timedelta(seconds=hit.seconds)})
    session.execute(insert(HitRow), rows)


def _counts(session: Session, keys: Sequence[str], now: float) -> dict[str, int]:
    """How many count now, by key."""
    query = select(HitRow.key, func.count()).where(HitRow.key.in_(keys), HitRow.until > _moment(now))
    return {row[0]: row[1] for row in session.execute(query.group_by(HitRow.key))}


def _forget(session: Session, statement: Any) -> None:
    session.execute(statement)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _lock(hashed: str) -> int:
    """A number that PostgreSQL can lock."""
    return int.from_bytes(bytes.fromhex(hashed[:16]), "big", signed=True)
