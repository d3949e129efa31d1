"""A system of its own on either database, for tests that stop parts of it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.databases import sqlite_url
from support.postgres import fresh_database, shared_server
from support.system import System, running_system


@pytest.fixture(params=["sqlite", "postgresql"])
async def system(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[System]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = sqlite_url(tmp_path)
        else:
            url = stack.enter_context(fresh_database(shared_server(request.config)))
        async with running_system(tmp_path, url) as running:
            yield running
