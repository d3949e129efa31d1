"""Jiesu as `jiesu up` runs it, and the worker of the floor, each as a process."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from bench.floor import QUEUE
from bench.machine import ROOT, cpu_seconds, cpu_seconds_below
from bench.rows import RowWatch
from cli.install import prepare
from runtime.devserver import DevServer
from runtime.ports import free_port
from runtime.settings import LOOPBACK, PREFIX, Settings
from runtime.supervisor import Child
from runtime.temporal import encrypting
from security.opening import open_converter
from workflows.contract import TASK_QUEUE

_PATIENCE: Final = 60.0


class StageError(RuntimeError):
    """A measured process does not run; the message names its log."""


@dataclass
class Stage:
    """The running processes and clients of a benchmark; made by `open_stage`."""

    settings: Settings
    client: Client
    server: Child
    children: dict[str, Child] = field(default_factory=dict[str, Child])

    @cached_property
    def protected(self) -> Client:
        """The client of Jiesu's processes; that of the floor does not encrypt."""
        return encrypting(self.client, open_converter(self.settings))

    @property
    def file(self) -> Path:
        return self.settings.home / "jiesu.db"

    @property
    def marks(self) -> Path:
        return self.settings.home / "marks"

    @property
    def api(self) -> str:
        return f"http://{self.settings.api_host}:{self.settings.api_port}"

    def rows(self) -> RowWatch:
        return RowWatch(self.file)

    async def start(self, name: str, *words: str) -> Child:
        """Starts a process of the stage: ``python -P -m WORDS``."""
        log = self.settings.home / "log" / f"{name}.log"
        argv = [sys.executable, "-P", "-m", *words]
        child = self.children[name] = Child(self.settings.home, name, argv, environment(self.settings), log)
        await child.start()
        return child

    async def start_worker(self, kind: str, cached: int | None = None, *, is_plain: bool = False) -> Child:
        """Starts a worker of `bench.workers`; with `cached`, it keeps so many workflows in memory; `is_plain` encrypts none."""
        words = [
            "bench.workers", kind, self.settings.address, self.settings.temporal_namespace,
            "--marks", str(self.marks), *(["--plain"] if is_plain else []),
        ]  # fmt: skip
        return await self.start(kind, *words, *([] if cached is None else ["--cached", str(cached)]))

    async def stop(self, name: str) -> None:
        if (child := self.children.pop(name, None)) is not None:
            await child.stop()

    async def until_polled(self, queue: str, child: Child) -> None:
        """Waits until a worker asks for work on the task queue."""
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace, task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )  # fmt: skip
        with _says(self.settings, child.name):
            async with asyncio.timeout(_PATIENCE):
                while not (await self.client.workflow_service.describe_task_queue(request)).pollers:
                    if not child.running:
                        raise TimeoutError
                    await asyncio.sleep(0.05)

    async def until_ready(self) -> None:
        """Waits until the API takes requests."""
        with _says(self.settings, "api"):
            async with asyncio.timeout(_PATIENCE), httpx.AsyncClient(base_url=self.api) as http:
                while not await _is_ready(http):  # noqa: ASYNC110  it has to be asked
                    await asyncio.sleep(0.05)

    def cpu(self) -> dict[str, float]:
        """Processor time used so far by each process, this one included."""
        used = {name: cpu_seconds_below(child.pid) for name, child in self.children.items()}
        return {"temporal": cpu_seconds(self.server.pid), **used, "driver": cpu_seconds(os.getpid())}


def environment(settings: Settings) -> dict[str, str]:
    """Our environment with exactly these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return {**kept, **settings.environment(), "PYTHONPATH": str(ROOT)}


def settings_in(home: Path) -> Settings:
    """Settings of an installation of its own, on ports that are free now."""
    ports: Sequence[int] = [free_port() for _ in range(3)]
    return Settings(
        home=home, api_host=LOOPBACK, api_port=ports[0], temporal_port=ports[1], temporal_ui_port=ports[2],
        log_level="warning", rate_per_subject=0, rate_per_address=0, rates="off",
    )  # fmt: skip


@contextlib.asynccontextmanager
async def bare_stage(folder: Path) -> AsyncIterator[Stage]:
    """A dev server and a prepared database; the processes that are started on them end with the block."""
    settings = settings_in(folder / "home")
    settings.home.mkdir(mode=0o700, parents=True)
    server = DevServer(settings)
    await server.start()
    try:
        await prepare(settings)
        stage = Stage(settings, await server.connect(), server.child)
        try:
            yield stage
        finally:
            for name in list(stage.children):
                await stage.stop(name)
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Everything, ready: `jiesu worker` and `jiesu api` as they are, and the floor's worker."""
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        async with bare_stage(Path(folder)) as stage:
            worker = await stage.start("worker", "cli", "worker")
            await stage.start("api", "cli", "api")
            floor = await stage.start_worker("floor")
            await stage.until_polled(TASK_QUEUE, worker)
            await stage.until_polled(QUEUE, floor)
            await stage.until_ready()
            yield stage


@contextlib.contextmanager
def _says(settings: Settings, name: str) -> Generator[None]:
    """Turns a timeout into a sentence that says what to look at."""
    try:
        yield
    except TimeoutError:
        log = settings.home / "log" / f"{name}.log"
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] if log.exists() else []
        raise StageError(f"{name} does not run: {' '.join(last)[:300] or 'it said nothing'}") from None


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False
