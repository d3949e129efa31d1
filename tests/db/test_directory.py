"""The directory loads as it was stored, with the version of its import."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db.directory import load_directory, store_directory, version
from db.engine import Database
from db.places import StreetRow
from domain.directory import Directory, Period, Street
from domain.directory_csv import parse

EXAMPLE = Path(__file__).parents[2] / "examples" / "directory"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def example() -> Directory:
    return parse({path.name: path.read_text("utf-8") for path in EXAMPLE.glob("*.csv")})


async def test_a_stored_directory_loads_unchanged(database: Database, example: Directory):
    async with database.write() as session:
        await store_directory(session, example, NOW)
    async with database.read() as session:
        found = await load_directory(session)
    assert found == example
    assert found.place("demo", date(2026, 3, 2)) == example.place("demo", date(2026, 3, 2))


async def test_before_the_first_import_it_is_empty(database: Database):
    async with database.read() as session:
        assert await load_directory(session) == Directory()
        assert await version(session) is None


async def test_an_import_replaces_the_one_before(database: Database, example: Directory):
    small = Directory(streets=(Street("s", "街道"),))
    async with database.write() as session:
        await store_directory(session, example, NOW)
    async with database.write() as session:
        await store_directory(session, small, NOW)
    async with database.read() as session:
        assert await load_directory(session) == small


async def test_the_version_moves_only_with_the_content(database: Database, example: Directory):
    later = NOW + timedelta(hours=1)
    async with database.write() as session:
        first = await store_directory(session, example, NOW)
        again = await store_directory(session, example, later)
        other = await store_directory(session, Directory(), later)
    assert (first.number, again.number, other.number) == (1, 1, 2)
    assert again.imported_at == later
    assert again.digest == first.digest != other.digest
    async with database.read() as session:
        assert await version(session) == other


async def test_an_import_that_fails_leaves_the_one_before(database: Database, example: Directory):
    twice = Directory(streets=(Street("s", "街道"), Street("s", "又一个")))
    async with database.write() as session:
        await store_directory(session, example, NOW)
    with pytest.raises(Exception, match="streets"):
        async with database.write() as session:
            await store_directory(session, twice, NOW)
    async with database.read() as session:
        assert await load_directory(session) == example
        assert await session.scalar(select(func.count()).select_from(StreetRow)) == len(example.streets)


def test_the_example_has_open_and_closed_periods(example: Directory):
    assert any(contract.period != Period() for contract in example.contracts)
