"""The cost of a search at two numbers of issues, on both databases: it must not grow with them."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from bench.figures import Figure, Goal, Result, ratios
from bench.run import Scale
from db import queries
from db.engine import Database
from db.projector import record
from db.queries import Filters
from db.tables import IssueRow, SearchTerm
from db.upgrade import make_sync_engine, upgrade
from db.upsert import table_of
from domain.advance import advance
from domain.commands import Actor, Authority, Command, Report
from domain.directory import Works
from domain.events import dump_event
from domain.issue import Issue
from domain.place import Place
from domain.wire import dump
from policies.loader import load_pack
from tests.support.postgres import UnavailableError, postgres

ABOUT: Final = (
    "Real reports, folded and recorded, then copied in SQL under other ids and times. Each query is asked as the lists' route "
    "asks it, by a street that sees all of the issues and by the company of their compound, over and over, warm, without HTTP. "
    "The cost may grow until a page looks at 1,000 issues or rows of the index, and no further."
)
_PLACE: Final = Place("demo", "demo-community", "demo-street", "demo-property", "company", "g1", "体验小区")
_RESIDENT: Final = Actor("resident-1", "resident")
_VIEWERS: Final = (Actor("officer-1", "street", "demo-street"), Actor("worker-1", "property", "demo-property"))
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


async def search(scale: Scale) -> Result:
    """Milliseconds of each query with few and with many issues, and how many times as long the many take."""
    result = Result("search", ABOUT)
    for name, place in (("SQLite", _sqlite()), ("PostgreSQL", postgres())):
        try:
            with place as url:
                few, many = await _measured(url, scale)
        except UnavailableError as error:
            result.remarks.append(f"{name} was not measured: {error}")
            continue
        for query in QUERIES:
            ratio = ratios(many[query], few[query])
            result.figures.append(Figure(f"{name}, {query}: many / few", ratio, goal=Goal("<=", 1.5)))
            for number, found in zip(scale.searched, (few, many), strict=True):
                result.details.append(Figure(f"{name}, {query}, {number:,} issues", found[query], "ms"))
    return result


@contextlib.contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        yield f"sqlite:///{Path(folder) / 'jiesu.db'}"


async def _measured(url: str, scale: Scale) -> list[dict[str, tuple[float, ...]]]:
    """At each number of issues, by query, the median in milliseconds for each viewer."""
    upgrade(url)
    engine, found, copies = make_sync_engine(url), list[dict[str, tuple[float, ...]]](), 0
    try:
        _put_real(engine, scale.originals)
        for number in scale.searched:
            wanted = number // scale.originals - 1
            _copy(engine, copies + 1, wanted)
            copies = wanted
            database = Database(url)
            try:
                found.append({what: await _medians(database, q, scale.searches) for what, q in QUERIES.items()})
            finally:
                await database.close()
    finally:
        engine.dispose()
    return found


async def _medians(database: Database, q: str, times: int) -> tuple[float, ...]:
    return tuple([await _median(database, q, viewer, times) for viewer in _VIEWERS])


async def _median(database: Database, q: str, viewer: Actor, times: int) -> float:
    took: list[float] = []
    for _ in range(times + 3):
        began = time.perf_counter()
        async with database.read() as session:
            await queries.list_issues(session, Filters(q=q), viewer=viewer, works=_WORKS)
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took[3:])[times // 2]


def _put_real(engine: Engine, number: int) -> None:
    """Records so many reports, and three more with what is rare; these have a dash in their id, and are not copied."""
    policy = load_pack("demo")
    with Session(engine) as session, session.begin():
        for at in range(number + 3):
            rare = at >= number
            place = f"{at % 12 + 1}幢{at % 4 + 1}-{at % 18 + 1}0{at % 3 + 1}"
            said = "桂花树下有鹿" if rare else _WHERE[at % 10] + _WHAT[at // 10 % 10] + "," + _SAID[at % 5]
            report = Report(f"JS-00000-{at:05}", _PLACE, "leak", said, location=place)
            new = Issue.new(f"{'rare-' if rare else ''}{at:05}", policy, ())
            moment = _BEGAN + timedelta(seconds=at)
            command = Command(f"c{at}", moment, _RESIDENT, report, grants=(Authority("resident", None, "report"),))
            events = [dump_event(event) for event in advance(new, [command], moment)[1]]
            record(session, new.id, events, now=moment, policy=dump(policy), calendars=[])


def _copy(engine: Engine, first: int, last: int) -> None:
    """Copies the real issues and their search terms, each copy a minute older than the one before."""
    is_sqlite = engine.dialect.name == "sqlite"
    older = (
        "strftime('%Y-%m-%dT%H:%M:%fZ', opened_at, '-' || k || ' minutes')"
        if is_sqlite
        else "opened_at - k * interval '1 minute'"
    )
    numbers = f"WITH RECURSIVE n(k) AS (SELECT {first} UNION ALL SELECT k + 1 FROM n WHERE k < {last})"
    other = {
        "id": "id || '-' || k",
        "issue": "issue || '-' || k",
        "number": "'JS-' || k || substr(number, 9)",
        "opened_at": older,
    }
    with engine.begin() as connection:
        for table, key in ((table_of(IssueRow), "id"), (table_of(SearchTerm), "issue")):
            names = [str(column.name) for column in table.columns]
            chosen = ", ".join(other.get(name, name) for name in names)
            rows = f"SELECT {chosen} FROM {table.name} CROSS JOIN n WHERE {key} NOT LIKE '%-%'"
            connection.execute(
                text(f"INSERT INTO {table.name} ({', '.join(names)}) {numbers} {rows}".replace(":", r"\:"))
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("PRAGMA optimize" if is_sqlite else "VACUUM ANALYZE"))
