"""Escalation: the delay of climbs on record, and the throughput when many fall due at one instant."""

import asyncio
import contextlib
import math
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory

import worker
from bench import marks
from bench.drive import Floor, Issues, calm_policy, climbing_policy, every
from bench.figures import Figure, Goal, Result, quantile, ratios, times
from bench.latency import bare_signals
from bench.rows import Climb
from bench.run import Run
from domain.wire import parse_time, truncate
from runtime.settings import WORKER_MIB

ABOUT_MASS: Final = (
    "{mass} issues whose acceptance falls due at one instant, each with its rows; then the same while another "
    "connection holds the database so that nobody can write. Floor: bare workflows whose timers fire at one instant "
    "and that write nothing. A rate counts from the instant (for issues: plus the grace) to the last one."
)
ABOUT_LATENESS: Final = (
    "Issues that fall due evenly at a third of the rate at which bare timers drain; late is from the end of the grace "
    "until a reader sees the climb's row. Floor: the raw signal to a bare workflow."
)
GRACE: Final = 1.0
_STARTS: Final = 8
"""Workflows that are started concurrently. The server counts a timer from the end of the task that sets it, so too many
at once would make timers late by themselves."""
_TRIAL: Final = 40
_PATIENCE: Final = 180.0

Start = Callable[[int], Awaitable[Any]]


async def mass(run: Run) -> Result:
    """Measures climbs per second when many are due at one instant, over bare timers."""
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(run.scale.mass_rounds):
        bare.append(await _drain_timers(run))
        ours.append(await _drain_climbs(run))
    folded, recorded = await _drain_hanging(run)
    run.rates["timers"], run.rates["climbs"] = sum(bare) / len(bare), sum(ours) / len(ours)
    result = Result("mass", ABOUT_MASS.format(mass=run.scale.mass))
    result.figures = [
        Figure("mass escalation / bare timers", ratios(ours, bare), goal=Goal(">=", 0.8)),
        Figure("the same with a hanging database", (folded / run.rates["timers"],), goal=Goal(">=", 0.5)),
    ]
    result.details = [
        Figure("bare timers", tuple(bare), "/s"),
        Figure("climbs, each with its rows", tuple(ours), "/s"),
        Figure("climbs folded while the database hung", (folded,), "/s"),
        Figure("until the last row, once the database answered again", (recorded,), "s"),
    ]
    result.remarks = [
        (
            "What limits it: a bare timer is one task. A climb is a task that folds it, an activity that stores it and a task "
            f"that hears of it; of {run.scale.mass} issues the worker keeps {worker.cached(WORKER_MIB)} in memory and replays the others."
        )
    ]
    return result


async def lateness(run: Run) -> Result:
    """Measures the delay of climbs on record at a third of the drain rate, over the bare signal."""
    if "timers" not in run.rates:
        run.rates["timers"] = await _drain_timers(run)
    rate = run.rates["timers"] / 3
    number = max(1, int(rate * run.scale.spread_seconds))
    signal = quantile(await bare_signals(run), 0.5)
    async with run.stage.rows() as rows:
        lead = await _lead(run, number) + math.ceil(run.scale.spread_seconds)
        issues = Issues.on(run.stage, rows, climbing_policy(lead))
        first = _now() - timedelta(seconds=run.scale.spread_seconds)
        await every(number, _STARTS, lambda each: issues.report(first + timedelta(seconds=each / rate)))
        await rows.until_climbed(number, _PATIENCE)
        climbs = list(rows.climbs.values())
    late = [_seen_late(climb) for climb in climbs]
    fold = [(parse_time(climb.folded) - parse_time(climb.due)).total_seconds() - GRACE for climb in climbs]
    result = Result("lateness", ABOUT_LATENESS)
    result.figures = [
        Figure("escalation lateness / bare signal, p50", (quantile(late, 0.5) / signal,), goal=Goal("<=", 5)),
        Figure("escalation lateness, p99 / bare signal, p50", (quantile(late, 0.99) / signal,), goal=Goal("<=", 30)),
        Figure("climbs before their deadline", (sum(climb.folded < climb.due for climb in climbs),),
               goal=Goal("==", 0)),
    ]  # fmt: skip
    result.details = [
        *times("late until the row is seen", late), *times("late until the workflow has folded it", fold),
        Figure("bare signal, p50", (signal * 1000,), "ms"), Figure("climbs", (rate,), "/s"),
    ]  # fmt: skip
    if (most := run.rates.get("climbs")) is not None and rate > most / 2:
        result.remarks = [
            (
                f"What limits it: climbs fall due at {rate:.0f} a second, and the machine takes {most:.0f} of them: what is seen "
                "is a queue. A climb is a batch that the clock caused, so it goes by an ordinary activity, which costs two more "
                "tasks, and an issue that is not in the worker's cache is replayed first."
            )
        ]
    return result


