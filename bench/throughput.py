"""Closed-loop throughput: so many issues at a time, each command sent once the one before it is on record."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from os import cpu_count
from statistics import median

from bench.drive import STEPS, Floor, Issues, Timed, calm_policy
from bench.figures import Figure, Goal, Result, ratios
from bench.run import Run

ABOUT = (
    "Issues live their standard life, {at_once} at a time, each command sent when the receipt row of the one before "
    "can be read. Floor: bare workflows that take the same signals, each followed by a query."
)
Live = Callable[[Timed | None], Awaitable[None]]
_PER_LIFE = len(STEPS) + 1


@dataclass(frozen=True)
class Phase:
    """Lives per second, and the processor milliseconds that one life took of each process."""

    rate: float
    cpu: dict[str, float]


async def throughput(run: Run) -> Result:
    """Lifecycles per second, ours over the floor's."""
    ours: list[Phase] = []
    floor: list[Phase] = []
    async with run.stage.rows() as rows:
        issues, bare = Issues.on(run.stage, rows, calm_policy()), Floor(run.stage.client)
        for _ in range(run.scale.rounds):
            floor.append(await closed_loop(run, bare.live))
            ours.append(await closed_loop(run, issues.live))
    rates = tuple(phase.rate for phase in ours), tuple(phase.rate for phase in floor)
    run.rates["lifecycles"] = sum(rates[0]) / len(rates[0])
    result = Result("throughput", ABOUT.format(at_once=run.scale.at_once))
    result.figures = [Figure("lifecycle throughput / bare + query", ratios(*rates), goal=Goal(">=", 0.8))]
    result.details = [Figure("lifecycles", rates[0], "/s"), Figure("bare lifecycles", rates[1], "/s")]
    result.remarks = [_limit(ours, floor)]
    for label, phases in (("lifecycle", ours), ("bare lifecycle", floor)):
        for name in phases[0].cpu:
            used = tuple(phase.cpu[name] for phase in phases)
            if max(used) >= 0.1:  # those that had nothing to do are left out
                result.details.append(Figure(f"processor time of {name}, a {label}", used, "ms"))
    return result


def _limit(ours: Sequence[Phase], floor: Sequence[Phase]) -> str:
    """In words, what the rate is limited by: the processor time of a life."""

    def spent(phases: Sequence[Phase], name: str) -> float:
        return median(phase.cpu[name] for phase in phases)

    whole = sum(spent(ours, name) for name in ours[0].cpu)
    return (
        f"What limits the rate: a life takes {spent(ours, 'worker'):.0f} ms of the worker's processor time and "
        f"{spent(ours, 'temporal'):.0f} ms of the server's, where a bare one takes {spent(floor, 'floor'):.0f} ms and "
        f"{spent(floor, 'temporal'):.0f} ms. All together a life takes {whole:.0f} ms, so {cpu_count()} cores can do "
        f"{1000 * (cpu_count() or 1) / whole:.0f} of them a second at most. The worker's part is Python: five folds, five "
        "transactions, and what the SDK does for each task, activity and payload."
    )


async def closed_loop(run: Run, live: Live) -> Phase:
    """Lives without a pause between them. Commands are counted, so that lives cut off at the ends count in part."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + run.scale.warm
    end = begin + run.scale.seconds
    commands = 0

    def count(_name: str, _seconds: float) -> None:
        nonlocal commands
        commands += begin <= loop.time() < end

    async def go_on() -> None:
        while loop.time() < end:
            await live(count)

    async with asyncio.TaskGroup() as group:
        for _ in range(run.scale.at_once):
            group.create_task(go_on())
        await asyncio.sleep(begin - loop.time())
        before, began = run.stage.cpu(), time.monotonic()
        await asyncio.sleep(end - loop.time())
        after, seconds = run.stage.cpu(), time.monotonic() - began
    lives = commands / _PER_LIFE
    if not lives:
        raise RuntimeError("no command came through in time")
    return Phase(lives / seconds, {name: (after[name] - before[name]) * 1000 / lives for name in before})
