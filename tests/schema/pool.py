"""Runs the schema cases of every caller on every core, for the suite and for `make schema`."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from tests.schema.run import Part, Tally, Way, run
from tests.schema.world import STATES, World

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is asked in each way, and of which issues each caller has one."""

    ways: dict[Way, int]
    """With how many cases of chance for each operation, at most."""
    states: Sequence[str]
    parts_of_a_process: int | None = None
    """Whoever asks much learns from the answers; the next is to know nothing of that."""


SMALL: Final = Size({"fuzzing": 1}, ("dispatched", "accepted"))
FULL: Final = Size({"coverage": 1, "fuzzing": 12}, tuple(STATES) * 2, parts_of_a_process=1)


@dataclass
class Totals:
    """What came of it, by caller."""

    tallies: dict[str, Tally] = field(default_factory=dict[str, Tally])

    @property
    def number(self) -> int:
        return sum(tally.number for tally in self.tallies.values())

    @property
    def failures(self) -> list[str]:
        return [failure for tally in self.tallies.values() for failure in tally.failures]


async def ask_all(running: World, seed: int, callers: Sequence[str], size: Size, say: Say = lambda _: None) -> Totals:
    """Each way is a part of its own, with issues of its own: what one closes, the other finds open."""
    totals = Totals({name: Tally() for name in callers})
    # Not forked: this process runs a server in threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=size.parts_of_a_process) as pool:
        turns = asyncio.Semaphore(os.cpu_count() or 1)  # issues are made when they are needed: their clocks run

        async def ask(name: str, way: Way, examples: int) -> None:
            async with turns:
                asker = await running.asker(name, size.states)
                part = Part(asker, way, running.site.origin, running.document, seed, examples)
                done = await asyncio.get_running_loop().run_in_executor(pool, run, part)
            totals.tallies[name].add(done)
            say(f"{name}, {way}: {done.number} cases, {len(done.failures)} failed")

        async with asyncio.TaskGroup() as tasks:
            for way, examples in size.ways.items():
                for name in callers:
                    tasks.create_task(ask(name, way, examples))
    return totals
