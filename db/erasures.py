"""Requested and finished erasures, and the removal of an issue's search words from the read model."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import and_, exists, func, literal, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db import search
from db.tables import ErasureRow, IssueRow, SealRow, VoiceRow
from db.types import UTCDateTime, Words
from db.upsert import insert_missing

UNKNOWN: Final = "unknown"
"""Stands for the category of an issue that has no row."""


def ask(session: Session, wanted: Sequence[tuple[str, str, datetime]]) -> int:
    """Stores requests to erase: (issue, reason, time). Returns the number of new requests.

    If an issue has a request already, the new request is ignored.
    """
    query = select(ErasureRow.issue).where(ErasureRow.issue.in_([issue for issue, _, _ in wanted]))
    known = set(session.scalars(query))
    new = [
        {"issue": issue, "why": why, "asked_at": at, "done_at": None} for issue, why, at in wanted if issue not in known
    ]
    insert_missing(session, ErasureRow, new)
    return len(new)


def forget(session: Session, issue: str) -> None:
    """Removes the search words of an issue from its row and from the search index."""
    row = session.scalar(select(IssueRow).where(IssueRow.id == issue).with_for_update())
    if row is not None and row.words:
        search.drop(session, row)


def note_done(session: Session, issues: Sequence[str], now: datetime) -> None:
    """Marks the erasures of these issues as done."""
    undone = update(ErasureRow).where(ErasureRow.issue.in_(issues), ErasureRow.done_at.is_(None))
    session.execute(undone.values(done_at=now))


def undo(session: Session, issues: Sequence[str]) -> None:
    """Marks the erasures of these issues as not done, so that they are repeated."""
    session.execute(update(ErasureRow).where(ErasureRow.issue.in_(issues)).values(done_at=None))


def is_asked(session: Session, issue: str) -> bool:
    """Whether the erasure of an issue was requested, done or not."""
    return session.get(ErasureRow, issue) is not None


async def waiting(
    session: AsyncSession, most: int, after: ErasureRow | None = None, only: Sequence[str] | None = None
) -> Sequence[tuple[ErasureRow, str]]:
    """The erasures that can be done now, since their issues are closed, each with the issue's category.

    Oldest request first, those after the request `after`; `only` limits them to these issues. An issue whose row was
    lost counts as closed if it has a seal.
    """
    query = select(ErasureRow, func.coalesce(IssueRow.category, UNKNOWN))
    query = query.outerjoin(IssueRow, IssueRow.id == ErasureRow.issue)
    is_lost = and_(IssueRow.id.is_(None), exists().where(SealRow.issue == ErasureRow.issue))
    query = query.where(ErasureRow.done_at.is_(None), or_(IssueRow.closed_at.is_not(None), is_lost))
    if only is not None:
        query = query.where(ErasureRow.issue.in_(only))
    if after is not None:
        query = query.where(
            tuple_(ErasureRow.asked_at, ErasureRow.issue)
            > tuple_(literal(after.asked_at, UTCDateTime()), literal(after.issue, Words()))
        )
    rows = await session.execute(query.order_by(ErasureRow.asked_at, ErasureRow.issue).limit(most))
    return [(row, category) for row, category in rows]


async def page(session: AsyncSession, after: str, most: int) -> Sequence[ErasureRow]:
    """A page of all requests, done or not, in the order of issue ids: those whose id follows `after`."""
    query = select(ErasureRow).where(ErasureRow.issue > literal(after, Words())).order_by(ErasureRow.issue)
    return (await session.scalars(query.limit(most))).all()


async def outlived(session: AsyncSession, limits: Mapping[str, datetime], most: int) -> Sequence[str]:
    """Ids of issues past their retention whose erasure was not requested yet, in the order of their closing.

    `limits`: for each category the time before which such an issue must have been closed.
    """
    old = or_(*(and_(IssueRow.category == name, IssueRow.closed_at < limit) for name, limit in limits.items()))
    asked = exists().where(ErasureRow.issue == IssueRow.id)
    query = select(IssueRow.id).where(old, ~asked).order_by(IssueRow.closed_at).limit(most)
    return (await session.scalars(query)).all()


async def reported_by(session: AsyncSession, reporters: Sequence[str]) -> Sequence[IssueRow]:
    """Every issue that one of these persons reported, oldest first; not one for which he decides after its reporter."""
    voices = select(VoiceRow.issue).where(VoiceRow.issue == IssueRow.id)
    decides_after = voices.where(VoiceRow.person == IssueRow.reporter, VoiceRow.reported.is_(False)).exists()
    has_left = voices.where(VoiceRow.person.in_(reporters), VoiceRow.reported.is_(True)).exists()
    query = select(IssueRow).where(or_(and_(IssueRow.reporter.in_(reporters), ~decides_after), has_left))
    return (await session.scalars(query.order_by(IssueRow.opened_at, IssueRow.id))).all()
