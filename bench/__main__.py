"""`python -m bench [NAME ...]`: measures, prints, and after a full run writes docs/performance.md.

A measurement that fails is named and the others go on; the exit code is 1 then.
"""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
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
from bench.reads import reads
from bench.restart import restart
from bench.run import FULL, QUICK, Measure, Run, Scale
from bench.search import search
from bench.stage import StageError, open_stage
from bench.streams import streams
from bench.throughput import throughput
from bench.truth import truth
from bench.web import web

STAGED: Final[Mapping[str, Measure]] = MappingProxyType({
    "cost": cost.cost, "throughput": throughput, "receipt": receipt, "row": row, "truth": truth, "mass": mass,
    "lateness": lateness,
})  # fmt: skip
"""Measured on one stage, in this order: later ones use the rates that earlier ones found."""
ALONE: Final[Mapping[str, Callable[[Scale], Awaitable[Result]]]] = MappingProxyType(
    {
        "protection": protection,
        "audit": audit,
        "search": search,
        "reads": reads,
        "streams": streams,
        "memory": memory,
        "restart": restart,
    }
)
"""Measured on processes of their own."""


def main() -> int:
    given = _arguments()
    if given.write:
        try:
            return asyncio.run(_write_cost())
        except StageError as error:
            print(error, file=sys.stderr)
            return 1
    names = given.names or [*STAGED, *ALONE]
    began = time.monotonic()
    results = asyncio.run(_measure(names, QUICK if given.quick else FULL))
    head = {"commit": commit(), "date": today(), **facts(), "load before": given.load, "run": _run(given, began)}
    failed = [result.name for result in results if result.failed]
    text = report.render(results, head | ({"failed": ", ".join(failed)} if failed else {}))
    whole = not given.names and not given.quick
    if given.out or whole:
        report.write(text, given.out or report.DOCUMENT)
    for name in failed:
        print(f"not measured: {name}", file=sys.stderr)
    return 1 if failed else 0


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
    rates: dict[str, float] = {}
    staged = [name for name in STAGED if name in names]
    while staged:
        results += (done := await _on_stage(staged, scale, rates))
        staged = staged[len(done) :]
    results += [await _timed(name, partial(measure, scale)) for name, measure in ALONE.items() if name in names]
    return results


async def _on_stage(names: Sequence[str], scale: Scale, rates: dict[str, float]) -> list[Result]:
    """The results of these measurements up to the first that fails, since its stage may be broken; at least one."""
    results: list[Result] = []
    try:
        async with open_stage() as stage:
            for name in names:
                results.append(await _timed(name, partial(STAGED[name], Run(stage, scale, rates))))
                if results[-1].failed:
                    break
    except Exception as error:  # noqa: BLE001 - whatever it is, the other measurements go on
        if not results:
            return [_failed(name, error) for name in names]
        results[-1].failed = results[-1].failed or _reason(error)
    return results


async def _timed(name: str, measure: Callable[[], Awaitable[Result]]) -> Result:
    began = time.monotonic()
    try:
        result = await measure()
        result.seconds = time.monotonic() - began
        print(report.terminal(result), flush=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other measurements go on
        return _failed(name, error)
    return result


def _failed(name: str, error: Exception) -> Result:
    traceback.print_exception(error)
    return Result(name, "Not measured.", failed=_reason(error))


def _reason(error: Exception) -> str:
    """Why a measurement failed, on one line: of several reasons the first."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())


async def _write_cost() -> int:
    async with open_stage() as stage, web(stage.settings) as api:
        found = await cost.measured(stage.protected, api)
    cost.write(found)
    print(cost.committed())
    return 0


if __name__ == "__main__":
    sys.exit(main())
