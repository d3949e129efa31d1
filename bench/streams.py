"""Open pages of residents: what many streams cost the database and the server, and how soon each tells what happened."""

import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from sqlalchemy.orm import Session

from bench.drive import PLACE, RESIDENT, STAFF, calm_policy, grants, now
from bench.figures import Figure, Goal, Result, quantile, ratios
from bench.machine import cpu_seconds, memory_kib
from bench.run import Scale
from bench.stage import StageError, environment, settings_in
from bench.stream_server import EMPTY, LOOKS
from cli.install import prepare
from db.engine import Database
from db.projector import record
from domain.advance import advance
from domain.commands import Actor, Body, Command, Comment, Report
from domain.events import dump_event
from domain.followers import voices
from domain.issue import Issue
from domain.wire import dump
from protocol.hub import LOOK_SECONDS
from runtime.settings import Settings
from runtime.supervisor import Child
from security import ids

ABOUT: Final = (
    "Each of so many residents has the page of an issue of his own open; nobody else asks anything. Floor: as many streams of "
    "the same server that say nothing after their beginning, in turn with ours. Then events are written at an even rate, each into "
    "the next issue: from the commit of its row until its page is on the wire."
)
_FIRST_SECONDS: Final = 60.0
_LATE_SECONDS: Final = 10.0
_AT_ONCE: Final = 10
"""So many streams are opened at a time: the database has one second for a read, on a busy machine as well."""
_POLICY: Final = calm_policy()


@dataclass
class Stream:
    """One open stream, and when it brought which version of its issue."""

    brought: dict[int, float] = field(default_factory=dict[int, float])
    first: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, host: str, port: int, path: str, cookie: str) -> None:
        """Reads until it is cancelled. A plain connection: a client of HTTP would cost more than the server that it measures."""
        reader, writer = await asyncio.open_connection(host, port)
        with contextlib.closing(writer):
            lines = (
                f"GET {path} HTTP/1.1",
                f"Host: {host}:{port}",
                "Accept: text/event-stream",
                f"Cookie: {cookie}",
                "",
                "",
            )
            writer.write("\r\n".join(lines).encode())
            if b" 200 " not in (status := await reader.readline()):
                raise StageError(f"{path} got {status.decode('latin-1').strip()}")
            while line := await reader.readline():
                if line.startswith(b"retry: "):
                    self.first.set()
                elif line.startswith(b"id: "):
                    self.brought[int(line.rpartition(b".")[2])] = time.perf_counter()
                    self.changed.set()
        raise StageError(f"{path} ended")

    async def bring(self, version: int) -> float:
        """When it brought this version, or a later one."""
        while not any(each >= version for each in self.brought):
            self.changed.clear()
            await self.changed.wait()
        return min(at for each, at in self.brought.items() if each >= version)


@dataclass
class Case:
    """An issue with the code of its reporter."""

    issue: Issue
    code: str


@dataclass
class Bench:
    """A server, its database, and issues in it."""

    settings: Settings
    server: Child
    database: Database
    cases: list[Case] = field(default_factory=list[Case])

    async def fill(self, number: int) -> None:
        """Puts so many issues in, as if a worker had recorded them."""
        secret = self.settings.server_secret()
        for n in range(number):
            issue = Issue.new(f"stream{n:05}", _POLICY, ())
            case = Case(issue, "")
            report = Report(f"JS-00000-{n:05}", PLACE, "leak", "厨房漏水", location="3幢2单元501")
            await self.give(case, report, RESIDENT)
            case.code = ids.voice_code(secret, next(iter(voices(case.issue))))
            self.cases.append(case)

    async def give(self, case: Case, body: Body, actor: Actor) -> float:
        """Records what follows from a command; when that was committed."""
        at, is_new = now(), case.issue.version == 0
        command = Command(f"c{case.issue.id}-{case.issue.version}", at, actor, body, grants=grants(actor))
        case.issue, events = advance(case.issue, [command], at)
        pins = {"policy": dump(_POLICY), "calendars": []} if is_new else {}
        batch = [dump_event(event) for event in events]

        def work(session: Session) -> str:
            return record(session, case.issue.id, batch, now=at, **pins)

        await self.database.transact(work)
        return time.perf_counter()

    async def looks(self) -> int:
        async with httpx.AsyncClient(base_url=f"http://{self.settings.api_host}:{self.settings.api_port}") as http:
            return int((await http.get(LOOKS, timeout=30)).text)

    @contextlib.asynccontextmanager
    async def open(self, number: int, *, is_empty: bool = False) -> AsyncIterator[list[Stream]]:
        """So many streams, each begun: as on a page that has just been loaded, which knows its version."""
        streams = [Stream() for _ in range(number)]
        host, port = self.settings.api_host, self.settings.api_port
        async with asyncio.TaskGroup() as group, asyncio.timeout(None) as patience:
            patience.reschedule(asyncio.get_running_loop().time() + _FIRST_SECONDS)
            tasks: list[asyncio.Task[None]] = []
            pairs = list(zip(streams, itertools.cycle(self.cases), strict=False))
            for start in range(0, number, _AT_ONCE):
                some = pairs[start : start + _AT_ONCE]
                tasks += [
                    group.create_task(each.follow(host, port, *_asked(case, is_empty=is_empty))) for each, case in some
                ]
                await asyncio.gather(*(each.first.wait() for each, _ in some))
            patience.reschedule(None)
            yield streams
            for task in tasks:
                task.cancel()


