"""Notices that did not go out: which they are, the alarms about them, and how they are sent again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.alarms import close, put_alarm_once, standing
from db.outbox import is_caused
from db.tables import IssueRow, OutboxRow
from db.upsert import is_sqlite

LATE: Final = "notices-late"
"""The alarm of a receiver whose first notice failed. It is seen once nothing that failed waits for the receiver."""
LOST: Final = "notices-lost"
"""The alarm of a receiver one of whose notices was given up. It is seen once none is left that was given up."""
MOST_LISTED: Final = 1000
_LOCK: Final = 0x6A6E6F7469
"""Key of the PostgreSQL advisory lock that keeps two workers from raising the same alarm."""
_FAILED: Final = and_(OutboxRow.kind == "notice", OutboxRow.status == "failed")
_LATE: Final = and_(
    OutboxRow.kind == "notice", OutboxRow.ready_at.is_not(None), OutboxRow.last_error.is_not(None)
)  # fmt: skip


@dataclass(frozen=True)
class Undelivered:
    """A notice that did not go out. `receiver`: the code of an organisation, None for a resident; `tries` were made.

    `next` is the time of the next attempt (UTC); None: it was given up.
    """

    id: int
    issue: str | None
    number: str | None
    seq: int
    template: str
    receiver: str | None
    tries: int
    created_at: datetime
    next: datetime | None
    error: str | None


async def undelivered(
    session: AsyncSession, *, failed: bool = False, org: str | None = None, most: int = MOST_LISTED
) -> Sequence[Undelivered]:
    """The notices that were given up and, unless only those `failed` are wanted, that wait after a failure; oldest first."""
    query = select(OutboxRow, IssueRow.number).outerjoin(IssueRow, IssueRow.id == OutboxRow.issue)
    query = query.where(_FAILED if failed else or_(_FAILED, _LATE)).order_by(OutboxRow.id).limit(most)
    rows = await session.execute(query if org is None else query.where(OutboxRow.to_org == org))
    return [
        Undelivered(row.id, row.issue, number, row.seq, row.template, row.to_org, row.attempts, row.created_at,
                    row.ready_at, row.last_error)
        for row, number in rows
    ]  # fmt: skip


def resend(session: Session, now: datetime, *, ids: Collection[int] = (), org: str | None = None) -> int:
    """Makes notices that did not go out due at once, with all tries before them. Returns how many.

    Those of the `ids` or of `org`, or all. One whose event was rewritten since, so that nothing causes it any more, is
    withdrawn instead.
    """
    query = select(OutboxRow).where(or_(_FAILED, and_(_LATE, OutboxRow.status == "pending")))
    query = query.where(OutboxRow.id.in_(ids)) if ids else query
    query = query if org is None else query.where(OutboxRow.to_org == org)
    number = 0
    for row in session.scalars(query.order_by(OutboxRow.id).with_for_update()).all():
        caused = is_caused(session, row, now)
        number += caused
        row.attempts = 0
        row.status, row.ready_at, row.finished_at = ("pending", now, None) if caused else ("withdrawn", None, now)
    session.flush()
    settle_alarms(session, {}, {}, now)
    return number


def settle_alarms(
    session: Session, late: Mapping[str | None, str], lost: Mapping[str | None, str], now: datetime
) -> None:
    """Raises and ends the alarms about receivers, after the attempts of a batch were settled.

    `late` and `lost` give the receivers whose notices failed and were given up, each with an error.
    """
    if not is_sqlite(session) and (late or lost):  # SQLite has one writer at a time
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    for kind, receivers in ((LATE, late), (LOST, lost)):
        for org, error in receivers.items():
            put_alarm_once(session, kind, None, {"org": org, "error": error}, now, about="org")
    gone: list[int] = []
    for alarm in standing(session, LATE, LOST):
        # An entry that only waits behind another one has no tries.
        left = and_(_LATE, OutboxRow.attempts > 0) if alarm.kind == LATE else _FAILED
        if not session.scalar(select(exists().where(left, _to(alarm.detail["org"])))):
            gone.append(alarm.id)
    close(session, gone, now)
    session.flush()


def _to(org: str | None) -> ColumnElement[bool]:
    return OutboxRow.to_org.is_(None) if org is None else OutboxRow.to_org == org
