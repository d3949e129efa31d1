"""`jiesu up`: supervises the processes of the embedded default: Temporal's dev server, a worker and the API.

These are three child processes, so that they use more than one core, and each can be killed and restarted. Worker and
API start concurrently and retry until Temporal and the database answer. All stop in order: API, worker, dev server.
"""

import asyncio
import contextlib
import http.client
import math
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from temporalio.client import Client

from runtime.causes import AWAY, cause_of, sentence
from runtime.devserver import DevServer, EmbeddedError
from runtime.home import hold_home
from runtime.ports import check_ports, reachable
from runtime.settings import LOOPBACK, PREFIX, TEST_PREFIX, Settings, SettingsError, variable
from runtime.supervisor import Child, end_survivors
from runtime.temporal import connect, worker_polls
from security.keystore import KeyStoreDown
from workflows.contract import TASK_QUEUE

Connect = Callable[[], Awaitable[Client]]
"""Waits for Temporal and returns a client. Raises EmbeddedError."""

log = structlog.get_logger("embedded")

_START_TIMEOUT: Final = 90.0
"""Seconds after which `up` gives up waiting for worker and API to be ready."""
_STEADY_SECONDS: Final = 60.0
"""Seconds. Once a child process has run this long, its earlier exits no longer count against it."""
_MOST_RESTARTS: Final = 5
_MOST_FALSE_STARTS: Final = 3


@dataclass(frozen=True)
class Commands:
    """The command lines of worker and API; tests replace these by others.

    Both use Python's option `-P`, since a folder named `cli` in the operator's working directory must not be imported.
    """

    worker: Sequence[str] = (sys.executable, "-P", "-m", "cli", "worker")
    api: Sequence[str] = (sys.executable, "-P", "-m", "cli", "api")


