"""The cost of each list at few and at many issues of a city, on PostgreSQL: it must not grow with them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from bench import city
from bench.figures import Figure, Goal, Result
from bench.run import Scale
from bench.search import reads as touched
from db import board, desk, queries, work
from db.engine import Database
from db.queries import Filters, Page
from domain.commands import Actor
from domain.directory import Works
from tests.support.postgres import UnavailableError, fresh_database, server

ABOUT: Final = (
    "A city's issues on PostgreSQL with its defaults, warm, one caller at a time, without HTTP; each list is asked by several "
    "organisations of a kind in turn. A page that is fuller costs more, wherever its rows lie: what a row costs, measured in the "
    "same run by lists of no and of fifty rows, is taken off. Touched are pages of PostgreSQL's buffers, of all who ask: a count, "
    "which no other process disturbs."
)
AT_ONCE: Final = 8
Ask = Callable[[AsyncSession], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """A list, and the questions by which several organisations ask for it."""

    name: str
    asks: Sequence[Ask]


@dataclass
class Cost:
    """What a case costs: seconds for each question, how many rows its answers had on average, and pages touched."""

    seconds: list[float]
    rows: float
    touched: int


_STREETS: Final = tuple((Actor("o", "street", f"s{n}"), Works()) for n in (0, 7, 19))
_COMMUNITIES: Final = tuple((Actor("o", "community", f"m{n}"), Works()) for n in (3, 150, 333))
_COMPANIES: Final = tuple((Actor("w", "property", f"p{n}"), city.works_of(f"p{n}")) for n in (6, 77, 142))
_BIG: Final = ((Actor("w", "property", city.BIG), city.works_of(city.BIG)),)
_RESIDENT: Final = ((Actor(city.MANY, "resident"), Works()),)
_VIEWERS: Final[Mapping[str, Sequence[tuple[Actor, Works]]]] = {
    "street": _STREETS, "community": _COMMUNITIES, "company": _COMPANIES, "largest company": _BIG,
}  # fmt: skip
_FILTERS: Final = {
    "all": Filters(), "dispatched": Filters(status="dispatched"), "accepted": Filters(status="accepted"),
    "closed": Filters(status="closed"), "overdue": Filters(overdue=True), "red by the clock": Filters(overdue=True, now=city.BEGAN),
    "not overdue": Filters(overdue=False), "a common category": Filters(category="leak"),
    "a rare category": Filters(category="animals"), "level street": Filters(level="street"),
    "level property": Filters(level="property"), "a compound": Filters(compound="c435"), "another's compound": Filters(compound="c1"),
    "an organisation": Filters(org="p6"), "the largest company": Filters(org=city.BIG),
    "a month": Filters(since=city.BEGAN - timedelta(days=16), until=city.BEGAN - timedelta(days=2)),
}  # fmt: skip


def _listed(viewer: Actor, works: Works, filters: Filters, cursor: str | None = None) -> Ask:
    return lambda session: queries.list_issues(session, filters, viewer=viewer, works=works, cursor=cursor)


def _worklist(org: str, viewer: Actor, works: Works) -> Ask:
    return lambda session: queries.worklist(session, org, viewer=viewer, works=works)


def _keys(viewer: Actor, works: Works) -> Ask:
    return lambda session: work.open_keys(session, viewer.org or "", viewer, works)


def cases() -> list[Case]:
    """Each list that staff, residents and neighbours have, as the routes and pages ask for it."""
    found = [
        Case(f"{name}, seen by a {kind}", [_listed(*who, filters) for who in viewers])
        for kind, viewers in _VIEWERS.items()
        for name, filters in _FILTERS.items()
    ]
    found.append(Case("all, seen by a resident", [_listed(*_RESIDENT[0], Filters())]))
    found.append(Case("own keys of a resident", [lambda session: work.own_keys(session, _RESIDENT[0][0], 50)]))
    for kind, viewers in _VIEWERS.items():
        found.append(Case(f"worklist of a {kind}", [_worklist(who[0].org or "", *who) for who in viewers]))
        found.append(Case(f"keys of a {kind}'s work", [_keys(*who) for who in viewers]))
    for kind, viewers in (("street", _STREETS), ("community", _COMMUNITIES)):
        for company in ("p6", city.BIG):
            asks = [_worklist(company, *who) for who in viewers]
            found.append(Case(f"worklist of {company}, seen by a {kind}", asks))
    found += [
        Case("a street's climbed", [lambda session: desk.climbed(session, "street", "s7", city.BEGAN)]),
        Case("a community's climbed", [lambda session: desk.climbed(session, "community", "m150", city.BEGAN)]),
        Case("what waits for a street", [lambda session: desk.awaited(session, "street", "s7")]),
        Case("what a company promised", [lambda session: desk.promised(session, city.BIG)]),
        Case("a compound's board", [lambda session: board.open_issues(session, "c435")]),
        Case("an issue by id", [lambda session: queries.issue(session, "00042-1")]),
    ]
    return found


async def reads(scale: Scale) -> Result:
    """What each list costs with few and with many issues, and how many times as much the many cost."""
    result = Result("reads", ABOUT)
    try:
        with server() as url, fresh_database(url) as few, fresh_database(url) as many:
            for place, number in zip((few, many), scale.city, strict=True):
                await asyncio.to_thread(city.fill, place, number)
            databases = [Database(few), Database(many)]
            try:
                await _into(result, databases, scale)
            finally:
                for database in databases:
                    await database.close()
    except UnavailableError as error:
        result.remarks.append(f"PostgreSQL was not measured: {error}")
    return result


async def _into(result: Result, databases: Sequence[Database], scale: Scale) -> None:
    found = {case.name: [await _cost(database, case, scale.searches) for database in databases] for case in cases()}
    for_row = _row_cost(found)
    for name, (few, many) in found.items():
        fuller = max(0.0, many.rows - few.rows) * for_row
        ratio = median(many.seconds) / (median(few.seconds) + fuller)
        result.figures.append(Figure(f"{name}: many / few", (ratio,), goal=Goal("<=", 1.5)))
        for number, cost in zip(scale.city, (few, many), strict=True):
            label = f"{name}, {number:,} issues"
            result.details.append(Figure(f"{label}, p50", (median(cost.seconds) * 1000,), "ms"))
            result.details.append(Figure(f"{label}, touched", (cost.touched,), "pages"))
    grown = sum(figure.verdict == "missed" for figure in result.figures)
    result.remarks.append(
        f"{len(found) - grown} of {len(found)} lists stay within 1.5. A row costs {for_row * 1000:.3f} ms."
    )
    for number, database in zip(scale.city, databases, strict=True):
        alone, together = await _at_once(database, scale.searches)
        result.details.append(Figure(f"{AT_ONCE} callers at once / one, {number:,} issues", (together / alone,)))


def _row_cost(found: dict[str, list[Cost]]) -> float:
    """Seconds for a row of a page, by the fullest page and a page of an issue alone."""
    full, one = found["all, seen by a street"][-1], found["an issue by id"][-1]
    return max(0.0, median(full.seconds) - median(one.seconds)) / max(1.0, full.rows - 1)


async def _cost(database: Database, case: Case, times: int) -> Cost:
    seconds: list[float] = []
    rows: list[int] = []
    for turn in range(times + 3):
        began = time.perf_counter()
        async with database.read() as session:
            answer = await case.asks[turn % len(case.asks)](session)
        if turn >= 3:  # the first ones fill caches
            seconds.append(time.perf_counter() - began)
        rows.append(_rows(answer))
    pages = [(await touched(database, ask))[0] for ask in case.asks]
    return Cost(seconds, sum(rows) / len(rows), sum(pages))


def _rows(answer: object) -> int:
    match answer:
        case Page():
            return len(answer.items)
        case list() | tuple():
            return len(answer)  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return 1


async def _at_once(database: Database, times: int) -> tuple[float, float]:
    """The median seconds of a page alone, and while AT_ONCE callers ask."""

    async def asked(number: int) -> list[float]:
        took: list[float] = []
        for turn in range(number):
            began = time.perf_counter()
            async with database.read() as session:
                await _listed(*_STREETS[turn % len(_STREETS)], Filters())(session)
            took.append(time.perf_counter() - began)
        return took

    alone = await asked(times)
    together = await asyncio.gather(*(asked(times) for _ in range(AT_ONCE)))
    return median(alone), median([each for took in together for each in took])
