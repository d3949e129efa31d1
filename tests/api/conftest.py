"""The whole system, once for all tests here; whoever takes a part of it away puts it back."""

from collections.abc import AsyncIterator

import pytest

from support.system import System, running_system


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("system")) as running:
        yield running
