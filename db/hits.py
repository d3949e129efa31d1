"""Rate limits that all processes share: the uses of each key in a moving window of time are counted.

Each use (hit) is a row, which counts until its time `until` and is deleted soon after. Keys are hashed with a secret,
so rows reveal no address or name.
"""

import contextlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import HitRow
from db.upsert import is_sqlite

_SWEEP_SECONDS: Final = 60.0
"""Seconds between two deletions of expired rows."""
_MOST_SWEPT: Final = 5_000
"""Rows that one deletion removes at most, so that it takes little time; later deletions remove the rest."""


@dataclass(frozen=True)
class Hit:
    """One use of `key`, which allows `amount` uses in `seconds`; `at` is in seconds since 1970."""

    key: str
    amount: int
    seconds: int
    at: float


class HitStore:
    """The table of hits. Every method uses one transaction and raises the database's errors."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret
        self._swept_at = 0.0

    async def take(self, hit: Hit) -> float | None:
        """Counts the hit and returns None. If the key is used up, counts nothing and returns when it is free again.

        That time is in seconds since 1970.
        """
        hashed = self._hashed(hit)

        def work(session: Session) -> float | None:
            if not is_sqlite(session):  # which has a single writer
                session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _lock(hashed.key)})
            counting = (HitRow.key == hashed.key, HitRow.until > _moment(hit.at))
            count, first = session.execute(select(func.count(), func.min(HitRow.until)).where(*counting)).one()
            if count >= hit.amount:
                return first.timestamp()
            _put(session, [hashed])
            return None

        room_at = await self._database.transact(work)
        await self._sweep(hit.at)
        return room_at

    async def add(self, hits: Sequence[Hit]) -> Mapping[str, float]:
        """Counts hits that have happened already, even beyond their limit.

        Returns the keys that are used up, each with the time at which it is free again, in seconds since 1970.
        """
        now = max(hit.at for hit in hits)
        rows = [self._hashed(hit) for hit in hits]
        named = {row.key: hit for row, hit in zip(rows, hits, strict=True)}

        def work(session: Session) -> dict[str, float]:
            _put(session, rows)
            query = select(HitRow.key, func.count()).where(HitRow.key.in_(named), HitRow.until > _moment(now))
            full: dict[str, float] = {}
            for hashed, count in session.execute(query.group_by(HitRow.key)):
                if count >= (hit := named[hashed]).amount:
                    ends = select(HitRow.until).where(HitRow.key == hashed).order_by(HitRow.at.desc())
                    until = session.scalar(ends.offset(hit.amount - 1).limit(1))
                    full[hit.key] = until.timestamp() if until is not None else now
            return full

        full = await self._database.transact(work)
        await self._sweep(now)
        return full

    async def _sweep(self, now: float) -> None:
        if now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now
        old = select(HitRow.id).where(HitRow.until <= _moment(now)).order_by(HitRow.until).limit(_MOST_SWEPT)

        def work(session: Session) -> None:
            session.execute(delete(HitRow).where(HitRow.id.in_(old)))

        # The hit is counted even if this fails; the next sweep deletes the rows.
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self._database.transact(work)

    def _hashed(self, hit: Hit) -> Hit:
        key = hmac.digest(self._secret, b"hit:" + hit.key.encode("utf-8", "surrogatepass"), "sha256").hex()
        return replace(hit, key=key)


def _put(session: Session, hits: Sequence[Hit]) -> None:
    rows = [
        {"key": hit.key, "at": _moment(hit.at), "until": _moment(hit.at) + timedelta(seconds=hit.seconds)}
        for hit in hits
    ]
    session.execute(insert(HitRow), rows)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _lock(hashed: str) -> int:
    """The number of the PostgreSQL advisory lock that stands for a hashed key: its first 64 bits."""
    return int.from_bytes(bytes.fromhex(hashed[:16]), "big", signed=True)
