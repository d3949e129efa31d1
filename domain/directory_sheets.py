"""Parses one file of the directory, CSV or the cells of a spreadsheet, into rows and checks each cell.

Conditions between rows are checked in `domain.directory_csv`.
"""

import csv
import io
import re
import string
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, get_args

from domain.directory import ANY
from domain.phone_numbers import mobile
from domain.vocabulary import CATEGORIES, ROLES, OperatorKind

Table = Sequence[Sequence[str]]
"""A sheet of a spreadsheet: its rows from the first on, each cell as text."""
Cells = Mapping[str, str]
Syntax = Callable[[str], str | None]
"""Checks a cell that is not empty; returns the mistake, or None if it is valid."""

Encoding = Literal["utf-8", "gb18030"]
LONGEST: Final = 200
YES: Final = "yes"
"""In a column that is a mark, what is there if it is set."""
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


_WIDE: Final = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
"""Full-width signs of ASCII, as Chinese keyboards type them. In a name only letters and digits are replaced: brackets belong there."""
_WIDE_WORDS: Final = {wide: sign for wide, sign in _WIDE.items() if chr(sign).isalnum()}
_BLANKS: Final[Mapping[int, str]] = dict.fromkeys((0x00A0, 0x2007, 0x202F, 0x3000), " ")
_LETTERS: Final = string.ascii_uppercase
_CUT: Final = re.compile(r"[0-9]([.,][0-9]+)?E\+?[0-9]+", re.IGNORECASE | re.ASCII)
_CUT_SHORT: Final = "is a number that a spreadsheet has cut short (make the cells text, then enter it anew)"
_code = _like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "is not a code (up to 64 ASCII letters, digits, dots, - and _)")
_policy = _like(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}", "is not a policy id")
# Spreadsheets turn long codes into 3.2E+11; such a truncated code must not be accepted.
_division = _like(r"[0-9]{1,12}", "is not a division code (up to 12 digits)")


_subject = _like(r"[A-Za-z0-9][!-~]{0,199}", "is not the code of a person (ASCII letters, digits and signs, no blanks)")


def _person(cell: str) -> str | None:
    return _CUT_SHORT if _CUT.fullmatch(cell) else _subject(cell)


def _phone(cell: str) -> str | None:
    if _CUT.fullmatch(cell):
        return _CUT_SHORT
    return None if mobile(cell) or concealed(cell) else "is no Chinese mobile number"


def concealed(phone: str) -> bool:
    """Whether the cell holds the pseudonym that is kept of a phone, as an export of the directory writes it."""
    return re.fullmatch(r"r-[a-z2-7]{26}", phone) is not None


_number = _like(r"\+?[0-9][0-9 -]{2,23}", "is not a phone number (3 to 24 digits, blanks and hyphens)")


def _duty(cell: str) -> str | None:
    return _CUT_SHORT if _CUT.fullmatch(cell) else _number(cell)


_count = _like(r"[1-9][0-9]{0,4}", "is not a number from 1 to 99999")


@dataclass(frozen=True)
class Column:
    """A column of one file, and the check of its cells."""

    name: str
    syntax: Syntax = _text
    required: bool = True
    further: bool = False
    """Whether a file stays valid without this column."""
    refers: tuple[str, ...] = ()
    """The files of which one must define the code in the cell; empty if the cell refers to nothing."""


_CODE, _NAME = Column("code", _code), Column("name")
_DIVISION = Column("division_code", _division, required=False)
_STREET = Column("street", _code, refers=("streets",))
_COMMUNITY = Column("community", _code, refers=("communities",))
_FROM, _TO = Column("from", _dated, required=False), Column("to", _dated, required=False)
_DUTY = Column("duty_phone", _duty, required=False, further=True)

COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "streets": (_CODE, _NAME, _DIVISION, _DUTY),
    "communities": (_CODE, _NAME, _STREET, _DIVISION, _DUTY),
    "grids": (_CODE, _NAME, _COMMUNITY),
    "compounds": (
        _CODE,
        _NAME,
        _COMMUNITY,
        Column("grid", _code, required=False, refers=("grids",)),
        Column("buildings", _count, required=False),
    ),
    "buildings": (Column("compound", _code, refers=("compounds",)), _CODE, _NAME),
    "operators": (_CODE, _NAME, Column("kind", _one_of(get_args(OperatorKind))), _DUTY),
    "departments": (_CODE, _NAME, _STREET, _DUTY),
    "contracts": (
        Column("operator", _code, refers=("operators",)),
        Column("compound", _code, refers=("compounds",)),
        _FROM,
        _TO,
    ),
    "appointments": (
        Column("person", _person),
        Column("role", _one_of([role for role in ROLES if role != "resident"])),
        Column("org", _code, refers=ORGS),
        _FROM,
        _TO,
        Column("name", required=False, further=True),
        Column("manager", _one_of((YES,)), required=False, further=True),
        Column("phone", _phone, required=False, further=True),
    ),
    "bindings": (
        Column("place", _place, refers=PLACES),
        Column("category", _one_of([*CATEGORIES, ANY])),
        Column("policy", _policy),
        _FROM,
        _TO,
    ),
}

