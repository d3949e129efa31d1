"""`python -m bench [NAME ...]`: measures, prints, and after a full run writes docs/performance.md."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bench import cost, report
from bench.audit import audit
from bench.climbs import lateness, mass
from bench.figures import Result
from bench.latency import receipt, row
from bench.machine import commit, facts, load, today
from bench.memory import memory
from bench.protection import protection
from bench.restart import restart
from bench.run import FULL, QUICK, Measure, Run, Scale
from bench.stage import StageError, open_stage
from bench.throughput import throughput
from bench.truth import truth
from bench.web import web

STAGED: Final[Mapping[str, Measure]] = MappingProxyType({
    "cost": cost.cost, "throughput": throughput, "receipt": receipt, "row": row, "truth": truth, "mass": mass,
    "lateness": lateness,
})  # fmt: skip
"""Measured on one stage, in this order: later ones use the rates that earlier ones found."""
ALONE: Final[Mapping[str, Callable[[Scale], Awaitable[Result]]]] = MappingProxyType(
    {"protection": protection, "audit": audit, "memory": memory, "restart": restart}
)
"""Measured on processes of their own."""


def main() -> int:
    given = _arguments()
    try:
        if given.write:
            return asyncio.run(_write_cost())
        names = given.names or [*STAGED, *ALONE]
        began = time.monotonic()
        results = asyncio.run(_measure(names, QUICK if given.quick else FULL))
    except StageError as error:
        print(error, file=sys.stderr)
        return 1
    head = {"commit": commit(), "date": today(), **facts(), "load before": given.load, "run": _run(given, began)}
    text = report.render(results, head)
    whole = not given.names and not given.quick
    if given.out or whole:
        report.write(text, given.out or report.DOCUMENT)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*STAGED, *ALONE, []], metavar="NAME",
                        help=f"what to measure: {', '.join([*STAGED, *ALONE])}; all without a name")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="little of everything: does it run?")
    parser.add_argument("--out", type=Path, help="write the report there, whatever was measured")
    parser.add_argument("--write", action="store_true", help="with `cost`: write its table into docs/architecture.md")
    given = parser.parse_args()
    if given.write and given.names != ["cost"]:
        parser.error("--write goes with `cost` alone")
    given.load = f"{load():.1f}"
    return given


def _run(given: argparse.Namespace, began: float) -> str:
    kind = "quick: its figures mean nothing" if given.quick else "full"
    return f"{kind}, {time.monotonic() - began:.0f} s"


async def _measure(names: Sequence[str], scale: Scale) -> list[Result]:
    results: list[Result] = []
    staged = [name for name in STAGED if name in names]
    if staged:
        async with open_stage() as stage:
            run = Run(stage, scale)
            results += [await _timed(STAGED[name](run)) for name in staged]
    results += [await _timed(measure(scale)) for name, measure in ALONE.items() if name in names]
    return results


async def _timed(measuring: Awaitable[Result]) -> Result:
    began = time.monotonic()
    result = await measuring
    result.seconds = time.monotonic() - began
    print(report.terminal(result), flush=True)
    return result


async def _write_cost() -> int:
    async with open_stage() as stage, web(stage.settings) as api:
        found = await cost.measured(stage.protected, api)
    cost.write(found)
    print(cost.committed())
    return 0


if __name__ == "__main__":
    sys.exit(main())
