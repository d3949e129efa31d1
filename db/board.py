"""The rows of the public board: what of an open issue anybody may know, and no column more."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import case, null, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import IssueRow
from domain.followers import PRIVATE

MOST: Final = 100
"""So many issues one board shows: the most pressing ones."""


class BoardRow(NamedTuple):
    """An open issue as anybody may know it: nobody's words, name, phone, code, picture, flat or number."""

    category: str
    building: str | None
    """None where the issue is about the inside of a flat: a building of few flats would name the resident."""
    opened_at: datetime
    next_org: str | None
    next_milestone: str | None
    due: datetime | None
    warn_at: datetime | None
    overdue: bool


async def open_issues(session: AsyncSession, compound: str) -> Sequence[BoardRow]:
    """The open issues of the compound, the most pressing first, at most MOST.

    Left out are those of which not even a neighbour may know, and those about the operator, which would read them here.
    """
    building = case((IssueRow.joinable.is_(True), IssueRow.building), else_=null())
    query = (
        select(
            IssueRow.category, building, IssueRow.opened_at, IssueRow.next_org,
            IssueRow.next_milestone, IssueRow.due, IssueRow.warn_at, IssueRow.overdue,
        )
        .where(
            IssueRow.compound == compound, IssueRow.closed_at.is_(None), IssueRow.about_operator.is_(False),
            IssueRow.category.not_in(PRIVATE),
        )
        .order_by(IssueRow.left_by, IssueRow.id)
        .limit(MOST)
    )  # fmt: skip
    return [BoardRow(*row) for row in await session.execute(query)]
