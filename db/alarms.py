"""Alarms: each is a row and a line of the log that tell the operator of something that must never happen.

Some tell of a fact, such as a workflow that was terminated, and stay open until somebody marks them. Others tell of a
state, such as a deadline that nobody kept, and close themselves when it is over.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import event, func, insert, literal, select, update
from sqlalchemy.orm import Session

from db.tables import AlarmRow
from db.types import UTCDateTime
from db.upsert import is_sqlite

log: Final = structlog.stdlib.get_logger(__name__)

_ONE_BY_ONE: Final = 3
"""More alarms of one cause that one transaction raises are one line of the log."""
_CHUNK: Final = 500
_LOCK: Final = 0x6A69657375
"""Key of the PostgreSQL advisory lock that keeps two workers from raising the same alarm."""


def put_alarm(session: Session, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime) -> None:
    """Adds an alarm to the transaction. `detail` is written to the log as well, so it must hold no personal data."""
    session.execute(insert(AlarmRow).values(at=at, issue=issue, kind=kind, detail=dict(detail)))
    raised: list[tuple[str, str | None, Mapping[str, Any]]] | None = session.info.get("alarms")
    if raised is None:
        raised = session.info["alarms"] = []
        event.listen(session, "after_commit", _log, once=True)
    raised.append((kind, issue, detail))


def _log(session: Session) -> None:
    by_kind: dict[str, list[tuple[str | None, Mapping[str, Any]]]] = defaultdict(list)
    for kind, issue, detail in session.info.pop("alarms"):
        by_kind[kind].append((issue, detail))
    for kind, raised in by_kind.items():
        if len(raised) > _ONE_BY_ONE:
            log.error("alarm", kind=kind, alarms=len(raised), some=[issue for issue, _ in raised[:_ONE_BY_ONE]])
            continue
        for issue, detail in raised:
            log.error("alarm", kind=kind, issue=issue, **detail)


def put_alarm_once(
    session: Session,
    kind: str,
    issue: str | None,
    detail: Mapping[str, Any],
    at: datetime,
    *,
    ever: bool = False,
    about: str = "",
) -> bool:
    """Adds an alarm, unless the issue has an unseen alarm of this kind. Returns whether one was added.

    `about` names a part of `detail`: alarms that differ in it are about different things.
    With `ever`, for facts that never change: adds it unless the issue has any alarm of this kind and detail, seen or
    not, whose cause is not gone.
    """
    _take_turns(session)
    query = select(AlarmRow.detail, AlarmRow.seen_at).where(AlarmRow.kind == kind, AlarmRow.issue == issue)
    known = session.execute(query.where(AlarmRow.gone_at.is_(None))).all()
    known = [each for each in known if not about or each.detail.get(about) == detail[about]]
    if any(stored == detail if ever else seen_at is None for stored, seen_at in known):
        return False
    put_alarm(session, kind, issue, detail, at)
    return True


def standing(session: Session, *kinds: str) -> Sequence[AlarmRow]:
    """The alarms of these kinds whose cause is not gone, oldest first."""
    query = select(AlarmRow).where(AlarmRow.kind.in_(kinds), AlarmRow.gone_at.is_(None))
    return session.scalars(query.order_by(AlarmRow.id)).all()


def settle(
    session: Session, kind: str, wanted: Collection[str], lasting: Collection[str], now: datetime
) -> tuple[int, int]:
    """Brings the alarms of a state to what is found now; returns how many were raised, and how many closed.

    Each issue of `wanted` gets an alarm, unless it has one since its state began, though somebody marked it. Those of
    issues that are not in `lasting` close.
    """
    _take_turns(session)
    query = select(AlarmRow.id, AlarmRow.issue, AlarmRow.seen_at).where(
        AlarmRow.kind == kind, AlarmRow.gone_at.is_(None)
    )
    known = session.execute(query).all()
    fresh = sorted({*wanted} - {row.issue for row in known})
    for issue in fresh:
        put_alarm(session, kind, issue, {}, now)
    over = [row for row in known if row.issue not in lasting]
    close(session, [row.id for row in over], now)
    closed = sum(row.seen_at is None for row in over)
    if closed:
        log.info("alarm_closed", kind=kind, alarms=closed)
    return len(fresh), closed


def close(session: Session, ids: Sequence[int], now: datetime) -> None:
    """Notes of these alarms that their cause is gone."""
    gone = {"gone_at": now, "seen_at": func.coalesce(AlarmRow.seen_at, literal(now, UTCDateTime()))}
    for n in range(0, len(ids), _CHUNK):
        session.execute(update(AlarmRow).where(AlarmRow.id.in_(ids[n : n + _CHUNK])).values(gone))


def close_kinds(session: Session, kinds: Collection[str], now: datetime) -> None:
    """Notes of all alarms of these kinds, which are about no single issue, that their cause is gone."""
    query = select(AlarmRow.id).where(AlarmRow.kind.in_(kinds), AlarmRow.gone_at.is_(None))
    close(session, session.scalars(query).all(), now)


def close_of(session: Session, kind: str, issue: str, now: datetime) -> None:
    """Notes of the alarms of a kind about one issue that their cause is gone."""
    query = select(AlarmRow.id).where(AlarmRow.kind == kind, AlarmRow.issue == issue, AlarmRow.gone_at.is_(None))
    close(session, session.scalars(query).all(), now)


def lasting(session: Session, kind: str) -> dict[str | None, int]:
    """The alarms of a kind whose cause is not gone: their ids, by issue."""
    query = select(AlarmRow.issue, AlarmRow.id).where(AlarmRow.kind == kind, AlarmRow.gone_at.is_(None))
    return {row.issue: row.id for row in session.execute(query)}


def mark(session: Session, now: datetime, *, which: int | None = None, kind: str | None = None) -> int:
    """Marks an open alarm, or all of one kind, as seen. Returns how many were open."""
    chosen = AlarmRow.kind == kind if which is None else AlarmRow.id == which
    query = update(AlarmRow).where(chosen, AlarmRow.seen_at.is_(None)).values(seen_at=now).returning(AlarmRow.id)
    return len(session.scalars(query).all())


@dataclass(frozen=True)
class Cause:
    """All open alarms of one kind: how many, since when, and the first of them."""

    kind: str
    alarms: int
    since: datetime
    first: AlarmRow


def open_causes(session: Session) -> list[Cause]:
    """What is wrong now: one entry for all open alarms of a kind, the newest kind first."""
    query = select(AlarmRow.kind, func.count(), func.min(AlarmRow.at), func.min(AlarmRow.id))
    found = session.execute(query.where(AlarmRow.seen_at.is_(None)).group_by(AlarmRow.kind)).all()
    causes = [Cause(kind, count, since, session.get_one(AlarmRow, first)) for kind, count, since, first in found]
    return sorted(causes, key=lambda cause: cause.first.id, reverse=True)


def latest(session: Session, limit: int, kind: str) -> Sequence[AlarmRow]:
    """The alarms of a kind one by one, open ones first, then the newest."""
    query = select(AlarmRow).where(AlarmRow.kind == kind)
    return session.scalars(query.order_by(AlarmRow.seen_at.is_not(None), AlarmRow.id.desc()).limit(limit)).all()


def closed(session: Session, limit: int) -> Sequence[AlarmRow]:
    """The newest alarms that are not open any more."""
    query = select(AlarmRow).where(AlarmRow.seen_at.is_not(None))
    return session.scalars(query.order_by(AlarmRow.id.desc()).limit(limit)).all()


def _take_turns(session: Session) -> None:
    if not is_sqlite(session):  # SQLite has one writer at a time
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
