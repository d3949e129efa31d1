"""Writes the access log (who saw or tried what), and applies the limits on how often callers do something.

Before an auditor reads an issue, or staff see a whole phone number, a line is written into the access log. If it cannot
be written, the auditor is shown nothing, and staff see the number masked. Lines about refused requests are written soon
after the answer, so that no answer waits for them; the log of the process has them as well.
"""

import asyncio
import contextlib
import hashlib
import hmac
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.access_log import Entry, Result, put
from db.engine import Database
from domain.access import Sight, writes
from domain.commands import Actor, ContactDetails
from domain.events import Event
from protocol.caller import Caller
from protocol.clock import Now, today
from protocol.context import ADDRESS, caller_network
from protocol.directory_cache import DirectoryCache
from protocol.errors import Forbidden, TooMany, Unavailable
from protocol.limits import Quotas
from protocol.reader import VisibleIssue
from security.ids import tracking_hash

log: Final = structlog.stdlib.get_logger(__name__)

AGAIN: Final = timedelta(minutes=10)
"""How long one line of the access log, and one use of the limit, cover a person's views of an issue's phone number."""
_WRITE_SECONDS: Final = 1.0
"""How many seconds it may take to write lines to the access log."""
_PAUSE: Final = 0.5
_AFTER_FAILURE: Final = 2.0
"""Seconds between two batches of lines that are written after the answer (_PAUSE), and after a batch that failed."""
_MOST_WAITING: Final = 10_000
_AT_ONCE: Final = 200
_MOST_SHOWN: Final = 10_000
_OWN_STREET: Final = ("street", "auditor", "admin")

Masked = Literal["limit", "unlogged"]


@dataclass(frozen=True)
class Glance:
    """How much the viewer is shown now. `masked` says why, if that is less than the rules allow."""

    sight: Sight
    masked: Masked | None = None


