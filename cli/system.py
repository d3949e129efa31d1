"""Subcommands that run and maintain an installation: up, worker, api, token, db, rebuild."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from cli.errors import Failure, one_line
from cli.terminal import AsJson
from domain.pins import Calendars
from domain.policy import Policy
from runtime.settings import Settings, load_settings


def settings() -> Settings:
    """The settings of this process. Raises Failure if they are invalid."""
    with one_line():
        return load_settings()


def logging_settings() -> Settings:
    """Configures logging by the settings of this process and returns these. Raises Failure if they are invalid."""
    from runtime.observability import configure_logging

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


def policies_in_files(chosen: Settings) -> Mapping[str, Policy]:
    """By id the shipped packs and those that `JIESU_POLICIES` names, all proved. Raises Failure if one cannot be used."""
    from policies.districts import in_use

    with one_line():
        return in_use(chosen.policies, chosen.home)


def register(app: typer.Typer) -> None:
    """Adds the subcommands to the main command."""
    app.command()(up)
    app.command()(worker)
    app.command()(api)
    app.command()(token)
    app.command()(rebuild)
    group = typer.Typer(help="The read model.", no_args_is_help=True)
    group.command("upgrade")(db_upgrade)
    app.add_typer(group, name="db")


Anyway = Annotated[bool, typer.Option("--anyway", help="Start though Temporal has lost all open issues.")]


def up(
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start without a worker: commands queue.")] = False,
    anyway: Anyway = False,
    demo: Annotated[bool, typer.Option("--demo", help="Play demo issues in a home that holds none.")] = False,
) -> None:
    """Start everything on this machine: Temporal's dev server, SQLite, the worker and the API."""
    from cli.install import demo_issues, prepare_home
    from cli.up import Commands
    from cli.up import up as start

    chosen, commands = logging_settings(), Commands()
    policies_in_files(chosen)  # a fault is said once, before anything starts
    calendars_in_files(chosen)
    if anyway:
        commands = Commands(worker=(*commands.worker, "--anyway"))
    prepare = partial(prepare_home, chosen, typer.echo, anyway)
    afterwards = partial(demo_issues, chosen, typer.echo) if demo else None
    run(
        start(
            chosen, worker=not no_worker, announce=typer.echo, commands=commands, prepare=prepare, afterwards=afterwards
        )
    )


def worker(anyway: Anyway = False) -> None:
    """Run one worker."""
    from worker import serve

    chosen = logging_settings()
    run(serve(chosen, calendars_in_files(chosen), anyway=anyway))


def api() -> None:
    """Run one API process."""
    from api.server import serve
    from pages.routers import ROUTERS

    chosen = logging_settings()
    run(serve(chosen, policies_in_files(chosen), calendars_in_files(chosen), ROUTERS))


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
