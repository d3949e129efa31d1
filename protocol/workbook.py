"""Writes .xlsx files row by row: what is in memory does not grow with the file, and no text becomes a formula or a link."""

import contextlib
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Final

from xlsxwriter import Workbook  # pyright: ignore[reportMissingTypeStubs]
from xlsxwriter.exceptions import XlsxWriterException  # pyright: ignore[reportMissingTypeStubs]

from texts.catalogue import Wrong

Value = str | int | float | datetime
"""What a cell may hold: a text stays a text, whatever it begins with; a time has no zone."""
MOST_ROWS: Final = 1_048_576
"""As many rows has a sheet: what comes behind them would be lost without a word."""
_WIDTH: Final = 20


class FullError(Wrong):
    """A sheet has no room for a further row, or a cell for this text."""


class Book:
    """A workbook with one sheet in the making, in a folder of temporary files. Close it, also after an error.

    Texts have the format of texts: a spreadsheet takes them for nothing else either when somebody edits the cell.
    """

    def __init__(self, name: str, header: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="jiesu-xlsx-")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever is given it closes it
        self._book = Workbook(self._file, {"constant_memory": True, "tmpdir": self._folder.name})
        self._text = self._book.add_format({"num_format": "@"})  # pyright: ignore[reportUnknownMemberType]
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})  # pyright: ignore[reportUnknownMemberType]
        self._sheet = self._book.add_worksheet(name)  # pyright: ignore[reportUnknownMemberType]
        self._sheet.set_column(0, len(header) - 1, _WIDTH)  # a time in a narrow column is shown as ####
        self._sheet.freeze_panes(1, 0)
        self._rows, self._is_finished = 0, False
        self.add([header])

    def add(self, rows: Iterable[Sequence[Value]]) -> None:
        """Adds rows. Raises FullError, and OSError if there is no room for the file."""
        for row in rows:
            if self._rows == MOST_ROWS:
                raise FullError("sheet-full", most=MOST_ROWS)
            for n, value in enumerate(row):
                self._put(n, value)
            self._rows += 1

    def _put(self, n: int, value: Value) -> None:
        # Never `write`, which guesses: it makes formulas and links of texts.
        match value:
            case str():
                # The library cuts a text that is too long for a cell, counted in UTF-16, and says so by its answer only.
                if value and self._sheet.write_string(self._rows, n, value, self._text) != 0:
                    raise FullError("cell-full")
            case datetime():
                self._sheet.write_datetime(self._rows, n, value, self._time)
            case _:
                self._sheet.write_number(self._rows, n, value)

    def finished(self) -> IO[bytes]:
        """The file, to be read from its beginning, which nobody else can open. Raises OSError."""
        try:
            self._book.close()
        except XlsxWriterException as error:
            raise OSError(str(error)) from None
        self._file.seek(0)
        self._is_finished = True
        return self._file

    def close(self) -> None:
        """Deletes the temporary files, but not the file that was `finished`."""
        if not self._is_finished:
            with contextlib.suppress(OSError, XlsxWriterException):  # the library lets go of its files at its end only
                self._book.close()
            self._file.close()
        self._folder.cleanup()
