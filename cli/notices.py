"""``jiesu notices``: lists what organisations and residents were not told yet, and sends it again."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from cli.database import opened
from cli.errors import Failure
from cli.system import run, settings
from cli.terminal import AsJson, add_row, local, make_table, print_json
from db.undelivered import MOST_LISTED, Undelivered, resend, undelivered
from domain.wire import dump, truncate
from runtime.settings import Settings
from texts.catalogue import named

_ORG: Final = typer.Option(help="Only notices to this organisation.")


def register(app: typer.Typer) -> None:
    """Adds the subcommands to the main command."""
    group = typer.Typer(help="Notices that did not go out: list them, send them again.", no_args_is_help=True)
    group.command(name="list")(show)
    group.command(name="resend")(send_again)
    app.add_typer(group, name="notices")


def show(
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were given up.")] = False,
    org: Annotated[str | None, _ORG] = None,
    as_json: AsJson = False,
) -> None:
    """List the notices that did not go out, oldest first: those given up, and those tried again by themselves."""
    found = run(_found(settings(), failed, org))
    if as_json:
        print_json([{name: dump(value) for name, value in asdict(each).items()} for each in found])
        return
    table = make_table("id", "issue", "what", "to", "tries", "next", "error", wraps={"what": 8, "to": 8, "error": 12})
    for each in found:
        add_row(
            table, each.id, each.number or "-", named(each.template, "en"), each.receiver or "resident", each.tries,
            local(each.next) if each.next else "given up", each.error or "",
        )  # fmt: skip
    if found:
        Console().print(table)
    typer.echo(f"{len(found)} notices did not go out" + (" (there may be more)" if len(found) == MOST_LISTED else ""))


def send_again(
    notice: Annotated[list[int] | None, typer.Argument(help="Their ids; none: all that did not go out.")] = None,
    org: Annotated[str | None, _ORG] = None,
) -> None:
    """Send notices that did not go out again, at once and with all tries before them; a running worker does it."""
    number = run(_resend(settings(), notice or [], org))
    typer.echo(f"{number} notices go out again")


async def _found(chosen: Settings, failed: bool, org: str | None) -> Sequence[Undelivered]:
    async with opened(chosen) as database, database.read() as session:
        return await undelivered(session, failed=failed, org=org)


async def _resend(chosen: Settings, ids: Sequence[int], org: str | None) -> int:
    now = truncate(datetime.now(UTC))
    async with opened(chosen) as database:
        number = await database.transact(lambda session: resend(session, now, ids=ids, org=org))
    if ids and not number:
        raise Failure("none of these notices failed or waits")
    return number
