"""The daily tree head: signs the state of the log, and publishes the signed head where the database's administrators
cannot change it.

A head is signed only if every head that was published before still holds. Otherwise the new signature would cover up a
change of the log, which heads are there to reveal.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from temporalio import activity

from activities.notices import Now, now_utc
from audit import log as merkle_log
from audit.case import Finding
from audit.head_page import page
from audit.held import HeldHeadsError, check_not_held
from audit.log import SignedHead
from audit.log_check import check_head, check_log, name_of, published_heads
from audit.log_keys import FIRST, ROTATIONS, LogKeys, LogKeysError
from audit.merkle import Tree
from audit.notes import NoteError, TreeHead
from audit.roots import publish_roots, statements
from db import outbox
from db.alarms import close_kinds, put_alarm_once
from db.engine import Database
from domain.wire import format_time
from runtime.files import put_new
from workflows.contract import SEAL_DAY

EARLY: Final = timedelta(days=7)
"""An alarm is raised if the certificate of the key that signs commands ends within this time."""
TEMPLATE: Final = "head"
"""The template of the notice that brings a new head to the organisations that keep heads."""
_NAMED: Final = 5
"""The most findings that the message of an alarm names."""

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Destinations:
    """Where heads are published: in a folder outside the database, and by notices to organisations (`recipients`).

    `roots` gives the signing roots of commands that are in use; they are published in the same folder. `ends_before`
    says whether the certificate of the key that signs commands ends before a given time.
    """

    folder: Path
    recipients: tuple[str, ...] = ()
    roots: Callable[[], Sequence[str]] = tuple[str, ...]
    ends_before: Callable[[datetime], bool] = lambda _: False


class LogAlteredError(RuntimeError):
    """The log or its published heads were altered, so no head is signed. The message says what was altered, in one
    line.
    """


_REPORTS: Final[Mapping[type[Exception], tuple[str, str]]] = {
    LogKeysError: ("head.no_key", "no-seal-key"),
    LogAlteredError: ("head.not_signed", "log-rewritten"),
    NoteError: ("head.not_signed", "log-rewritten"),
    HeldHeadsError: ("head.held_back", "heads-held"),
}
"""The error because of which no head was signed -> the name of the log line, and the kind of the alarm."""


class DailyHead:
    """The activity ``seal_day`` signs and publishes the head of the day. The log's keys are in the folder `keys`.

    If no head can be signed, the activity raises an alarm and succeeds. If a file cannot be read or written (OSError),
    it raises an alarm and fails.
    """

    def __init__(self, database: Database, keys: Path, destinations: Destinations, clock: Now = now_utc) -> None:
        self._database = database
        self._keys = keys
        self._destinations = destinations
        self._clock = clock

    @activity.defn(name=SEAL_DAY)
    async def seal_day(self) -> None:
        now = self._clock()
        if self._destinations.ends_before(now + EARLY):
            await self._alarm("certificate-ends", {"within": f"{EARLY.days} days"})
        else:
            await self._close("certificate-ends")
        try:
            # Opened anew each time, since the key may have been rotated.
            await publish(self._database, await asyncio.to_thread(LogKeys.open, self._keys), self._destinations, now)
        except tuple(_REPORTS) as error:
            await self._report(error)
        except OSError as error:
            await self._report(error)
            raise
        else:
            await self._close("no-seal-key", "head-not-published", "heads-held")

    async def check_key(self) -> None:
        """To be called when a worker starts: publishes the signing roots of commands, and raises an alarm if the log
        has no key to sign heads with.
        """
        try:
            keys = await asyncio.to_thread(LogKeys.open, self._keys)
            await asyncio.to_thread(
                publish_roots, keys, self._destinations.folder, self._destinations.roots(), self._clock()
            )
        except (LogKeysError, OSError) as error:
            with contextlib.suppress(SQLAlchemyError):  # no issue waits for it, and the next head raises it again
                await self._report(error, "roots.not_told")

    async def _report(self, error: Exception, unwritten: str = "head.not_published") -> None:
        """Logs why nothing was published, and raises the alarm for it; `unwritten` names the log line if the folder
        could not be written.
        """
        text = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
        event, alarm = _REPORTS.get(type(error), (unwritten, "head-not-published"))
        log.error(event, error=text)
        await self._alarm(alarm, {"error": text})

    async def _close(self, *kinds: str) -> None:
        now = self._clock()
        await self._database.transact(lambda session: close_kinds(session, kinds, now))

    async def _alarm(self, kind: str, detail: Mapping[str, str]) -> None:
        now = self._clock()
        await self._database.transact(lambda session: put_alarm_once(session, kind, None, detail, now))


async def publish(database: Database, keys: LogKeys, destinations: Destinations, now: datetime) -> SignedHead:
    """Signs the current state of the log and publishes the head. If the log has a head of this size and second already,
    returns that one.

    A log that has not grown gets a head too, which says that nothing was added. Raises HeldHeadsError,
    LogAlteredError, LogKeysError, NoteError, OSError.
    """
    await asyncio.to_thread(check_not_held, destinations.folder)
    async with database.read() as session:
        leaves = await session.run_sync(merkle_log.bare_leaves)
        known = await session.run_sync(merkle_log.heads)
    # Not before an earlier head, nor before its key, even if the clock was set back.
    at = max([now.replace(microsecond=0), *(each.at for each in known[-1:]), *filter(None, [keys.since])])
    tree = Tree(leaf.leaf for leaf in leaves)
    _must_hold(finding for each in known for finding in check_head(name_of(each), each.note, tree, keys))
    # A head may have been signed, but not published before the process was killed.
    await asyncio.to_thread(_export, keys, known, destinations.folder)
    await asyncio.to_thread(publish_roots, keys, destinations.folder, destinations.roots(), at)
    roots = await asyncio.to_thread(statements, destinations.folder, keys)
    outside = await asyncio.to_thread(published_heads, destinations.folder)
    _must_hold(check_log(leaves, [each.note for each in known], outside, keys))
    head = TreeHead(keys.name, len(tree), tree.root(), at)
    for each in known:
        if (each.size, each.at) == (head.size, head.at):
            return each
    kept = SignedHead(head.size, head.at, head.root, keys.sign(head))
    await database.transact(lambda session: _keep(session, head, kept, roots, destinations.recipients, now))
    await asyncio.to_thread(_export, keys, [kept], destinations.folder)
    log.info("head.published", size=kept.size, root=kept.root.hex())
    return kept


def _must_hold(findings: Iterable[Finding]) -> None:
    if found := list(findings):
        raise LogAlteredError("; ".join(map(str, found[:_NAMED])))


def _keep(
    session: Session, head: TreeHead, kept: SignedHead, roots: Sequence[str], recipients: Sequence[str], now: datetime
) -> None:
    merkle_log.add_head(session, head, kept.note)
    facts = {"size": kept.size, "root": kept.root.hex(), "at": format_time(kept.at), "note": kept.note, "roots": roots}
    outbox.tell(session, recipients, TEMPLATE, kept.size, facts, now)


def _export(keys: LogKeys, heads: Sequence[SignedHead], folder: Path) -> None:
    """Writes the log's public keys and the given heads into the folder, except for files that exist.

    Raises LogAlteredError if an existing file has other content.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    _put_same(folder / FIRST, f"{keys.first_vkey}\n")
    for number, rotation in enumerate(keys.rotations, 1):
        (folder / ROTATIONS).mkdir(mode=0o755, exist_ok=True)
        _put_same(folder / ROTATIONS / f"{number:04}.txt", rotation.text)
    for head in heads:
        name = name_of(head)
        _put_same(folder / f"{name}.txt", head.note)
        if not (folder / f"{name}.html").exists():
            try:
                sheet = page(head.note, str(keys.key_at(head.at)), str(keys.first_vkey))
            except NoteError as error:
                raise LogAlteredError(f"head {name}: {error}") from None
            put_new(folder / f"{name}.html", sheet.encode())


def _put_same(path: Path, text: str) -> None:
    if not path.exists():
        put_new(path, text.encode())
    if path.read_bytes() != text.encode():
        raise LogAlteredError(f"{path.name} in {path.parent} is not the one that was published")
