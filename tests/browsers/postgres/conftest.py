"""The running system of these tests keeps its rows in PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from browsers.place import Place, running_place
from support.postgres import fresh_database, shared_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(
    browser: Browser, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    with fresh_database(shared_server(pytestconfig)) as url:
        async with running_place(tmp_path_factory.mktemp("postgres"), url) as running:
            yield running
