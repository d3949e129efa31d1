"""Lines of the access log are found by street, issue, person and time, and none is removed before its time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.access_log import SHORTEST_DAYS, Entry, LineFilter, listed, purge, put
from db.engine import Database
from db.queries import CursorError
from db.tables import AccessRow

NOW = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)


def entry(**changed: Any) -> Entry:
    plain: dict[str, Any] = {
        "at": NOW, "person": "p1", "role": "property", "org": "demo-property", "street": "demo-street",
        "what": "phone", "issue": None, "result": "shown",
    }  # fmt: skip
    return Entry(**{**plain, **changed})


async def add(database: Database, *entries: Entry) -> None:
    await database.transact(lambda session: put(session, entries))


async def found(database: Database, wanted: LineFilter, **how: Any) -> list[AccessRow]:
    async with database.read() as session:
        return list((await listed(session, wanted, **how)).items)


async def test_lines_are_found_by_what_is_asked_for(database: Database) -> None:
    await add(
        database,
        entry(at=NOW, issue="aaa", address="f00d"),
        entry(at=NOW + timedelta(hours=1), person="p2", issue="bbb"),
        entry(at=NOW + timedelta(hours=2), issue="bbb", result="masked"),
        entry(at=NOW + timedelta(hours=3), street="other-street"),
        entry(at=NOW + timedelta(hours=4), street=None),
    )

    async def hours(**wanted: Any) -> list[int]:
        rows = await found(database, LineFilter("demo-street", **wanted))
        return [(row.at - NOW) // timedelta(hours=1) for row in rows]

    assert await hours() == [2, 1, 0]
    assert await hours(issue="bbb") == [2, 1]
    assert await hours(person="p1") == [2, 0]
    assert await hours(since=NOW + timedelta(hours=1), until=NOW + timedelta(hours=2)) == [1]
    (row,) = await found(database, LineFilter("demo-street", issue="aaa"))
    assert (row.person, row.role, row.org, row.what, row.result, row.address) == (
        "p1", "property", "demo-property", "phone", "shown", "f00d",
    )  # fmt: skip


async def test_pages_hold_every_line_once_even_of_one_moment(database: Database) -> None:
    await add(database, *(entry(person=f"p{n}") for n in range(5)), entry(at=NOW - timedelta(days=1)))
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        async with database.read() as session:
            page = await listed(session, LineFilter("demo-street"), cursor=cursor, limit=2)
        seen += [row.person for row in page.items]
        cursor = page.next_cursor
    assert seen == ["p4", "p3", "p2", "p1", "p0", "p1"]
    assert cursor is None


@pytest.mark.parametrize("cursor", ["", "1", "1-", "x-1", "1-1-1", "99999999999999999999-1", "１-1"])
async def test_a_cursor_that_no_list_gave_out_is_named(database: Database, cursor: str) -> None:
    async with database.read() as session:
        with pytest.raises(CursorError):
            await listed(session, LineFilter("demo-street"), cursor=cursor)


async def test_lines_go_when_they_are_old_enough_and_not_before(database: Database) -> None:
    ages = (0, SHORTEST_DAYS - 1, SHORTEST_DAYS + 1, 500)
    await add(database, *(entry(at=NOW - timedelta(days=age)) for age in ages))
    half = NOW - timedelta(days=SHORTEST_DAYS)
    async with database.write() as session:
        with pytest.raises(ValueError, match="at least 183 days"):
            await purge(session, half + timedelta(seconds=1), NOW)
    assert len(await found(database, LineFilter("demo-street"))) == 4
    async with database.write() as session:
        assert await purge(session, NOW - timedelta(days=400), NOW) == 1
        assert await purge(session, half, NOW) == 1
        assert await purge(session, half, NOW) == 0
    left = await found(database, LineFilter("demo-street"))
    assert [(NOW - row.at).days for row in left] == [0, SHORTEST_DAYS - 1]
