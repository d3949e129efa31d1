"""Empties the outbox beside the workflows: tells people, and does the jobs that follow from events.

Nothing here can hold up an issue. A notice is sent at most once as far as the channel allows: the attempt is on
record before it is made, and where nobody knows whether it succeeded it is not made again, but put down as failed.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import outbox
from db.alarms import put_alarm
from db.engine import Database
from db.outbox import Entry
from db.tables import NoticeRow
from db.upsert import insert_missing
from runtime.failpoints import hit
from runtime.pause import pause

TIMEOUT: Final = timedelta(seconds=10)
"""For one notice or job."""
LEASE: Final = timedelta(seconds=60)
MOST: Final = 100
"""Entries claimed at once."""
MOST_TRIES: Final = 8
"""Of a notice, then it has failed; of a job, then an alarm is raised once and it goes on."""
FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(hours=1)
PAUSE_SECONDS: Final = 0.25
"""Between two looks; what happens meanwhile is dealt with together, in few transactions."""
PAUSE_AFTER_FAILURE_SECONDS: Final = 2.0

log: Final = structlog.stdlib.get_logger(__name__)

Handler = Callable[[Entry], Awaitable[None]]
"""Does a job; it must be idempotent, since a job is repeated until it succeeds."""
Clock = Callable[[], datetime]


def now_utc() -> datetime:
    return datetime.now(UTC)


class UndeliveredError(Exception):
    """The channel has surely not taken the notice, so it may be tried again. The message goes on record: no names."""


class Gateway(Protocol):
    """A channel. Any exception but UndeliveredError means that nobody knows whether the notice arrived."""

    @property
    def repeatable(self) -> bool:
        """Whether it drops a second delivery of the same `notice.id`, so that trying again can double nothing."""
        ...

    async def deliver(self, notice: Entry) -> None: ...


@dataclass(frozen=True)
class _Outcome:
    """What became of one attempt. `error` None: done; `until`: when to try again, None: never."""

    entry: Entry
    error: str | None = None
    until: datetime | None = None
    begun: bool = True


class TableGateway:
    """The embedded default: a row in `notices`, which the addressee's page shows, and a line in the log.

    Calls that come together share a transaction.
    """

    def __init__(self, database: Database, clock: Clock = now_utc) -> None:
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
                    written.exception()  # one who has given up in the meantime does not ask for it
            if not isinstance(error, SQLAlchemyError | OSError):
                raise
        else:
            for _, written in waiting:
                if not written.done():
                    written.set_result(None)


class Deliverer:
    """Empties the outbox of a database; any number of them may run on one."""

    def __init__(
        self,
        database: Database,
        gateway: Gateway,
        jobs: Mapping[str, Handler] = MappingProxyType({}),
        clock: Clock = now_utc,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._jobs = jobs
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Goes on until `stop` is set; what is under way then is finished first."""
        while not stop.is_set():
            seconds = PAUSE_SECONDS
            try:
                while await self.deliver_pending() == MOST and not stop.is_set():
                    pass
            except Exception as error:  # noqa: BLE001 - whatever it is, the next notices must still go out
                seconds = PAUSE_AFTER_FAILURE_SECONDS
                log.warning("outbox.failed", error=type(error).__name__)
            await pause(stop, seconds)

    async def deliver_pending(self) -> int:
        """Takes what is due, at most MOST entries, and makes one attempt at each; how many there were."""
        async with self._database.read() as session:
            if not await outbox.is_due(session, self._clock()):
                return 0
        now = self._clock()
        entries = await self._database.transact(
            lambda session: outbox.claim(session, now, now + LEASE, most=MOST, repeatable=self._gateway.repeatable)
        )
        groups = _by_issue(entries)
        outcomes = [each for group in await asyncio.gather(*map(self._in_order, groups)) for each in group]
        if outcomes:
            await self._database.transact(lambda session: self._settle(session, outcomes))
        return len(entries)

    async def _in_order(self, entries: Sequence[Entry]) -> list[_Outcome]:
        return [await self._attempt(entry) for entry in entries]

    async def _attempt(self, entry: Entry) -> _Outcome:
        if self._clock() + TIMEOUT > entry.lease:
            return _Outcome(entry, begun=False)
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                await self._do(entry)
        except UndeliveredError as error:
            return self._failed(entry, str(error) or type(error).__name__, again=True)
        except Exception as error:  # noqa: BLE001 - a channel may raise anything; its words may hold anything
            again = entry.kind == "job" or self._gateway.repeatable
            return self._failed(entry, f"outcome unknown: {type(error).__name__}", again=again)
        return _Outcome(entry)

    async def _do(self, entry: Entry) -> None:
        if entry.kind == "notice":
            hit("before-delivery")
            await self._gateway.deliver(entry)
            hit("after-delivery")
        elif (handler := self._jobs.get(entry.template)) is not None:
            await handler(entry)
        else:  # an older worker during an upgrade: a newer one knows it
            raise UndeliveredError(f"no handler for {entry.template}")

    def _failed(self, entry: Entry, error: str, *, again: bool) -> _Outcome:
        log.warning("outbox.attempt_failed", id=entry.id, kind=entry.kind, template=entry.template,
                    attempt=entry.attempt, error=error)  # fmt: skip
        if not again or (entry.kind == "notice" and entry.attempt >= MOST_TRIES):
            return _Outcome(entry, error)
        return _Outcome(entry, error, self._clock() + wait(entry.attempt))

    def _settle(self, session: Session, outcomes: Sequence[_Outcome]) -> None:
        now = self._clock()
        for outcome in outcomes:
            entry = outcome.entry
            if not outcome.begun:
                outbox.release(session, [entry], now)
            elif outcome.error is None or outcome.until is None:
                outbox.settle(session, entry, now, outcome.error)
            else:
                outbox.postpone(session, entry, now, outcome.until, outcome.error)
                if entry.kind == "job" and entry.attempt == MOST_TRIES:
                    detail = {"job": entry.template, "id": entry.id, "error": outcome.error}
                    put_alarm(session, "job-failing", entry.issue, detail, now)


def wait(attempt: int) -> timedelta:
    """How long to wait after this attempt: four times longer each time, up to a limit."""
    return min(FIRST_WAIT * 4 ** min(attempt - 1, 10), LONGEST_WAIT)


def _by_issue(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries of one issue go out one after the other, those of different issues side by side."""
    ordered = sorted(entries, key=lambda entry: (entry.issue or "", entry.id))
    return [list(group) for _, group in itertools.groupby(ordered, key=lambda entry: entry.issue)]
