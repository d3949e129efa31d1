"""One whole system for the tests of pages; those that change the directory or count what is there have their own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.system import System, running_system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("pages")) as running:
        yield running
