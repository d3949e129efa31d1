"""Which pictures belong to an issue; the pictures themselves lie sealed in the object store."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.tables import AttachmentRow, IssueRow
from domain.limits import MOST_PICTURES

Added = Literal["added", "known", "full", "unknown"]
"""`known`: it was there already; `full`: there are MOST_PICTURES others; `unknown`: no row of the issue is there (yet)."""


def add(session: Session, row: Mapping[str, Any]) -> Added:
    """Adds one, given its columns, unless the issue has too many; those who do it at once take turns."""
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
    """All of an issue, in the order in which they came."""
    query = select(AttachmentRow).where(AttachmentRow.issue == issue)
    return (await session.scalars(query.order_by(AttachmentRow.added_at, AttachmentRow.digest))).all()


async def find(session: AsyncSession, issue: str, digest: str) -> AttachmentRow | None:
    return await session.get(AttachmentRow, (issue, digest))


def remove(session: Session, issue: str, digests: Sequence[str]) -> None:
    """Forgets these of an issue."""
    session.execute(delete(AttachmentRow).where(AttachmentRow.issue == issue, AttachmentRow.digest.in_(digests)))
