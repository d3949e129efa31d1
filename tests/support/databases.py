"""Fixtures that run a test on SQLite and on PostgreSQL alike; a conftest imports them by name."""

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import make_url

from db.engine import Database
from db.tables import Base
from db.upgrade import upgrade
from support.postgres import fresh_database, shared_server

_CURRENT: Final = pytest.StashKey[str]()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with today's schema, new for each test module."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = sqlite_url(tmp_path_factory.mktemp("db"))
            shutil.copy(current_sqlite(), make_url(url).database or "")
        else:
            current = current_postgresql(request.config)
            url = stack.enter_context(fresh_database(shared_server(request.config), current))
        yield url


@cache
def current_sqlite() -> Path:
    """A file with today's schema, which is made once for all tests of a process: a copy is quicker than the upgrades."""
    folder = tempfile.TemporaryDirectory(prefix="jiesu-schema-")
    atexit.register(folder.cleanup)
    upgrade(sqlite_url(Path(folder.name)))
    return Path(folder.name) / "jiesu.db"


def current_postgresql(config: pytest.Config) -> str:
    """The name of a database with today's schema on the shared server, to be copied likewise."""
    if _CURRENT not in config.stash:
        stack = contextlib.ExitStack()
        url = stack.enter_context(fresh_database(shared_server(config)))
        config.add_cleanup(stack.close)
        upgrade(url)
        config.stash[_CURRENT] = make_url(url).database or ""
    return config.stash[_CURRENT]


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
