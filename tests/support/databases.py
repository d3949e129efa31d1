"""Fixtures that run a test on SQLite and on PostgreSQL alike; a conftest imports them by name."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from db.engine import Database
from db.tables import Base
from db.upgrade import upgrade
from support.postgres import fresh_database, shared_server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with today's schema, new for each test module."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = sqlite_url(tmp_path_factory.mktemp("db"))
        else:
            url = stack.enter_context(fresh_database(shared_server(request.config)))
        upgrade(url)
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The module's database, emptied."""
    found = Database(database_url)
    async with found.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.execute(table.delete())
    yield found
    await found.close()


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'jiesu.db'}"
