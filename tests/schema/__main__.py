"""`make schema`: every operation of the OpenAPI document in every role, 20,000 cases or more; exits with 1 on a failure."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Final

import structlog

from tests.schema.pool import FULL, Size, Totals, ask_all
from tests.schema.world import CALLERS, world

WANTED: Final = 20_000


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _report(name: str, totals: Totals) -> None:
    tally = totals.tallies[name]
    shown = ", ".join(f"{status} {count}" for status, count in sorted(tally.statuses.items()))
    _say(f"{name}: {tally.number} cases, {len(tally.cases)} operations, {len(tally.failures)} failed ({shown})")


async def _run(seed: int, callers: tuple[str, ...], size: Size) -> Totals:
    with tempfile.TemporaryDirectory(prefix="jiesu-schema-") as folder:
        async with world(Path(folder)) as running:
            return await ask_all(running, seed, callers, size, _say)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.schema")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--caller", choices=CALLERS, action="append")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    callers = tuple(asked.caller or CALLERS)
    _say(f"seed {asked.seed}")
    totals = asyncio.run(_run(asked.seed, callers, FULL))
    for name in callers:
        _report(name, totals)
    failures = totals.failures
    for failure in failures[:50]:
        _say(failure)
    _say(f"{totals.number} cases, {len(failures)} failed")
    too_few = callers == CALLERS and totals.number < WANTED
    if too_few:
        _say(f"fewer than {WANTED} cases")
    return 1 if failures or too_few else 0


if __name__ == "__main__":
    sys.exit(main())
