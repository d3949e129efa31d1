"""The access log: one line for each read, or attempt to read. Only the name of the actor is personal.

Lines are never changed. They are kept for at least half a year, then deleted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Tuple, and_, delete, func, insert, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.queries import CursorError
from db.tables import AccessRow, IssueRow
from db.types import UTCDateTime

Result = Literal["shown", "masked", "forbidden", "not-found", "asked", "done"]
"""What came of it; an operator's export or erasure is `asked` before it begins and `done` after it."""
SHORTEST_DAYS: Final = 183
"""Days for which a line is kept at least: half a year, since the law requires six months."""
PAGE: Final = 50
_MOST_REMOVED: Final = 5_000
_CURSOR: Final = re.compile(r"([0-9]{1,14})-([0-9]{1,18})")
"""The form of a cursor: the time of a line in milliseconds since 1970, and the id of this line."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """One line to add. `street` is the street of the actor; `put` replaces it by the issue's street if the issue has a
    row.

    `address` is a keyed hash of the actor's network address.
    """

    at: datetime
    person: str
    role: str
    org: str | None
    street: str | None
    what: str
    issue: str | None
    result: Result
    address: str | None = None


@dataclass(frozen=True)
class LineFilter:
    """Which lines to list. `street` is the street of the person who asks for the list."""

    street: str
    issue: str | None = None
    person: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Lines, newest first, and the cursor of the next page (None on the last page)."""

    items: tuple[AccessRow, ...]
    next_cursor: str | None


def put(session: Session, entries: Sequence[Entry]) -> None:
    """Adds lines to the transaction.

    A line gets the street of its issue, or, if the issue has no row, the street of the entry.
    """
    if not entries:
        return
    issues = {entry.issue for entry in entries if entry.issue is not None}
    query = select(IssueRow.id, IssueRow.street).where(IssueRow.id.in_(issues))
    streets: dict[str | None, str] = {row[0]: row[1] for row in session.execute(query)} if issues else {}
    rows: list[dict[str, Any]] = [
        {**vars(entry), "street": streets.get(entry.issue, entry.street)} for entry in entries
    ]  # fmt: skip
    session.execute(insert(AccessRow), rows)


async def listed(session: AsyncSession, wanted: LineFilter, *, cursor: str | None = None, limit: int = PAGE) -> Page:
    """A page of lines. Raises CursorError for an invalid cursor."""
    conditions = [AccessRow.street == wanted.street]
    if wanted.issue is not None:
        conditions.append(AccessRow.issue == wanted.issue)
    if wanted.person is not None:
        conditions.append(AccessRow.person == wanted.person)
    if wanted.since is not None:
        conditions.append(AccessRow.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(AccessRow.at < wanted.until)
    if cursor is not None:
        conditions.append(tuple_(AccessRow.at, AccessRow.id) < _read(cursor))
    query = select(AccessRow).where(and_(*conditions)).order_by(AccessRow.at.desc(), AccessRow.id.desc())
    rows = (await session.scalars(query.limit(limit + 1))).all()
    following = _write(rows[limit - 1]) if len(rows) > limit else None
    return Page(tuple(rows[:limit]), following)


async def purge(session: AsyncSession, before: datetime, now: datetime | None = None) -> int:
    """Deletes the oldest lines from before that time, a few thousand at most. Returns the number of deleted lines.

    Call this function until it returns 0. Raises ValueError if `before` is less than half a year ago.
    """
    if before > (now or datetime.now(UTC)) - timedelta(days=SHORTEST_DAYS):
        raise ValueError(f"the access log is kept for at least {SHORTEST_DAYS} days")
    old = select(AccessRow.id).where(AccessRow.at < before).order_by(AccessRow.at).limit(_MOST_REMOVED)
    count = await session.scalar(select(func.count()).select_from(old.subquery())) or 0
    if count:
        await session.execute(delete(AccessRow).where(AccessRow.id.in_(old)))
    return count


def _write(row: AccessRow) -> str:
    return f"{(row.at - _EPOCH) // timedelta(milliseconds=1)}-{row.id}"


def _read(cursor: str) -> Tuple:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise CursorError(cursor)
    return tuple_(literal(_EPOCH + timedelta(milliseconds=int(found[1])), UTCDateTime()), literal(int(found[2])))