class AccessGuard:
    """Applies the limits on what callers do, and writes the access log."""

    def __init__(
        self, *, database: Database, directory: DirectoryCache, quotas: Quotas, secret: bytes, now: Now
    ) -> None:
        self.quotas: Final = quotas
        self._database = database
        self._directory = directory
        self._secret = secret
        self._now = now
        self._waiting: deque[Entry] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._shown: OrderedDict[tuple[str, str, str], datetime] = OrderedDict()

    # What is shown

    async def sight(self, seen: VisibleIssue, events: Iterable[Event]) -> Glance:
        """How much of these events the viewer is shown.

        If staff see a whole phone number, that is written to the access log and counts towards a limit. Raises
        Unavailable if the viewer is an auditor and the access log cannot be written.
        """
        looks, actor, issue = seen.sight, seen.actor, seen.issue.id
        if actor.role == "auditor":
            await self.read(actor, "timeline", [issue])
        if actor.role == "resident" or not looks.phone or not any(map(_has_phone, events)):
            return Glance(looks)
        key = (actor.role, actor.person, issue)
        if (until := self._shown.get(key)) is not None and until > self._now():
            return Glance(looks)
        try:
            await self.quotas.spend("reveal", _subject(actor))
        except TooMany:
            await self._note(actor, "phone", issue, "masked")
            return Glance(replace(looks, phone=False), "limit")
        if not await self._written([await self._entry(actor, "phone", issue, "shown")]):
            await self._note(actor, "phone", issue, "masked")
            return Glance(replace(looks, phone=False), "unlogged")
        self._shown[key] = self._now() + AGAIN
        self._shown.move_to_end(key)
        if len(self._shown) > _MOST_SHOWN:
            self._shown.popitem(last=False)
        return Glance(looks)

    async def read(self, who: Actor, what: str, issues: Sequence[str | None] = (None,)) -> None:
        """Writes to the access log that `who` reads these issues. Raises Unavailable if it cannot be written."""
        if not await self._written([await self._entry(who, what, issue, "shown") for issue in issues]):
            raise Unavailable("access-log-away")

    async def export(self, who: Actor, what: str, issues: Sequence[str | None] = (None,)) -> None:
        """Counts an export and writes it to the access log. Raises TooMany; Unavailable if it cannot be written."""
        await self.quotas.spend("export", _subject(who))
        await self.read(who, what, issues)

    async def sheet(self, who: Actor, what: str) -> None:
        """As `export`, for a file of everything that `who` may see; that a resident takes his own is not written down."""
        await (self.quotas.spend("export", _subject(who)) if who.role == "resident" else self.export(who, what))

    async def decode(self, who: Actor) -> None:
        """Counts a decryption of Temporal's payloads and writes it to the access log, without issues.

        A payload does not tell to which issue it belongs. Raises TooMany, or Unavailable if the log cannot be written.
        """
        await self.quotas.count("decode", _subject(who))
        await self.read(who, "payloads")

    # What is done

    async def may_write(self, caller: Caller, what: str, issue: str | None = None) -> None:
        """Raises Forbidden if the caller's role may never write, and writes the attempt to the access log."""
        if caller.actor is not None and not writes(caller.actor.role):
            await self._note(caller.actor, what, issue, "forbidden")
            raise Forbidden

    async def may_report(self, caller: Caller) -> None:
        """Counts a report towards the caller's limit. Raises TooMany; Forbidden if the role may never write."""
        await self.may_write(caller, "report")
        who = f"address {caller_network()}" if caller.actor is None else _subject(caller.actor)
        await self.quotas.count("report", who)

    async def may_give(self, caller: Caller) -> None:
        """Counts a command towards the caller's limit. Raises TooMany."""
        await self.quotas.count("command", _whose(caller))

    async def may_manage(self, who: Actor, what: str, *, is_manager: bool) -> None:
        """Counts a change of the directory as a command. Raises TooMany; Forbidden for all but managers, which is logged."""
        await self.quotas.count("command", _subject(who))
        if not is_manager:
            await self._note(who, what, None, "forbidden")
            raise Forbidden("manager-only")

    async def may_upload(self, caller: Caller) -> None:
        """Counts an uploaded picture towards the caller's limit. Raises TooMany."""
        await self.quotas.spend("upload", _whose(caller))

    async def turned_away(self, caller: Caller, what: str, issue: str) -> None:
        """Writes to the access log that staff tried an issue that they may not see; for residents does nothing."""
        if caller.actor is not None and caller.actor.role != "resident":
            await self._note(caller.actor, what, issue, "not-found")

    async def may_guess(self) -> None:
        """Raises TooMany if the request's network address has sent too many wrong tracking codes."""
        await self.quotas.check("code", caller_network())

    async def guessed(self) -> None:
        """Counts a wrong tracking code against the request's network address."""
        try:
            await self.quotas.count("code", caller_network())
        except TooMany:
            return  # this request keeps its answer, the next one is refused

    async def close(self) -> None:
        """Writes the lines that still wait. Logs an error if some cannot be written to the access log."""
        self._closing.set()
        if self._writing is not None:
            await self._writing
        while self._waiting and await self._write_some():
            pass
        if self._waiting:
            log.error("access_lines_in_this_log_only", count=len(self._waiting))
        await self.quotas.close()

    async def line(self, who: Actor, what: str, result: Result) -> Entry:
        """A line of the access log about no issue, for a caller that writes it in a transaction of its own."""
        return await self._entry(who, what, None, result)

    async def _entry(self, who: Actor, what: str, issue: str | None, result: Result) -> Entry:
        address = hmac.digest(self._secret, b"address:" + ADDRESS.get().encode(), hashlib.sha256).hex()[:16]
        street = await self._street(who)
        return Entry(self._now(), who.person, who.role, who.org, street, what, issue, result, address)

    async def _street(self, who: Actor) -> str | None:
        """The street of the actor's organisation; the first by code if it works in several, None if not known."""
        if who.role in _OWN_STREET or who.org is None:
            return who.org
        try:
            return min((await self._directory.get()).streets_of(who.org, today(self._now())), default=None)
        except Unavailable:
            return None

    async def _written(self, entries: Sequence[Entry]) -> bool:
        """Writes the lines, and returns whether they were stored in time.

        Lines stored too late count as not stored: the access log may name more than was shown, never less.
        """
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._database.transact(lambda session: put(session, entries))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("access_log_away", error=type(error).__name__)
            return False
        return True

    async def _note(self, who: Actor, what: str, issue: str | None, result: Result) -> None:
        """Puts a line into the queue of lines that are written after the answer."""
        entry = await self._entry(who, what, issue, result)
        log.info("access", person=who.person, role=who.role, org=who.org, what=what, issue=issue, result=result)
        if len(self._waiting) >= _MOST_WAITING:
            log.error("access_lines_in_this_log_only", count=1)
            return
        self._waiting.append(entry)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_behind())

    async def _write_behind(self) -> None:
        pause = _PAUSE
        while self._waiting and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)
            pause = _PAUSE if await self._write_some() else _AFTER_FAILURE

    async def _write_some(self) -> bool:
        some = [self._waiting[n] for n in range(min(_AT_ONCE, len(self._waiting)))]
        if not await self._written(some):
            return False
        for _ in some:
            self._waiting.popleft()
        return True


def _subject(actor: Actor) -> str:
    return f"{actor.role} {actor.person}"


def _whose(caller: Caller) -> str:
    """The name under which the caller's uses of a limit are counted: the person, or without a token the tracking code.

    Whoever has neither, and joins an issue, is counted by network address. All callers without a token have one and the same subject, so the subject cannot tell them apart.
    """
    if caller.actor is not None:
        return _subject(caller.actor)
    return (
        f"address {caller_network()}" if caller.tracking_code is None else f"code {tracking_hash(caller.tracking_code)}"
    )


def _has_phone(event: Event) -> bool:
    contact = getattr(event.body, "contact", None)
    return isinstance(contact, ContactDetails) and bool(contact.phone)
