"""One running system for the attacks that need it, and an API alone for the others."""

from collections.abc import AsyncIterator

import pytest

from support.bare import Bare, bare_api
from support.databases import database, database_url
from support.system import System, running_system

__all__ = ["database", "database_url"]


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("attacked")) as running:
        yield running


@pytest.fixture(scope="session")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bare]:
    async with bare_api(tmp_path_factory.mktemp("bare")) as running:
        yield running
