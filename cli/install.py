"""Prepares and repairs an installation: schema, keys, directory, rebuild of the read model."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import select
from temporalio.client import Client

from activities.codes import hashes
from audit.archive import Archive
from audit.held import held_back, hold_back
from audit.log_keys import FIRST, LogKeys, LogKeysError
from audit.presence import check_presence
from audit.rebuild import rebuild
from audit.restore import RestoreError, is_behind, restore
from audit.restored import Restored, forget_word, left_word, lines, raise_alarm, take_stock
from audit.runs import issues_of
from cli.database import opened
from cli.errors import Failure
from cli.up import Connect
from cli.workbook import sheets
from db import queries
from db.directory import load_directory, store_directory
from db.engine import Database
from db.tables import CodeRow, IssueRow
from db.upgrade import upgrade
from domain.directory import Directory
from domain.directory_csv import DirectoryError, parse
from domain.directory_review import Loss, remarks
from domain.directory_sheets import COLUMNS, Encoding, Table
from domain.wire import truncate
from domain.worktime import SHANGHAI
from policies.districts import in_use, known
from protocol.directory_change import Abandoning, change_directory
from runtime.settings import Settings, SettingsError, variable
from runtime.temporal import connect, encrypting
from security import ids
from security.opening import check_keys, lost, open_converter, open_keys, prepare_keys

_SOME: Final = 20
_DEMO_SECONDS: Final = 120.0
EXAMPLE: Final = Path(__file__).resolve().parent.parent / "examples" / "directory"


async def prepare(settings: Settings) -> None:
    """Creates schema and keys, and imports the example directory if no directory was imported yet."""
    await asyncio.to_thread(upgrade, settings.database)
    async with opened(settings) as database:
        await _prepare_keys(settings, has_issues=await _has_issues(database))
        check_keys(settings)
        await _check_secret(settings, database)
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
        await _prepare_keys(settings, has_issues=await _has_issues(database))


async def _prepare_keys(settings: Settings, *, has_issues: bool) -> None:
    """Makes the keys that are missing, in the embedded default that which signs heads, too. Raises SettingsError if a key
    is lost.

    In a deployment people make this key by `jiesu audit keygen`, and auditors pin it.
    """
    folder = settings.seal_keys_folder
    makes_seal = settings.embedded and not (folder / FIRST).exists()
    if makes_seal and has_issues:
        raise lost(folder / FIRST)
    await prepare_keys(settings, has_issues=has_issues)
    if makes_seal:
        with contextlib.suppress(LogKeysError):  # another process has just made it
            LogKeys.create(folder, f"jiesu.local/{secrets.token_hex(4)}")


async def _check_secret(settings: Settings, database: Database) -> None:
    """Raises SettingsError if the secret is another one than that of the tracking codes on record: all would be dead.

    A code that was renewed just now is not on record yet, so several issues are asked.
    """
    if not settings.makes_keys:
        return
    secret = settings.server_secret()
    async with database.read() as session:
        oldest = select(CodeRow.issue).join(IssueRow, IssueRow.id == CodeRow.issue).order_by(IssueRow.opened_at)
        found = list(dict.fromkeys(await session.scalars(oldest.limit(_SOME))))
        for each in found:
            kept = set(await session.scalars(select(CodeRow.hash).where(CodeRow.issue == each)))
            issue = await queries.issue(session, each)
            if issue is not None and kept.intersection(hashes(secret, issue)):
                return
    if found:
        name = settings.secret_file if settings.secret is None else variable("secret")
        raise SettingsError(f"{name} is not the secret of the tracking codes on record: put it back from a backup")


async def _has_issues(database: Database) -> bool:
    async with database.read() as session:
        return await session.scalar(select(IssueRow.id).limit(1)) is not None


async def prepare_home(settings: Settings, announce: Callable[[str], None], anyway: bool, temporal: Connect) -> None:
    """Creates schema, keys and example directory for `jiesu up`, then repairs the database, before the worker starts.

    A restored home says what it lost, once. Refills the log if the archive or the published heads show more of it, and the read model if it is empty while
    Temporal holds issues. With a Temporal that `jiesu up` does not run, nothing is repaired: workers of other hosts may
    be writing. Raises EmptyTemporal if Temporal holds no issue that is open, unless it is to go on `anyway`.
    """
    settings.home.chmod(0o700)  # it may have existed before
    await prepare(settings)
    async with opened(settings) as database:
        if not anyway:
            await check_presence(await temporal(), database)
        if not settings.embedded_temporal:
            return
        archive = Archive(settings.archive_url)
        word = left_word(settings.home)
        if await is_behind(database, archive, settings.heads_folder):
            announce("the database lacks issues that were sealed: refilling the log from the archive")
            await _refill_log(settings, database, archive, word, announce)
        if word is None and await _has_issues(database):
            return
        client = encrypting(await temporal(), open_converter(settings))
        if word is not None:
            await _account(settings, client, database, word, announce)
        elif await anext(issues_of(client), None) is not None:
            announce(
                "the database holds no issue, but Temporal does: refilling it (cut short, `jiesu rebuild` goes on)"
            )
            report = await rebuild(client, database, truncate(datetime.now(UTC)))
            if report.unread:
                announce(
                    f"{report.unread} of {report.issues} issues could not be read: mend that, then run `jiesu rebuild`"
                )


async def _refill_log(
    settings: Settings, database: Database, archive: Archive, word: Restored | None, announce: Callable[[str], None]
) -> None:
    """Refills the log. Raises RestoreError, unless the home was restored: then no head is signed any more."""
    heads = settings.heads_folder
    try:
        await restore(database, archive, heads, truncate(datetime.now(UTC)))
    except RestoreError as error:
        if word is not None and not held_back(heads):
            hold_back(heads, word.moment)
        if not held_back(heads):
            raise
        announce(f"no head of the log is signed: {error}")


async def _account(
    settings: Settings, client: Client, database: Database, word: Restored, announce: Callable[[str], None]
) -> None:
    """Makes the read model of a restored home whole, erases again what is known to be erased, and says what is lost."""
    from worker import open_privacy

    rebuilt = await rebuild(client, database, truncate(datetime.now(UTC)))
    keys = open_keys(settings)
    try:
        await open_privacy(settings, database, keys).retain()
    finally:
        await keys.close()
    stock = await take_stock(client, database, settings.heads_folder, rebuilt)
    await database.transact(lambda session: raise_alarm(session, word, stock, truncate(datetime.now(UTC))))
    for line in lines(word, stock):
        announce(line)
    forget_word(settings.home)


def read_directory(place: Path, encoding: Encoding = "utf-8", policies: Collection[str] | None = None) -> Directory:
    """The directory in a folder's files, or in the sheets of one .xlsx file; `encoding` is that of CSV files.

    `policies` are the ids to which bindings may refer; None: those of the shipped packs.

    Raises Failure with every fault as ``file:line: reason``, where a file may be a sheet.
    """
    try:
        return parse(_files(place), policies=known(None) if policies is None else policies, encoding=encoding)
    except DirectoryError as error:
        found = error.problems
        if not place.is_dir():
            found = [
                replace(each, file=Path(each.file).stem, reason=each.reason.replace(".xlsx", "")) for each in found
            ]
        raise Failure("\n".join((f"nothing was imported from {place}", *map(str, found)))) from None


def _files(place: Path) -> dict[str, str | bytes | Table]:
    if place.is_dir():
        files: dict[str, str | bytes | Table] = {path.name: path.read_bytes() for path in sorted(place.glob("*.csv"))}
        for path in sorted(place.glob("*.xlsx")):
            if not path.name.startswith("~$"):  # what a spreadsheet program leaves beside an open file
                found = sheets(path)
                files[path.name] = found.get(path.stem) or next(iter(found.values()), [])
        return files
    if place.suffix.lower() == ".xlsx" and place.is_file():
        return {f"{name}.xlsx": table for name, table in sheets(place).items() if name in COLUMNS}
    raise Failure(f"{place} is neither a folder nor an .xlsx file")


def concealed(directory: Directory, settings: Settings) -> Directory:
    """The directory with the phone of each appointment replaced by the pseudonym of its owner, unless it is one. Raises SettingsError."""
    if not any(each.phone.startswith("+") for each in directory.appointments):
        return directory
    secret = settings.server_secret()
    return replace(
        directory,
        appointments=tuple(
            replace(each, phone=ids.phone_pseudonym(secret, each.phone)) if each.phone.startswith("+") else each
            for each in directory.appointments
        ),
    )


@dataclass(frozen=True)
class Imported:
    """What an import of a directory held, by part (streets, compounds, ...), and what it leaves open, one line each."""

    counts: Mapping[str, int]
    losses: Sequence[Loss]
    remarks: Sequence[str]


async def import_directory(
    settings: Settings,
    folder: Path,
    *,
    dry_run: bool = False,
    force: Collection[str] = (),
    encoding: Encoding = "utf-8",
) -> Imported:
    """Replaces the directory in one transaction; with `dry_run` it only says what that would do.

    Raises Failure if an open issue would have nobody left, unless `force` holds its number.
    """
    read = read_directory(folder, encoding, in_use(settings.policies, settings.home))
    directory, now = concealed(read, settings), truncate(datetime.now(UTC))
    today = now.astimezone(SHANGHAI).date()
    try:
        async with opened(settings) as database, database.write() as session:
            lost = await change_directory(session, lambda _: directory, now, force=force, dry_run=dry_run)
    except Abandoning as error:
        raise Failure(
            "\n".join(
                (
                    f"nothing was imported from {folder}: open issues would have nobody who may act on them",
                    *(loss.said for loss in error.abandoned),
                    "appoint somebody there, or give each with --force NUMBER",
                )
            )
        ) from None
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


async def demo_issues(settings: Settings, announce: Callable[[str], None]) -> None:
    """Has the API play its demo issues, where there is a trial and no issue yet; it says so, or why it did not."""
    async with opened(settings) as database:
        if not settings.offers_provider or await _has_issues(database):
            return
    try:
        async with httpx.AsyncClient(base_url=settings.origin, timeout=_DEMO_SECONDS, trust_env=False) as client:
            status = (await client.post("/demo")).status_code
    except httpx.HTTPError as error:
        announce(f"the demo issues could not be played ({type(error).__name__}): the start page has a button for them")
        return
    if status == httpx.codes.SEE_OTHER:
        announce("six demo issues are under way: the start page has the roles to see them in")
    else:
        announce(f"the demo issues could not be played (status {status}): the start page has a button for them")
