"""Every test here runs on SQLite and on PostgreSQL, except those of the crowd, which is made once for all."""

import os
import random
from pathlib import Path

import pytest
import pytest_asyncio

from support.crowd import Crowd, gather
from support.databases import database, database_url
from support.installation import installation

__all__ = ["database", "database_url", "installation"]

HERE = "JIESU_TEST_CROWD"
"""Names a folder with a crowd that was gathered before (``python -m support.crowd``), to save a minute."""
SIZE = 120
SEED = 20261124


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    """An installation with random issues. Nobody changes it: who tampers works on a copy."""
    if HERE in os.environ:
        return Crowd(Path(os.environ[HERE]))
    return await gather(tmp_path_factory.mktemp("crowd"), SIZE, SEED)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def great_crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    """The same with a thousand, other ones each night."""
    return await gather(tmp_path_factory.mktemp("crowd"), 1000, random.SystemRandom().randrange(1 << 32))
