"""The cost of a search at two numbers of issues, on both databases: it must not grow with them."""

import contextlib
import itertools
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from bench.copies import copy, older
from bench.figures import Figure, Goal, Result, ratios
from bench.run import Scale
from db import queries
from db.engine import Database
from db.projector import record
from db.queries import Filters
from db.tables import IssueRow, SearchTerm
from db.upgrade import make_sync_engine, upgrade
from db.walks import LOOK
from domain.advance import advance
from domain.commands import Actor, Authority, Command, Report
from domain.directory import Works
from domain.events import dump_event
from domain.issue import Issue
from domain.place import Place
from domain.wire import dump
from policies.loader import load_pack
from tests.support.postgres import UnavailableError, fresh_database, server

ABOUT: Final = (
    "Real reports, folded and recorded, then copied in SQL under other ids and times. Each query is asked as the lists' route "
    "asks it, by a street that sees all of the issues, by the company of their compound and by a community with one issue in forty, "
    "over and over, warm, without HTTP; the range is over these three. Touched are steps of SQLite's machine and pages of "
    "PostgreSQL's buffers: a count, which no other process disturbs."
)
_REASON: Final = (
    "A page looks at {look:,} entries of each index at most. What is touched grows only where the few issues do not fill that: a "
    "pair of letters in one issue of a hundred, a viewer of one in forty; and on PostgreSQL by a page for each issue that is "
    "looked up, where the index of ids gets deeper."
)
_PLACE: Final = Place("demo", "demo-community", "demo-street", "demo-property", "company", "g1", "体验小区")
_SMALL: Final = Place("small", "small-community", "demo-street", "small-property", "company", "g1", "体验小区")
_RESIDENT: Final = Actor("resident-1", "resident")
_VIEWERS: Final = (
    Actor("officer-1", "street", "demo-street"), Actor("worker-1", "property", "demo-property"),
    Actor("officer-2", "community", "small-community"),
)  # fmt: skip
_WORKS: Final = Works(frozenset({"demo"}), frozenset({"demo-street"}))
_BEGAN: Final = datetime(2026, 3, 2, tzinfo=UTC)
_WHERE: Final = ("厨房", "电梯", "楼道", "屋顶", "车库", "大门", "卫生间", "走廊", "花坛", "水箱")
_WHAT: Final = ("漏水", "停了", "不亮", "开裂", "堵了", "异响", "积水", "有鼠", "断电", "脱落")
_SAID: Final = ("物业来看过两次也没有修好", "已经一个多月了", "老人出不了门", "没有公示过费用", "打电话都没有人接")
QUERIES: Final = {
    "a common word": "漏水", "one letter": "水", "a long common phrase": "物业来看过两次", "a place": "3幢1-101",
    "common pairs in no text": "漏水箱停", "a rare word": "桂花", "a rare letter": "鹿", "an absent word": "犀牛",
    "a whole number": "JS-00000-00007",
}  # fmt: skip
"""What is asked for, by what it stands for."""


@dataclass(frozen=True)
class Cost:
    """What a query costs each viewer: the median in milliseconds, and what it touches."""

    times: tuple[float, ...]
    touched: tuple[float, ...]


async def search(scale: Scale) -> Result:
    """What each query costs with few and with many issues, and how many times as much the many cost."""
    result = Result("search", ABOUT, remarks=[_REASON.format(look=LOOK)])
    for name, unit, place in (("SQLite", "steps", _sqlite()), ("PostgreSQL", "pages", _postgres())):
        try:
            with place as urls:
                for url, number in zip(urls, scale.searched, strict=True):
                    _fill(url, scale.originals, number)
                few, many = await _measured(urls, scale.searches)
        except UnavailableError as error:
            result.remarks.append(f"{name} was not measured: {error}")
            continue
        for query in QUERIES:
            ratio = ratios(many[query].times, few[query].times)
            result.figures.append(Figure(f"{name}, {query}: many / few", ratio, goal=Goal("<=", 1.5)))
            for number, found in zip(scale.searched, (few[query], many[query]), strict=True):
                label = f"{name}, {query}, {number:,} issues"
                result.details += [Figure(label, found.times, "ms"), Figure(f"{label}, touched", found.touched, unit)]
    return result


@contextlib.contextmanager
def _sqlite() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        few, many = (f"sqlite:///{Path(folder) / name}.db" for name in ("few", "many"))
        yield few, many


