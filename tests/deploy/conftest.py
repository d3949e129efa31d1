"""Servers set up as docker-compose.yml sets them up: PostgreSQL with our roles, a dev server with our namespace."""

import os
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL, make_url

from runtime.settings import Settings
from support.deployment import psql, run_database_script, run_namespace_script
from support.ports import free_port
from support.postgres import VARIABLE, shared_server
from support.temporal import embedded_server


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> URL:
    """A server of the tests' own, on which the deployment's script has made its roles and databases."""
    client = psql()
    if os.environ.get(VARIABLE) or client is None:
        pytest.skip("no PostgreSQL of our own to make roles on")
    server = make_url(shared_server(request.config))
    for name in ("postgres", "keystore"):
        done = run_database_script(client, server, name=name)
        assert done.returncode == 0, done.stderr
    return server


@pytest.fixture(scope="session")
async def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A dev server on which the deployment's script has made its namespace."""
    home = tmp_path_factory.mktemp("temporal")
    settings = Settings(home=home, temporal_port=free_port(), temporal_ui_port=free_port())
    async with embedded_server(settings):
        done = run_namespace_script(settings.address)
        assert done.returncode == 0, done.stderr
        yield settings.address
