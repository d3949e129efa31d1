"""Quotas count in memory and behind it, go on without the database, and stay small."""

from pathlib import Path

import pytest
from limits import parse
from limits.aio.strategies import MovingWindowRateLimiter

from db.engine import Database
from db.hits import HitStore
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
    return found.value.retry_after


async def test_a_window_of_this_process_moves(clock: Clock) -> None:
    limiter = MovingWindowRateLimiter(Windows(clock))
    item = parse("2/minute")
    assert await limiter.hit(item, "a")
    clock.seconds += 40
    assert await limiter.hit(item, "a")
    assert not await limiter.hit(item, "a")
    assert await limiter.hit(item, "b")
    reset, left = await limiter.get_window_stats(item, "a")
    assert (reset - clock.seconds, left) == (20, 0)
    clock.seconds += 20
    assert await limiter.hit(item, "a")
    assert not await limiter.test(item, "a")


async def test_it_remembers_so_many_and_no_more(clock: Clock) -> None:
    windows = Windows(clock, most=100)
    limiter = MovingWindowRateLimiter(windows)
    for number in range(1000):
        assert await limiter.hit(parse("1/hour"), str(number))
    assert not await limiter.hit(parse("1/hour"), "999")
    assert await windows.reset() == 100


async def test_windows_are_a_storage_as_the_library_wants_it(clock: Clock) -> None:
    windows = Windows(clock)
    assert await windows.check()
    assert [await windows.incr("a", 60), await windows.incr("a", 60, 2), await windows.get("a")] == [1, 3, 3]
    assert await windows.get_expiry("a") == clock.seconds + 60
    await windows.clear("a")
    assert (await windows.get("a"), await windows.get_expiry("b")) == (0, clock.seconds)


async def test_without_the_database_each_process_counts_for_itself(tmp_path: Path, clock: Clock) -> None:
    database = away(tmp_path)
    quotas = Quotas({"command": "3/minute", "reveal": "2/minute"}, HitStore(database, SECRET, clock), clock)
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


async def test_what_all_have_used_up_comes_back_when_its_time_is_up(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    upgrade(url)
    database = Database(url)
    one, other = (Quotas({"code": "4/minute"}, HitStore(database, SECRET, clock), clock) for _ in range(2))
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


async def test_what_has_no_rate_has_no_limit_and_costs_nothing(tmp_path: Path) -> None:
    quotas = Quotas({}, HitStore(away(tmp_path), SECRET))
    for _ in range(100):
        await quotas.count("command", "p1")
        await quotas.spend("reveal", "p1")
        await quotas.check("code", "p1")
    await quotas.close()


def test_the_rates_of_the_settings_can_be_read(tmp_path: Path) -> None:
    Quotas(RATES, HitStore(away(tmp_path), SECRET))
