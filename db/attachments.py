"""The list of an issue's pictures in SQL; the blob store holds the sealed bytes of the pictures."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.tables import AttachmentRow, IssueRow
from domain.limits import MOST_PICTURES

Added = Literal["added", "known", "full", "unknown"]
"""What `add` did. ``known``: the picture was listed already; ``full``: not added, the issue has MOST_PICTURES others;
``unknown``: not added, the issue has no row (yet)."""


def add(session: Session, row: Mapping[str, Any]) -> Added:
    """Adds a picture, given its columns.

    Locks the issue's row, so that concurrent calls do not exceed MOST_PICTURES.
    """
    issue: str = row["issue"]
    if session.scalar(select(IssueRow.id).where(IssueRow.id == issue).with_for_update()) is None:
        return "unknown"
    if session.get(AttachmentRow, (issue, row["digest"])) is not None:
        return "known"
    mine = select(func.count()).select_from(AttachmentRow).where(AttachmentRow.issue == issue)
    if (session.scalar(mine) or 0) >= MOST_PICTURES:
        return "full"
    session.execute(insert(AttachmentRow).values(**row))
    return "added"


async def of_issue(session: AsyncSession, issue: str) -> Sequence[AttachmentRow]:
    """The pictures of an issue, in the order in which they were added."""
    query = select(AttachmentRow).where(AttachmentRow.issue == issue)
    return (await session.scalars(query.order_by(AttachmentRow.added_at, AttachmentRow.digest))).all()


async def find(session: AsyncSession, issue: str, digest: str) -> AttachmentRow | None:
    return await session.get(AttachmentRow, (issue, digest))


def remove(session: Session, issue: str, digests: Sequence[str]) -> None:
    """Deletes these pictures of an issue from the list."""
    session.execute(delete(AttachmentRow).where(AttachmentRow.issue == issue, AttachmentRow.digest.in_(digests)))
