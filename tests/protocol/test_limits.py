"""Quotas count in memory and in the database, work without the database, and stay small."""

import asyncio
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from db.engine import Database
from db.hits import Hit, HitStore
from db.upgrade import upgrade
from protocol.errors import TooMany
from protocol.limits import Quotas, Windows
from runtime.settings import RATES

SECRET = b"secret"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def away(folder: Path) -> Database:
    """A database that cannot be opened."""
    return Database(f"sqlite:///{folder / 'none' / 'jiesu.db'}")


async def refused(quotas: Quotas, name: str, who: str) -> int:
    """When it may be tried again, as the refusal says."""
    with pytest.raises(TooMany) as found:
        await quotas.count(name, who)
    assert found.value.limit == name
    return found.value.retry_after


async def test_a_refusal_says_which_limit_and_until_when(tmp_path: Path, clock: Clock) -> None:
    quotas = Quotas({"report": "1/hour"}, HitStore(away(tmp_path), SECRET), clock)
    await quotas.count("report", "a/b")
    with pytest.raises(TooMany) as found:
        await quotas.count("report", "a/b")
    told = found.value
    assert (told.limit, told.rate, told.retry_after) == ("report", "1/hour", 3600)
    assert datetime.fromisoformat(told.until).timestamp() == math.ceil(clock() + 3600)
    assert told.until in str(told)
    await quotas.close()


def test_hits_leave_the_window_of_a_process_as_it_moves() -> None:
    windows, now = Windows(), 1_800_000_000.0
    for second in (0, 40):
        assert windows.room_at(Hit("a", 2, 60, now + second)) is None
        windows.add(Hit("a", 2, 60, now + second))
    assert windows.room_at(Hit("a", 2, 60, now + 40)) == now + 60
    assert windows.room_at(Hit("b", 2, 60, now + 40)) is None
    assert windows.room_at(Hit("a", 2, 60, now + 60)) is None
    windows.add(Hit("a", 2, 60, now + 60))
    assert windows.room_at(Hit("a", 2, 60, now + 60)) == now + 100


def test_windows_keep_the_most_recent_keys() -> None:
    windows = Windows(most=100)
    for number in range(1000):
        windows.add(Hit(str(number), 1, 3600, 0.0))
    full = [number for number in range(1000) if windows.room_at(Hit(str(number), 1, 3600, 1.0)) is not None]
    assert full == list(range(900, 1000))


async def test_without_the_database_each_process_counts_for_itself(tmp_path: Path, clock: Clock) -> None:
    database = away(tmp_path)
    quotas = Quotas({"command": "3/minute", "reveal": "2/minute"}, HitStore(database, SECRET), clock)
    for _ in range(3):
        await quotas.count("command", "p1")
    assert await refused(quotas, "command", "p1") == 60
    await quotas.spend("reveal", "p1")
    await quotas.spend("reveal", "p1")
    with pytest.raises(TooMany):
        await quotas.spend("reveal", "p1")
    await quotas.close()
    clock.seconds += 60.1
    await quotas.count("command", "p1")
    await quotas.close()
    await database.close()


class Slow(HitStore):
    """Its table is not written before it may be."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, SECRET)
        self.begun, self.goes_on = asyncio.Event(), asyncio.Event()

    async def add(self, hits: Sequence[Hit]) -> dict[str, float]:
        self.begun.set()
        await self.goes_on.wait()
        return await super().add(hits)


async def test_what_is_being_written_when_the_process_ends_is_written(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    upgrade(url)
    database = Database(url)
    store = Slow(database)
    one, other = (
        Quotas({"code": "2/minute"}, each, clock, patience=60) for each in (store, HitStore(database, SECRET))
    )
    await one.count("code", "192.0.2.1")
    await store.begun.wait()
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    store.goes_on.set()
    await closing
    await other.count("code", "192.0.2.1")
    await other.close()
    assert await refused(other, "code", "192.0.2.1") == 60
    await database.close()


async def test_a_shared_quota_reopens_when_its_window_ends(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    upgrade(url)
    database = Database(url)
    one, other = (Quotas({"code": "4/minute"}, HitStore(database, SECRET), clock, patience=60) for _ in range(2))
    for _ in range(2):
        await one.count("code", "192.0.2.1")
        await other.count("code", "192.0.2.1")
        clock.seconds += 10
    await one.close()
    await other.close()
    assert await refused(other, "code", "192.0.2.1") == 40
    with pytest.raises(TooMany):
        await other.check("code", "192.0.2.1")
    await other.check("code", "192.0.2.2")
    clock.seconds += 40.5
    await other.check("code", "192.0.2.1")
    await other.count("code", "192.0.2.1")
    await other.close()
    await database.close()


async def test_of_a_table_that_is_back_every_count_is_asked_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    upgrade(url)
    database, asked, is_down = Database(url), list[str](), True
    store = HitStore(database, SECRET)
    take = store.take

    async def counted(hit: Hit) -> float | None:
        asked.append(hit.key)
        if is_down:
            raise OSError
        return await take(hit)

    monkeypatch.setattr(store, "take", counted)
    quotas = Quotas({"reveal": "9/minute"}, store, clock, patience=60)
    for number in range(3):
        await quotas.spend("reveal", f"p{number}")
    assert asked == ["reveal/p0"], "the others are spared"
    is_down = False
    clock.seconds += 3
    for number in range(3, 6):
        await quotas.spend("reveal", f"p{number}")
    assert asked[1:] == ["reveal/p3", "reveal/p4", "reveal/p5"]
    await database.close()


async def test_after_a_cancelled_trial_the_next_count_asks_the_table(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, answers = HitStore(away(tmp_path), SECRET), [OSError(), asyncio.CancelledError(), None]

    async def take(_: Hit) -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    monkeypatch.setattr(store, "take", take)
    quotas = Quotas({"reveal": "9/minute"}, store, clock, patience=60)
    await quotas.spend("reveal", "p0")
    clock.seconds += 3
    with pytest.raises(asyncio.CancelledError):
        await quotas.spend("reveal", "p1")
    await quotas.spend("reveal", "p2")
    assert not answers


async def test_an_action_without_a_rate_is_unlimited_and_uses_no_database(tmp_path: Path) -> None:
    quotas = Quotas({}, HitStore(away(tmp_path), SECRET))
    for _ in range(100):
        await quotas.count("command", "p1")
        await quotas.spend("reveal", "p1")
        await quotas.check("code", "p1")
    await quotas.close()


def test_the_rates_of_the_settings_can_be_read(tmp_path: Path) -> None:
    Quotas(RATES, HitStore(away(tmp_path), SECRET))
