"""`make drills`: runs every drill, or those named, and writes their rows of docs/operations.md; exits with 1 if one is not as it must be."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import structlog

from tests.drills.plan import DRILLS
from tests.drills.run import Row, Stock, run
from tests.drills.table import write
from tests.drills.template import build

_APART: Final = "JIESU_TEST_DRILLS_APART"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="drills whose name holds one of these; all without any"
    )
    parser.add_argument(
        "--running", action="store_true", help="break running homes only, and start none that is broken"
    )
    given = parser.parse_args()
    _apart()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # of what runs in this process
    chosen = [drill for drill in DRILLS if not given.names or any(name in drill.name for name in given.names)]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="jiesu-drills-") as folder:
        template = Path(folder) / "template"
        for row in run(chosen, Stock(Path(folder), template, build(template), _print), starts=not given.running):
            rows.append(row)
            _say(row)
    write(rows, [drill.name for drill in DRILLS])
    return 1 if any(row.faults for row in rows) else 0


def _apart() -> None:
    """Goes on in a mount namespace of its own, so that no disk of a drill outlives this program."""
    if os.environ.get(_APART):
        return
    asked = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    words = [*asked, sys.executable, "-m", "tests.drills", *sys.argv[1:]]
    os.execvpe(words[0], words, {**os.environ, _APART: "1"})


def _say(row: Row) -> None:
    lines = [f"{row.name}", f"  users   {row.users}", f"  readyz  {row.ready}", f"  told    {row.told}",
             f"  start   {row.start}", f"  healed  {row.healed}", *(f"  FAULT   {fault}" for fault in row.faults)]  # fmt: skip
    _print("\n".join(lines))


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
