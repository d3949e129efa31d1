"""The table of docs/operations.md: one row for each drill."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.drills.house import ROOT
from tests.drills.run import Row

DOCUMENT: Final = ROOT / "docs" / "operations.md"
BEGIN: Final = "<!-- drills: begin (written by `make drills`) -->"
END: Final = "<!-- drills: end -->"
HEAD: Final = (
    "what was broken",
    "what users were told",
    "`/readyz`",
    "log and alarms",
    "`jiesu up` meanwhile",
    "how it healed",
)
FAILED: Final = "**not as it must be**"


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [HEAD, ["---"] * len(HEAD), *rows])


def cells_of(row: Row) -> list[str]:
    """The cells of a row; what was not as it must be stands in the last."""
    failed = f"{FAILED}: {'; '.join(row.faults)}" if row.faults else ""
    cells = (row.name, row.users, row.ready, row.told, row.start, "; ".join(filter(None, (row.healed, failed))))
    return [cell.replace("|", "/").replace("\n", " ") or "-" for cell in cells]


def committed(document: Path = DOCUMENT) -> dict[str, list[str]]:
    """The cells of the document's table, by the name of the drill."""
    text = document.read_text("utf-8")
    inside = text.partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in inside.strip().splitlines()[2:]]
    return {cells[0]: cells for cells in rows}


def write(rows: Sequence[Row], names: Sequence[str], document: Path = DOCUMENT) -> None:
    """Puts these rows in the place of those of the same drills, in the order of all `names`; what has none of these goes.

    Raises ValueError if the document has no marks.
    """
    cells = committed(document) | {row.name: cells_of(row) for row in rows}
    before, begin, rest = document.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document.name} has no marks for the table")
    ordered = [cells[name] for name in names if name in cells]
    document.write_text(f"{before}{BEGIN}\n{table(ordered)}\n{END}{after}", "utf-8")