@contextlib.contextmanager
def _postgres() -> Iterator[tuple[str, str]]:
    with server() as url, fresh_database(url) as few, fresh_database(url) as many:
        yield few, many


def _fill(url: str, originals: int, number: int) -> None:
    upgrade(url)
    engine = make_sync_engine(url)
    try:
        _put_real(engine, originals)
        _copy(engine, 1, number // originals - 1)
    finally:
        engine.dispose()


async def _measured(urls: tuple[str, str], times: int) -> list[dict[str, Cost]]:
    """With few and with many issues, by query, the cost. The two take turns, or a busy moment would be that of one alone."""
    databases = [Database(url) for url in urls]
    try:
        found: list[dict[str, Cost]] = [{} for _ in urls]
        for what, q in QUERIES.items():
            took = [await _medians(databases, q, viewer, times) for viewer in _VIEWERS]
            for at, database in enumerate(databases):
                steps = [(await touched(database, viewer, Filters(q=q), _WORKS))[0] for viewer in _VIEWERS]
                found[at][what] = Cost(tuple(medians[at] for medians in took), tuple(steps))
    finally:
        for database in databases:
            await database.close()
    return found


async def _medians(databases: Sequence[Database], q: str, viewer: Actor, times: int) -> list[float]:
    """For each database the median in milliseconds."""
    took: list[list[float]] = [[] for _ in databases]
    for _ in range(times + 3):
        for at, database in enumerate(databases):
            began = time.perf_counter()
            async with database.read() as session:
                await queries.list_issues(session, Filters(q=q), viewer=viewer, works=_WORKS)
            took[at].append((time.perf_counter() - began) * 1000)
    return [sorted(each[3:])[times // 2] for each in took]


async def touched(database: Database, viewer: Actor | None, filters: Filters, works: Works) -> tuple[int, int]:
    """What a search touches (steps of SQLite's machine, pages of PostgreSQL's buffers), and the number of its queries."""
    return await reads(database, lambda session: queries.list_issues(session, filters, viewer=viewer, works=works))


async def reads(database: Database, ask: Callable[[AsyncSession], Awaitable[object]]) -> tuple[int, int]:
    """What the queries that are asked touch, counted by asking them again, and their number."""
    asked: list[tuple[str, Any]] = []

    def listen(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    async with database.read() as session:
        await ask(session)
    event.remove(engine, "before_cursor_execute", listen)
    if database.file is not None:
        return _steps(database.file, asked), len(asked)
    async with database.read() as session:
        connection, found = await session.connection(), 0
        for statement, values in asked:
            rows = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values)
            plan = rows.scalar_one()[0]["Plan"]
            found += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return found, len(asked)


def _steps(file: Path, asked: Sequence[tuple[str, Any]]) -> int:
    steps = itertools.count()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("SELECT 1 FROM issues")
        connection.set_progress_handler(lambda: next(steps) < 0, 10)
        for statement, values in asked:
            connection.execute(statement, values).fetchall()
    return next(steps) * 10


def _put_real(engine: Engine, number: int) -> None:
    """Records so many reports, and three more with what is rare; these have a dash in their id, and are not copied."""
    policy = load_pack("demo")
    with Session(engine) as session, session.begin():
        for at in range(number + 3):
            rare = at >= number
            place = f"{at % 12 + 1}幢{at % 4 + 1}-{at % 18 + 1}0{at % 3 + 1}"
            said = "桂花树下有鹿" if rare else _WHERE[at % 10] + _WHAT[at // 10 % 10] + "," + _SAID[at % 5]
            place_of = _SMALL if at % 40 == 7 else _PLACE
            report = Report(f"JS-00000-{at:05}", place_of, "leak", said, location=place)
            new = Issue.new(f"{'rare-' if rare else ''}{at:05}", policy, ())
            moment = _BEGAN + timedelta(seconds=at)
            command = Command(f"c{at}", moment, _RESIDENT, report, grants=(Authority("resident", None, "report"),))
            events = [dump_event(event) for event in advance(new, [command], moment)[1]]
            record(session, new.id, events, now=moment, policy=dump(policy), calendars=[])


def _copy(engine: Engine, first: int, last: int) -> None:
    """Copies the real issues and their search terms, each copy a minute older than the one before."""
    opened = {"opened_at": older(engine, "opened_at", 60)}
    issue = {"id": "id || '-' || k", "number": "'JS-' || k || substr(number, 9)", **opened}
    copy(engine, first, last, {IssueRow: issue, SearchTerm: {"issue": "issue || '-' || k", **opened}})
