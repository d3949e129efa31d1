"""Puts on record, and into the log, what must not happen and somebody has to look at."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import event, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.tables import AlarmRow

log: Final = structlog.stdlib.get_logger(__name__)


def put_alarm(session: Session, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime) -> None:
    """Adds an alarm to the transaction. `detail` goes to the log as well, so it holds no personal data."""
    session.execute(insert(AlarmRow).values(at=at, issue=issue, kind=kind, detail=dict(detail)))

    def tell(_: Session) -> None:
        log.error("alarm", kind=kind, issue=issue, **detail)

    event.listen(session, "after_commit", tell, once=True)


async def raise_alarm(
    session: AsyncSession, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime
) -> None:
    """As `put_alarm`."""
    await session.run_sync(put_alarm, kind, issue, detail, at)


async def raise_once(session: AsyncSession, kind: str, issue: str, detail: Mapping[str, Any], at: datetime) -> None:
    """As `raise_alarm`, unless one of this kind waits to be seen already."""
    waiting = select(AlarmRow.id).where(AlarmRow.kind == kind, AlarmRow.issue == issue, AlarmRow.seen_at.is_(None))
    if await session.scalar(waiting.limit(1)) is None:
        await raise_alarm(session, kind, issue, detail, at)


def put_alarm_once(
    session: Session, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime, *, ever: bool = False
) -> bool:
    """As `put_alarm`, unless one of this kind waits to be seen; whether it did.

    With `ever`, for what has happened once and stays so: unless there is one with the same detail, seen or not.
    """
    query = select(AlarmRow.detail, AlarmRow.seen_at).where(AlarmRow.kind == kind, AlarmRow.issue == issue)
    known = session.execute(query).all()
    if any(told == detail if ever else seen_at is None for told, seen_at in known):
        return False
    put_alarm(session, kind, issue, detail, at)
    return True


async def open_alarms(session: AsyncSession, most: int = 100) -> Sequence[AlarmRow]:
    """The newest alarms that nobody has marked as seen."""
    query = select(AlarmRow).where(AlarmRow.seen_at.is_(None)).order_by(AlarmRow.id.desc()).limit(most)
    return (await session.scalars(query)).all()
