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
    and_,
    false,
    func,
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
from db.tables import CodeRow, EventRow, IssueRow, VoiceRow
from db.upsert import is_sqlite
from db.walks import NEWEST, Condition, Key, Keys, Order, Span, Walk, Way, bound, furthest
from domain.access import HANDLER_ROLES, searches_texts
from domain.commands import Actor
from domain.directory import Works
from domain.directory_review import OpenIssue
from domain.events import Event, load_event
from domain.issue import Issue
from domain.pins import Calendars
from domain.policy import Policy
from domain.vocabulary import Category, Level, Status
from domain.wire import WireError, format_time, parse_time
from runtime import base64url

PAGE: Final = 50
NOWHERE: Final = Works()
MOST_CANDIDATES: Final = 20
_FEW: Final = 20


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

    `q` is a prefix of the issue's number, or words of its text. `since` and `until` (not included) bound the report's time.
    `overdue` is as recorded; with `now` also by the clock, since the record follows a moment later.
    """

    level: Level | None = None
    status: Status | None = None
    org: str | None = None
    compound: str | None = None
    category: Category | None = None
    overdue: bool | None = None
    q: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    now: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Rows of issues, whose column `state` is not loaded, and the cursor of the next page (None on the last page).

    A page of a search may hold fewer rows than its limit, even none, and yet have a next page: it looked so far.
    """

    items: tuple[IssueRow, ...]
    next_cursor: str | None


async def issue(session: AsyncSession, issue: str) -> Issue | None:
    """The issue in the form that the rules fold, from the `state` of its row; None if the issue has no row."""
    query = select(IssueRow).where(IssueRow.id == issue).options(undefer(IssueRow.state))
    row = await session.scalar(query.execution_options(populate_existing=True))
    return None if row is None else await session.run_sync(state_of, row)


async def by_code(session: AsyncSession, code: str) -> Sequence[str]:
    """The id of the issue that has or had a tracking code with this hash, if there is one."""
    return (await session.scalars(select(CodeRow.issue).where(CodeRow.hash == code))).all()


async def by_number(session: AsyncSession, number: str) -> Sequence[str]:
    """The ids of the issues with this number: one, but for an accident."""
    return (await session.scalars(select(IssueRow.id).where(IssueRow.number == number).limit(_FEW))).all()


async def open_issues(session: AsyncSession) -> tuple[OpenIssue, ...]:
    """What of each open issue depends on the directory, oldest first."""
    query = select(IssueRow.id, IssueRow.number, IssueRow.compound, IssueRow.handler, IssueRow.lead_org).where(_OPEN)
    rows = await session.execute(query.order_by(IssueRow.opened_at, IssueRow.id))
    return tuple(OpenIssue(*row) for row in rows)


async def timeline(session: AsyncSession, issue: str) -> tuple[Event, ...]:
    """The issue's events in order."""
    query = select(EventRow.body).where(EventRow.issue == issue).order_by(EventRow.seq)
    return tuple(load_event(body) for body in (await session.scalars(query)).all())


