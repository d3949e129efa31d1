"""The activity that stores an issue's events, made to give up quickly when the database is down.

As a local activity it holds the workflow's task, and queries and signals wait behind it. So it gives up early, and
after one failure all local attempts of this process fail at once until one of either kind has succeeded.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from db.alarms import put_alarm_once
from db.engine import Database
from db.projector import ClosedError, ConflictError, GapError, record
from domain.events import chain, event_digest
from runtime.breaker import Breaker
from runtime.failpoints import hit
from workflows.contract import RECORD, Batch

LOCAL_SECONDS: Final = 0.25
"""Below the 300 ms of the workflow, so that it is this code that gives up, and knows why."""
ORDINARY_SECONDS: Final = 8.0
"""Below the 10 s of the workflow."""
ALERT_FROM_ATTEMPT: Final = 5
"""From this attempt on a failure raises an alarm, if the database is there."""
_REST_SECONDS: Final = 5.0
"""For how long after a failure no local attempt is made; then one tries for all."""
_BUSY_SECONDS: Final = 0.5
"""An attempt that is too slow does not open the breaker if another came through within this time."""
_AWAY: Final = (OperationalError, InterfaceError, OSError)  # a TimeoutError is an OSError


class DifferentError(Exception):
    """The database gives back other events than it was given: nothing is kept, and it is tried again.

    As a result it would be in the workflow's history, which no repair could heal.
    """


def make_breaker(clock: Callable[[], float] = time.monotonic) -> Breaker:
    """For local attempts. A refused one becomes an ordinary one, which gives a busy database more to do: hence `busy`."""
    return Breaker(
        _REST_SECONDS, opened="records.breaker_opened", closed="records.breaker_closed", clock=clock, busy=_BUSY_SECONDS
    )


_BREAKER: Final = make_breaker()
"""That of the process."""


def _away(error: BaseException) -> ApplicationError:
    """In an outage each attempt ends here: nothing that fills the log, and with its cause the history."""
    name, category = type(error).__name__, ApplicationErrorCategory.BENIGN
    return ApplicationError("the database is away, or has too much to do", type=name, category=category)


class Records:
    """The activity ``record`` on a database; register `Records(database).record` with the worker."""

    def __init__(self, database: Database, breaker: Breaker = _BREAKER, local_seconds: float = LOCAL_SECONDS) -> None:
        self._database = database
        self._local_seconds = local_seconds
        self._breaker = breaker
        self._abandoned: set[asyncio.Task[str]] = set()

    @activity.defn(name=RECORD)
    async def record(self, batch: Batch) -> str:
        """Stores what is new of the batch; the digest over what is stored for it."""
        if activity.info().is_local:
            return await self._local(batch)
        try:
            stored = await self._within(ORDINARY_SECONDS, self._store(batch, may_rewrite=True))
        except _AWAY as error:
            self._breaker.trip(error)
            raise _away(error) from None
        except (DifferentError, ClosedError) as error:
            kind = "stored-differs" if isinstance(error, DifferentError) else "id-taken"
            await self._raise(kind, batch.issue, why=str(error))
            raise
        except Exception as error:
            if activity.info().attempt >= ALERT_FROM_ATTEMPT:
                await self._raise("record-fails", batch.issue, error=type(error).__name__)
            raise
        self._breaker.close()
        return stored

    async def _raise(self, kind: str, issue: str, **detail: str) -> None:
        now = datetime.now(UTC)
        await self._database.transact(lambda session: put_alarm_once(session, kind, issue, detail, now))

    async def _local(self, batch: Batch) -> str:
        """One attempt. It never rewrites: a late one, of a task long lost, could undo what is true by now."""
        if not self._breaker.allows():
            raise ApplicationError("the database was away just now", type="BreakerOpen", non_retryable=True)
        try:
            stored = await self._within(self._local_seconds, self._store(batch, may_rewrite=False))
        except asyncio.CancelledError as error:
            self._breaker.trip(error)
            raise
        except _AWAY as error:
            self._breaker.trip(error)
            raise _away(error) from None
        except (GapError, ConflictError, DifferentError) as error:
            self._breaker.close()
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from None
        self._breaker.close()
        return stored

    async def _store(self, batch: Batch, *, may_rewrite: bool) -> str:
        def work(session: Session) -> str:
            stored = record(
                session, batch.issue, batch.events, now=datetime.now(UTC), policy=batch.policy,
                calendars=batch.calendars, may_rewrite=may_rewrite,
            )  # fmt: skip
            if stored != chain(map(event_digest, batch.events)):
                raise DifferentError(f"events from {batch.events[0]['seq']} on are not stored as they were given")
            hit("before-commit" if may_rewrite else "local-before-commit")
            return stored

        stored = await self._database.transact(work)
        hit("after-commit" if may_rewrite else "local-after-commit")
        return stored

    async def _within(self, seconds: float, work: Coroutine[Any, Any, str]) -> str:
        """The result of the work, or TimeoutError on the dot: a hanging connection may take long to give up."""
        task = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
            if not done:
                raise TimeoutError(f"the database did not answer within {seconds} s")
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                self._abandoned.add(task)
                task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[str]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else asks, and asyncio would complain about it