FURTHER: Final = frozenset({"buildings"})
"""The files without which a directory stays valid."""


@dataclass(frozen=True)
class Row:
    """A row of a file: its cells by column, and the mistakes in them."""

    line: int
    cells: Cells
    problems: tuple[str, ...]


def read(
    name: str, content: str | bytes | Table, encoding: Encoding = "utf-8"
) -> tuple[tuple[Row, ...], Problem | None]:
    """The rows of one file, and the mistake that stopped reading, if any. `encoding` is that of bytes."""
    file = f"{name}.csv"
    if not isinstance(content, str | bytes):
        return _read_table(name, content)
    text = content if isinstance(content, str) else _decoded(file, content, encoding)
    if isinstance(text, Problem):
        return (), text
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[Row] = []
    line = 1
    try:
        header = [_clean(cell) for cell in next(reader, list[str]())]
        if reason := _header(name, header):
            return (), Problem(file, line, reason)
        columns = _columns(name, header)
        line = reader.line_num + 1
        for cells in reader:
            if any(map(_clean, cells)):  # spreadsheets leave rows of bare commas behind
                rows.append(_row(columns, line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        return tuple(rows), Problem(file, line, f"is not CSV: {error}")
    return tuple(rows), None


def _decoded(file: str, content: bytes, encoding: Encoding) -> str | Problem:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        hint = "save the file as CSV UTF-8, or name its encoding" if encoding == "utf-8" else "name its encoding"
        return Problem(file, line, f"is not {encoding.upper()} ({hint})")
    # UTF-8 nearly always reads as GB18030, too, as other signs; a directory must not get these for names.
    if encoding == "utf-8" or content.isascii() or not _is_utf_8(content):
        return text
    return Problem(file, None, f"reads as UTF-8 as well as {encoding.upper()}: save it as UTF-8 and name no encoding")


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_table(name: str, table: Table) -> tuple[tuple[Row, ...], Problem | None]:
    header = _trimmed([_clean(cell) for cell in table[0]]) if table else []
    if reason := _header(name, header):
        return (), Problem(f"{name}.csv", 1, reason)
    rows: list[Row] = []
    for line, cells in enumerate(table[1:], 2):
        filled = _trimmed([*map(_clean, cells)])
        if filled:
            padded = [*cells[: len(filled)], *[""] * (len(header) - len(filled))]
            rows.append(_row(_columns(name, header), line, padded, lettered=True))
    return tuple(rows), None


def _trimmed(cells: list[str]) -> list[str]:
    """The cells up to the last that is not empty: a sheet is as wide as its widest row."""
    return cells[: max((n for n, cell in enumerate(cells, 1) if cell), default=0)]


def _columns(name: str, header: Collection[str]) -> list[Column]:
    return [column for column in COLUMNS[name] if not column.further or column.name in header]


def _clean(cell: str) -> str:
    return cell.translate(_BLANKS).strip(" \t\r\n")


def _header(name: str, found: list[str]) -> str | None:
    wanted = [column.name for column in COLUMNS[name] if not column.further or column.name in found]
    if found == wanted:
        return None
    reasons = [f"the header must be {','.join(wanted)}"]
    if missing := [each for each in wanted if each not in found]:
        reasons.append(f"missing {', '.join(missing)}")
    if extra := [each for each in found if each not in wanted]:
        reasons.append(f"unknown {', '.join(map(shown, extra))}")
    return "; ".join(reasons)


def _row(columns: Sequence[Column], line: int, cells: list[str], *, lettered: bool = False) -> Row:
    """A row of these cells; `lettered`: a mistake names its cell as a spreadsheet does (``F7``)."""
    problems: list[str] = []
    if len(cells) != len(columns):
        problems.append(f"has {len(cells)} cells instead of {len(columns)}")
        cells = [
            cells[0],
            *([""] * len(columns)),
        ]  # its code still counts as defined, so references to it are no mistakes
    stripped = {
        column.name: cell.translate(_BLANKS).strip(" \t").translate(_WIDE_WORDS if column.syntax is _text else _WIDE)
        for column, cell in zip(columns, cells, strict=False)
    }
    if not problems:
        problems += (
            f"{column.name}{f' ({_LETTERS[n]}{line})' if lettered else ''}: {reason}"
            for n, column in enumerate(columns)
            if (reason := _wrong(column, stripped[column.name]))
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


def fits(sheet: str, column: str, cell: str) -> bool:
    """Whether a cell of this column may hold that, whatever the other rows hold."""
    (found,) = (each for each in COLUMNS[sheet] if each.name == column)
    return _wrong(found, cell) is None


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
