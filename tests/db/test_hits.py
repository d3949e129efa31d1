"""Hits are counted exactly across processes, and removed when they expire."""

import asyncio
import time
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select, text

from db.engine import Database
from db.hits import Hit, HitStore
from db.tables import HitRow

SECRET = b"a secret of tests"


@dataclass
class Clock:
    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def rows(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(HitRow)) or 0


async def test_a_window_moves(database: Database, clock: Clock) -> None:
    store = HitStore(database, SECRET)

    async def take(who: str = "p1") -> float | None:
        return await store.take(Hit(who, 3, 60, clock.seconds))

    for _ in range(3):
        assert await take() is None
        clock.seconds += 10
    assert await take() == clock.seconds + 30
    assert await take("p2") is None
    clock.seconds += 29.9
    assert await take() is not None
    clock.seconds += 0.2  # the first of the three counts no more
    assert await take() is None
    assert await take() is not None


async def test_of_many_at_once_in_two_processes_exactly_as_many_pass_as_may(
    database: Database, database_url: str
) -> None:
    other = Database(database_url)
    try:
        both = [HitStore(each, SECRET) for each in (database, other)]
        hit = Hit("x", 7, 3600, time.time())
        refused = await asyncio.gather(*(store.take(hit) for store in both for _ in range(15)))
        assert refused.count(None) == 7
        assert await rows(database) == 7
    finally:
        await other.close()


async def test_add_counts_hits_and_returns_when_full_windows_reopen(database: Database, clock: Clock) -> None:
    store = HitStore(database, SECRET)
    now = clock.seconds
    few = [Hit("a", 3, 60, now - 20), Hit("a", 3, 60, now - 10), Hit("b", 1, 3600, now)]
    assert await store.add(few) == {"b": now + 3600}
    # Too many by one: there is room only when the second oldest is out of the window.
    assert await store.add([Hit("a", 3, 60, now - 5), Hit("a", 3, 60, now)]) == {"a": now - 10 + 60}
    clock.seconds += 56
    assert await store.add([Hit("a", 3, 60, clock.seconds)]) == {}


async def test_what_counts_no_more_is_removed(database: Database, clock: Clock) -> None:
    store = HitStore(database, SECRET)
    await store.add([Hit(f"address {n}", 10, 60, clock.seconds) for n in range(100)])
    assert await rows(database) == 100
    clock.seconds += 61
    assert await store.take(Hit("one", 10, 3600, clock.seconds)) is None
    assert await rows(database) == 1


async def test_no_address_is_in_the_table(database: Database) -> None:
    store = HitStore(database, SECRET)
    hit = Hit("code/203.0.113.7", 1, 60, time.time())
    await store.take(hit)
    async with database.read() as session:
        (key,) = await session.scalars(select(HitRow.key))
    assert len(key) == 64
    other = HitStore(database, b"another secret")
    assert await other.take(hit) is None
    assert await store.take(hit) is not None


async def test_what_cannot_be_removed_is_counted_all_the_same(database: Database, clock: Clock) -> None:
    store = HitStore(database, SECRET)
    await store.add([Hit("old", 10, 60, clock.seconds)])
    async with database.write() as session:
        if session.bind.dialect.name == "sqlite":
            refuse = ["CREATE TRIGGER refuse BEFORE DELETE ON hits BEGIN SELECT RAISE(ABORT, 'no'); END"]
        else:
            refuse = [
                "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no'; END $$ LANGUAGE plpgsql",
                "CREATE TRIGGER refuse BEFORE DELETE ON hits FOR EACH ROW EXECUTE FUNCTION refuse()",
            ]
        for statement in refuse:
            await session.execute(text(statement))
    clock.seconds += 61
    assert await store.take(Hit("one", 1, 3600, clock.seconds)) is None
    assert await store.take(Hit("one", 1, 3600, clock.seconds)) is not None
    clock.seconds += 61
    assert await store.add([Hit("two", 1, 60, clock.seconds)]) == {"two": clock.seconds + 60}
    assert await rows(database) == 3
