"""`make fuzz`: a million inputs or more, on every core; exits with 1 if a target fails."""

import argparse
import os
import secrets
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.fuzz.run import Tally, given, run
from tests.fuzz.targets import SHARES, TARGETS

_PART: Final = 5_000


def _part(name: str, seed: int, start: int, stop: int) -> tuple[str, Tally]:
    return name, run(TARGETS[name], seed, range(start, stop))


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--times", type=float, default=1.0, help="how many times the usual number of inputs")
    parser.add_argument("--only", type=int, help="a single input, with its error in full")
    asked = parser.parse_args()
    names = asked.target or list(TARGETS)
    _say(f"seed {asked.seed}, commit {_commit()}")
    if asked.only is not None:
        each = given(TARGETS[names[0]], asked.seed, asked.only)
        _say(repr(each))
        _say(TARGETS[names[0]].take(each))
        return 0
    tallies = {name: Tally() for name in names}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = [
            pool.submit(_part, name, asked.seed, start, min(start + _PART, count))
            for name in names
            for count in [round(SHARES[name] * asked.times)]
            for start in range(0, count, _PART)
        ]
        for part in parts:
            name, tally = part.result()
            tallies[name].seconds += tally.seconds
            tallies[name].add(Tally(tally.inputs, 0.0, tally.outcomes, tally.failures))
    for name, tally in tallies.items():
        rate = tally.inputs / tally.seconds if tally.seconds else 0
        shown = ", ".join(
            f"{outcome} {count}" for outcome, count in sorted(tally.outcomes.items(), key=lambda each: -each[1])[:6]
        )
        _say(f"{name}: {tally.inputs} inputs, {rate:.0f} a second and core, {len(tally.failures)} failed ({shown})")
    for tally in tallies.values():
        for failure in tally.failures[:5]:
            _say(failure)
    total = sum(tally.inputs for tally in tallies.values())
    failed = sum(len(tally.failures) for tally in tallies.values())
    _say(f"{total} inputs, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
