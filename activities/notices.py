"""Empties the outbox: delivers notices, and does the jobs that follow from events.

Delivery runs beside the workflows, so a failed delivery delays no issue. Unless the channel drops repeats, a notice is
sent at most once: each attempt is stored before it is made, and a notice whose attempt has an unknown outcome fails.
The notices of an issue reach a receiver in order: none is sent while an earlier one waits.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import outbox
from db.alarms import put_alarm
from db.engine import Database
from db.outbox import Entry
from db.tables import NoticeRow
from db.undelivered import settle_alarms
from db.upsert import insert_missing
from runtime.failpoints import hit
from runtime.pause import pause

TIMEOUT: Final = timedelta(seconds=10)
"""How long one attempt at a notice or job may take."""
LEASE: Final = timedelta(seconds=60)
"""How long claimed entries belong to one deliverer; after that another deliverer may claim them."""
MOST: Final = 100
"""Entries claimed at once."""
FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(hours=1)
TRIED_FOR: Final = timedelta(days=8)
"""How long a notice is tried at least: a receiver that is down for a week of holidays misses nothing."""
ALARMING_TRIES: Final = 8
"""After so many failed attempts a job raises one alarm; it is tried for ever."""
PAUSE_SECONDS: Final = 0.25
"""Seconds between two polls of the outbox. Entries that arrive between polls share a few transactions."""
PAUSE_AFTER_FAILURE_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 0.5
"""Seconds for which the loop waits for attempts before it goes on to others: a slow job holds up no notice."""

log: Final = structlog.stdlib.get_logger(__name__)

Handler = Callable[[Entry], Awaitable[None]]
"""Does a job. It must be idempotent, since a job is repeated until it succeeds."""
Now = Callable[[], datetime]


def now_utc() -> datetime:
    return datetime.now(UTC)


class UndeliveredError(Exception):
    """The notice or job was certainly not done, so it may be retried.

    The message is stored, so it must hold no names.
    """


class NotTriedError(UndeliveredError):
    """No attempt was made, so none is counted. One may be made after `rest`."""

    def __init__(self, reason: str, rest: timedelta) -> None:
        super().__init__(reason)
        self.rest: Final = rest


class Channel(Protocol):
    """A way to deliver notices. After any exception but UndeliveredError the outcome is unknown."""

    @property
    def repeatable(self) -> bool:
        """Whether the channel drops a notice whose `id` it has delivered before, so that a retry is safe."""
        ...

    async def deliver(self, notice: Entry) -> None: ...


@runtime_checkable
class Keeping(Protocol):
    """A channel that can show a notice to its addressee here, while the receiver cannot be told yet."""

    async def keep(self, notice: Entry) -> None: ...


@dataclass(frozen=True)
class _Outcome:
    """The outcome of one attempt. `error` is None on success. `until` is the time of the retry, None if there is none.

    `made` is False if no attempt was made, so that none is counted.
    """

    entry: Entry
    error: str | None = None
    until: datetime | None = None
    made: bool = True


class TableChannel:
    """The channel of the embedded default: stores a notice as a row of `notices`, and writes a line to the log.

    The API lists these rows for the addressee. Concurrent deliveries share a transaction.
    """

    def __init__(self, database: Database, clock: Now = now_utc) -> None:
        self._database = database
        self._clock = clock
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._turn = asyncio.Lock()

    @property
    def repeatable(self) -> bool:
        return True

    async def deliver(self, notice: Entry) -> None:
        row = {
            "id": notice.id, "issue": notice.issue, "seq": notice.seq, "template": notice.template,
            "to_org": notice.to_org, "to_reporter": notice.to_reporter, "payload": notice.payload,
            "delivered_at": self._clock(),
        }  # fmt: skip
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, written))
        async with self._turn:
            if not written.done():
                await self._write_all()
        await written
        log.info("notice", issue=notice.issue, seq=notice.seq, template=notice.template, to_org=notice.to_org)

    async def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            await self._database.transact(
                lambda session: insert_missing(session, NoticeRow, [row for row, _ in waiting])
            )
        except BaseException as error:
            for _, written in waiting:
                if not written.done():
                    written.set_exception(UndeliveredError(type(error).__name__))
                    written.exception()  # mark as retrieved: a caller that timed out does not await it
            if not isinstance(error, SQLAlchemyError | OSError):
                raise
        else:
            for _, written in waiting:
                if not written.done():
                    written.set_result(None)


class Deliverer:
    """Empties the outbox of a database, which several deliverers may share."""

    def __init__(
        self,
        database: Database,
        channel: Channel,
        jobs: Mapping[str, Handler] = MappingProxyType({}),
        clock: Now = now_utc,
    ) -> None:
        self._database = database
        self._channel = channel
        self._jobs = jobs
        self._clock = clock
        self._going: set[asyncio.Task[list[_Outcome]]] = set()
        """The groups of entries whose attempts have not ended."""
        self._ended: list[_Outcome] = []
        """What is not on record yet; kept while the database is away, so that nothing that was sent is sent again."""

    async def run(self, stop: asyncio.Event) -> None:
        """Empties the outbox again and again until `stop` is set; then finishes the attempts under way."""
        try:
            while not stop.is_set():
                seconds = PAUSE_SECONDS
                try:
                    while await self.deliver_pending(PATIENCE_SECONDS) == MOST and not stop.is_set():
                        pass
                except Exception as error:  # noqa: BLE001 - whatever it is, the next notices must still go out
                    seconds = PAUSE_AFTER_FAILURE_SECONDS
                    log.warning("outbox.failed", error=type(error).__name__)
                await pause(stop, seconds)
            try:
                await self._finish()
            except Exception as error:  # noqa: BLE001 - what is not on record is claimed again after its lease
                log.warning("outbox.failed", error=type(error).__name__)
        finally:
            for task in self._going:
                task.cancel()

    async def deliver_pending(self, patience: float | None = None) -> int:
        """Claims at most MOST due entries and makes one attempt at each. Returns the number of claimed entries.

        After `patience` seconds, if they are given, attempts that have not ended are left to a later call.
        """
        entries = await self._claimed() if len(self._going) < MOST else ()
        self._going |= {asyncio.create_task(self._in_order(group)) for group in _by_issue(entries)}
        await self._finish(patience)
        return len(entries)

    async def _claimed(self) -> Sequence[Entry]:
        async with self._database.read() as session:
            if not await outbox.is_due(session, self._clock()):
                return ()
        now = self._clock()
        return await self._database.transact(
            lambda session: outbox.claim(session, now, now + LEASE, most=MOST, repeatable=self._channel.repeatable)
        )

    async def _finish(self, patience: float | None = None) -> None:
        """Puts on record how the attempts ended that do so within `patience` seconds; None: all of them."""
        if self._going:
            try:
                done, self._going = await asyncio.wait(self._going, timeout=patience)
            except asyncio.CancelledError:
                for task in self._going:
                    task.cancel()
                raise
            self._ended += [outcome for task in done for outcome in task.result()]
        if outcomes := self._ended:
            await self._database.transact(lambda session: self._settle(session, outcomes))
            self._ended = []

    async def _in_order(self, entries: Sequence[Entry]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        waits: dict[Hashable, datetime] = {}
        for entry in entries:
            until = entry.behind or waits.get(entry.lane)
            outcomes.append(await self._attempt(entry) if until is None else await self._keep(entry, until))
            if entry.lane is not None and (until := outcomes[-1].until) is not None:
                waits[entry.lane] = until
        return outcomes

    async def _keep(self, entry: Entry, until: datetime) -> _Outcome:
        """Leaves a notice behind one that waits until then; only its addressee here may read it at once."""
        if isinstance(self._channel, Keeping) and not entry.kept:
            if self._clock() + TIMEOUT > entry.lease:
                return _Outcome(entry, until=self._clock(), made=False)
            try:
                async with asyncio.timeout(TIMEOUT.total_seconds()):
                    await self._channel.keep(entry)
            except Exception as error:  # noqa: BLE001 - it is tried again with the one that waits
                log.warning("outbox.not_kept", id=entry.id, error=type(error).__name__)
                return _Outcome(entry, outbox.BEHIND_UNKEPT, until, made=False)
        return _Outcome(entry, outbox.BEHIND, until, made=False)

    async def _attempt(self, entry: Entry) -> _Outcome:
        if self._clock() + TIMEOUT > entry.lease:
            return _Outcome(entry, until=self._clock(), made=False)
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                await self._do(entry)
        except NotTriedError as error:
            return _Outcome(entry, str(error), self._clock() + error.rest, made=False)
        except UndeliveredError as error:
            return self._failed(entry, str(error) or type(error).__name__, again=True)
        except Exception as error:  # noqa: BLE001 - a channel may raise anything, with personal data in its message
            again = entry.kind == "job" or self._channel.repeatable
            return self._failed(entry, f"outcome unknown: {type(error).__name__}", again=again)
        return _Outcome(entry)

    async def _do(self, entry: Entry) -> None:
        if entry.kind == "notice":
            hit("before-delivery")
            await self._channel.deliver(entry)
            hit("after-delivery")
        elif (handler := self._jobs.get(entry.template)) is not None:
            await handler(entry)
        else:  # this worker is older than the job, during an upgrade: a newer worker has the handler
            raise UndeliveredError(f"no handler for {entry.template}")

    def _failed(self, entry: Entry, error: str, *, again: bool) -> _Outcome:
        log.warning("outbox.attempt_failed", id=entry.id, kind=entry.kind, template=entry.template,
                    attempt=entry.attempt, error=error)  # fmt: skip
        if not again or (entry.kind == "notice" and entry.attempt >= MOST_TRIES):
            return _Outcome(entry, error)
        return _Outcome(entry, error, self._clock() + wait(entry.attempt))

    def _settle(self, session: Session, outcomes: Sequence[_Outcome]) -> None:
        now = self._clock()
        late: dict[str | None, str] = {}
        lost: dict[str | None, str] = {}
        for outcome in outcomes:
            entry = outcome.entry
            if outcome.until is None:
                outbox.settle(session, entry, now, outcome.error)
            elif outcome.error is None:
                outbox.release(session, [entry], now)
            else:
                outbox.postpone(session, entry, now, outcome.until, outcome.error, made=outcome.made)
                if entry.kind == "job" and entry.attempt == ALARMING_TRIES:
                    detail = {"job": entry.template, "id": entry.id, "error": outcome.error}
                    put_alarm(session, "job-failing", entry.issue, detail, now)
            if entry.kind == "notice" and outcome.error is not None and outcome.made:
                (late if outcome.until else lost)[entry.to_org] = outcome.error
        if late or lost or any(each.entry.kind == "notice" and each.made for each in outcomes):
            settle_alarms(session, late, lost, now)


def wait(attempt: int) -> timedelta:
    """How long to wait after failed attempt number `attempt` (from 1): times four each time, up to LONGEST_WAIT."""
    return min(FIRST_WAIT * 4 ** min(attempt - 1, 10), LONGEST_WAIT)


MOST_TRIES: Final = 1 + next(n for n, end in enumerate(itertools.accumulate(map(wait, itertools.count(1))), 1)
                             if end >= TRIED_FOR)  # fmt: skip
"""After so many failed attempts a notice fails for good. Only attempts that were made count, so that a worker that was
down, or that spared the receiver, shortens nothing."""


def _by_issue(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries in one group for each issue: a group is handled in order, different groups concurrently."""
    ordered = sorted(entries, key=lambda entry: (entry.issue or "", entry.id))
    return [list(group) for _, group in itertools.groupby(ordered, key=lambda entry: entry.issue)]