async def timelines(session: AsyncSession, issues: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The events of several issues in their plain form, in order."""
    query = (
        select(EventRow.issue, EventRow.body).where(EventRow.issue.in_(issues)).order_by(EventRow.issue, EventRow.seq)
    )
    found: dict[str, list[dict[str, Any]]] = {each: [] for each in issues}
    for issue, body in await session.execute(query):
        found[issue].append(body)
    return found


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


async def candidates(
    session: AsyncSession, compound: str, category: Category, building: str, since: datetime
) -> Sequence[IssueRow]:
    """The open issues that neighbours may join, of one building and category, opened at `since` or later, oldest first."""
    same = (IssueRow.compound == compound, IssueRow.category == category, IssueRow.building == building)
    query = select(IssueRow).where(*same, IssueRow.joinable.is_(True), _OPEN, IssueRow.opened_at >= since)
    return (await session.scalars(query.order_by(IssueRow.opened_at, IssueRow.id).limit(MOST_CANDIDATES))).all()


async def taken_in(session: AsyncSession, org: str, reporter: str, since: datetime) -> int:
    """How many reports opened at `since` or later staff of the organisation took in for this resident."""
    mine = (IssueRow.reporter == reporter, IssueRow.taken_by == org, IssueRow.opened_at >= since)
    return (await session.execute(select(func.count()).select_from(IssueRow).where(*mine))).scalar_one()


def visible(viewer: Actor, works: Works) -> tuple[Condition, ...]:
    """The conditions under which the actor may see an issue, of which one suffices: `domain.access.may_see` in SQL.

    `works` is where his organisation works today.
    """
    return tuple(and_(*each) for each in _views(viewer, works))


def _views(viewer: Actor, works: Works) -> list[tuple[Condition, ...]]:
    """The same, each condition in its parts. The first part holds for a column with an index of its own in order of time.

    Only what a resident follows has none.
    """
    if viewer.role == "resident":
        follows = select(VoiceRow.issue).where(VoiceRow.person == viewer.person)
        return [(IssueRow.reporter == viewer.person,), (IssueRow.id.in_(follows),)]
    org = viewer.org
    if org is None:
        return []
    views: list[tuple[Condition, ...]] = []
    kinds = [kind for kind, roles in HANDLER_ROLES.items() if viewer.role in roles]
    here = IssueRow.compound.in_(works.compounds)
    if kinds:
        way = (IssueRow.handler == org, IssueRow.handler_kind.in_(kinds))
        near = and_(IssueRow.operator.is_distinct_from(org), IssueRow.street.in_(works.streets))
        views.append((*way, or_(here, near)) if viewer.role == "property" else way)
    match viewer.role:
        case "property":
            views.append((IssueRow.operator == org, IssueRow.about_operator.is_(False), here))
        case "community":
            views.append((IssueRow.community == org,))
        case "street" | "auditor" | "admin":
            views.append((IssueRow.street == org,))
        case _:
            pass
    return views


def _reported_by(viewer: Actor) -> tuple[Condition, ...]:
    """The issues that the resident reported, and did not come to decide in another way."""
    follows = select(VoiceRow.issue).where(VoiceRow.person == viewer.person)
    return IssueRow.reporter == viewer.person, IssueRow.id.not_in(follows)


async def list_issues(
    session: AsyncSession,
    filters: Filters | None = None,
    *,
    viewer: Actor | None = None,
    works: Works = NOWHERE,
    cursor: str | None = None,
    limit: int = PAGE,
) -> Page:
    """A page of issues that the viewer may see, newest first. Without a viewer: of all issues. Raises CursorError.

    `works` is where the viewer's organisation works today: property staff see no other issues.
    """
    filters = filters or Filters()
    after = _read(cursor)
    views = [(true(),)] if viewer is None else _views(viewer, works)
    q = (filters.q or "").strip()
    number = await search.numbered(session, q) if q else None
    if q and number is None:
        return await _search(session, search.fold(q), filters, viewer, views, after, limit)
    seen = [and_(*view) for view in views]
    concerned: Sequence[Condition] = (true(),) if filters.org is None else _works_on(filters.org)
    narrowed = [*_narrowed(filters), *([] if number is None else [number])]
    branches = [_newest([*way, *narrowed], after, limit) for way in product(seen, concerned, _late(filters))]
    return await _page(session, branches, limit, IssueRow.opened_at)


async def _search(
    session: AsyncSession, words: str, filters: Filters, viewer: Actor | None, views: Sequence[tuple[Condition, ...]],
    after: Key | None, limit: int,
) -> Page:  # fmt: skip
    """A page of the issues that hold the folded words. It looks at so many issues (`db.walks`), whatever they hold."""
    if viewer is not None and viewer.role == "resident":
        views = [_reported_by(viewer)]  # hits in what he only follows would reveal the words of another
    if not words or not views or (viewer is not None and not searches_texts(viewer.role)):
        return Page((), None)
    span = Span(after, filters.since, filters.until)
    way, end = await furthest(session, _ways_to(words, views, filters), span)
    meets = [search.holds(words), or_(*(and_(*view) for view in views)), *_narrowed(filters), or_(*_late(filters))]
    if filters.org is not None:
        meets.append(or_(*_works_on(filters.org)))
    if after is not None:
        meets.append(tuple_(*NEWEST) < bound(after))
    if end is not None:
        meets.append(tuple_(*NEWEST) >= bound(end))
    branches = [walk.found(span, and_(*meets)).limit(limit + 1) for walk in way]
    return await _page(session, branches, limit, IssueRow.opened_at, end=end)


async def worklist(
    session: AsyncSession, org: str, *, viewer: Actor | None = None, works: Works = NOWHERE, cursor: str | None = None,
    limit: int = PAGE,
) -> Page:  # fmt: skip
    """A page of open issues that the organisation leads or handles and the viewer may see, least time left first.

    The viewer matters because an operator may work under several communities, and each community sees only its own
    issues. Without a viewer, the page holds all issues that the organisation leads or handles. Raises CursorError.
    """
    after = _read(cursor)
    seen = or_(false(), *(visible(viewer, works) if viewer is not None else (true(),)))
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
    if filters.since is not None:
        conditions.append(IssueRow.opened_at >= filters.since)
    if filters.until is not None:
        conditions.append(IssueRow.opened_at < filters.until)
    return conditions


def _late(filters: Filters) -> Sequence[Condition]:
    """The conditions of `overdue`, of which one suffices, so that the recorded ones keep their own index."""
    if filters.overdue is None:
        return (true(),)
    recorded, now = (_RED if filters.overdue else IssueRow.overdue.is_(False)), filters.now
    if now is None:
        return (recorded,)
    if filters.overdue:
        return recorded, and_(_UNFINISHED, IssueRow.overdue.is_(False), IssueRow.due <= now)
    return (and_(recorded, or_(IssueRow.due.is_(None), IssueRow.due > now)),)


def _ways_to(words: str, viewed: Sequence[Sequence[Condition]], filters: Filters) -> list[Way]:
    """The ways on which all issues lie that a search may find: what its viewer may see, its filters, its pairs of letters."""
    ways = [tuple(Walk(scope) for scope, *_ in viewed)]
    if filters.org is not None:
        ways.append(tuple(map(Walk, _works_on(filters.org))))
    if filters.compound is not None:
        ways.append((Walk(IssueRow.compound == filters.compound),))
    return ways + [(search.walk(term),) for term in search.terms(words)]


def _newest(conditions: Sequence[Condition], after: Key | None, limit: int) -> Keys:
    keys = select(IssueRow.opened_at.label("at"), IssueRow.id.label("id")).where(*conditions)
    return _descending(keys, NEWEST, after, limit)


def _descending(keys: Keys, order: Order, after: Key | None, limit: int) -> Keys:
    if after is not None:
        keys = keys.where(tuple_(*order) < bound(after))
    return keys.order_by(*(each.desc() for each in order)).limit(limit + 1)


def _most_pressing(conditions: Sequence[Condition], after: Key | None, limit: int) -> Keys:
    order: Order = (IssueRow.left_by, IssueRow.id)
    keys = select(IssueRow.left_by.label("at"), IssueRow.id.label("id")).where(*conditions)
    if after is not None:
        keys = keys.where(tuple_(*order) > bound(after))
    return keys.order_by(*order).limit(limit + 1)


async def _page(
    session: AsyncSession,
    branches: Sequence[Keys],
    limit: int,
    sort: InstrumentedAttribute[datetime],
    newest: bool = True,
    end: Key | None = None,
) -> Page:
    """Merges the branches (queries for keys of issues) into one page that holds each issue once.

    If the branches looked no further than `end`, the next page begins there, even where this one is not full.
    """
    if not branches:
        return Page((), None)
    heads = [branch.subquery() for branch in branches]
    keys = union(*(select(head.c.at, head.c.id) for head in heads)).subquery() if len(heads) > 1 else heads[0]
    order = (sort.desc(), IssueRow.id.desc()) if newest else (sort, IssueRow.id)
    query = select(IssueRow).join(keys, keys.c.id == IssueRow.id).order_by(*order).limit(limit + 1)
    rows = (await session.scalars(query.execution_options(populate_existing=True))).all()
    if len(rows) <= limit:
        return Page(tuple(rows), end and _write(end))
    last = rows[limit - 1]
    return Page(tuple(rows[:limit]), _write((getattr(last, sort.key), last.id)))


def _write(key: Key) -> str:
    plain = json.dumps([format_time(key[0]), key[1]], separators=(",", ":"))
    return base64url.encode(plain.encode())


def _read(cursor: str | None) -> Key | None:
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
