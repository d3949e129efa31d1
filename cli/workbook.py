"""Reads spreadsheets (.xlsx) as sheets of text, so that the directory's parser judges each cell."""

import re
import zipfile
import zlib
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Final
from xml.parsers import expat

from python_calamine import CalamineError, load_workbook

from cli.errors import Failure
from cli.terminal import plain_line
from domain.directory_sheets import Table

_MOST_BYTES: Final = 100 * 1024 * 1024
"""How large what a file unpacks to may be: a small file may hold any amount of nothing."""
_MOST_CELLS: Final = 5_000_000
"""How many cells the sheets may span. The reader holds every cell of a sheet up to its last row and column in memory, so two
cells far from each other would be more than any machine has."""
_EXACT: Final = 10**15
"""From here on spreadsheets round whole numbers."""
_CUT: Final = 10**8
"""A long number that ends in so many zeros was most likely shown as 1.38E+10, saved so, and read back."""

_PLACE: Final = re.compile(r"([A-Z]+)([0-9]+)", re.IGNORECASE | re.ASCII)

Value = int | float | str | bool | date | time | timedelta


def sheets(file: Path) -> Mapping[str, Table]:
    """The sheets of a workbook by name, in its order. Raises Failure."""
    try:
        with zipfile.ZipFile(file) as packed:
            if sum(part.file_size for part in packed.infolist()) > _MOST_BYTES:
                raise Failure(f"{file} unpacks to more than {_MOST_BYTES // 1024**2} MB")
            if sum(_Extent(part.filename, packed.read(part)).cells for part in packed.infolist()) > _MOST_CELLS:
                raise Failure(
                    f"{file} spans more than {_MOST_CELLS} cells: delete what stands far below or to the right"
                )
        book = load_workbook(file)
        return {
            name: [[_text(value) for value in row] for row in book.get_sheet_by_name(name).to_python(False)]
            for name in book.sheet_names
        }
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, CalamineError) as error:
        raise Failure(f"{file} is no .xlsx that can be read: {error}") from None
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from None


class _Extent:
    """How many `cells` a part of a workbook spans, from its first cell to the last row and column that hold anything.

    Which parts are sheets only the reader knows: others span nothing. Raises Failure for a sheet that is no XML, of which
    the reader may read more than can be seen here.
    """

    def __init__(self, name: str, part: bytes) -> None:
        self.cells = self._row = self._column = self._last_row = self._last_column = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._begin
        try:
            parser.Parse(part, True)
        except (expat.ExpatError, ValueError) as error:
            if b"sheetData" in part:
                raise Failure(f"{plain_line(name)} in it is no XML: {error}") from None

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """Follows the position as the reader does: cells and rows that do not say where they are come next."""
        match name.rpartition(" ")[2], attributes.get("r"):
            case "row", place:
                self._row, self._column = int(place) if place and place.isdecimal() else self._row + 1, 0
            case "c", place:
                found = _PLACE.fullmatch(place or "")
                self._column = _number(found[1]) if found else self._column + 1
                self._row = int(found[2]) if found else self._row
            case "v" | "is", _:
                self._last_row, self._last_column = max(self._last_row, self._row), max(self._last_column, self._column)
                self.cells = self._last_row * self._last_column
            case _:
                pass


def _number(letters: str) -> int:
    """The number of a column: 28 for AB."""
    return reduce(lambda number, letter: number * 26 + ord(letter) - 64, letters.upper(), 0)


def _text(value: Value) -> str:
    """What somebody would type for the value of a cell: a date as 2026-01-31, a whole number without a point.

    A number that lost digits, or seems to have, keeps its form with an exponent, which no code and no phone has.
    """
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        if not float(value).is_integer():  # nor are infinity and NaN
            return repr(value)
        is_cut = abs(value) >= _EXACT or (abs(value) >= 100 * _CUT and int(value) % _CUT == 0)
        return f"{Decimal(int(value)).normalize():E}" if is_cut else str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)
