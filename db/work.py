"""The queries of a list of work: what all open issues of an organisation are sorted by, and all of those that are shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import false, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from db.queries import visible
from db.rows import state_of
from db.tables import EventRow, IssueRow
from domain.commands import Actor
from domain.directory import Works
from domain.events import Reported, load_event
from domain.issue import Issue

MOST: Final = 500
"""How many open issues of an organisation are sorted; those with the least time left, if there are more."""


class Key(NamedTuple):
    """An open issue in short: what a list is narrowed and sorted by."""

    id: str
    category: str
    overdue: bool
    due: datetime | None
    warn_at: datetime | None
    assigned: str | None


async def open_keys(session: AsyncSession, org: str, viewer: Actor, works: Works) -> Sequence[Key]:
    """The open issues that the organisation leads or handles and the viewer may see, those with the least time left first;
    one more than MOST if there are so many.

    `works` is where the viewer's organisation works today.
    """
    columns = (
        IssueRow.id, IssueRow.category, IssueRow.overdue, IssueRow.due, IssueRow.warn_at, IssueRow.assigned,
    )  # fmt: skip
    found: dict[Key, datetime] = {}
    for way in (IssueRow.lead_org == org, IssueRow.handler == org):  # each with its own index
        query = select(*columns, IssueRow.left_by).where(
            way, IssueRow.closed_at.is_(None), or_(false(), *visible(viewer, works))
        )
        for row in await session.execute(query.order_by(IssueRow.left_by, IssueRow.id).limit(MOST + 1)):
            found[Key(row.id, row.category, row.overdue, row.due, row.warn_at, row.assigned)] = row.left_by
    return sorted(found, key=lambda key: (found[key], key.id))[: MOST + 1]


async def own_keys(session: AsyncSession, viewer: Actor, most: int) -> Sequence[Key]:
    """The issues that a resident reported or follows: the open ones with the least time left first, then the closed ones,
    the last first.
    """
    columns = (
        IssueRow.id, IssueRow.category, IssueRow.overdue, IssueRow.due, IssueRow.warn_at, IssueRow.assigned,
    )  # fmt: skip
    # Joined by "or" in one condition, the ways to see an issue would make PostgreSQL read all that there are.
    ways = [select(IssueRow.id).where(way) for way in visible(viewer, Works())]
    seen = IssueRow.id.in_(union(*ways)) if ways else false()
    is_closed = IssueRow.closed_at.is_not(None)
    order = (is_closed, IssueRow.closed_at.desc(), IssueRow.left_by, IssueRow.id)
    rows = await session.execute(select(*columns).where(seen).order_by(*order).limit(most))
    return [Key(row.id, row.category, row.overdue, row.due, row.warn_at, row.assigned) for row in rows]


async def states(session: AsyncSession, issues: Sequence[str]) -> Mapping[str, Issue]:
    """The issues as the rules fold them, by id: one query for all but the policies and calendars, which are kept."""
    query = select(IssueRow).where(IssueRow.id.in_(issues)).options(undefer(IssueRow.state))
    rows = (await session.scalars(query.execution_options(populate_existing=True))).all()
    return {row.id: await session.run_sync(state_of, row) for row in rows}


async def reports(session: AsyncSession, issues: Sequence[str]) -> Mapping[str, Reported]:
    """What was reported in each issue, still sealed, by one query for all."""
    query = select(EventRow.issue, EventRow.body).where(EventRow.issue.in_(issues), EventRow.seq == 1)
    found = {issue: load_event(body).body for issue, body in await session.execute(query)}
    return {issue: body for issue, body in found.items() if isinstance(body, Reported)}
