"""Erases what people wrote: destroys the keys of issues, on request or when the time for which they are kept is over.

An issue that is still open is erased once it is closed: until then its texts are needed to deal with it. What is asked for is
on record beside the keys too, so that it is done even where one of the two databases was lost or put back from a backup.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from temporalio import activity

from db import access_log, erasures
from db.alarms import put_alarm_once
from db.engine import Database
from db.tables import ErasureRow
from domain.retention import Retention
from domain.vocabulary import CATEGORIES
from domain.wire import truncate
from security.keystore import Erasure, KeyStoreDown
from security.vault import Vault
from workflows.contract import RETAIN

REQUEST: Final = "request"
RETENTION: Final = "retention"
WHY: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
"""What may stand for a reason: it stays on record, so a word and nothing personal."""
UNNAMED: Final = "unnamed"
"""In the place of a reason that is none of these words."""
BATCH: Final = 500
"""Issues that are erased together: then they are noted, whatever becomes of the next ones."""

log: Final = structlog.stdlib.get_logger(__name__)


class Pictures(Protocol):
    """Where the pictures of issues lie."""

    async def remove(self, issue: str) -> None:
        """Takes all pictures of an issue away. May raise OSError: it is tried again."""
        ...


@dataclass
class Erased:
    """What came of one look: issues erased, and by category; how many failed and are tried again."""

    erased: list[str] = field(default_factory=list[str])
    by_category: Counter[str] = field(default_factory=Counter[str])
    failed: int = 0
    accesses: int = 0
    """Lines of the access log that were removed."""

    def plain(self) -> dict[str, Any]:
        return {
            "erased": len(self.erased),
            "by_category": dict(sorted(self.by_category.items())),
            "failed": self.failed,
            "accesses": self.accesses,
        }


class Privacy:
    """See the module."""

    def __init__(
        self, database: Database, vault: Vault, pictures: Pictures, rules: Retention, access_days: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._database = database
        self._vault = vault
        self._pictures = pictures
        self._rules = rules
        self._access_kept = timedelta(days=access_days)
        self._clock = clock

    @activity.defn(name=RETAIN)
    async def retain(self) -> dict[str, Any]:
        """Asks for what has been kept long enough, and erases all that was asked for and can be; the report."""
        now = self._now()
        try:
            await self._compare()
        except KeyStoreDown as error:
            log.warning("not_compared", error=type(error).__name__)
        limits = {category: self._rules.closed_before(category, now) for category in CATEGORIES}
        while old := await self._outlived(limits):
            await self.ask(old, RETENTION)
            _beat()
        done = await self.carry_out()
        done.accesses = await self._purge(now)
        log.info("retained", **done.plain())
        return done.plain()

    async def _outlived(self, limits: Mapping[str, datetime]) -> Sequence[str]:
        async with self._database.read() as session:
            return await erasures.outlived(session, limits, BATCH)

    async def _purge(self, now: datetime) -> int:
        """Removes lines of the access log that were kept for long enough; how many."""
        count = 0
        while True:
            async with self._database.write() as session:
                removed = await access_log.purge(session, now - self._access_kept, now)
            if not removed:
                return count
            count += removed

    async def ask(self, issues: Sequence[str], why: str) -> None:
        """Notes that these are to be erased. Nothing is yet: `carry_out` does it."""
        now = self._now()
        wanted = [Erasure(issue, why, now) for issue in issues]
        await self._note_asked(wanted)
        try:
            await self._vault.doom(wanted)
        except KeyStoreDown as error:  # the next `retain` notes it there
            log.warning("not_doomed", issues=len(issues), error=type(error).__name__)

    async def _compare(self) -> None:
        """Of the two databases, lets each know what only the other one does. Raises KeyStoreDown.

        A read model put back from a backup has not heard of what was asked since, or shows words of what was erased; in
        a key store that was put back lie keys again that were destroyed. Where neither was put back somebody has written
        into one of them, so there is an alarm.
        """
        learned = again = 0
        async for rows in self._asked():
            await self._vault.doom([Erasure(row.issue, row.why, row.asked_at) for row in rows if row.done_at is None])
            undone = await self._vault.not_erased([row.issue for row in rows if row.done_at is not None])
            if undone:
                await self._take_back(sorted(undone))
            again += len(undone)
        for source in (self._vault.doomed, self._vault.erased):
            after = ""
            while page := await source(after, BATCH):
                learned += await self._note_asked(page)
                after = page[-1].issue
                _beat()
        if learned or again:
            await self._alarm("erasures-differ", {"learned": learned, "again": again})

    async def _alarm(self, kind: str, detail: Mapping[str, int]) -> None:
        now = self._now()
        await self._database.transact(lambda session: put_alarm_once(session, kind, None, detail, now))

    async def _note_asked(self, wanted: Sequence[Erasure]) -> int:
        rows = [(each.issue, each.why if WHY.fullmatch(each.why) else UNNAMED, each.at) for each in wanted]
        return await self._database.transact(lambda session: erasures.ask(session, rows))

    async def _take_back(self, issues: Sequence[str]) -> None:
        await self._database.transact(lambda session: erasures.undo(session, issues))

    async def _asked(self) -> AsyncIterator[Sequence[ErasureRow]]:
        after = ""
        while True:
            async with self._database.read() as session:
                rows = await erasures.page(session, after, BATCH)
            if not rows:
                return
            yield rows
            after = rows[-1].issue
            _beat()

    async def carry_out(self, only: Sequence[str] | None = None) -> Erased:
        """Erases what was asked for and is closed, or of that only these issues.

        In an order that can be cut short anywhere: it is done once it is noted, and what is done again does no harm.
        """
        done = Erased()
        last: ErasureRow | None = None
        while True:
            async with self._database.read() as session:
                waiting = await erasures.waiting(session, BATCH, last, only)
            if not waiting:
                return done
            await self._carry_out(done, waiting)
            last, _ = waiting[-1]

    async def _carry_out(self, done: Erased, waiting: Sequence[tuple[ErasureRow, str]]) -> None:
        gone: dict[str, str] = {}
        for row, category in waiting:
            _beat()
            try:
                await self._erase(row.issue, row.why)
                gone[row.issue] = category
            except (KeyStoreDown, OSError) as error:
                done.failed += 1
                log.warning("not_erased", issue=row.issue, error=type(error).__name__)
        if gone and not await self._database.scrub():
            log.warning("not_scrubbed", issues=len(gone))
            done.failed += len(gone)
        elif gone:
            await self._note(done, gone)

    async def _erase(self, issue: str, why: str) -> None:
        await self._vault.erase(issue, why, self._now())
        await self._pictures.remove(issue)
        await self._database.transact(lambda session: erasures.forget(session, issue))

    async def _note(self, done: Erased, gone: Mapping[str, str]) -> None:
        now = self._now()
        await self._database.transact(lambda session: erasures.note_done(session, list(gone), now))
        done.erased += gone
        done.by_category.update(gone.values())

    def _now(self) -> datetime:
        return truncate(self._clock())


def _beat() -> None:
    if activity.in_activity():
        activity.heartbeat()
