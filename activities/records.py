"""The activity that stores an issue's events. It gives up quickly when the database is down.

The workflow first runs it as a local activity, which holds the workflow's task, so that queries and signals wait behind
it. Therefore a local attempt has a short timeout, and one failure opens a circuit breaker: all local attempts of the
process are then refused for a while, or until an attempt, local or ordinary, succeeds.
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
from db.projector import ClosedError, CodesOf, ConflictError, GapError, record
from domain.events import chain, event_digest
from runtime.breaker import Breaker
from runtime.failpoints import hit
from workflows.contract import RECORD, Batch

LOCAL_SECONDS: Final = 0.25
"""Timeout of a local attempt. Shorter than the workflow's own (300 ms), so that this code sees it and trips the
breaker."""
ORDINARY_SECONDS: Final = 8.0
"""Timeout of an ordinary attempt. Shorter than the workflow's own (10 s), so that this code sees it and trips the
breaker."""
ALERT_FROM_ATTEMPT: Final = 5
"""From this attempt on, a failure other than an outage of the database raises an alarm."""
_REST_SECONDS: Final = 5.0
"""How long the breaker stays open after a failure; then one attempt tests the database."""
_BUSY_SECONDS: Final = 0.5
"""A timeout does not open the breaker if another attempt succeeded this recently."""
_AWAY: Final = (OperationalError, InterfaceError, OSError)  # a TimeoutError is an OSError


class DifferentError(Exception):
    """The database holds other events than were given to it. The transaction is rolled back, and the activity retried.

    It is an error because a wrong digest, returned as a result, would enter the workflow's history for ever.
    """


def make_breaker(clock: Callable[[], float] = time.monotonic) -> Breaker:
    """The circuit breaker for local attempts.

    A refused local attempt becomes an ordinary one, which is more work for the database. So a timeout of a database
    that is merely busy does not open the breaker (`busy`).
    """
    return Breaker(
        _REST_SECONDS, opened="records.breaker_opened", closed="records.breaker_closed", clock=clock, busy=_BUSY_SECONDS
    )


_BREAKER: Final = make_breaker()
"""The breaker that all attempts of the process share."""


def _away(error: BaseException) -> ApplicationError:
    """The error to raise when the database is away. It is benign and has no cause, to keep log and history small."""
    name, category = type(error).__name__, ApplicationErrorCategory.BENIGN
    return ApplicationError("the database is away, or has too much to do", type=name, category=category)


class Records:
    """The activity ``record``, which stores events in a database."""

    def __init__(
        self, database: Database, breaker: Breaker = _BREAKER, local_seconds: float = LOCAL_SECONDS,
        codes: CodesOf = lambda _: (),
    ) -> None:  # fmt: skip
        self._database = database
        self._codes = codes
        self._local_seconds = local_seconds
        self._breaker = breaker
        self._abandoned: set[asyncio.Task[str]] = set()

    @activity.defn(name=RECORD)
    async def record(self, batch: Batch) -> str:
        """Stores the new events of the batch. Returns the digest over the stored events."""
        if activity.info().is_local:
            return await self._local(batch)
        try:
            stored = await self._within(ORDINARY_SECONDS, self._store(batch, may_rewrite=True))
        except _AWAY as error:
            self._breaker.trip(error)
            raise _away(error) from None
        except DifferentError as error:
            await self._raise("stored-differs", batch.issue, why=str(error))
            raise
        except ClosedError as error:
            await self._raise("id-taken", batch.issue, why=str(error))
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
        """Makes one local attempt. It never replaces stored events.

        Otherwise a late attempt, of a workflow task that was lost, could replace newer events.
        """
        with self._breaker.attempt() as allowed:
            if not allowed:
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
                calendars=batch.calendars, may_rewrite=may_rewrite, codes=self._codes,
            )  # fmt: skip
            if stored != chain(map(event_digest, batch.events)):
                raise DifferentError(f"events from {batch.events[0]['seq']} on are not stored as they were given")
            hit("before-commit" if may_rewrite else "local-before-commit")
            return stored

        stored = await self._database.transact(work)
        hit("after-commit" if may_rewrite else "local-after-commit")
        return stored

    async def _within(self, seconds: float, work: Coroutine[Any, Any, str]) -> str:
        """The result of the work. After `seconds` cancels the work and raises TimeoutError.

        It does not wait for the end of cancelled work, whose connection may hang.
        """
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
            task.exception()  # mark as retrieved, or asyncio logs it
