"""Prepares and repairs an installation: schema, keys, directory, rebuild of the read model."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from audit.archive import Archive
from audit.rebuild import rebuild
from audit.restore import is_behind, restore
from audit.runs import issues_of
from cli.database import opened
from cli.errors import Failure
from cli.up import Connect
from db import queries
from db.directory import load_directory, store_directory
from db.engine import Database
from db.tables import IssueRow
from db.upgrade import upgrade
from domain.directory import Directory
from domain.directory_csv import DirectoryError, parse
from domain.directory_review import Loss, losses, remarks
from domain.wire import truncate
from domain.worktime import SHANGHAI
from policies.loader import shipped
from runtime.settings import Settings, variable
from runtime.temporal import connect, encrypting
from security.opening import open_converter, prepare_keys

EXAMPLE: Final = Path(__file__).resolve().parent.parent / "examples" / "directory"


async def prepare(settings: Settings) -> None:
    """Creates schema and keys, and imports the example directory if no directory was imported yet."""
    await asyncio.to_thread(upgrade, settings.database)
    async with opened(settings) as database:
        await prepare_keys(settings, has_issues=await _has_issues(database))
        async with database.read() as session:
            known = await load_directory(session)
        if not known.compounds:
            async with database.write() as session:
                await store_directory(session, read_directory(EXAMPLE), truncate(datetime.now(UTC)))


async def prepare_key_store(settings: Settings) -> None:
    """Creates the tables of the key store, and the keys of an embedded installation. Raises Failure, SettingsError."""
    if not (settings.makes_keys or settings.key_store.get_secret_value()):
        raise Failure(f"must be set in a deployment: {variable('key_store')}")
    async with opened(settings) as database:
        await prepare_keys(settings, has_issues=await _has_issues(database))


async def _has_issues(database: Database) -> bool:
    async with database.read() as session:
        return await session.scalar(select(IssueRow.id).limit(1)) is not None


async def prepare_home(settings: Settings, announce: Callable[[str], None], temporal: Connect) -> None:
    """Creates schema, keys and example directory for `jiesu up`, then repairs the database, before the worker starts.

    Refills the log if the archive or the published heads show more of it, and the read model if it is empty while
    Temporal holds issues. With a Temporal that `jiesu up` does not run, nothing is repaired: workers of other hosts may
    be writing.
    """
    settings.home.chmod(0o700)  # it may have existed before
    await prepare(settings)
    if not settings.embedded_temporal:
        return
    async with opened(settings) as database:
        archive = Archive(settings.archive_url)
        if await is_behind(database, archive, settings.heads_folder):
            announce("the database lacks issues that were sealed: refilling the log from the archive")
            await restore(database, archive, settings.heads_folder, truncate(datetime.now(UTC)))
        if await _has_issues(database):
            return
        client = encrypting(await temporal(), open_converter(settings))
        if await anext(issues_of(client), None) is not None:
            announce(
                "the database holds no issue, but Temporal does: refilling it (cut short, `jiesu rebuild` goes on)"
            )
            report = await rebuild(client, database, truncate(datetime.now(UTC)))
            if report.unread:
                announce(
                    f"{report.unread} of {report.issues} issues could not be read: mend that, then run `jiesu rebuild`"
                )


def read_directory(folder: Path) -> Directory:
    """The directory in a folder's CSV files. Raises Failure with every fault as ``file:line: reason``."""
    if not folder.is_dir():
        raise Failure(f"{folder} is not a folder")
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}
    try:
        return parse(files, policies=[policy.id for policy in shipped()])
    except DirectoryError as error:
        raise Failure(f"nothing was imported from {folder}\n{error}") from None


@dataclass(frozen=True)
class Imported:
    """What an import of a directory held, by part (streets, compounds, ...), and what it leaves open, one line each."""

    counts: Mapping[str, int]
    losses: Sequence[Loss]
    remarks: Sequence[str]


async def import_directory(
    settings: Settings, folder: Path, *, dry_run: bool = False, force: Collection[str] = ()
) -> Imported:
    """Replaces the directory in one transaction; with `dry_run` it only says what that would do.

    Raises Failure if an open issue would have nobody left, unless `force` holds its number.
    """
    directory, now = read_directory(folder), truncate(datetime.now(UTC))
    today = now.astimezone(SHANGHAI).date()
    async with opened(settings) as database, database.write() as session:
        lost = losses(await load_directory(session), directory, await queries.open_issues(session), today)
        abandoned = [loss for loss in lost if loss.abandoned and loss.issue.number not in force]
        if abandoned and not dry_run:
            raise Failure(
                "\n".join(
                    (
                        f"nothing was imported from {folder}: open issues would have nobody who may act on them",
                        *(loss.said for loss in abandoned),
                        "appoint somebody there, or give each with --force NUMBER",
                    )
                )
            )
        if not dry_run:
            await store_directory(session, directory, now)
    counts = {part.name: len(getattr(directory, part.name)) for part in fields(directory)}
    return Imported(counts, lost, list(remarks(directory, today)))


async def rebuild_all(settings: Settings) -> dict[str, Any]:
    """Rebuilds the read model from the histories. Returns ``{issues, unread, differences}``."""
    async with opened(settings) as database:
        client = await connect(settings, timeout=10.0, converter=open_converter(settings))
        if client is None:
            raise Failure(f"no Temporal at {settings.address}")
        report = await rebuild(client, database, truncate(datetime.now(UTC)))
    return asdict(report)
