"""``jiesu export``: the issues that an organisation may see, or their timelines, as CSV or .xlsx for spreadsheets."""

from pathlib import Path
from typing import Annotated, Final

import typer

from audit.selection import SelectionError, moment_of
from cli.errors import Failure
from cli.issues import Org, Person, Role, Token, client_of
from cli.language import says
from cli.terminal import write_file
from domain.vocabulary import Category, Level, Status
from domain.wire import format_time

_ME: Final = "cli"
_DAY: Final = "A day such as 2026-11-01, or a time with its zone."


def register(app: typer.Typer) -> None:
    """Adds the subcommand to the main command."""
    app.command()(export)


def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write: .xlsx, or else CSV.")],
    *,
    timelines: Annotated[
        bool, typer.Option("--timelines", help="A line for each event instead of each issue.")
    ] = False,
    since: Annotated[str | None, typer.Option("--since", help=f"Reported since then. {_DAY}")] = None,
    until: Annotated[str | None, typer.Option("--until", help=f"Reported before then. {_DAY}")] = None,
    level: Annotated[Level | None, typer.Option(help="Only issues at this level.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only issues in this status.")] = None,
    compound: Annotated[str | None, typer.Option(help="Only issues of this compound.")] = None,
    category: Annotated[Category | None, typer.Option(help="Only issues of this category.")] = None,
    of: Annotated[str | None, typer.Option("--of", help="Only issues that this organisation leads or handles.")] = None,
    overdue: Annotated[
        bool | None, typer.Option("--overdue/--in-time", help="Only issues that are late, or not.")
    ] = None,
    query: Annotated[str | None, typer.Option("-q", "--query", help="A number, or words of place or text.")] = None,
    token: Token = None,
    person: Person = _ME,
    role: Role = None,
    org: Org = None,
) -> None:
    """Write issues, or their timelines, into a CSV or .xlsx file: those that the organisation may see, without personal data."""
    asked = {
        "of": "timelines" if timelines else "issues", "from": _moment(since), "until": _moment(until), "level": level,
        "status": status, "compound": compound, "category": category, "org": of,
        "overdue": None if overdue is None else str(overdue).lower(), "q": query,
    }  # fmt: skip
    with client_of(token, person, role, org, needs=True) as client:
        form = "xlsx" if output.suffix.lower() == ".xlsx" else "csv"
        content = client.sheet(form, {name: value for name, value in asked.items() if value is not None})
    write_file(output, content)
    typer.echo(says("written", file=output))


def _moment(text: str | None) -> str | None:
    try:
        return None if text is None else format_time(moment_of(text))
    except SelectionError:
        raise Failure(says("wrong-time", text=repr(text))) from None
