"""``jiesu privacy``: erases personal texts, exports a person's data, and shows how long texts are kept."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from sqlalchemy import func, select

from activities.privacy import BATCH, REQUEST, WHY
from cli.database import opened
from cli.errors import Failure, one_line
from cli.export import export, pictures
from cli.system import run, settings
from cli.terminal import AsJson, write_file
from db import access_log, erasures
from db.engine import Database
from db.tables import ErasureRow, IssueRow
from domain.commands import ANONYMOUS
from domain.vocabulary import CATEGORIES
from domain.wire import truncate
from runtime.blobs import DigestStore, open_store
from runtime.settings import Settings
from security import ids
from security.keystore import KeyStoreDown
from security.opening import open_keys
from security.phone_numbers import read

OPERATOR: Final = "operator"
"""The name that the access log gives to the actor of these subcommands."""
_PERSON: Final = typer.Option(help="The subject of a resident's token, or the number of a phone that was proved.")
_ISSUE: Final = typer.Option(help="An issue, by id or number; may be given again and again.")


def register(app: typer.Typer) -> None:
    """Adds the subcommands to the main command."""
    group = typer.Typer(help="Personal data: erase it, hand it out, see how long it is kept.", no_args_is_help=True)
    group.command()(erase)
    group.command(name="export")(hand_out)
    group.command()(retention)
    app.add_typer(group, name="privacy")


def erase(
    person: Annotated[str | None, _PERSON] = None,
    issue: Annotated[list[str] | None, _ISSUE] = None,
    why: Annotated[str, typer.Option(help="A word for the record, nothing personal.")] = REQUEST,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: nothing that is erased comes back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase what was written in a person's issues, or in single issues, by destroying the keys of these issues.

    Open issues are erased once they are closed.
    """
    if not WHY.fullmatch(why):
        raise Failure("--why wants one word in small letters: it stays on record, so nothing personal")
    chosen = settings()
    found = run(_found(chosen, person, issue or []))
    if not yes:
        typer.confirm(f"Erase what was written in {len(found)} issues for ever?", abort=True)
    erased, later, failed = run(_erase(chosen, [row.id for row in found], why))
    if as_json:
        typer.echo(json.dumps({"erased": erased, "when_closed": later, "failed": failed}))
    else:
        typer.echo(f"{len(erased)} issues erased, {len(later)} will be in the night after they are closed")
    if failed:
        raise Failure(f"{failed} could not be erased now; they are on record and are tried again each night")


def hand_out(
    folder: Annotated[Path, typer.Argument(help="An empty or a new folder for what is held.")],
    person: Annotated[str | None, _PERSON] = None,
    issue: Annotated[list[str] | None, _ISSUE] = None,
) -> None:
    """Write all data held about a resident's issues into a folder, decrypted, to be given to the resident."""
    chosen = settings()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Failure(f"{folder} is not an empty folder")
    found = run(_found(chosen, person, issue or []))
    held, seen = run(_export(chosen, [row.id for row in found]))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    write_file(folder / "issues.json", json.dumps(held, ensure_ascii=False, indent=1))
    for name, picture in seen.items():
        (folder / name).write_bytes(picture)
    typer.echo(f"{len(found)} issues in {folder / 'issues.json'}, {len(seen)} pictures beside it")


def retention(as_json: AsJson = False) -> None:
    """Show how long texts of people are kept, how many issues were erased, and how many wait for erasure."""
    from worker import open_retention

    chosen = settings()
    with one_line():
        rules = open_retention(chosen)
    shown = {"days": {category: rules.days_of(category) for category in CATEGORIES}, **run(_erasures(chosen))}
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    typer.echo(f"kept for {rules.days} days after the close" + ("; but" if rules.categories else ""))
    for category, days in sorted(rules.categories.items()):
        typer.echo(f"  {category}: {days} days")
    for why, count in sorted(shown["erased"].items()):
        typer.echo(f"erased, {why}: {count}")
    typer.echo(f"waiting: {shown['waiting']}")


async def _found(chosen: Settings, person: str | None, named: Sequence[str]) -> Sequence[IssueRow]:
    if (person is None) == (not named):
        raise Failure("name either a person or issues")
    if person == ANONYMOUS:
        raise Failure("nobody in particular reports without a name: name issues")
    async with opened(chosen) as database, database.read() as session:
        if person is not None:
            rows = await erasures.reported_by(session, _names(chosen.server_secret(), person))
        else:
            query = select(IssueRow).where(IssueRow.id.in_(named) | IssueRow.number.in_(named))
            rows = (await session.scalars(query)).all()
    missing = sorted(set(named) - {row.id for row in rows} - {row.number for row in rows})
    if missing:
        raise Failure(f"there is no issue {missing[0]} here")
    if not rows:
        raise Failure("there is no such issue")
    return rows


def _names(secret: bytes, person: str) -> list[str]:
    """The pseudonyms under which a person reports: one for `person` as the subject of a token.

    If `person` is a phone number, a second one is for the resident who proved this number.
    """
    subjects = [person]
    if (phone := read(person)) is not None:
        subjects.append(ids.phone_subject(secret, phone.number))
    return [ids.pseudonym(secret, subject) for subject in subjects]


async def _erase(chosen: Settings, issues: Sequence[str], why: str) -> tuple[list[str], list[str], int]:
    from worker import open_privacy

    keys = open_keys(chosen)
    try:
        async with opened(chosen) as database:
            privacy = open_privacy(chosen, database, keys)
            await _note(database, issues, "erase", "asked")
            await privacy.ask(issues, why)
            done = [await privacy.carry_out(issues[at : at + BATCH]) for at in range(0, len(issues), BATCH)]
            await _note(database, [issue for each in done for issue in each.erased], "erase", "done")
            later = await _unclosed(database, issues)
    finally:
        await keys.close()
    return sorted(issue for each in done for issue in each.erased), later, sum(each.failed for each in done)


async def _note(database: Database, issues: Sequence[str], what: str, result: access_log.Result) -> None:
    """Adds a line to the access log for each issue: what the operator did (`what`), and how far it is (`result`)."""
    now = truncate(datetime.now(UTC))
    lines = [access_log.Entry(now, OPERATOR, "admin", None, None, what, issue, result) for issue in issues]
    await database.transact(lambda session: access_log.put(session, lines))


async def _unclosed(database: Database, issues: Sequence[str]) -> list[str]:
    async with database.read() as session:
        query = select(IssueRow.id).where(IssueRow.id.in_(issues), IssueRow.closed_at.is_(None))
        return sorted((await session.scalars(query)).all())


async def _export(chosen: Settings, issues: Sequence[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    keys = open_keys(chosen)
    try:
        async with opened(chosen) as database:
            await _note(database, issues, "export", "asked")  # before any text is decrypted
            async with database.read() as session:
                held = await export(session, keys.vault, issues, datetime.now(UTC))
                seen = await pictures(
                    session, keys.vault, open_store(DigestStore, chosen.attachments_url, "attachments"), issues
                )
            await _note(database, issues, "export", "done")
            return held, seen
    except KeyStoreDown:
        raise Failure("the key store does not answer, so nothing that was written can be read: try again") from None
    finally:
        await keys.close()


async def _erasures(chosen: Settings) -> dict[str, Any]:
    async with opened(chosen) as database, database.read() as session:
        done = select(ErasureRow.why, func.count()).where(ErasureRow.done_at.is_not(None)).group_by(ErasureRow.why)
        erased = dict((await session.execute(done)).all())
        waits = select(func.count()).select_from(ErasureRow).where(ErasureRow.done_at.is_(None))
        return {"erased": erased, "waiting": await session.scalar(waits)}
