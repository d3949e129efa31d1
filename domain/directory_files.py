"""Writes a directory as the CSV files from which `directory_csv.parse` reads the same directory."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from domain.directory import Directory
from domain.directory_sheets import COLUMNS, FURTHER, YES


def csv_files(directory: Directory) -> Mapping[str, str]:
    """The files by name. A file that may be missing, and a column that a file may lack, is there where it holds anything."""
    parts = {name: getattr(directory, name) for name in COLUMNS}
    return {f"{name}.csv": _file(name, items) for name, items in parts.items() if items or name not in FURTHER}


def _file(name: str, items: Sequence[Any]) -> str:
    wanted = [each.name for each in COLUMNS[name] if not each.further or any(_cell(item, each.name) for item in items)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(wanted)
    writer.writerows([_cell(item, column) for column in wanted] for item in items)
    return text.getvalue()


def _cell(item: Any, column: str) -> str:
    match column:
        case "from":
            value = item.period.start
        case "to":
            value = item.period.end
        case "manager":
            value = YES if item.manager else ""
        case _:
            value = getattr(item, column)
    return "" if value is None else str(value)
