"""`jiesu up` on a home of its own, for tests that kill it in every way and restart it.

It ends only processes that it started or that the home's pid files name, each by its id.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import psutil
from temporalio.client import Client
from temporalio.service import RPCError

from db.engine import Database
from runtime import supervisor
from runtime.failpoints import VARIABLE, Failpoint
from runtime.settings import LOOPBACK, PREFIX, Settings
from runtime.supervisor import is_alive, read_pid_file
from runtime.temporal import encrypting, worker_polls
from security.opening import open_converter
from support.ports import free_port
from workflows.contract import TASK_QUEUE

CHECKOUT = Path(__file__).resolve().parents[2]
UNGUARDED = Path(__file__).with_name("up_unguarded.py")
PATIENCE = 180.0
"""Seconds for a start or a recovery that should take five."""


@dataclass(frozen=True)
class Outage:
    """When something was away: from the kill until everything served again."""

    what: str
    began: datetime
    ended: datetime

    def __str__(self) -> str:
        return f"{self.began:%H:%M:%S.%f} {self.what}, away {(self.ended - self.began).total_seconds():.1f} s"


class Jiesu:
    """A home with ports of its own, and the `jiesu up` that runs on it at the moment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = {name: free_port() for name in ("API", "TEMPORAL", "TEMPORAL_UI")}
        self._env = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
        self._env |= {f"JIESU_{name}_PORT": str(port) for name, port in self.ports.items()}
        self._env |= {"JIESU_HOME": str(home), "JIESU_LOG_FORMAT": "json", "JIESU_LOG_LEVEL": "warning"}
        self.log = home.with_name(f"{home.name}.log")
        self._up: asyncio.subprocess.Process | None = None
        self._armed = home.with_name(f"{home.name}.armed")

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['API']}"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.home / 'jiesu.db'}"

    async def client(self) -> Client:
        return await Client.connect(f"{LOOPBACK}:{self.ports['TEMPORAL']}", lazy=True)

    async def start(self, failpoint: Failpoint | None = None, nth: int = 1, *, guarded: bool = True) -> None:
        """Starts `jiesu up` and returns when it says that it is ready.

        The failpoint kills the first process that comes to it for the nth time, once. Without guards the children
        outlive it, as on a machine whose kernel knows no such wish.
        """
        env = dict(self._env)
        if failpoint is not None:
            self._armed.touch()
            env[VARIABLE] = f"{failpoint}:{nth}@{self._armed}"
        env["PYTHONPATH"] = str(CHECKOUT)
        command = [sys.executable, "-P", *(("-m", "cli") if guarded else (str(UNGUARDED),)), "up"]
        with self.log.open("ab") as log:
            # Guarded itself: a test run that is killed leaves nothing behind either.
            self._up = await asyncio.create_subprocess_exec(
                *supervisor.guarded(command), env=env, cwd=self.home.parent, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        assert self._up.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self._up.stdout.readline()
            assert line == b"Jiesu is ready\n", self.last_words()
            for _ in range(3):
                await self._up.stdout.readline()

    def has_fired(self) -> bool:
        """Whether the failpoint has killed somebody."""
        return not self._armed.exists()

    def disarm(self) -> None:
        self._armed.unlink(missing_ok=True)

    def pids(self) -> dict[str, int]:
        """What runs now, by name."""
        marks = {path.stem: read_pid_file(path) for path in (self.home / "run").glob("*.pid")}
        found = {name: mark.pid for name, mark in marks.items() if mark is not None and mark.process() is not None}
        return {"up": self._up.pid, **found} if self._up is not None and self._up.returncode is None else found

    def kill(self, names: Iterable[str]) -> list[str]:
        """SIGKILL for those that run, `up` first so that it starts nothing again meanwhile; whom it met."""
        running = self.pids()
        met = sorted((name for name in names if name in running), key=lambda name: name != "up")
        for name in met:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running[name], signal.SIGKILL)
        return met

    async def gone(self, pids: Iterable[int]) -> None:
        """Waits until none of these processes is left."""
        if self._up is not None and self._up.pid in pids:
            await self._up.wait()
        await until(lambda: not any(_runs(pid) for pid in pids), "the killed are gone")

    async def whole(self, since: datetime | None) -> None:
        """Waits until all of it runs and serves, the worker having polled since then; a poll lasts a minute."""
        client = await self.client()
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False, timeout=5) as http:
            while not await self._serves(client, http, since):
                assert self._up is None or self._up.returncode is None, self.last_words()
                await asyncio.sleep(0.1)

    async def _serves(self, client: Client, http: httpx.AsyncClient, since: datetime | None) -> bool:
        if self.pids().keys() != {"up", "temporal", "worker", "api"}:
            return False
        try:
            ready = (await http.get(f"{self.url}/readyz")).status_code == 200
            return ready and await worker_polls(client, TASK_QUEUE, since)
        except (httpx.TransportError, RPCError, RuntimeError):
            return False

    async def stop(self) -> int:
        """Stops it as Ctrl-C does; its exit code."""
        assert self._up is not None
        self._up.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            return await self._up.wait()

    def leftovers(self) -> dict[int, str]:
        """Processes whose environment names this home, however they came about."""
        found: dict[int, str] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("JIESU_HOME") == str(self.home):
                    found[process.pid] = " ".join(process.cmdline())
        return found

    def last_words(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-30:])


@contextlib.asynccontextmanager
async def opened(jiesu: Jiesu):
    """Client and database of a running Jiesu, as an auditor would hold them."""
    database = Database(jiesu.database_url)
    try:
        yield encrypting(await jiesu.client(), open_converter(Settings(home=jiesu.home))), database
    finally:
        await database.close()


async def until(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Waits until it holds; AssertionError, naming it, where it never does."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.05)


def say(what: object) -> None:
    """A line for whoever wants to know, or to run it again: pytest shows it when the test fails, or with -s."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and is_alive(psutil.Process(pid))
