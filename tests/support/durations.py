"""Seconds by test file: reads what ``pytest --durations=0 --durations-min=0.05`` printed, and writes docs/gate.md.

``PYTHONPATH=tests python -m support.durations before|after LOG`` takes one run's log as that column. The figures of both runs are kept in
durations.json beside this file, which also tells in which order the files run: the longest first (tests/conftest.py).
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
KEPT: Final = Path(__file__).with_name("durations.json")
PAGE: Final = ROOT / "docs" / "gate.md"
COLUMNS: Final = ("before", "after")
SHOWN: Final = 2.0
"""Seconds from which on a file has a line of its own."""
_LINE: Final = re.compile(r"^ *([0-9.]+)s (setup|call|teardown) +(\S+?\.py)::", re.MULTILINE)
_CLOSING: Final = re.compile(r"^=* ?[^=\n]* in ([0-9.]+)s(?: \([0-9:]+\))? ?=*$", re.MULTILINE)
_HEAD: Final = """# How long the gate takes

`.ci/run` is the gate: nothing is merged that it refuses. Each figure was printed by `make test` with
`PYTEST_ADDOPTS="--durations=0 --durations-min=0.05"` and put here by `python -m support.durations`. Seconds are summed over
the processes that run tests beside one another (two before, three after), and a wait counts as work, so all together are
more than the time that passes. Set-up is what fixtures take: servers that start, a crowd that is gathered.
"""


def read(log: str) -> dict[str, Any]:
    """One run: the seconds that passed, and by file those of set-up and of tests."""
    files: dict[str, list[float]] = {}
    for seconds, phase, file in _LINE.findall(log):
        both = files.setdefault(file, [0.0, 0.0])
        both[phase == "call"] += float(seconds)
    closing = _CLOSING.findall(log)
    return {
        "passed": round(float(closing[-1])) if closing else None,
        "files": {file: [round(each, 1) for each in both] for file, both in sorted(files.items())},
    }


def kept() -> dict[str, dict[str, Any]]:
    return json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}


def seconds(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What each file took last."""
    return {file: sum(both) for run in COLUMNS if run in runs for file, both in runs[run]["files"].items()}


def page(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """docs/gate.md: a line for the whole, one for each long file, and one for all others together."""
    shown = [run for run in COLUMNS if run in runs]
    names = sorted(
        {file for run in shown for file in runs[run]["files"]},
        key=lambda file: (-max(sum(_of(runs, run, file)) for run in shown), file),
    )
    long = [file for file in names if any(sum(_of(runs, run, file)) >= SHOWN for run in shown)]
    rows = [(f"`{file}`", [_of(runs, run, file) for run in shown]) for file in long]
    rest = [file for file in names if file not in long]
    rows.append((f"{len(rest)} other files", [_total(runs, run, rest) for run in shown]))
    rows.append(("all", [_total(runs, run, names) for run in shown]))
    head = " | ".join(f"{run}: set-up | {run}: tests" for run in shown)
    table = [f"| file | {head} |", "|---|" + "---:|" * (2 * len(shown))]
    table += [f"| {name} | {' | '.join(f'{each:.1f}' for both in cells for each in both)} |" for name, cells in rows]
    passed = [f"- {run}: the run took {runs[run]['passed']} s" for run in shown]
    return "\n".join([_HEAD, *passed, "", *table, ""])


def _of(runs: Mapping[str, Mapping[str, Any]], run: str, file: str) -> list[float]:
    return runs[run]["files"].get(file, [0.0, 0.0])


def _total(runs: Mapping[str, Mapping[str, Any]], run: str, files: list[str]) -> list[float]:
    return [sum(_of(runs, run, file)[n] for file in files) for n in (0, 1)]


def main(column: str, log: str) -> None:
    if column not in COLUMNS:
        raise SystemExit(f"the column is one of {', '.join(COLUMNS)}")
    runs = {**kept(), column: read(Path(log).read_text("utf-8", "replace"))}
    KEPT.write_text(json.dumps(runs, indent=1, sort_keys=True) + "\n", "utf-8")
    PAGE.write_text(page(runs), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])
