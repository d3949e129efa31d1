"""From 1 December on, every week, an alarm says that the next year has no calendar; it closes by itself."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import select, update

from activities.missing_calendar import KIND, MissingCalendar
from db.engine import Database
from db.published import publish
from db.tables import AlarmRow
from domain.worktime import SHANGHAI, YearCalendar

SHIPPED = (YearCalendar(2026, 1, (), ()),)
NEXT = YearCalendar(2027, 1, (), ())
DECEMBER = datetime(2026, 12, 1, tzinfo=SHANGHAI)
SECOND, WEEK = timedelta(seconds=1), timedelta(days=7)


def on(database: Database, *files: YearCalendar) -> MissingCalendar:
    return MissingCalendar(database, files or SHIPPED)


async def alarms(database: Database) -> list[tuple[datetime, int, bool]]:
    """When each was raised, about which year, and whether it is closed."""
    async with database.read() as session:
        rows = await session.scalars(select(AlarmRow).where(AlarmRow.kind == KIND).order_by(AlarmRow.id))
        return [(row.at, row.detail["year"], row.seen_at is not None) for row in rows]


async def test_from_the_first_of_december_on_the_next_year_must_be_known(database: Database) -> None:
    watch = on(database)
    assert await watch.look(DECEMBER - SECOND) == []
    assert await watch.look(DECEMBER) == [2027]
    assert await alarms(database) == [(DECEMBER, 2027, False)]


async def test_the_alarm_comes_again_every_week_and_one_stands(database: Database) -> None:
    watch = on(database)
    for day in range(15):
        for hour in (0, 12):
            await watch.look(DECEMBER + timedelta(days=day, hours=hour))
    assert await alarms(database) == [
        (DECEMBER, 2027, True), (DECEMBER + WEEK, 2027, True), (DECEMBER + 2 * WEEK, 2027, False),
    ]  # fmt: skip


async def test_who_has_seen_it_is_told_again_after_a_week(database: Database) -> None:
    watch = on(database)
    await watch.look(DECEMBER)
    async with database.write() as session:
        await session.execute(update(AlarmRow).values(seen_at=DECEMBER + SECOND))
    assert await watch.look(DECEMBER + WEEK - SECOND) == []
    assert await watch.look(DECEMBER + WEEK) == [2027]


async def test_in_the_year_itself_it_goes_on(database: Database) -> None:
    watch = on(database)
    assert await watch.look(DECEMBER + timedelta(days=30)) == [2027]
    assert await watch.look(DECEMBER + timedelta(days=60)) == [2027]


async def test_it_closes_by_itself_once_the_calendar_is_published(database: Database) -> None:
    watch = on(database)
    await watch.look(DECEMBER)
    await database.transact(lambda session: publish(session, [NEXT], SHIPPED, DECEMBER, None))
    assert await watch.look(DECEMBER + SECOND) == []
    assert await alarms(database) == [(DECEMBER, 2027, True)]
    assert await watch.look(DECEMBER + 2 * WEEK) == []


async def test_a_calendar_in_a_file_closes_it_as_well(database: Database) -> None:
    await on(database).look(DECEMBER)
    assert await on(database, *SHIPPED, NEXT).look(DECEMBER + SECOND) == []
    assert await alarms(database) == [(DECEMBER, 2027, True)]


async def test_an_old_program_misses_two_years_in_december(database: Database) -> None:
    assert await on(database).look(DECEMBER.replace(year=2028)) == [2028, 2029]


async def test_alarms_of_other_kinds_stay_as_they_are(database: Database) -> None:
    async with database.write() as session:
        session.add(AlarmRow(at=DECEMBER, issue=None, kind="not-archived", detail={"issues": 3}, seen_at=None))
    await on(database).look(DECEMBER)
    async with database.read() as session:
        query = select(AlarmRow.kind).where(AlarmRow.seen_at.is_(None)).order_by(AlarmRow.kind)
        assert list(await session.scalars(query)) == [KIND, "not-archived"]


async def test_two_workers_that_look_at_once_raise_one(database: Database) -> None:
    other = Database(database.url)
    found = await asyncio.gather(*(on(each).look(DECEMBER) for each in (database, other) for _ in range(3)))
    assert sorted(found) == [[], [], [], [], [], [2027]]
    assert len(await alarms(database)) == 1
    await other.close()
