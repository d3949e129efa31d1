"""New issues get the newest calendar of files and database, without a restart, and whatever is known while SQL is down."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import update

from db.engine import Database
from db.published import publish
from db.tables import PublishedCalendarRow
from db.upgrade import upgrade_async
from domain.pins import Calendars
from domain.worktime import YearCalendar
from protocol.calendar_cache import CalendarCache
from protocol.read_model import ReadModel
from support.stories import START

FILES = (YearCalendar(2026, 1, (date(2026, 10, 1),), ()),)
EVE = YearCalendar(2026, 2, (date(2026, 10, 1), date(2026, 12, 31)), ())
NEXT = YearCalendar(2027, 1, (date(2027, 1, 1),), ())


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    await upgrade_async(url := f"sqlite:///{tmp_path / 'jiesu.db'}")
    found = Database(url)
    yield found
    await found.close()


def on(database: Database) -> CalendarCache:
    return CalendarCache(ReadModel(database, timeout=60), FILES, fresh=0)


async def put(database: Database, *calendars: YearCalendar) -> None:
    await database.transact(lambda session: publish(session, calendars, FILES, START, None))


async def until(cache: CalendarCache, wanted: Calendars) -> None:
    async with asyncio.timeout(90):
        while await cache.get() != wanted:
            await asyncio.sleep(0.01)


async def break_down(database: Database) -> None:
    await database.disconnect()
    _replace_by_a_folder(Path(str(database.url.database)))


def _replace_by_a_folder(path: Path) -> None:
    for file in path.parent.glob("jiesu.db*"):
        file.unlink()
    path.mkdir()


async def test_without_anything_published_the_files_hold(database: Database) -> None:
    assert await on(database).get() == FILES


async def test_what_is_published_holds_soon_and_the_newest_version_of_each_year(database: Database) -> None:
    cache = on(database)
    assert await cache.get() == FILES
    await put(database, EVE, NEXT)
    await until(cache, (EVE, NEXT))
    assert await on(database).get() == (EVE, NEXT)


async def test_a_newer_file_prevails_over_what_was_published(database: Database) -> None:
    await put(database, EVE)
    newer = YearCalendar(2026, 3, (), ())
    assert await CalendarCache(ReadModel(database, timeout=60), (newer,), fresh=0).get() == (newer,)


async def test_what_was_read_outlives_the_database(database: Database) -> None:
    await put(database, NEXT)
    cache = on(database)
    assert await cache.get() == (*FILES, NEXT)
    await break_down(database)
    assert await cache.get() == (*FILES, NEXT)


async def test_a_process_that_never_saw_the_database_goes_by_its_files(database: Database) -> None:
    await put(database, NEXT)
    await break_down(database)
    assert await on(database).get() == FILES


async def test_an_altered_row_changes_no_deadline(database: Database) -> None:
    await put(database, NEXT)
    cache = on(database)
    await cache.get()
    async with database.write() as session:
        await session.execute(
            update(PublishedCalendarRow).values(body={"year": 2027, "version": 1, "off": [], "on": [1]})
        )
    assert await cache.get() == (*FILES, NEXT)
    assert await on(database).get() == FILES
