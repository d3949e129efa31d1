"""Memory of the worker for each open issue in its cache."""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from bench.drive import Floor, Issues, calm_policy, every
from bench.figures import Figure, Goal, Result, ratios
from bench.floor import QUEUE
from bench.machine import memory_kib
from bench.run import Scale
from bench.stage import Stage, bare_stage
from runtime.supervisor import Child
from workflows.contract import TASK_QUEUE

ABOUT: Final = (
    "Memory of a worker's own that grows with each open issue it keeps cached. Floor: the same for a bare workflow "
    "that sleeps."
)
_AT_ONCE: Final = 16
_WARM: Final = 40
_FAR: Final = 2e9
_MOST_LOOKS: Final = 15
_HARDLY_KIB: Final = 32


async def memory(scale: Scale) -> Result:
    """KiB per cached issue, over a trivial sleeper."""
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        async with bare_stage(Path(folder)) as stage:
            cached = scale.sleepers + _WARM + 10
            worker = await stage.start_worker("issues", cached)
            floor = await stage.start_worker("floor", cached)
            await stage.until_polled(TASK_QUEUE, worker)
            await stage.until_polled(QUEUE, floor)
            sleeper = await _sleepers(stage, scale, floor)
            issue = await _issues(stage, scale, worker)
            whole = memory_kib(worker.pid) / 1024
    result = Result("memory", ABOUT)
    result.figures = [Figure("worker memory, open issue / sleeper", ratios([issue], [sleeper]), goal=Goal("<=", 2))]
    result.details = [
        Figure("open issue", (issue,), "KiB"), Figure("sleeping bare workflow", (sleeper,), "KiB"),
        Figure(f"worker with {scale.sleepers + _WARM} issues", (whole,), "MiB"),
    ]  # fmt: skip
    return result


async def _sleepers(stage: Stage, scale: Scale, worker: Child) -> float:
    bare = Floor(stage.client)
    await every(_WARM, _AT_ONCE, lambda _: bare.sleep_until(_FAR))
    before = await _at_rest(worker)
    await every(scale.sleepers, _AT_ONCE, lambda _: bare.sleep_until(_FAR))
    return (await _at_rest(worker) - before) / scale.sleepers


async def _issues(stage: Stage, scale: Scale, worker: Child) -> float:
    async with stage.rows() as rows:
        issues = Issues.on(stage, rows, calm_policy())
        await every(_WARM, _AT_ONCE, lambda _: issues.report())
        before = await _at_rest(worker)
        await every(scale.sleepers, _AT_ONCE, lambda _: issues.report())
        return (await _at_rest(worker) - before) / scale.sleepers


async def _at_rest(worker: Child) -> float:
    """The worker's memory in KiB once it hardly changes."""
    found = memory_kib(worker.pid)
    for _ in range(_MOST_LOOKS):
        await asyncio.sleep(1.0)
        last, found = found, memory_kib(worker.pid)
        if abs(found - last) < _HARDLY_KIB:
            break
    return found
