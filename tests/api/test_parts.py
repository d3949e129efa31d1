"""Parts that keep the API working during an outage: breaker, receipts, directory cache, clock."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from db.directory import store_directory
from db.engine import Database
from db.upgrade import upgrade_async
from domain.commands import Accept
from domain.directory import Directory
from domain.directory_csv import parse
from domain.issue import Issue
from policies.loader import shipped
from protocol import directory_cache
from protocol.clock import Skew, now
from protocol.directory_cache import DirectoryCache
from protocol.errors import NotFound, TooMany, Unavailable
from protocol.gateway import NoWorker
from protocol.limits import TokenBuckets
from protocol.read_model import ReadModel, SqlDown
from protocol.reader import HOLD, Reader
from protocol.receipts import Receipts
from protocol.time_budget import REQUEST_SECONDS, TimeBudget
from support.stories import PROPERTY, Story, store
from support.system import EXAMPLE

START = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    await upgrade_async(url)
    found = Database(url)
    yield found
    await found.close()


def example() -> Directory:
    files = {path.name: path.read_bytes() for path in EXAMPLE.glob("*.csv")}
    return parse(files, policies=[policy.id for policy in shipped()])


async def break_down(database: Database, folder: Path) -> None:
    await database.disconnect()
    shutil.move(folder / "jiesu.db", folder / "away.db")
    (folder / "jiesu.db").mkdir()


def mend(folder: Path) -> None:
    (folder / "jiesu.db").rmdir()
    shutil.move(folder / "away.db", folder / "jiesu.db")


async def ask(model: ReadModel) -> int:
    async with model.read() as session:
        return await session.scalar(text("SELECT 1")) or 0


async def test_a_database_that_failed_is_left_alone_and_then_tried_by_one(database: Database, tmp_path: Path) -> None:
    model = ReadModel(database, timeout=60, rest=2.0)
    assert await ask(model) == 1
    await break_down(database, tmp_path)
    with pytest.raises(SqlDown):
        await ask(model)
    assert not model.is_up
    with pytest.raises(SqlDown, match="resting"):
        await ask(model)
    mend(tmp_path)
    await asyncio.sleep(2.1)
    assert await ask(model) == 1
    assert model.is_up


async def test_after_a_cancelled_trial_the_next_read_tries_the_database(database: Database, tmp_path: Path) -> None:
    model = ReadModel(database, timeout=60, rest=1.0)
    await break_down(database, tmp_path)
    with pytest.raises(SqlDown):
        await ask(model)
    mend(tmp_path)
    await asyncio.sleep(1.1)
    with pytest.raises(asyncio.CancelledError):
        async with model.read():
            raise asyncio.CancelledError
    assert await ask(model) == 1
    assert model.is_up


async def test_a_database_that_hangs_costs_no_more_than_the_patience(database: Database) -> None:
    model = ReadModel(database, timeout=0.05)

    async def hang() -> None:
        async with model.read() as session:
            await session.scalar(text("SELECT 1"))
            await asyncio.sleep(30)

    with pytest.raises(SqlDown):
        await hang()
    assert not model.is_up


async def test_an_error_of_the_caller_does_not_trip_the_database_breaker(database: Database) -> None:
    model = ReadModel(database, timeout=60)
    with pytest.raises(KeyError):
        async with model.read():
            raise KeyError
    assert model.is_up


async def test_a_waiting_caller_gets_the_receipt_of_its_issue(database: Database) -> None:
    receipts = Receipts(ReadModel(database, timeout=60))
    story = Story()
    waiting = [asyncio.create_task(receipts.wait(story.id, "c1", 10)) for _ in range(3)]
    other = asyncio.create_task(receipts.wait("another", "c1", 0.3))
    await store(database, story, story.reported())
    await asyncio.sleep(0.05)
    await store(database, story, story.give(Accept(), PROPERTY, command="c1"))
    delivered = [found for found in await asyncio.gather(*waiting) if found is not None]
    assert [(found.receipt.outcome, found.issue.status) for found in delivered] == [("applied", "accepted")] * 3
    assert await other is None
    await receipts.close()


async def test_nobody_waits_for_a_database_that_is_away(database: Database, tmp_path: Path) -> None:
    await break_down(database, tmp_path)
    receipts = Receipts(ReadModel(database, timeout=60))
    async with asyncio.timeout(90):
        assert await receipts.wait("i1", "c1", 600) is None
    await receipts.close()


def test_a_bucket_holds_a_minute_and_fills_evenly() -> None:
    seconds = 0.0
    rates = TokenBuckets(60, clock=lambda: seconds, limit="rate_per_address")
    for _ in range(60):
        rates.take("a")
    with pytest.raises(TooMany) as refused:
        rates.take("a")
    told = refused.value
    assert (told.retry_after, told.limit, told.rate) == (1, "rate_per_address", "60/minute")
    rates.take("b")
    seconds = 1.0
    rates.take("a")
    with pytest.raises(TooMany):
        rates.take("a")
    seconds = 62.0
    for _ in range(60):
        rates.take("a")
    for _ in range(1000):
        TokenBuckets(0).take("a")


class Nobody:
    """A Temporal that knows one issue, for which no worker answers."""

    async def snapshot(self, issue: str, timeout: float) -> Issue | None:
        if issue == "silent":
            raise NoWorker
        return None

    async def beginning(self, issue: str, timeout: float) -> None:
        return None


async def test_a_lookup_of_a_missing_issue_is_padded(database: Database) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    reader = Reader(ReadModel(database, timeout=60), Nobody(), None, None, now, sleep)  # type: ignore[arg-type]
    budget = TimeBudget()
    for issue, expected in (("none", HOLD), ("silent", REQUEST_SECONDS), ("none", REQUEST_SECONDS)):
        with pytest.raises(NotFound):
            await reader.find(issue, lambda _: False, budget)
        assert slept[-1] <= expected
        # What the look-up itself took is part of it.
        assert slept[-1] + budget.spent >= expected


async def test_an_import_is_in_force_soon(database: Database) -> None:
    cache = DirectoryCache(ReadModel(database, timeout=60), fresh=0)
    assert (await cache.get()).compounds == ()
    async with database.write() as session:
        await store_directory(session, example(), START)
    async with asyncio.timeout(90):
        while not (await cache.get()).compounds:
            await asyncio.sleep(0.01)
    assert (await cache.get()).org("demo-property") is not None


async def test_the_directory_outlives_the_database_up_to_its_age(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.write() as session:
        await store_directory(session, example(), START)
    cache = DirectoryCache(ReadModel(database, timeout=60), fresh=0)
    await cache.get()
    await break_down(database, tmp_path)
    assert (await cache.get()).org("demo-property") is not None
    monkeypatch.setattr(directory_cache, "MAX_AGE", 0.0)
    with pytest.raises(Unavailable):
        await cache.get()


async def test_without_a_directory_nothing_is_guessed(database: Database, tmp_path: Path) -> None:
    await break_down(database, tmp_path)
    with pytest.raises(Unavailable):
        await DirectoryCache(ReadModel(database, timeout=60)).get()


@pytest.mark.parametrize(
    ("theirs", "took", "is_bad"),
    [
        (timedelta(), timedelta(), False),
        (timedelta(milliseconds=900), timedelta(), False),
        (timedelta(milliseconds=1100), timedelta(), True),
        (-timedelta(milliseconds=1100), timedelta(), True),
        (timedelta(milliseconds=1400), timedelta(seconds=1), False),  # most of it may be the way
        (timedelta(seconds=60), timedelta(seconds=1), True),
    ],
)
def test_a_clock_that_differs_by_more_than_a_second_is_bad(theirs: timedelta, took: timedelta, is_bad: bool) -> None:
    skew = Skew()
    skew.compare(START, START + took / 2 + theirs, START + took)
    assert skew.is_bad is is_bad


def test_times_are_stamped_in_utc_and_whole_milliseconds() -> None:
    assert now().utcoffset() == timedelta()
    assert now().microsecond % 1000 == 0
