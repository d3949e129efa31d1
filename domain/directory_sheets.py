"""Parses one CSV file of the directory into rows and checks each cell.

Conditions between rows are checked in `domain.directory_csv`.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, get_args

from domain.directory import ANY
from domain.vocabulary import CATEGORIES, ROLES, OperatorKind

Cells = Mapping[str, str]
Syntax = Callable[[str], str | None]
"""Checks a cell that is not empty; returns the mistake, or None if it is valid."""

LONGEST: Final = 200
ORGS: Final = ("operators", "communities", "streets", "departments")
PLACES: Final = ("compounds", "grids", "communities", "streets")


@dataclass(frozen=True)
class Problem:
    """One mistake; `line` is None if it concerns the whole file."""

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        name = self.file if self.file.isprintable() else ascii(self.file)
        return f"{name}: {self.reason}" if self.line is None else f"{name}:{self.line}: {self.reason}"


def _like(pattern: str, reason: str) -> Syntax:
    compiled = re.compile(pattern)
    return lambda cell: None if compiled.fullmatch(cell) else reason


def _one_of(allowed: Collection[str]) -> Syntax:
    return lambda cell: None if cell in allowed else f"is not one of {', '.join(allowed)}"


def _text(_: str) -> None:
    """Accepts any text."""


def _dated(cell: str) -> str | None:
    return None if day(cell) else "is not a date of the form 2026-01-31"


def _place(cell: str) -> str | None:
    return None if cell == ANY else _code(cell)


_code = _like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "is not a code (up to 64 ASCII letters, digits, dots, - and _)")
_policy = _like(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}", "is not a policy id")
# Spreadsheets turn long codes into 3.2E+11; such a truncated code must not be accepted.
_division = _like(r"[0-9]{1,12}", "is not a division code (up to 12 digits)")
_count = _like(r"[1-9][0-9]{0,4}", "is not a number from 1 to 99999")


@dataclass(frozen=True)
class Column:
    """A column of one file, and the check of its cells."""

    name: str
    syntax: Syntax = _text
    required: bool = True
    refers: tuple[str, ...] = ()
    """The files of which one must define the code in the cell; empty if the cell refers to nothing."""


_CODE, _NAME = Column("code", _code), Column("name")
_DIVISION = Column("division_code", _division, required=False)
_STREET = Column("street", _code, refers=("streets",))
_COMMUNITY = Column("community", _code, refers=("communities",))
_FROM, _TO = Column("from", _dated, required=False), Column("to", _dated, required=False)

COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "streets": (_CODE, _NAME, _DIVISION),
    "communities": (_CODE, _NAME, _STREET, _DIVISION),
    "grids": (_CODE, _NAME, _COMMUNITY),
    "compounds": (
        _CODE,
        _NAME,
        _COMMUNITY,
        Column("grid", _code, required=False, refers=("grids",)),
        Column("buildings", _count, required=False),
    ),
    "operators": (_CODE, _NAME, Column("kind", _one_of(get_args(OperatorKind)))),
    "departments": (_CODE, _NAME, _STREET),
    "contracts": (
        Column("operator", _code, refers=("operators",)),
        Column("compound", _code, refers=("compounds",)),
        _FROM,
        _TO,
    ),
    "appointments": (
        Column("person"),
        Column("role", _one_of([role for role in ROLES if role != "resident"])),
        Column("org", _code, refers=ORGS),
        _FROM,
        _TO,
    ),
    "bindings": (
        Column("place", _place, refers=PLACES),
        Column("category", _one_of([*CATEGORIES, ANY])),
        Column("policy", _policy),
        _FROM,
        _TO,
    ),
}


@dataclass(frozen=True)
class Row:
    """A row of a file: its cells by column, and the mistakes in them."""

    line: int
    cells: Cells
    problems: tuple[str, ...]


def read(name: str, content: str | bytes) -> tuple[tuple[Row, ...], Problem | None]:
    """The rows of one file, and the mistake that stopped reading, if any."""
    file = f"{name}.csv"
    try:
        text = content if isinstance(content, str) else content.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return (), Problem(file, line, "is not UTF-8 (save the file as CSV UTF-8)")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[Row] = []
    line = 1
    try:
        if reason := _header(name, [cell.strip() for cell in next(reader, list[str]())]):
            return (), Problem(file, line, reason)
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip(" \t\r\n") for cell in cells):  # spreadsheets leave rows of bare commas behind
                rows.append(_row(name, line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        return tuple(rows), Problem(file, line, f"is not CSV: {error}")
    return tuple(rows), None


def _header(name: str, found: list[str]) -> str | None:
    wanted = [column.name for column in COLUMNS[name]]
    if found == wanted:
        return None
    reasons = [f"the header must be {','.join(wanted)}"]
    if missing := [each for each in wanted if each not in found]:
        reasons.append(f"missing {', '.join(missing)}")
    if extra := [each for each in found if each not in wanted]:
        reasons.append(f"unknown {', '.join(map(shown, extra))}")
    return "; ".join(reasons)


def _row(name: str, line: int, cells: list[str]) -> Row:
    columns = COLUMNS[name]
    problems: list[str] = []
    if len(cells) != len(columns):
        problems.append(f"has {len(cells)} cells instead of {len(columns)}")
        cells = [
            cells[0],
            *([""] * len(columns)),
        ]  # its code still counts as defined, so references to it are no mistakes
    stripped = {column.name: cell.strip(" \t\u3000") for column, cell in zip(columns, cells, strict=False)}
    if not problems:
        problems += (
            f"{column.name}: {reason}" for column in columns if (reason := _wrong(column, stripped[column.name]))
        )
    if not problems and "from" in stripped and (reason := _wrong_period(stripped)):
        problems.append(reason)
    return Row(line, stripped, tuple(problems))


def _wrong(column: Column, cell: str) -> str | None:
    if not cell:
        return "is empty" if column.required else None
    if len(cell) > LONGEST:
        return f"is longer than {LONGEST} characters"
    # Control characters, surrogates, and invisible characters that reverse text or hide in a name.
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in cell):
        return f"{shown(cell)} holds a control character"
    reason = column.syntax(cell)
    return f"{shown(cell)} {reason}" if reason else None


def _wrong_period(cells: Cells) -> str | None:
    start, end = day(cells["from"]), day(cells["to"])
    return f"to: {end} is not after {start}" if start and end and end <= start else None


def shown(cell: str) -> str:
    """The cell in quotes, truncated, with characters escaped that could corrupt a terminal or a log."""
    return repr(cell if len(cell) <= 40 else f"{cell[:40]}...")


def day(cell: str) -> date | None:
    """The date of a cell; None if it is empty or not a date."""
    try:  # fromisoformat alone would also take 20260131 and 2026-W05-6
        return date.fromisoformat(cell) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cell) else None
    except ValueError:
        return None
