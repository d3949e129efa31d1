"""The cost of an auditor's replay, compared with Temporal's own on the same histories, and the storage that it needs."""

import asyncio
import logging
import multiprocessing
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any, Final

import structlog
import zstandard
from sqlalchemy import func, select
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from audit.archive import Archive, pack, parse_history
from audit.archiver import Archiver
from audit.case import ArchivedCase, Verdict
from audit.holdings import Holdings
from audit.verify import verify
from audit.verify_all import AuditReport, Source, verify_all
from bench import fold
from bench.drive import STEPS, Issues, every
from bench.figures import Figure, Goal, Result, ratios
from bench.machine import cpu_seconds
from bench.run import Scale
from bench.stage import Stage, StageError, bare_stage
from db.engine import Database
from db.outbox import Entry
from db.tables import SealRow
from db.upgrade import upgrade_async
from policies.loader import load_pack
from workflows.contract import PREFIX, TASK_QUEUE
from workflows.issue import IssueWorkflow

ABOUT: Final = (
    "{issues} standard issues that lived on this stage under a real policy, verified from their archived histories, "
    "{kib:.1f} KiB each. Floor: Temporal's Replayer as it comes, outside of its sandbox, on the same histories in turn; "
    "it compares the kinds and the order of commands, strict replay what they say as well, and folds once more. A rate "
    "is that of one core, by the processor time of the process with all its threads and of the child in which it replays."
)
_LIMIT: Final = (
    "What limits the folding: reading commands, the rules, and writing and hashing events take {share:.0%} of it, all of "
    "it Python; the rest is protobuf, what is pinned, the digests in the history, times and the chain."
)
_PATIENCE: Final = 300.0
_LEVEL: Final = 19
_BARE_ISSUES: Final = 200
_CORES: Final = 2

Work = Callable[[], Awaitable[Any]]


@dataclass
class _Rates:
    """Histories per second, one value for each round: of processor time and of wall time."""

    core: list[float] = field(default_factory=list[float])
    wall: list[float] = field(default_factory=list[float])

    async def measure(self, count: int, work: Work) -> None:
        used, began = _processor_seconds(), time.perf_counter()
        await work()
        self.core.append(count / (_processor_seconds() - used))
        self.wall.append(count / (time.perf_counter() - began))


def _processor_seconds() -> float:
    """Those of this process, and of the child in which it replays."""
    children = multiprocessing.active_children()
    return time.process_time() + sum(cpu_seconds(child.pid) for child in children)


@dataclass(frozen=True)
class _Set:
    """The issues to replay, as archive and database hold them."""

    source: Source
    holdings: Holdings
    cases: Sequence[ArchivedCase]

    @property
    def issues(self) -> list[str]:
        return [case.issue for case in self.cases]

    @property
    def histories(self) -> list[bytes]:
        return [run for case in self.cases for run in case.runs]


