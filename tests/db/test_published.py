"""Calendars are published whole or not at all, once, and never replaced under their version."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from db.engine import Database
from db.published import NotNewError, Published, publish, published, read
from db.tables import PublishedCalendarRow
from domain.worktime import YearCalendar

AT = datetime(2026, 11, 5, 8, tzinfo=UTC)
SHIPPED = YearCalendar(2026, 1, (date(2026, 10, 1),), ())
NEXT = YearCalendar(2027, 1, (date(2027, 1, 1),), (date(2027, 1, 3),), "a notice")
EVE = YearCalendar(2026, 2, (date(2026, 10, 1), date(2026, 12, 31)), (), "a notice")


async def put(
    database: Database, *calendars: YearCalendar, at: datetime = AT, by: str | None = None,
    files: tuple[YearCalendar, ...] = (SHIPPED,),
) -> list[Published]:  # fmt: skip
    return await database.transact(lambda session: publish(session, calendars, files, at, by))


async def stored(database: Database) -> list[Published]:
    async with database.read() as session:
        return await session.run_sync(read)


async def test_what_is_published_is_kept_with_time_and_person(database: Database) -> None:
    both = [Published(EVE, AT, "duty desk"), Published(NEXT, AT, "duty desk")]
    assert await put(database, EVE, NEXT, by="duty desk") == both
    assert await stored(database) == both
    async with database.read() as session:
        assert await published(session) == [EVE, NEXT]


async def test_publishing_again_changes_nothing(database: Database) -> None:
    await put(database, NEXT, by="duty desk")
    later = [Published(NEXT, AT, "duty desk"), Published(EVE, AT + timedelta(days=1), None)]
    assert await put(database, NEXT, EVE, at=AT + timedelta(days=1)) == later
    assert await stored(database) == later[::-1]


async def test_a_shipped_calendar_may_be_published_as_it_is(database: Database) -> None:
    """So the issues that began before this version of the program learn of it."""
    await put(database, SHIPPED)
    assert await stored(database) == [Published(SHIPPED, AT, None)]


@pytest.mark.parametrize(
    ("calendar", "reason"),
    [
        (YearCalendar(2026, 1, (), ()), "2026: version 1 is known with another content: a changed calendar gets version 2"),
        (YearCalendar(2027, 2, (), ()), "2027: version 2 is known with another content: a changed calendar gets version 3"),
        (NEXT, "2027: version 2 is known, and newer than version 1"),
    ],
)  # fmt: skip
async def test_what_is_not_newer_keeps_the_whole_file_out(
    database: Database, calendar: YearCalendar, reason: str
) -> None:
    known = YearCalendar(2027, 2, (date(2027, 1, 1),), ())
    await put(database, known)
    with pytest.raises(NotNewError) as caught:
        await put(database, YearCalendar(2028, 1, (), ()), calendar)
    assert str(caught.value) == reason
    assert [each.calendar for each in await stored(database)] == [known]


async def test_of_two_that_publish_at_once_one_is_told(database: Database) -> None:
    other = Database(database.url)
    versions = (NEXT, YearCalendar(2027, 1, (), (), "another notice"))
    found = await asyncio.gather(
        *(put(each, calendar) for each, calendar in zip((database, other), versions, strict=True)),
        return_exceptions=True,
    )
    assert [type(each) for each in found if isinstance(each, Exception)] == [NotNewError]
    assert await stored(database) in found
    await other.close()


@pytest.mark.parametrize(
    "changes",
    [{"version": 3}, {"body": {"year": 2027, "version": 1, "off": ["2026-12-31"], "on": []}}, {"body": {"year": 2027}}],
)
async def test_a_row_that_was_altered_is_not_believed(database: Database, changes: dict[str, object]) -> None:
    await put(database, NEXT)
    async with database.write() as session:
        await session.execute(update(PublishedCalendarRow).values(**changes))
    with pytest.raises(ValueError, match=r"was altered|missing"):
        await stored(database)