def _asked(case: Case, *, is_empty: bool) -> tuple[str, str]:
    return (EMPTY, "") if is_empty else (f"/i/{case.issue.id}/live?v={case.issue.version}", f"jiesu-code={case.code}")


async def streams(scale: Scale) -> Result:
    """Looks of few and many streams, the cost of one over that of an empty one, and how late events are."""
    few, many = scale.streams
    looks: list[list[float]] = [[], []]
    costs: list[list[float]] = [[], []]
    sizes: list[list[float]] = [[], []]
    late: list[float] = []
    async with _open() as bench:
        await bench.fill(many)
        await _cost(bench, few, scale, is_empty=False)  # once unmeasured: caches, templates
        for _ in range(scale.rounds):
            for found, number in zip(looks, scale.streams, strict=True):
                found.append(await _looks(bench, number, scale.seconds))
            for at, is_empty in enumerate((True, False)):
                cpu, size = await _cost(bench, many, scale, is_empty=is_empty)
                costs[at].append(cpu)
                sizes[at].append(size)
            late += await _lateness(bench, many, scale)
    result = Result("streams", ABOUT)
    result.figures = [
        Figure(f"looks at the database, {many} streams / {few}", ratios(looks[1], looks[0]), goal=Goal("<=", 1.05)),
        Figure("processor time of a stream / of an empty one", ratios(costs[1], costs[0]), goal=Goal("<=", 5)),
        Figure(f"row to wire, {scale.stream_events} events/s, p99", (quantile(late, 0.99),), "s", Goal("<=", 1)),
    ]
    result.details = [
        *(Figure(f"looks, {n} streams", tuple(each), "/s") for n, each in zip(scale.streams, looks, strict=True)),
        *(Figure(f"processor time, {name}", tuple(each), "ms") for name, each in zip(_NAMES, costs, strict=True)),
        *(Figure(f"memory while open, {name}", tuple(each), "KiB") for name, each in zip(_NAMES, sizes, strict=True)),
        Figure("row to wire, p50", (quantile(late, 0.5) * 1000,), "ms"),
    ]
    result.remarks = [
        (
            f"What limits it: the hub looks every {LOOK_SECONDS:g} s, so an event waits half of that on average; then each page is read, "
            "authorised and rendered anew for its reader."
        )
    ]
    return result


_NAMES: Final = ("an empty stream", "a page of an issue")


async def _looks(bench: Bench, number: int, seconds: float) -> float:
    """Looks a second while so many streams are open and nothing happens."""
    async with bench.open(number):
        before, began = await bench.looks(), time.perf_counter()
        await asyncio.sleep(seconds)
        return (await bench.looks() - before) / (time.perf_counter() - began)


async def _cost(bench: Bench, number: int, scale: Scale, *, is_empty: bool) -> tuple[float, float]:
    """Milliseconds of processor time that one stream takes to open, to be open for a while and to close; and KiB meanwhile.

    What the server takes without any stream in the same time is not counted.
    """
    pid = bench.server.pid
    before, size, began = cpu_seconds(pid), memory_kib(pid), time.perf_counter()
    async with bench.open(number, is_empty=is_empty):
        await asyncio.sleep(scale.seconds)
        grown = memory_kib(pid) - size
    await asyncio.sleep(1.0)  # until all are closed
    used, lasted = cpu_seconds(pid) - before, time.perf_counter() - began
    before = cpu_seconds(pid)
    await asyncio.sleep(lasted)
    return (used - (cpu_seconds(pid) - before)) / number * 1000, grown / number


async def _lateness(bench: Bench, number: int, scale: Scale) -> list[float]:
    """For each event the seconds from the commit of its row until its page is on the wire."""
    waiting: list[asyncio.Task[float]] = []
    async with bench.open(number) as found:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for n in range(int(scale.seconds * scale.stream_events)):
            await asyncio.sleep(begin + n / scale.stream_events - loop.time())
            case, stream = bench.cases[n % number], found[n % number]
            committed = await bench.give(case, Comment("在路上"), STAFF)
            waiting.append(asyncio.create_task(_late(stream, case.issue.version, committed)))
        return list(await asyncio.gather(*waiting))


async def _late(stream: Stream, version: int, committed: float) -> float:
    try:
        async with asyncio.timeout(_LATE_SECONDS):
            return max(0.0, await stream.bring(version) - committed)
    except TimeoutError:
        return _LATE_SECONDS


@contextlib.asynccontextmanager
async def _open() -> AsyncIterator[Bench]:
    """A prepared database and the server, without Temporal: pages are read from rows."""
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        settings = settings_in(Path(folder) / "home")
        settings.home.mkdir(mode=0o700, parents=True)
        await prepare(settings)
        argv = [sys.executable, "-P", "-m", "bench.stream_server"]
        log = settings.home / "log" / "streams.log"
        log.parent.mkdir()
        server = Child(settings.home, "streams", argv, environment(settings), log)
        await server.start()
        database = Database(settings.database)
        try:
            bench = Bench(settings, server, database)
            await _ready(bench)
            yield bench
        finally:
            await database.close()
            await server.stop()


async def _ready(bench: Bench) -> None:
    """Waits until the server answers. Raises StageError if it does not."""
    ends = time.monotonic() + _FIRST_SECONDS
    while True:
        try:
            await bench.looks()
        except (httpx.HTTPError, ValueError):
            if time.monotonic() > ends or not bench.server.running:
                raise StageError(f"the server of streams does not run: see {bench.server.name}.log") from None
            await asyncio.sleep(0.05)
        else:
            return
