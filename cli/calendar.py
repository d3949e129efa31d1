"""Subcommands about working days: `jiesu calendar list`, `check` and `publish`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from calendars import SHIPPED, CalendarError, load_all, load_file, load_place
from cli.database import exists, opened
from cli.errors import Failure
from cli.system import calendars_in_files, run, settings
from cli.terminal import AsJson, add_row, make_table, print_json
from db.published import read
from domain.pins import newest
from domain.wire import format_time
from domain.worktime import YearCalendar
from runtime.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_MOST_DAYS: Final = 10
"""How many days a line names at most."""


@app.command("list")
def list_calendars(as_json: AsJson = False) -> None:
    """List the calendars that are known here: of each year the one that new issues get, and those that it replaced."""
    found = run(_known(settings()))
    if as_json:
        print_json(found)
        return
    table = make_table("year", "version", "from", "off", "on", "in force", "source", wraps={"source": None})
    for each in found:
        in_force = "yes" if each["in_force"] else "no"
        add_row(table, each["year"], each["version"], each["from"], each["off"], each["on"], in_force, each["source"])
    Console().print(table)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="calendars in JSON, like the shipped ones")],
    as_json: AsJson = False,
) -> None:
    """Check calendar files; reads nothing else. Prints every mistake, and exits with 1 if there is any.

    Names the days that are not as in the shipped calendar of the year.
    """
    shipped = load_all()
    sound: list[tuple[Path, YearCalendar]] = []
    errors: list[CalendarError] = []
    for file in files:
        try:
            sound += [(file, calendar) for calendar in load_file(file)]
        except CalendarError as error:
            errors.append(error)
    if as_json:
        heads = [{"file": str(file), **_head(calendar), **_changes(calendar, shipped)} for file, calendar in sound]
        print_json({"calendars": heads, "problems": [problem for error in errors for problem in error.problems]})
    else:
        for file, calendar in sound:
            typer.echo(f"{file}: {_described(calendar, shipped)}")
        for error in errors:
            typer.echo(error, err=True)
    if errors:
        raise typer.Exit(1)


@app.command()
def publish(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="One calendar, or one for each year that a notice touches.")
    ],
    by: Annotated[str | None, typer.Option(help="Who publishes it; kept beside the calendar.")] = None,
) -> None:
    """Store calendars for new issues, and send them to the open ones, whose deadlines are worked out anew.

    If it broke off, run it again: it goes on.
    """
    from cli.publish import publish as work

    try:
        calendars = load_file(file)
    except CalendarError as error:
        raise Failure(str(error)) from None
    chosen = settings()
    done = run(work(chosen, calendars, calendars_in_files(chosen), by))
    for calendar in calendars:
        typer.echo(_described(calendar, done.known))
    again = "" if done.is_new else ", as before"
    typer.echo(f"new issues get it{again}; sent to {done.told} open issues")
    if done.unreached:
        raise Failure(f"{done.unreached} open issues were not reached: run the same again")


async def _known(chosen: Settings) -> list[dict[str, Any]]:
    """What is known of every calendar: its head, where it comes from, and whether new issues get it."""
    found: list[tuple[YearCalendar, dict[str, Any]]] = [(each, {"from": "shipped"}) for each in load_place(SHIPPED)]
    if chosen.calendars is not None:
        found += [(each, {"from": "file"}) for each in load_place(chosen.calendars)]
    if not exists(chosen):
        typer.echo("no database yet, so nothing was published here", err=True)
    else:
        async with opened(chosen) as database, database.read() as session:
            for each in await session.run_sync(read):
                said = {"from": "published", "published_at": format_time(each.at), "published_by": each.by}
                found.append((each.calendar, said))
    in_force = newest(calendar for calendar, _ in found)
    found.sort(key=lambda each: (each[0].year, each[0].version))
    return [
        {**_head(calendar), **said, "in_force": any(each is calendar for each in in_force)} for calendar, said in found
    ]


def _head(calendar: YearCalendar) -> dict[str, Any]:
    return {
        "year": calendar.year, "version": calendar.version, "off": len(calendar.off), "on": len(calendar.on),
        "source": calendar.source,
    }  # fmt: skip


def _changes(calendar: YearCalendar, known: Iterable[YearCalendar]) -> dict[str, Any]:
    """The days that are free, and those that are worked, other than by the known calendar of the year."""
    for each in known:
        if each.year == calendar.year:
            days = sorted({*calendar.off, *calendar.on, *each.off, *each.on})
            changed = [day for day in days if calendar.is_working(day) is not each.is_working(day)]
            worked = [str(day) for day in changed if calendar.is_working(day)]
            return {
                "against": each.version,
                "freed": [str(day) for day in changed if str(day) not in worked],
                "worked": worked,
            }
    return {}


def _described(calendar: YearCalendar, known: Iterable[YearCalendar]) -> str:
    head, changes = _head(calendar), _changes(calendar, known)
    said = f"{calendar.year} version {calendar.version}: {head['off']} off, {head['on']} on"
    for name in ("freed", "worked"):
        if days := changes.get(name):
            more = f" and {len(days) - _MOST_DAYS} more" if len(days) > _MOST_DAYS else ""
            said += f"; {name} against version {changes['against']}: {' '.join(days[:_MOST_DAYS])}{more}"
    return said
