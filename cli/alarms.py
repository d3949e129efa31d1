"""``jiesu alarms``: what must not happen and did, open ones first; marks what somebody has looked at."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from sqlalchemy.orm import Session

from cli.database import opened
from cli.errors import Failure
from cli.system import run, settings
from cli.terminal import AsJson, add_row, local, make_table, print_json
from db import alarms
from db.alarms import Cause
from db.tables import AlarmRow
from domain.wire import format_time, truncate

_CLOSED_SHOWN: Final = 20
app: Final = typer.Typer()


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    cause: Annotated[str | None, typer.Option(help="Only the alarms of this cause, one by one.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many alarms are shown one by one.")] = _CLOSED_SHOWN,
    as_json: AsJson = False,
) -> None:
    """List alarms: one line for all open ones of a cause, then the latest that are closed."""
    if context.invoked_subcommand is not None:
        return
    causes, rows = run(_read(cause, limit))
    if as_json:
        print_json([_plain(row) for row in rows] if cause else [*map(_plain_cause, causes), *map(_plain, rows)])
        return
    table = make_table("id", "cause", "alarms", "since", "issue", "state", "detail", wraps={"detail": 12, "cause": 10})
    for each in causes:
        add_row(table, *_cells(each.first, each.alarms, each.since), style="bold")
    for row in rows:
        add_row(table, *_cells(row, 1, row.at))
    if not causes and not rows:
        typer.echo("no alarms")
        return
    Console(soft_wrap=True).print(table)


@app.command()
def mark(
    which: Annotated[int | None, typer.Argument(metavar="[ID]", help="One alarm, by its id.")] = None,
    cause: Annotated[str | None, typer.Option(help="All open alarms of this cause.")] = None,
) -> None:
    """Note that somebody has looked at an alarm, or at all of one cause. One whose cause lasts is not raised again."""
    if (which is None) == (cause is None):
        raise Failure("name one alarm by its id, or a cause by --cause")
    marked = run(_mark(which, cause))
    if not marked:
        raise Failure("there is no such open alarm")
    typer.echo(f"{marked} marked")


async def _read(cause: str | None, limit: int) -> tuple[Sequence[Cause], Sequence[AlarmRow]]:
    """The open causes, and the alarms to be shown one by one."""

    def find(session: Session) -> tuple[Sequence[Cause], Sequence[AlarmRow]]:
        if cause is not None:
            return [], alarms.latest(session, limit, cause)
        return alarms.open_causes(session), alarms.closed(session, limit)

    async with opened(settings()) as database, database.read() as session:
        return await session.run_sync(find)


async def _mark(which: int | None, cause: str | None) -> int:
    now = truncate(datetime.now(UTC))
    async with opened(settings()) as database:
        return await database.transact(lambda session: alarms.mark(session, now, which=which, kind=cause))


def _state(row: AlarmRow) -> str:
    if row.seen_at is None:
        return "open"
    return f"over {local(row.gone_at)}" if row.gone_at is not None else f"seen {local(row.seen_at)}"


def _cells(row: AlarmRow, count: int, since: datetime) -> tuple[object, ...]:
    issue = row.issue or "-"
    detail = json.dumps(row.detail, ensure_ascii=False) if row.detail else ""
    more = f" (+{count - 1})" if count > 1 else ""
    return row.id, row.kind, count, local(since), issue + more, _state(row), detail


def _plain(row: AlarmRow) -> dict[str, Any]:
    times = {"at": row.at, "seen_at": row.seen_at, "gone_at": row.gone_at}
    plain = {name: None if time is None else format_time(time) for name, time in times.items()}
    return {"id": row.id, "cause": row.kind, "issue": row.issue, "detail": row.detail, "alarms": 1, **plain}


def _plain_cause(cause: Cause) -> dict[str, Any]:
    return {**_plain(cause.first), "alarms": cause.alarms, "at": format_time(cause.since)}
