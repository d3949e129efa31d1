"""What subcommands print: JSON, tables, and texts that cannot steer a terminal."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from domain.vocabulary import LABELS
from domain.worktime import SHANGHAI

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(plain: object) -> None:
    typer.echo(json.dumps(plain, ensure_ascii=False, indent=2))


def plain_line(text: object) -> str:
    """The text on one line and without control characters: what people wrote must not steer a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in str(text)).strip()


def add_row(table: Table, *cells: object, style: str | None = None) -> None:
    """Adds a row of texts that may hold anything."""
    table.add_row(*(escape(plain_line(cell)) for cell in cells), style=style)


def make_table(*headers: str, wraps: Mapping[str, int | None]) -> Table:
    """A table that fits a terminal of 80 columns: only the columns of `wraps` are broken, and stay as wide as it says."""
    columns = (
        Column(header, overflow="fold", no_wrap=header not in wraps, min_width=wraps.get(header)) for header in headers
    )
    return Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def local(moment: datetime | str) -> str:
    """A moment in Shanghai, as people write it."""
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return found.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def label(word: str) -> str:
    """What people call a word of the vocabulary; any other as it is."""
    return LABELS.get(word, word)