async def up(
    settings: Settings,
    worker: bool = True,
    announce: Callable[[str], None] = print,
    commands: Commands | None = None,
    prepare: Callable[[Connect], Awaitable[None]] | None = None,
    afterwards: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Runs dev server, worker and API until SIGINT, SIGTERM or SIGHUP, then ends every child process.

    `prepare` (migrations and repairs) is awaited after the start of the dev server, before that of worker and API.
    `announce` is called with the addresses once the API is ready and the worker polls, and with "stopped" at the end;
    `afterwards` is awaited once all is ready.
    If the settings name the address of a Temporal, no dev server is started. Raises HomeBusy, SettingsError or
    EmbeddedError, each with a message of one line.
    """
    supervisor = _Supervisor(settings, worker, commands or Commands())
    stop = asyncio.Event()
    with _on_signals(supervisor, stop), hold_home(settings.home):
        end_survivors(settings.home)
        check_ports(_ports(settings))
        try:
            await _run_until(stop, supervisor.run(announce, prepare, afterwards))
        finally:
            await supervisor.stop()
        announce("stopped")


def _ports(settings: Settings) -> list[tuple[str, int, str]]:
    ports = [(settings.api_host, settings.api_port, variable("api_port"))]
    if settings.metrics_port:
        ports.append((settings.metrics_host, settings.metrics_port, variable("metrics_port")))
    if settings.embedded_temporal:
        ports.append((LOOPBACK, settings.temporal_port, variable("temporal_port")))
        ports.append((LOOPBACK, settings.temporal_ui_port, variable("temporal_ui_port")))
    return ports


@contextlib.contextmanager
def _on_signals(supervisor: "_Supervisor", stop: asyncio.Event) -> Generator[None]:
    """A context: the first signal sets `stop`, so that all children stop in order; the second kills all at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def on_signal() -> None:
        supervisor.kill() if stop.is_set() else stop.set()

    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _run_until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Runs the work until it ends, or until `stop` is set, which cancels the work. Raises the error of the work."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class _Supervisor:
    """The child processes of one `up`: started together, restarted when they exit, stopped in order."""

    def __init__(self, settings: Settings, worker: bool, commands: Commands) -> None:
        self._settings = settings
        self._server = DevServer(settings) if settings.embedded_temporal else None
        self._worker = Child(settings.home, "worker", commands.worker, _environment(settings)) if worker else None
        needs = settings.model_copy(update={"ready_needs_worker": worker})
        self._api = Child(settings.home, "api", commands.api, _environment(needs))
        self._ready = False

    async def run(
        self, announce: Callable[[str], None], prepare: Callable[[Connect], Awaitable[None]] | None,
        afterwards: Callable[[], Awaitable[None]] | None,
    ) -> None:  # fmt: skip
        """Starts everything and restarts children that exit. Returns only by an error or cancellation."""
        began = datetime.now(UTC)
        if self._server is not None:
            await self._server.start()
        if prepare is not None:
            await _run_prepare(prepare, self._connect)
        restarters = [
            asyncio.ensure_future(self._restart_on_exit(child)) for child in (self._worker, self._api) if child
        ]
        if self._server is not None:
            restarters.append(asyncio.ensure_future(self._restart_on_exit(self._server.child)))
        announcing = asyncio.ensure_future(self._announce_ready(began, announce, afterwards))
        try:
            # A restarter ends only by failing; the announcement may also succeed.
            await asyncio.wait([*restarters, announcing], return_when=asyncio.FIRST_EXCEPTION)
            for task in (*restarters, announcing):
                if task.done():
                    task.result()
        finally:
            for task in (*restarters, announcing):
                task.cancel()
            await asyncio.gather(*restarters, announcing, return_exceptions=True)

    async def _announce_ready(
        self, began: datetime, announce: Callable[[str], None], afterwards: Callable[[], Awaitable[None]] | None
    ) -> None:
        """Announces the addresses once the API is ready and the worker polls. Raises EmbeddedError after a timeout."""
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                client = await self._connect()
                # Neither the API nor Temporal notifies us when it is ready.
                while not await self._serves(client, began):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise EmbeddedError(f"not ready within {_START_TIMEOUT:.0f} s: see the lines above") from None
        self._ready = True
        settings = self._settings
        announce("Jiesu is ready")
        address = f"http://{reachable(settings.api_host)}:{settings.api_port}"
        announce(f"  Pages        {address}/")
        announce(f"  API          {address}/v1, described in /openapi.json")
        announce(f"  Temporal     {settings.address}, namespace {settings.temporal_namespace}")
        if self._server is not None:
            announce(f"  Temporal UI  http://{LOOPBACK}:{settings.temporal_ui_port}")
        if afterwards is not None:
            await afterwards()

    async def _connect(self) -> Client:
        if self._server is not None:
            return await self._server.connect(_START_TIMEOUT)
        client = await connect(self._settings, _START_TIMEOUT)
        if client is None:
            raise EmbeddedError(f"no Temporal at {self._settings.address} ({variable('temporal_address')})")
        return client

    async def _serves(self, client: Client, began: datetime) -> bool:
        # Temporal lists dead pollers for minutes: only those seen since this start count.
        if self._worker is not None and not await worker_polls(client, TASK_QUEUE, since=began):
            return False
        return await asyncio.to_thread(_is_ready, reachable(self._settings.api_host), self._settings.api_port)

    async def _restart_on_exit(self, child: Child) -> None:
        """Starts the child, and restarts it when it exits. Raises EmbeddedError after too many exits."""
        loop = asyncio.get_running_loop()
        exits = 0
        while True:
            began = loop.time()
            if not child.running:
                await child.start()
            code = await child.wait()
            exits = 1 if loop.time() - began > _STEADY_SECONDS else exits + 1
            if exits >= self._most_exits(child):
                raise EmbeddedError(f"{child.name} ended {exits} times, last with code {code}: see the lines above")
            pause = min(10.0, 0.25 * 2 ** (exits - 1))
            log.warning("child_ended", child=child.name, code=code, restart_in=pause)
            await asyncio.sleep(pause)

    def _most_exits(self, child: Child) -> float:
        if not self._ready:
            return _MOST_FALSE_STARTS
        is_server = self._server is not None and child is self._server.child
        return _MOST_RESTARTS if is_server else math.inf

    def _children(self) -> list[Child]:
        """The children in the order of stopping: API, worker, Temporal."""
        server = self._server.child if self._server else None
        return [child for child in (self._api, self._worker, server) if child is not None]

    async def stop(self) -> None:
        for child in self._children():
            await child.stop()

    def kill(self) -> None:
        for child in self._children():
            child.kill()


_MEND: Final = "docs/operations.md says under Drills how it heals"


async def _run_prepare(prepare: Callable[[Connect], Awaitable[None]], temporal: Connect) -> None:
    try:
        await prepare(temporal)
    except (EmbeddedError, SettingsError):
        raise
    except KeyStoreDown as error:
        raise EmbeddedError(f"{error.detail}: {_MEND}") from error
    except Exception as error:
        cause = cause_of(error)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        told = f"the database cannot be prepared: {reason}" if cause == AWAY else sentence("the database", cause)
        raise EmbeddedError(f"{told}: {_MEND}") from error


def _environment(settings: Settings) -> dict[str, str]:
    """The environment of a child process: that of this process, but with the JIESU variables taken from `settings`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(PREFIX) or name.upper().startswith(TEST_PREFIX)
    }
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]))
    return {**kept, **settings.environment(), "PYTHONPATH": path}


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
