"""One whole system for all tests of this folder; a test that stops a part of it starts the part again."""

from collections.abc import AsyncIterator

import pytest

from support.system import System, running_system


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("system")) as running:
        yield running
