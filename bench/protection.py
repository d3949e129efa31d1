"""The cost of sealing and encryption: the same issues with and without them, on otherwise equal installations."""

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from typing import Final

from bench.drive import Issues, calm_policy
from bench.figures import Figure, Goal, Result, ratios
from bench.run import Run, Scale
from bench.stage import Stage, bare_stage
from bench.throughput import Phase, closed_loop
from workflows.contract import TASK_QUEUE

ABOUT: Final = (
    "Issues live their standard life as under throughput. With: texts sealed under a key of the issue that lies in a key "
    "store, every payload encrypted, what was reported opened again to be found by. Without: none of it. Commands are "
    "signed and checked in both. Each on an installation of its own, in turn."
)


_PATIENCE: Final = 120.0
_PENDING: Final = "SELECT 1 FROM outbox WHERE status = 'pending' LIMIT 1"


async def protection(scale: Scale) -> Result:
    """Lifecycles per second with sealing and encryption over those without."""
    found: tuple[list[Phase], list[Phase]] = [], []
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        async with bare_stage(Path(folder) / "with") as protected, bare_stage(Path(folder) / "without") as plain:
            stages = (protected, plain)
            for stage in stages:
                worker = await stage.start_worker("issues", is_plain=stage is plain)
                await stage.until_polled(TASK_QUEUE, worker)
            for number in range(scale.rounds * 2):
                order = (0, 1) if number % 2 else (1, 0)
                for which in order:
                    found[which].append(await _lives(stages[which], scale, is_sealed=which == 0))
    ours, theirs = (tuple(phase.rate for phase in phases) for phases in found)
    result = Result("protection", ABOUT)
    result.figures = [Figure("lifecycle throughput, protected / not", ratios(ours, theirs), goal=Goal(">=", 0.85))]
    result.details = [Figure("protected", ours, "/s"), Figure("not protected", theirs, "/s")]
    for label, phases in zip(("protected", "not protected"), found, strict=True):
        for name in phases[0].cpu:
            used = tuple(phase.cpu[name] for phase in phases)
            result.details.append(Figure(f"processor time of {name}, a life {label}", used, "ms"))
    return result


async def _lives(stage: Stage, scale: Scale, *, is_sealed: bool) -> Phase:
    async with stage.rows() as rows:
        issues = Issues.on(stage, rows, calm_policy(), is_sealed=is_sealed)
        phase = await closed_loop(Run(stage, scale), issues.live)
    await _at_rest(stage)
    return phase


async def _at_rest(stage: Stage) -> None:
    """Waits for the jobs of closed issues, so that they do not run during the other measurement."""
    connection = sqlite3.connect(f"file:{stage.file}?mode=ro", uri=True)
    try:
        async with asyncio.timeout(_PATIENCE):
            while connection.execute(_PENDING).fetchone() is not None:  # noqa: ASYNC110  only the database can tell
                await asyncio.sleep(0.2)
    finally:
        connection.close()
