"""Subcommands that run and maintain an installation: up, worker, api, token, directory, db, rebuild."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import Failure, one_line
from cli.terminal import AsJson
from domain.pins import Calendars
from runtime.observability import configure_logging
from runtime.settings import Settings, load_settings


def settings() -> Settings:
    """The settings of this process. Raises Failure if they are invalid."""
    with one_line():
        return load_settings()


def logging_settings() -> Settings:
    """Configures logging by the settings of this process and returns these. Raises Failure if they are invalid."""
    found = settings()
    configure_logging(found.log_level, found.log_format)
    return found


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine and returns its result. Errors that `cli.errors` expects become a Failure."""
    with one_line():
        return asyncio.run(work)


def calendars_in_files(chosen: Settings) -> Calendars:
    """The shipped calendars and those that `JIESU_CALENDARS` names. Raises Failure if one cannot be used."""
    from calendars import load_all

    with one_line():
        return load_all(chosen.calendars)


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

    chosen = logging_settings()
    run(start(chosen, worker=not no_worker, announce=typer.echo, prepare=partial(prepare_home, chosen, typer.echo)))


def worker() -> None:
    """Run one worker."""
    from worker import serve

    chosen = logging_settings()
    run(serve(chosen, calendars_in_files(chosen)))


def api() -> None:
    """Run one API process."""
    from api.server import serve
    from policies.loader import shipped

    chosen = logging_settings()
    run(serve(chosen, {policy.id: policy for policy in shipped()}, calendars_in_files(chosen)))


def token(
    person: Annotated[str, typer.Option(help="Who: any name; becomes the actor of the commands.")],
    role: Annotated[str, typer.Option(help="resident, property, community, street, department, volunteer, ...")],
    org: Annotated[str | None, typer.Option(help="The organisation for which the person acts.")] = None,
) -> None:
    """Print a bearer token, valid for 12 hours, on one line.

    For the embedded default only, where a token alone grants what its role may do.
    """
    from cli.tokens import make

    typer.echo(run(make(settings(), person, role, org)))


def directory_import(
    folder: Annotated[Path, typer.Argument(help="The folder with the nine CSV files.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the import would do.")] = False,
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER", help="Import though this open issue has nobody left; repeat it."),
    ] = None,
) -> None:
    """Replace the whole directory by the CSV files of a folder; if one file has a mistake, nothing changes.

    Says which open issues lose the people who act on them, for which organisations nobody is appointed, and where a
    policy or a contract is missing. Refuses what would leave an open issue without anybody.
    """
    from cli.install import import_directory

    done = run(import_directory(settings(), folder, dry_run=dry_run, force=force or ()))
    counted = ", ".join(f"{count} {name}" for name, count in done.counts.items())
    typer.echo(f"{'would be imported' if dry_run else 'imported'} from {folder}: {counted}")
    for loss in done.losses:
        typer.echo(f"open issue {loss.said}")
    for line in done.remarks:
        typer.echo(line)


def db_upgrade() -> None:
    """Bring the database to the schema of this version, and give the key store its tables."""
    from cli.install import prepare_key_store
    from db.upgrade import upgrade

    chosen = settings()
    with one_line():
        chosen.home.mkdir(parents=True, exist_ok=True)
        upgrade(chosen.database)
    run(prepare_key_store(chosen))
    typer.echo("the database is at this version's schema")


def rebuild(as_json: AsJson = False) -> None:
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
