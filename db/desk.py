"""The queries of an officer's desk: each walks along an index of its own, and reads no more than it returns."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.tables import EventRow, IssueRow
from domain.events import Event, load_event

Officer = Literal["community", "street"]
"""The levels that have a desk."""
MOST: Final = 30
"""How many issues a list of the desk holds; it says whether there are more."""
_RULES_BY: Final[Mapping[Officer, InstrumentedAttribute[datetime | None]]] = {
    "community": IssueRow.community_rules_by, "street": IssueRow.street_rules_by,
}  # fmt: skip
_PLACE: Final[Mapping[Officer, InstrumentedAttribute[str]]] = {
    "community": IssueRow.community, "street": IssueRow.street,
}  # fmt: skip


async def awaited(session: AsyncSession, level: Officer, org: str) -> Sequence[str]:
    """The issues in which something waits for the ruling of this organisation, the first due first; one more than MOST."""
    by = _RULES_BY[level]
    query = select(IssueRow.id).where(_PLACE[level] == org, by.is_not(None)).order_by(by, IssueRow.id)
    return (await session.scalars(query.limit(MOST + 1))).all()


async def promised(session: AsyncSession, org: str) -> Sequence[str]:
    """The issues in which this organisation does the work and promised something, the first due first; one more than MOST."""
    by = IssueRow.promised_by
    query = select(IssueRow.id).where(IssueRow.handler == org, by.is_not(None)).order_by(by, IssueRow.id)
    return (await session.scalars(query.limit(MOST + 1))).all()


async def climbed(session: AsyncSession, level: Officer, org: str, since: datetime) -> Sequence[str]:
    """The open issues of the place that a level above the property has led since then, the last first; one more than MOST."""
    at = IssueRow.led_at
    query = select(IssueRow.id).where(_PLACE[level] == org, at.is_not(None), at >= since)
    return (await session.scalars(query.order_by(at.desc(), IssueRow.id.desc()).limit(MOST + 1))).all()


async def climbs(session: AsyncSession, issues: Sequence[str], since: datetime) -> Mapping[str, Event]:
    """The last climb of each of these issues, if it was recorded at `since` or later."""
    last = (
        select(EventRow.issue, func.max(EventRow.seq).label("seq"))
        .where(EventRow.issue.in_(issues), EventRow.kind == "escalated")
        .group_by(EventRow.issue)
        .subquery()
    )
    same = (EventRow.issue == last.c.issue) & (EventRow.seq == last.c.seq)
    found: dict[str, Event] = {}
    for issue, body in await session.execute(select(EventRow.issue, EventRow.body).join(last, same)):
        event = load_event(body)
        if (event.recorded_at or event.at) >= since:
            found[issue] = event
    return found
