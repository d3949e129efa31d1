"""The queries of the read model: issues, timelines, and pages of lists and worklists.

Lists page by key, never by offset: a cursor names the last item of a page. Conditions joined by "or" (lead or handler)
become one query each, with its own index, and their first rows are merged.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    Tuple,
    and_,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, undefer

from db import search
from db.pinned import calendars_of, policy_of
from db.rows import state_of
from db.tables import EventRow, IssueRow, SearchTerm
from db.types import UTCDateTime, Words
from db.upsert import is_sqlite
from domain.access import HANDLER_ROLES, searches_texts
from domain.commands import Actor
from domain.directory_review import OpenIssue
from domain.events import Event, load_event
from domain.issue import Issue
from domain.pins import Calendars
from domain.policy import Policy
from domain.vocabulary import Category, Level, Status
from domain.wire import WireError, format_time, parse_time
from runtime import base64url

PAGE: Final = 50

Condition = ColumnElement[bool]
_Key = tuple[datetime, str]
_Keys = Select[datetime, str]
_Order = tuple[InstrumentedAttribute[datetime], InstrumentedAttribute[str]]


# Worded exactly as the partial indices are, or the database would not use them.
_UNFINISHED: Final[Condition] = IssueRow.status != literal_column("'closed'")
_RED: Final[Condition] = and_(IssueRow.overdue)
_OPEN: Final[Condition] = IssueRow.closed_at.is_(None)


_ID: Final = re.compile(r"[0-9a-z-]{1,64}")


class CursorError(ValueError):
    """The cursor is malformed: no page has returned it."""


@dataclass(frozen=True)
class Filters:
    """Which issues a list holds. None: any. `org` is the organisation that leads or handles the issue.

    `q` is a prefix of the issue's number, or words of its text.
    """

    level: Level | None = None
    status: Status | None = None
    org: str | None = None
    compound: str | None = None
    category: Category | None = None
    overdue: bool | None = None
    q: str | None = None


@dataclass(frozen=True)
class Page:
    """Rows of issues, whose column `state` is not loaded, and the cursor of the next page (None on the last page)."""

    items: tuple[IssueRow, ...]
    next_cursor: str | None


async def issue(session: AsyncSession, issue: str) -> Issue | None:
    """The issue in the form that the rules fold, from the `state` of its row; None if the issue has no row."""
    query = select(IssueRow).where(IssueRow.id == issue).options(undefer(IssueRow.state))
    row = await session.scalar(query.execution_options(populate_existing=True))
    return None if row is None else await session.run_sync(state_of, row)


async def open_issues(session: AsyncSession) -> tuple[OpenIssue, ...]:
    """What of each open issue depends on the directory, oldest first."""
    query = select(IssueRow.id, IssueRow.number, IssueRow.compound, IssueRow.handler, IssueRow.lead_org).where(_OPEN)
    rows = await session.execute(query.order_by(IssueRow.opened_at, IssueRow.id))
    return tuple(OpenIssue(*row) for row in rows)


async def timeline(session: AsyncSession, issue: str) -> tuple[Event, ...]:
    """The issue's events in order."""
    query = select(EventRow.body).where(EventRow.issue == issue).order_by(EventRow.seq)
    return tuple(load_event(body) for body in (await session.scalars(query)).all())


async def pins(session: AsyncSession, issue: str) -> tuple[Policy, Calendars]:
    """The policy and the calendars that the issue pinned at its start. Raises NoResultFound, MissingError, ValueError."""
    found = await session.execute(select(IssueRow.first_policy, IssueRow.first_calendars).where(IssueRow.id == issue))
    policy, calendars = found.one()
    return await session.run_sync(policy_of, policy), await session.run_sync(calendars_of, calendars)


async def event(session: AsyncSession, issue: str, seq: int) -> Event | None:
    """The event of the issue with the number `seq`; None if it is not stored."""
    body = await session.scalar(select(EventRow.body).where(EventRow.issue == issue, EventRow.seq == seq))
    return None if body is None else load_event(body)


