"""Options and output that subcommands share: JSON, tables, files, and texts without control characters."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from cli.errors import Failure
from domain.worktime import SHANGHAI

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IssueId = Annotated[
    str, typer.Argument(metavar="ISSUE", help="The id of an issue, its number (JS-...), or `mine` with --code.")
]


def print_json(plain: object) -> None:
    typer.echo(json.dumps(plain, ensure_ascii=False, indent=2))


def write_file(file: Path, content: str | bytes) -> None:
    """Writes a file, a text as UTF-8 with the line ends that it has. Raises Failure if it cannot be written."""
    try:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from None


def plain_line(text: object) -> str:
    """The text on one line, without control characters: a text that somebody wrote must not control the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in str(text)).strip()


def add_row(table: Table, *cells: object, style: str | None = None) -> None:
    """Adds a row to the table; cells may hold any text, since control characters and markup lose their effect."""
    table.add_row(*(escape(plain_line(cell)) for cell in cells), style=style)


def make_table(*headers: str, wraps: Mapping[str, int | None]) -> Table:
    """A table for a terminal of 80 columns. Only the columns in `wraps` wrap, down to the width given there."""
    columns = (
        Column(header, overflow="fold", no_wrap=header not in wraps, min_width=wraps.get(header)) for header in headers
    )
    return Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def local(moment: datetime | str) -> str:
    """The time in Shanghai as ``2026-09-30 16:00:00``; `moment` is a datetime or RFC 3339."""
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return found.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
