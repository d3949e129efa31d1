"""The daily head: signs what the log is and puts it where the database's masters cannot take it back.

A head is signed only if every one that was published before still holds: otherwise the signature would cover up what
it is there to show.
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
from audit.headpage import page
from audit.keyring import FIRST, ROTATIONS, Keyring, KeyringError
from audit.log import Kept
from audit.log_check import Trust, check_head, check_log, published
from audit.merkle import Tree
from audit.notes import Head, NoteError
from audit.roots import publish_roots, statements
from db import outbox
from db.alarms import put_alarm_once
from db.engine import Database
from domain.wire import format_time
from runtime.files import put_new
from workflows.contract import SEAL_DAY

EARLY: Final = timedelta(days=7)
"""Before a certificate ends somebody is told, once."""
TEMPLATE: Final = "head"
"""Of the notice to those who shall keep heads."""
_TOLD: Final = 5
"""Findings in an alarm."""

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Outlets:
    """Where heads go: a folder outside the database, and organisations that are sent each of them.

    `roots` gives those under which commands are signed now, which are told of there as well.
    """

    folder: Path
    recipients: tuple[str, ...] = ()
    roots: Callable[[], Sequence[str]] = tuple[str, ...]
    ends_before: Callable[[datetime], bool] = lambda _: False
    """Whether the key that signs commands has to be certified anew before that time."""


class UnfitError(RuntimeError):
    """The log, or what was published of it, is not what it was: nothing is signed. The message says what, in one line."""


class DailyHead:
    """The activity, on the keyring in a folder; it raises alarms where no head can be signed, and ends well then."""

    def __init__(self, database: Database, keys: Path, outlets: Outlets, clock: Now = now_utc) -> None:
        self._database = database
        self._keys = keys
        self._outlets = outlets
        self._clock = clock

    @activity.defn(name=SEAL_DAY)
    async def seal_day(self) -> None:
        now = self._clock()
        await self._check_certificate(now)
        try:
            # Opened anew each time: it may have been rotated.
            ring = await asyncio.to_thread(Keyring.open, self._keys)
            await publish(self._database, ring, self._outlets, now)
        except KeyringError as error:
            log.error("head.no_key", error=str(error))  # noqa: TRY400 - the message says it all
            await self._alarm("no-seal-key", {"error": str(error)}, now)
        except (UnfitError, NoteError) as error:
            log.error("head.not_signed", error=str(error))  # noqa: TRY400
            await self._alarm("log-rewritten", {"error": str(error)}, now)
        except OSError as error:
            await self._alarm("head-not-published", {"error": f"{error.strerror}: {error.filename}"}, now)
            raise

    async def _check_certificate(self, now: datetime) -> None:
        if self._outlets.ends_before(now + EARLY):
            await self._alarm("certificate-ends", {"within": f"{EARLY.days} days"}, now)

    async def check_key(self) -> None:
        """At the start of a worker: tells of the roots, and raises the alarm at once where there is no key to sign with."""
        try:
            ring, now = await asyncio.to_thread(Keyring.open, self._keys), self._clock()
            await asyncio.to_thread(publish_roots, ring, self._outlets.folder, self._outlets.roots(), now)
        except KeyringError as error:
            log.error("head.no_key", error=str(error))  # noqa: TRY400
            with contextlib.suppress(SQLAlchemyError):  # the day's head raises it again
                await self._alarm("no-seal-key", {"error": str(error)}, self._clock())
        except OSError as error:  # no issue waits for that
            said = {"error": f"{error.strerror}: {error.filename}"}
            log.error("roots.not_told", **said)  # noqa: TRY400
            with contextlib.suppress(SQLAlchemyError):
                await self._alarm("head-not-published", said, self._clock())

    async def _alarm(self, kind: str, detail: Mapping[str, str], now: datetime) -> None:
        await self._database.transact(lambda session: put_alarm_once(session, kind, None, detail, now))


async def publish(database: Database, keyring: Keyring, outlets: Outlets, now: datetime) -> Kept:
    """Signs the log as it stands and puts the head outside; the one of this second if there is one already.

    A log that has not grown gets a head too: it says that nothing was added. Raises UnfitError, KeyringError.
    """
    async with database.read() as session:
        leaves = await session.run_sync(merkle_log.bare_leaves)
        known = await session.run_sync(merkle_log.heads)
    # Never before an earlier head, nor before its key: a clock may have been set back.
    at = max([now.replace(microsecond=0), *(each.at for each in known[-1:]), *filter(None, [keyring.since])])
    tree, trust = Tree(leaf.leaf for leaf in leaves), Trust(keyring.first_vkey, keyring.rotations)
    _must_hold(finding for each in known for finding in check_head(name_of(each), each.note, tree, trust))
    # One that was signed, but not put outside before the process was killed.
    await asyncio.to_thread(_export, keyring, known, outlets.folder)
    await asyncio.to_thread(publish_roots, keyring, outlets.folder, outlets.roots(), at)
    roots = await asyncio.to_thread(statements, outlets.folder, trust)
    outside = await asyncio.to_thread(published, outlets.folder)
    _must_hold(check_log(leaves, [each.note for each in known], outside, trust))
    head = Head(keyring.name, len(tree), tree.root(), at)
    for each in known:
        if (each.size, each.at) == (head.size, head.at):
            return each
    kept = Kept(head.size, head.at, head.root, keyring.sign(head))
    await database.transact(lambda session: _keep(session, head, kept, roots, outlets.recipients, now))
    await asyncio.to_thread(_export, keyring, [kept], outlets.folder)
    log.info("head.published", size=kept.size, root=kept.root.hex())
    return kept


def _must_hold(findings: Iterable[Finding]) -> None:
    if found := list(findings):
        raise UnfitError("; ".join(map(str, found[:_TOLD])))


def _keep(
    session: Session, head: Head, kept: Kept, roots: Sequence[str], recipients: Sequence[str], now: datetime
) -> None:
    merkle_log.keep_head(session, head, kept.note)
    facts = {"size": kept.size, "root": kept.root.hex(), "at": format_time(kept.at), "note": kept.note, "roots": roots}
    outbox.tell(session, recipients, TEMPLATE, kept.size, facts, now)


def _export(keyring: Keyring, heads: Sequence[Kept], folder: Path) -> None:
    """Puts the public side of the keys and these heads into the folder, as far as they are not there.

    UnfitError where something else lies in their place.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    _put_same(folder / FIRST, f"{keyring.first_vkey}\n")
    for number, rotation in enumerate(keyring.rotations, 1):
        (folder / ROTATIONS).mkdir(mode=0o755, exist_ok=True)
        _put_same(folder / ROTATIONS / f"{number:04}.txt", rotation.text)
    trust = Trust(keyring.first_vkey, keyring.rotations)
    for head in heads:
        name = name_of(head)
        _put_same(folder / f"{name}.txt", head.note)
        if not (folder / f"{name}.html").exists():
            try:
                sheet = page(head.note, str(trust.key_at(head.at)), str(keyring.first_vkey))
            except NoteError as error:
                raise UnfitError(f"head {name}: {error}") from None
            put_new(folder / f"{name}.html", sheet.encode())


def name_of(head: Kept) -> str:
    """The name of its files, such as ``1204-20261124T160500Z``."""
    return f"{head.size}-{head.at:%Y%m%dT%H%M%SZ}"


def _put_same(path: Path, text: str) -> None:
    if not path.exists():
        put_new(path, text.encode())
    if path.read_bytes() != text.encode():
        raise UnfitError(f"{path.name} in {path.parent} is not the one that was published")