async def server_time(session: AsyncSession) -> datetime:
    """The time of day at the database's host, for comparison with that of this host; with SQLite they are one host."""
    if is_sqlite(session):
        return parse_time(await session.scalar(select(func.strftime("%Y-%m-%dT%H:%M:%fZ", "now"))) or "")
    found = await session.scalar(select(func.clock_timestamp()))
    assert isinstance(found, datetime)
    return found.astimezone(UTC)


def visible(viewer: Actor) -> tuple[Condition, ...]:
    """The conditions under which the actor may see an issue, of which one suffices: `domain.access.may_see` in SQL."""
    if viewer.role == "resident":
        return (IssueRow.reporter == viewer.person,)
    org = viewer.org
    if org is None:
        return ()
    ways: list[Condition] = []
    kinds = [kind for kind, roles in HANDLER_ROLES.items() if viewer.role in roles]
    if kinds:
        ways.append(and_(IssueRow.handler == org, IssueRow.handler_kind.in_(kinds)))
    match viewer.role:
        case "property":
            ways.append(and_(IssueRow.operator == org, IssueRow.about_operator.is_(False)))
        case "community":
            ways.append(IssueRow.community == org)
        case "street" | "auditor" | "admin":
            ways.append(IssueRow.street == org)
        case _:
            pass
    return tuple(ways)


async def list_issues(
    session: AsyncSession,
    filters: Filters | None = None,
    *,
    viewer: Actor | None = None,
    cursor: str | None = None,
    limit: int = PAGE,
) -> Page:
    """A page of issues that the viewer may see, newest first. Without a viewer: of all issues. Raises CursorError."""
    filters = filters or Filters()
    after = _read(cursor)
    seen: Sequence[Condition] = (true(),) if viewer is None else visible(viewer)
    concerned: Sequence[Condition] = (true(),) if filters.org is None else _works_on(filters.org)
    ways = [and_(*way) for way in product(seen, concerned)]
    narrowed = _narrowed(filters)
    q = (filters.q or "").strip()
    number = await search.numbered(session, q) if q else None
    if q and number is None:
        is_masked = viewer is not None and not searches_texts(viewer.role)
        branches = [] if is_masked else await _worded(session, q, ways, narrowed, after, limit)
    else:
        if number is not None:
            narrowed.append(number)
        branches = [_newest([way, *narrowed], after, limit) for way in ways]
    return await _page(session, branches, limit, IssueRow.opened_at)


async def worklist(
    session: AsyncSession, org: str, *, viewer: Actor | None = None, cursor: str | None = None, limit: int = PAGE
) -> Page:
    """A page of open issues that the organisation leads or handles and the viewer may see, least time left first.

    The viewer matters because an operator may work under several communities, and each community sees only its own
    issues. Without a viewer, the page holds all issues that the organisation leads or handles. Raises CursorError.
    """
    after = _read(cursor)
    seen = or_(false(), *(visible(viewer) if viewer is not None else (true(),)))
    branches = [_most_pressing([way, _OPEN, seen], after, limit) for way in _works_on(org)]
    return await _page(session, branches, limit, IssueRow.left_by, newest=False)


def _works_on(org: str) -> tuple[Condition, ...]:
    return (IssueRow.lead_org == org, IssueRow.handler == org)


def _narrowed(filters: Filters) -> list[Condition]:
    conditions: list[Condition] = []
    if filters.level is not None:
        conditions.append(IssueRow.level == filters.level)
    if filters.status is not None:
        conditions.append(IssueRow.status == filters.status)
        if filters.status != "closed":
            conditions.append(_UNFINISHED)
    if filters.compound is not None:
        conditions.append(IssueRow.compound == filters.compound)
    if filters.category is not None:
        conditions.append(IssueRow.category == filters.category)
    if filters.overdue is not None:
        conditions.append(_RED if filters.overdue else IssueRow.overdue.is_(False))
    return conditions


