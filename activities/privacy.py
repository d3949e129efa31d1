"""Erases personal texts: destroys the keys of issues, on request or when their retention period is over.

An open issue is erased once it is closed, since its texts are needed until then. Each request is stored in the read
model and in the key store, so that the request survives if one of the two is lost or restored from a backup.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from temporalio import activity

from activities.pictures import StoredPictures
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
"""The form of the reason for an erasure: one word, nothing personal, since the reason is kept for ever."""
UNNAMED: Final = "unnamed"
"""Stored in place of a reason that does not have the form `WHY`."""
BATCH: Final = 500
"""Issues that are erased together. Each such batch is marked as done before the next one begins."""

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass
class Erased:
    """The result of one run: the erased issues, their number by category, and how many could not be erased yet."""

    erased: list[str] = field(default_factory=list[str])
    by_category: Counter[str] = field(default_factory=Counter[str])
    failed: int = 0
    accesses: int = 0
    """The number of lines of the access log that were removed."""

    def plain(self) -> dict[str, Any]:
        return {
            "erased": len(self.erased),
            "by_category": dict(sorted(self.by_category.items())),
            "failed": self.failed,
            "accesses": self.accesses,
        }


class Privacy:
    """Stores requests to erase issues, and carries them out in read model, key store and blob store."""

    def __init__(
        self, database: Database, vault: Vault, pictures: StoredPictures, rules: Retention, access_days: int,
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
        """Requests the erasure of issues past their retention, then does all requested erasures that can be done.

        Also removes old lines of the access log. Returns the numbers of the run as a report.
        """
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
        """Removes lines of the access log past their retention. Returns their number."""
        count = 0
        while True:
            async with self._database.write() as session:
                removed = await access_log.purge(session, now - self._access_kept, now)
            if not removed:
                return count
            count += removed

    async def ask(self, issues: Sequence[str], why: str) -> None:
        """Stores requests to erase these issues, in the read model and the key store; `carry_out` erases them."""
        now = self._now()
        wanted = [Erasure(issue, why, now) for issue in issues]
        await self._note_asked(wanted)
        try:
            await self._vault.store.request_erasures(wanted)
        except KeyStoreDown as error:  # the next `retain` copies the request there
            log.warning("not_requested", issues=len(issues), error=type(error).__name__)

    async def _compare(self) -> None:
        """Makes read model and key store agree: what one of the two lacks is copied from the other.

        That concerns requests to erase an issue, and finished erasures.

        A read model that was restored from a backup lacks later requests, or holds erased texts; a restored key store
        holds keys that were destroyed. Each raises an alarm, since without a restore somebody has altered one of the
        two. Raises KeyStoreDown.
        """
        learned = again = 0
        async for rows in self._asked():
            await self._vault.store.request_erasures(
                [Erasure(row.issue, row.why, row.asked_at) for row in rows if row.done_at is None]
            )
            done = [row.issue for row in rows if row.done_at is not None]
            undone = set(done) - set(await self._vault.store.destroyed(done))
            if undone:
                await self._mark_undone(sorted(undone))
            again += len(undone)
        for source in (self._vault.store.requested_erasures, self._vault.store.tombstones):
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

    async def _mark_undone(self, issues: Sequence[str]) -> None:
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
        """Erases the closed issues whose erasure was requested; with `only`, no others than these.

        It may be interrupted anywhere: an issue counts as erased once its request is marked as done, and erasing an
        issue twice does no harm.
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
