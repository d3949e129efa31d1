"""Latency of one command: on an idle system, and at half load."""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Final

from bench.drive import STEPS, Floor, Issues, calm_policy
from bench.figures import Figure, Goal, Result, quantile, ratios, times
from bench.run import Run
from bench.throughput import closed_loop
from bench.web import web
from domain.commands import Confirm
from protocol import receipts

ABOUT_RECEIPT: Final = (
    "A command over HTTP until its 200, one at a time, through the life of a standard issue. "
    "Floor: the raw signal to a bare workflow and a query, likewise."
)
ABOUT_ROW: Final = (
    "A raw signal until a reader sees its receipt row, one at a time; then while lives begin at half the measured "
    "throughput. Floor: the raw signal to a bare workflow until it is acknowledged."
)


@dataclass
class Samples:
    """Durations in seconds, by round."""

    rounds: list[list[float]] = field(default_factory=list[list[float]])

    def at(self, share: float) -> tuple[float, ...]:
        return tuple(quantile(samples, share) for samples in self.rounds)

    @property
    def all(self) -> list[float]:
        return list(itertools.chain(*self.rounds))

    def next(self) -> list[float]:
        self.rounds.append([])
        return self.rounds[-1]


async def receipt(run: Run) -> Result:
    """API command with its receipt, over raw signal and query."""
    ours, floor = Samples(), Samples()
    bare = Floor(run.stage.client)
    async with web(run.stage.settings) as client:
        await client.live()  # each side once unmeasured: caches, connections
        await bare.live()
        for _ in range(run.scale.rounds):
            mine, theirs = ours.next(), floor.next()
            for _ in range(run.scale.lives):
                theirs += await _bare_life(bare)
                mine += (await client.live())[1]
    result = Result("receipt", ABOUT_RECEIPT)
    name, values = "API command with receipt / signal + query, p50", ratios(ours.at(0.5), floor.at(0.5))
    result.figures = [Figure(name, values, goal=Goal("<=", 1.3))]
    result.details = times("API command with receipt", ours.all) + times("bare signal + query", floor.all)
    more = (quantile(ours.all, 0.5) - quantile(floor.all, 0.5)) * 1000
    result.remarks = [
        (
            f"What limits it: {more:.0f} ms more than the floor. In them lie HTTP, who gives the command, what is known of its "
            "key, the dry run and the commit of the events, all Python one after the other; and the row is looked for after "
            f"{receipts.FIRST * 1000:.0f} ms and then every {receipts.OFTEN * 1000:.0f} ms."
        )
    ]
    return result


async def _bare_life(bare: Floor) -> list[float]:
    handle = await bare.start()
    await handle.query("seen")
    return [await bare.give(handle, body, actor, last=isinstance(body, Confirm)) for body, actor in STEPS]


async def row(run: Run) -> Result:
    """Signal to visible row: idle over the bare signal, and half busy over idle."""
    idle, floor, busy = Samples(), Samples(), Samples()
    bare = Floor(run.stage.client)
    async with run.stage.rows() as rows:
        issues = Issues.on(run.stage, rows, calm_policy())
        if "lifecycles" not in run.rates:
            run.rates["lifecycles"] = (await closed_loop(run, issues.live)).rate
        await issues.live()
        for _ in range(run.scale.rounds):
            mine, theirs = idle.next(), floor.next()
            for _ in range(run.scale.lives):
                theirs += await _bare_signals(bare)
                mine += await _life(issues)
            busy.rounds.append(await _open_loop(run, issues, run.rates["lifecycles"] / 2))
    result = Result("row", ABOUT_ROW)
    result.figures = [
        Figure("signal to row / bare signal, idle, p50", ratios(idle.at(0.5), floor.at(0.5)), goal=Goal("<=", 3)),
        Figure("signal to row, half load / idle, p99", ratios(busy.at(0.99), idle.at(0.99)), goal=Goal("<=", 3)),
    ]
    result.details = [
        *times("bare signal", floor.all),
        *times("signal to row, idle", idle.all),
        *times("signal to row, half load", busy.all),
        Figure("half load", (run.rates["lifecycles"] / 2,), "lifecycles/s"),
    ]
    more = (quantile(idle.all, 0.5) - quantile(floor.all, 0.5)) * 1000
    result.remarks = [
        (
            f"What limits it: the floor ends when the server has the signal. In the {more:.0f} ms after that lie a workflow task, "
            "the fold, a local activity and a flush of the database, then the reader's next look."
        )
    ]
    return result


async def bare_signals(run: Run) -> list[float]:
    """Durations in seconds of raw signals to bare workflows: the floor of other measurements."""
    bare = Floor(run.stage.client)
    return [took for _ in range(run.scale.lives) for took in await _bare_signals(bare)]


async def _bare_signals(bare: Floor) -> list[float]:
    handle = await bare.start()
    await handle.query("seen")
    took: list[float] = []
    for body, actor in STEPS:
        took.append(await bare.signal(handle, body, actor))
        await (handle.result() if isinstance(body, Confirm) else handle.query("seen"))  # idle again before the next
    return took


async def _life(issues: Issues) -> list[float]:
    issue = await issues.report()
    return [await issues.give(issue, body, actor) for body, actor in STEPS]


async def _open_loop(run: Run, issues: Issues, rate: float) -> list[float]:
    """Starts issues at an even rate regardless of earlier ones; returns the seconds of their commands."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    took: list[float] = []

    def note(name: str, seconds: float) -> None:
        if name != "report" and loop.time() - begin >= run.scale.warm:
            took.append(seconds)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * (run.scale.warm + run.scale.seconds))):
            await asyncio.sleep(begin + number / rate - loop.time())
            group.create_task(issues.live(note))
    return took