async def _worded(
    session: AsyncSession, q: str, ways: Sequence[Condition], narrowed: Sequence[Condition], after: _Key | None,
    limit: int,
) -> list[_Keys]:  # fmt: skip
    """The queries of a word search. Each scans either the issues with the rarest term or those the viewer may see.

    Of the two it takes the issues in view if these are few and those with the term are not.
    """
    words = search.fold(q)
    found = search.terms(words)
    if not found or not ways:
        return []
    term, is_rare = await search.rarest(session, found)
    holding = [search.holds(words), *narrowed]
    few = [] if is_rare else [way for way in ways if await _is_rare(session, way)]
    many = [way for way in ways if not any(way is each for each in few)]
    branches = [_newest([way, *holding], after, limit) for way in few]
    return [*branches, _found(term, [or_(*many), *holding], after, limit)] if many else branches


async def _is_rare(session: AsyncSession, way: Condition) -> bool:
    some = select(IssueRow.id).where(way).limit(search.RARE).subquery()
    return (await session.scalar(select(func.count()).select_from(some)) or 0) < search.RARE


def _newest(conditions: Sequence[Condition], after: _Key | None, limit: int) -> _Keys:
    keys = select(IssueRow.opened_at.label("at"), IssueRow.id.label("id")).where(*conditions)
    return _descending(keys, (IssueRow.opened_at, IssueRow.id), after, limit)


def _found(term: str, conditions: Sequence[Condition], after: _Key | None, limit: int) -> _Keys:
    """The keys of the newest issues that contain a search term and meet the conditions."""
    keys = select(SearchTerm.opened_at.label("at"), SearchTerm.issue.label("id"))
    keys = keys.join(IssueRow, IssueRow.id == SearchTerm.issue).where(SearchTerm.term == term, *conditions)
    return _descending(keys, (SearchTerm.opened_at, SearchTerm.issue), after, limit)


def _descending(keys: _Keys, order: _Order, after: _Key | None, limit: int) -> _Keys:
    if after is not None:
        keys = keys.where(tuple_(*order) < _bound(after))
    return keys.order_by(*(each.desc() for each in order)).limit(limit + 1)


def _most_pressing(conditions: Sequence[Condition], after: _Key | None, limit: int) -> _Keys:
    order: _Order = (IssueRow.left_by, IssueRow.id)
    keys = select(IssueRow.left_by.label("at"), IssueRow.id.label("id")).where(*conditions)
    if after is not None:
        keys = keys.where(tuple_(*order) > _bound(after))
    return keys.order_by(*order).limit(limit + 1)


def _bound(after: _Key) -> Tuple:
    return tuple_(literal(after[0], UTCDateTime()), literal(after[1], Words()))


async def _page(
    session: AsyncSession,
    branches: Sequence[_Keys],
    limit: int,
    sort: InstrumentedAttribute[datetime],
    newest: bool = True,
) -> Page:
    """Merges the branches (queries for keys of issues) into one page that holds each issue once."""
    if not branches:
        return Page((), None)
    heads = [branch.subquery() for branch in branches]
    keys = union(*(select(head.c.at, head.c.id) for head in heads)).subquery() if len(heads) > 1 else heads[0]
    order = (sort.desc(), IssueRow.id.desc()) if newest else (sort, IssueRow.id)
    query = select(IssueRow).join(keys, keys.c.id == IssueRow.id).order_by(*order).limit(limit + 1)
    rows = (await session.scalars(query.execution_options(populate_existing=True))).all()
    if len(rows) <= limit:
        return Page(tuple(rows), None)
    last = rows[limit - 1]
    return Page(tuple(rows[:limit]), _write((getattr(last, sort.key), last.id)))


def _write(key: _Key) -> str:
    plain = json.dumps([format_time(key[0]), key[1]], separators=(",", ":"))
    return base64url.encode(plain.encode())


def _read(cursor: str | None) -> _Key | None:
    if cursor is None:
        return None
    try:
        plain: Any = json.loads(base64url.decode(cursor))
        at, issue = plain
    except (ValueError, TypeError) as error:
        raise CursorError(cursor) from error
    if not isinstance(at, str) or not isinstance(issue, str) or not _ID.fullmatch(issue):
        raise CursorError(cursor)
    try:
        return parse_time(at), issue
    except WireError as error:
        raise CursorError(cursor) from error
