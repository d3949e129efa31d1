"""Walks along indices, by which a search looks at a bounded number of issues however many there are.

All that a search may find lies on each of several ways: in the issues that its viewer may see, in those of a compound,
in those of one pair of letters. A way consists of walks, each along one index from the newest issue to the oldest. A
search takes the way on which LOOK entries of each index reach the oldest issue, looks at these entries, and says where
it stopped. So nothing is passed over, and what a page costs does not depend on the number of issues.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Tuple, case, func, literal, literal_column, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.tables import IssueRow
from db.types import UTCDateTime, Words

LOOK: Final = 500
"""At how many entries of each index a page looks at most."""

Condition = ColumnElement[bool]
Key = tuple[datetime, str]
"""When an issue was opened, and its id: the place of the issue in the order of lists and walks."""
Keys = Select[datetime, str]
Order = tuple[InstrumentedAttribute[datetime], InstrumentedAttribute[str]]
NEWEST: Final[Order] = (IssueRow.opened_at, IssueRow.id)


@dataclass(frozen=True)
class Span:
    """The issues that a search has still to look at: those behind the key `after`, of this time. None: no bound."""

    after: Key | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Walk:
    """The entries of an index that meet `where`, newest first. Those of a range are in no order, and one may come twice."""

    where: Condition
    key: Order = NEWEST
    is_range: bool = False

    def entries(self, span: Span) -> Keys:
        """The keys in the span; of a range all keys, since skipping some of them has no bound."""
        at, issue = self.key
        return select(at.label("at"), issue.label("id")).where(*self._within(span)).order_by(*self._order())

    def found(self, span: Span, meets: Condition) -> Keys:
        """The keys among the first LOOK entries whose issues meet a condition."""
        at, issue = self.key
        # A column, not a condition: databases would walk along another index to the issues that meet it.
        value: ColumnElement[int] = case((meets, _written(1)))
        if self.key is not NEWEST:
            value = select(value).where(IssueRow.id == issue).scalar_subquery()
        few = select(at.label("at"), issue.label("id"), value.label("meets")).where(*self._within(span))
        rows = few.order_by(*self._order()).limit(_written(LOOK)).subquery()
        keys = (
            select(rows.c.at, rows.c.id).where(rows.c.meets == _written(1)).order_by(rows.c.at.desc(), rows.c.id.desc())
        )
        return keys.distinct() if self.is_range else keys

    def _within(self, span: Span) -> list[Condition]:
        at, issue = self.key
        within = [self.where]
        if self.is_range:
            return within
        if span.since is not None:
            within.append(at >= span.since)
        # One upper bound only: given two, SQLite starts at either and reads on to the other.
        if span.after is not None:
            within.append(tuple_(at, issue) < bound(span.after))
        elif span.until is not None:
            within.append(at < span.until)
        return within

    def _order(self) -> list[ColumnElement[Any]]:
        return [] if self.is_range else [each.desc() for each in self.key]


Way = tuple[Walk, ...]


def bound(key: Key) -> Tuple:
    """The key as a value that a query compares with."""
    return tuple_(literal(key[0], UTCDateTime()), literal(key[1], Words()))


async def furthest(session: AsyncSession, ways: Sequence[Way], span: Span) -> tuple[Way, Key | None]:
    """The way on which a search gets furthest, and the key up to which it gets; None if it gets to the end.

    Of several ways to the end, the one with the fewest entries. At least one way must have no range in it.
    """
    ends = await _ends(session, ways, span)
    whole = [at for at in range(len(ways)) if at not in ends]
    if len(whole) > 1:
        counted = await _counted(session, ways, whole, span)
        return ways[min(whole, key=lambda at: counted[at])], None
    if whole:
        return ways[whole[0]], None
    open_ = [at for at in ends if not any(walk.is_range for walk in ways[at])]
    at = min(open_, key=lambda at: ends[at])
    return ways[at], ends[at]


async def _ends(session: AsyncSession, ways: Sequence[Way], span: Span) -> dict[int, Key]:
    """The key up to which LOOK entries get on each way, by the way's place; a way that they walk to its end is missing."""
    places = [at for at, way in enumerate(ways) for _ in way]
    walks = [
        walk.entries(span).limit(_written(2)).offset(_written(LOOK - 1)).subquery() for way in ways for walk in way
    ]
    last = [select(_written(n).label("n"), walk.c.at, walk.c.id) for n, walk in enumerate(walks)]
    found: dict[int, list[Key]] = {}
    for n, opened_at, issue in await session.execute(union_all(*last)):
        found.setdefault(n, []).append((opened_at, issue))
    ends: dict[int, Key] = {}
    for n, keys in found.items():
        if len(keys) == 2:  # the last entry to look at, and that there are more
            ends[places[n]] = max(*keys, ends.get(places[n], keys[0]))
    return ends


async def _counted(session: AsyncSession, ways: Sequence[Way], some: Sequence[int], span: Span) -> Counter[int]:
    """The numbers of entries of some ways, by the way's place."""
    walks = [(at, walk.entries(span).limit(_written(LOOK)).subquery()) for at in some for walk in ways[at]]
    counts = [select(_written(at), func.count()).select_from(walk) for at, walk in walks]
    counted = Counter[int]()
    for at, count in await session.execute(union_all(*counts)):
        counted[at] += count
    return counted


def _written(number: int) -> ColumnElement[int]:
    """The number in the query's text: PostgreSQL takes a limit that is a parameter for a tenth of the table."""
    return literal_column(str(number))
