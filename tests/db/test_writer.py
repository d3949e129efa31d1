"""Concurrent works share a transaction and cannot harm one another; on SQLite a writing thread does this."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import AlarmRow, CalendarsRow
from support.databases import sqlite_url

NOW = datetime(2026, 3, 2, tzinfo=UTC)
Work = Callable[[Session], str]


def adds(name: str) -> Work:
    """Stores a row of that name."""

    def work(session: Session) -> str:
        session.add(CalendarsRow(digest=name, body=[]))
        session.flush()
        return name

    return work


def fails(name: str, error: Exception) -> Work:
    def work(session: Session) -> str:
        adds(name)(session)
        raise error

    return work


async def stored(database: Database) -> set[str]:
    async with database.read() as session:
        return set(await session.scalars(select(CalendarsRow.digest)))


async def test_a_work_is_committed_when_its_result_is_there(database: Database):
    assert await database.transact(adds("a")) == "a"
    assert await stored(database) == {"a"}


async def test_a_work_that_fails_leaves_nothing_and_tells_why(database: Database):
    with pytest.raises(LookupError, match="mine"):
        await database.transact(fails("a", LookupError("mine")))
    with pytest.raises(IntegrityError):
        await database.transact(lambda session: session.execute(text("INSERT INTO calendars (digest) VALUES ('b')")))
    assert await stored(database) == set()
    await database.transact(adds("c"))
    assert await stored(database) == {"c"}


async def test_many_at_once_are_all_stored(database: Database):
    names = [f"n{number}" for number in range(200)]
    assert await asyncio.gather(*(database.transact(adds(name)) for name in names)) == names
    assert await stored(database) == set(names)


async def test_works_that_fail_do_not_touch_their_neighbours(database: Database):
    await database.transact(adds("twice"))
    works = [
        adds("a"),
        fails("b", LookupError("mine")),
        adds("c"),
        adds("twice"),
        fails("d", ValueError("mine")),
        adds("e"),
    ]
    found = await asyncio.gather(*map(database.transact, works), return_exceptions=True)
    assert [type(each) for each in found] == [str, LookupError, str, IntegrityError, ValueError, str]
    assert await stored(database) == {"twice", "a", "c", "e"}


async def test_a_work_that_spoils_the_transaction_is_its_own_victim(database: Database):
    """Whatever it does to the savepoint, the others are written."""

    def spoils(session: Session) -> str:
        adds("x")(session)
        session.connection().exec_driver_sql("ROLLBACK")
        return "x"

    found = await asyncio.gather(*map(database.transact, [adds("a"), spoils, adds("b")]), return_exceptions=True)
    assert (found[0], found[2]) == ("a", "b")
    assert {"a", "b"} <= await stored(database)
    assert await database.transact(adds("c")) == "c"


async def test_on_sqlite_they_share_transactions(database: Database):
    if not database.is_sqlite:
        pytest.skip("SQLite only")
    gate = threading.Event()

    def waits(session: Session) -> str:
        gate.wait(10)
        return adds("first")(session)

    commits: list[Connection] = []
    assert database._writer is not None
    event.listen(database._writer._engine, "commit", commits.append)
    first = asyncio.create_task(database.transact(waits))
    await asyncio.sleep(0.05)
    rest = [asyncio.create_task(database.transact(adds(f"n{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *rest)
    assert len(commits) == 2
    assert len(await stored(database)) == 21


async def test_what_is_cancelled_before_its_turn_is_not_done(database: Database):
    if not database.is_sqlite:
        pytest.skip("SQLite only")
    gate = threading.Event()

    def waits(session: Session) -> str:
        gate.wait(10)
        return adds("first")(session)

    first = asyncio.create_task(database.transact(waits))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(database.transact(adds("second")))
    third = asyncio.create_task(database.transact(adds("third")))
    await asyncio.sleep(0.05)
    second.cancel()
    gate.set()
    await asyncio.gather(first, third)
    assert await stored(database) == {"first", "third"}


async def test_a_locked_database_fails_the_whole_group_once(database: Database):
    if not database.is_sqlite:
        pytest.skip("SQLite only")
    other = Database(database.url)
    try:
        async with other.write() as holder:
            holder.add(AlarmRow(at=NOW, issue=None, kind="test", detail={}))
            await holder.flush()
            begun: list[Connection] = []
            assert database._writer is not None
            event.listen(database._writer._engine, "begin", begun.append, insert=True)
            works = [database.transact(adds(f"n{number}")) for number in range(10)]
            found = await asyncio.gather(*works, return_exceptions=True)
            assert all(isinstance(each, OperationalError) for each in found)
            assert len(begun) == 1, "the group waits once, not each work"
        assert await database.transact(adds("after")) == "after"
    finally:
        await other.close()


async def test_a_reader_sees_all_of_a_group_or_a_part_of_whole_works(database: Database):
    async def count() -> int:
        async with database.read() as session:
            return await session.scalar(select(func.count()).select_from(CalendarsRow)) or 0

    def adds_two(number: int) -> Work:
        def work(session: Session) -> str:
            adds(f"a{number}")(session)
            return adds(f"b{number}")(session)

        return work

    writing = asyncio.gather(*(database.transact(adds_two(number)) for number in range(60)))
    seen = [await count() for _ in range(20)]
    await writing
    assert all(number % 2 == 0 for number in seen)
    assert await count() == 120


async def test_transact_after_close_raises(tmp_path: Path):
    database = Database(sqlite_url(tmp_path))
    await database.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        await asyncio.wait_for(database.transact(adds("late")), 90)


async def test_after_a_disconnection_it_goes_on(database: Database):
    await database.transact(adds("a"))
    await database.disconnect()
    await database.transact(adds("b"))
    assert await stored(database) == {"a", "b"}
