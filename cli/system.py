"""Subcommands that run and look after an installation: up, worker, api, token, directory, db, calendar, rebuild."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from cli.errors import Failure
from cli.up import EmbeddedError
from db.pinned import MissingError
from runtime.home import HomeBusy
from runtime.observability import configure_logging
from runtime.settings import Settings, SettingsError, load_settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings() -> Settings:
    """The settings of this process, or the one line that says what is wrong with them."""
    try:
        return load_settings()
    except SettingsError as error:
        raise Failure(str(error)) from None


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs to the end; what the operator can mend becomes one line."""
    try:
        return asyncio.run(work)
    except (SettingsError, EmbeddedError, HomeBusy, RPCError, SQLAlchemyError, MissingError, OSError) as error:
        raise Failure(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__) from None


def register(app: typer.Typer) -> None:
    """Adds the subcommands to the main command."""
    app.command()(up)
    app.command()(worker)
    app.command()(api)
    app.command()(token)
    app.command()(rebuild)
    for name, commands, text in (
        ("directory", {"import": directory_import}, "Places, operators, appointments and bindings."),
        ("db", {"upgrade": db_upgrade}, "The read model."),
        ("calendar", {"publish": calendar_publish}, "Working days."),
    ):
        group = typer.Typer(help=text, no_args_is_help=True)
        for command, function in commands.items():
            group.command(command)(function)
        app.add_typer(group, name=name)


def up(
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start without a worker: commands queue.")] = False,
) -> None:
    """Start everything on this machine: Temporal's dev server, SQLite, the worker and the API."""
    from cli.install import prepare_home
    from cli.up import up as start

    chosen = settings()
    configure_logging(chosen.log_level, chosen.log_format)
    run(start(chosen, worker=not no_worker, announce=typer.echo, prepare=partial(prepare_home, chosen, typer.echo)))


def worker() -> None:
    """Run one worker."""
    from worker import serve

    chosen = settings()
    configure_logging(chosen.log_level, chosen.log_format)
    run(serve(chosen))


def api() -> None:
    """Run one API process."""
    from api.server import serve
    from calendars import load_all
    from policies.loader import shipped

    chosen = settings()
    configure_logging(chosen.log_level, chosen.log_format)
    run(serve(chosen, {policy.id: policy for policy in shipped()}, load_all()))


def token(
    person: Annotated[str, typer.Option(help="Who: any name; becomes the actor of the commands.")],
    role: Annotated[str, typer.Option(help="resident, property, community, street, department, volunteer, ...")],
    org: Annotated[str | None, typer.Option(help="The organisation for which the person acts.")] = None,
) -> None:
    """Print a token for 12 hours, on one line. For the embedded default: it is its own grant."""
    from cli.tokens import make

    typer.echo(run(make(settings(), person, role, org)))


def directory_import(
    folder: Annotated[Path, typer.Argument(help="The folder with the nine CSV files.")],
) -> None:
    """Replace the directory by the files of a folder: all or nothing."""
    from cli.install import import_directory

    counts = run(import_directory(settings(), folder))
    typer.echo(f"imported from {folder}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


def db_upgrade() -> None:
    """Bring the database to the schema of this version, and give the key store its tables."""
    from cli.install import prepare_key_store
    from db.upgrade import upgrade

    chosen = settings()
    try:
        chosen.home.mkdir(parents=True, exist_ok=True)
        upgrade(chosen.database)
    except (SQLAlchemyError, OSError) as error:
        raise Failure(str(error).strip().splitlines()[0]) from None
    run(prepare_key_store(chosen))
    typer.echo("the database is at this version's schema")


def calendar_publish(file: Annotated[Path, typer.Argument(help="A year's calendar, as in calendars/.")]) -> None:
    """Send `calendar_published` to every open issue, so that provisional deadlines of that year are settled."""
    from cli.publish import publish

    said = run(publish(settings(), file))
    typer.echo(f"published to {said} open issues")


def rebuild(as_json: Json = False) -> None:
    """Refill the read model from the histories that Temporal holds, and report every difference found."""
    from cli.install import rebuild_all

    began = datetime.now(UTC)
    report = run(rebuild_all(settings()))
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        for line in report["differences"]:
            typer.echo(line)
        seconds = (datetime.now(UTC) - began).total_seconds()
        typer.echo(f"{report['issues']} issues, {len(report['differences'])} differences, {seconds:.1f} s")
    if report["unread"]:
        raise Failure(f"{report['unread']} of {report['issues']} could not be read and were left as they were")
