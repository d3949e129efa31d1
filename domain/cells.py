"""Writes CSV files that spreadsheets open rightly, and that run no text that people typed as a formula."""

import csv
import io
import re
from collections.abc import Iterable
from typing import Final

Cell = str | int | float
_FORMULA: Final = re.compile(r"[\s\ufeff\u200b]*[=+\-@\t\r\n＝＋－﹣−＠]")


def neutral(cell: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet could read it as a formula (full-width signs count)."""
    return f"'{cell}" if _FORMULA.match(cell) or cell[:1] in ("\t", "\r", "\n") else cell


class Sheet:
    """A CSV file in the making. Texts are made `neutral`; numbers stay numbers.

    Its text begins with a byte order mark, by which spreadsheets recognise UTF-8. Write it with ``newline=""``, since it
    holds its own line ends.
    """

    def __init__(self) -> None:
        self._out = io.StringIO()
        self._out.write("\ufeff")
        self._writer = csv.writer(self._out)

    def add(self, cells: Iterable[Cell]) -> None:
        self._writer.writerow([neutral(each) if isinstance(each, str) else each for each in cells])

    @property
    def text(self) -> str:
        return self._out.getvalue()