async def audit(scale: Scale) -> Result:
    """Measures strict replay over the stock Replayer, folding alone, sizes, and archiving."""
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        async with bare_stage(Path(folder)) as stage:
            issues = await _played(stage, scale)
            job = await _archive_job(stage, Path(folder), issues[: max(1, scale.audited // 5)])
        settings = stage.settings
        source = Source(settings.database, settings.archive_url)
        database = Database(source.database)
        try:
            holdings = Holdings(database, Archive(source.archive))
            held = _Set(source, holdings, await holdings.cases(issues))
            result = await _verified(held, scale)
            result.figures.append(_sizes(held.histories, result))
            result.details += [job, *await _spread(held)]
        finally:
            await database.close()
    return result


async def _played(stage: Stage, scale: Scale) -> list[str]:
    """Runs and archives the issues, then stops the worker, so that nothing else runs during the measurement."""
    worker = await stage.start("worker", "cli", "worker")
    await stage.until_polled(TASK_QUEUE, worker)
    issues: list[str] = []
    async with stage.rows() as rows:
        driven = Issues.on(stage, rows, load_pack(fold.PACK))

        async def live(_: int) -> None:
            issue = await driven.report()
            for body, actor in STEPS:
                await driven.give(issue, body, actor)
            issues.append(issue)

        await every(scale.audited, scale.at_once, live)
    await _until_sealed(stage, len(issues))
    await stage.stop("worker")
    return sorted(issues)


async def _until_sealed(stage: Stage, count: int) -> None:
    database = Database(stage.settings.database)
    try:
        async with asyncio.timeout(_PATIENCE):
            while await _sealed(database) < count:  # noqa: ASYNC110  only the database can tell
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise StageError(f"not all of {count} issues were archived in {_PATIENCE:.0f} s") from None
    finally:
        await database.close()


async def _sealed(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(SealRow)) or 0


async def _archive_job(stage: Stage, folder: Path, issues: Sequence[str]) -> Figure:
    """Processor seconds of this process for one archive job (fetch, store, replay, seal) into a new archive."""
    # The entry in the log at the end is not measured here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    url = f"sqlite:///{folder / 'job.db'}"
    await upgrade_async(url)
    database = Database(url)
    try:
        archivist = Archiver(stage.protected, database, Archive((folder / "job").as_uri()))
        await archivist.archive(_entry(issues[0]))  # loads modules and opens files once
        used = _processor_seconds()
        for issue in issues[1:]:
            await archivist.archive(_entry(issue))
        used = _processor_seconds() - used
    finally:
        await database.close()
    return Figure("archive job of the worker, an issue", (used * 1000 / max(1, len(issues) - 1),), "ms of a core")


def _entry(issue: str) -> Entry:
    payload = {"issue": issue, "body": {}}
    return Entry(1, issue, 1, "job", "archive", None, False, payload, 1, datetime.now(UTC) + timedelta(minutes=1))


async def _verified(held: _Set, scale: Scale) -> Result:
    """The measurements in this process, one after another."""
    count = len(held.cases)
    sandboxed, stock, strict, with_rows, folded = (_Rates() for _ in range(5))
    for _ in range(scale.rounds):
        await sandboxed.measure(count, lambda: _replay(held, SandboxedWorkflowRunner()))
        await stock.measure(count, lambda: _replay(held, UnsandboxedWorkflowRunner()))
        await _holds(verify(held.cases[:1]))  # the child that replays has begun
        await strict.measure(count, lambda: _holds(verify(held.cases)))
        await with_rows.measure(count, lambda: _with_rows(held))
        await folded.measure(count, lambda: _holds(verify(held.cases, commands=False)))
    alone, whole = fold.rates(_BARE_ISSUES, scale.rounds)
    kib = mean(map(len, held.histories)) / 1024
    result = Result("audit", ABOUT.format(issues=count, kib=kib))
    result.figures = [
        Figure("strict replay / stock Replayer", ratios(strict.core, stock.core), goal=Goal(">=", 0.9)),
        Figure("verification by folding alone", tuple(folded.core), "/s", fold.GOAL),
    ]
    result.details = [
        Figure("strict replay / stock Replayer, by the clock", ratios(strict.wall, stock.wall)),
        Figure("strict replay", tuple(strict.core), "/s"),
        Figure("strict replay, read from the archive and with its rows", tuple(with_rows.core), "/s"),
        Figure("stock Replayer, not sandboxed", tuple(stock.core), "/s"),
        Figure("stock Replayer, sandboxed", tuple(sandboxed.core), "/s"),
        Figure("bare fold of the same commands", alone.values, "/s"),
        Figure("bare fold, commands read and events written and hashed", whole.values, "/s"),
    ]
    result.remarks = [_LIMIT.format(share=result.figures[1].median / whole.median)]
    return result


async def _replay(held: _Set, runner: WorkflowRunner) -> None:
    """Replays with Temporal's stock Replayer."""
    replayer = Replayer(workflows=[IssueWorkflow], workflow_runner=runner)

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for case in held.cases:
            for run in case.runs:
                yield WorkflowHistory(PREFIX + case.issue, parse_history("", run))

    async with replayer.workflow_replay_iterator(histories()) as results:
        async for result in results:
            if result.replay_failure is not None:
                raise RuntimeError("a history does not replay") from result.replay_failure


async def _with_rows(held: _Set) -> None:
    await _holds(verify(await held.holdings.cases(held.issues)))


async def _holds(verifying: Awaitable[Sequence[Verdict]]) -> None:
    _nothing_found([finding for verdict in await verifying for finding in verdict.findings])


def _nothing_found(findings: Sequence[object]) -> None:
    if findings:
        raise RuntimeError(f"what was measured does not hold: {findings[0]}")


async def _spread(held: _Set) -> list[Figure]:
    """Replays the whole archive in one process and in two, including their start."""
    seconds: list[float] = []
    for workers in (1, _CORES):
        report = AuditReport("bench", datetime.now(UTC))
        began = time.perf_counter()
        await verify_all(held.source, report, workers=workers)
        seconds.append(time.perf_counter() - began)
        _nothing_found(report.findings)
    rates = [len(held.cases) / each for each in seconds]
    return [
        Figure("`jiesu audit verify --all`, one process", (rates[0],), "/s by the clock"),
        Figure(f"`jiesu audit verify --all`, {_CORES} processes", (rates[1],), "/s by the clock"),
        Figure(f"{_CORES} processes / one", (rates[1] / rates[0],)),
    ]


def _sizes(histories: Sequence[bytes], result: Result) -> Figure:
    """Mean sizes in bytes; the dictionary was trained on other histories."""
    plain = zstandard.ZstdCompressor(level=_LEVEL)
    result.details += [
        Figure("history of an issue", (mean(map(len, histories)) / 1024,), "KiB"),
        Figure("the same with zstd alone", (mean(len(plain.compress(each)) for each in histories) / 1024,), "KiB"),
    ]
    stored = mean(len(pack(each)) for each in histories) / 1024
    return Figure("history of an issue as archived", (stored,), "KiB", Goal("<=", 1))