def _now() -> datetime:
    return truncate(datetime.now(UTC))


def _seen_late(climb: Climb) -> float:
    return climb.seen - parse_time(climb.due).timestamp() - GRACE


async def _lead(run: Run, number: int) -> int:
    """Seconds that suffice to start so many issues, estimated by starting some."""
    async with run.stage.rows() as rows:
        issues = Issues.on(run.stage, rows, calm_policy())
        began = time.monotonic()
        trial = min(_TRIAL, number)
        await every(trial, _STARTS, lambda _: issues.report())
    return math.ceil((time.monotonic() - began) / trial * number * 1.3) + 3


async def _drain_timers(run: Run) -> float:
    """Bare timers per second when all fire at one instant."""
    bare = Floor(run.stage.client)
    names: list[str] = []
    instant = time.time() + await _lead(run, run.scale.mass)

    async def start(_: int) -> None:
        names.append(await bare.sleep_until(instant))

    await every(run.scale.mass, _STARTS, start)
    _check(instant)
    async with asyncio.timeout(_PATIENCE):
        while not (fired := marks.read(run.stage.marks)).keys() >= set(names):  # noqa: ASYNC110  another process writes
            await asyncio.sleep(0.5)
    return run.scale.mass / (max(fired[name] for name in names) - instant)


async def _drain_climbs(run: Run) -> float:
    """Climbs per second when all are due at one instant, until the row of the last is visible."""
    lead = await _lead(run, run.scale.mass)
    async with run.stage.rows() as rows:
        issues = Issues.on(run.stage, rows, climbing_policy(lead))
        began = _now()
        await every(run.scale.mass, _STARTS, lambda _: issues.report(began))
        _check(began.timestamp() + lead)
        await rows.until_climbed(run.scale.mass, _PATIENCE)
        return run.scale.mass / max(map(_seen_late, rows.climbs.values()))


async def _drain_hanging(run: Run) -> tuple[float, float]:
    """Climbs folded per second while the database is locked, and the seconds until the rows were written after it."""
    lead = await _lead(run, run.scale.mass)
    names: list[str] = []
    async with run.stage.rows() as rows:
        issues = Issues.on(run.stage, rows, climbing_policy(lead))
        began = _now()

        async def start(_: int) -> None:
            names.append(await issues.report(began))

        await every(run.scale.mass, _STARTS, start)
        instant = began.timestamp() + lead
        _check(instant)
        await asyncio.sleep(instant - time.time())
        async with _held(run.stage.file):
            await asyncio.sleep(GRACE + run.scale.mass / 80)
        released = time.time()
        await rows.until_climbed(run.scale.mass, _PATIENCE)
        recorded = max(climb.seen for climb in rows.climbs.values()) - released
    folded: list[float] = []

    async def look(each: int) -> None:
        folded.append(await _folded_at(run.stage.protected, names[each]))

    await every(len(names), _STARTS, look)
    return run.scale.mass / (max(folded) - instant - GRACE), recorded


def _check(instant: float) -> None:
    if time.time() > instant:
        raise RuntimeError("not all were started before the instant: the machine is too busy to measure this")


@contextlib.asynccontextmanager
async def _held(file: Path) -> AsyncIterator[None]:
    """Locks the database within the block, so that other writers wait."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def _folded_at(client: Client, issue: str) -> float:
    """When the workflow task of the climb ended, by the server's clock."""
    history: WorkflowHistory = await client.get_workflow_handle(f"issue-{issue}").fetch_history()
    fired = False
    for event in history.events:
        fired = fired or event.event_type == EventType.EVENT_TYPE_TIMER_FIRED
        if fired and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return event.event_time.ToNanoseconds() / 1e9
    raise RuntimeError(f"issue {issue} never climbed")
