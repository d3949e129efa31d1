"""Names within a minute what somebody did to an issue's workflow from outside: ended, deleted or paused it.

The reconciler would find the first two as well, but it looks at everything and so only every ten minutes.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from temporalio.client import Client
from temporalio.service import RPCError

from audit.reconcile import LAG, Reconciler
from db.alarms import close, lasting, settle
from db.engine import Database
from db.tables import IssueRow
from domain.wire import format_time, truncate
from runtime.executions import OPEN, PAUSED, listed
from runtime.pause import pause
from workflows.contract import PREFIX

PERIOD_SECONDS: Final = 20.0
"""Seconds between two looks."""
AGAIN: Final = timedelta(hours=2)
"""How far back each look goes, in case Temporal's list lags or the worker was down."""
_ISSUES: Final = "WorkflowType='Issue'"
_ENDED: Final = f"{_ISSUES} AND ExecutionStatus IN ('Terminated', 'Canceled', 'Failed', 'TimedOut')"

log: Final = structlog.stdlib.get_logger(__name__)


class Outside:
    """Looks again and again. Each worker does; an alarm is raised once."""

    def __init__(self, client: Client, database: Database, reconciler: Reconciler) -> None:
        self._client = client
        self._database = database
        self._reconciler = reconciler

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every PERIOD_SECONDS until `stop` is set."""
        while not stop.is_set():
            try:
                await self.look(truncate(datetime.now(UTC)))
            except (RPCError, SQLAlchemyError, OSError) as error:
                log.warning("outside.cannot_look", error=type(error).__name__)
            await pause(stop, PERIOD_SECONDS)

    async def look(self, now: datetime) -> int:
        """Looks once. Returns the number of alarms raised. Raises RPCError, SQLAlchemyError."""
        ended = [each async for each in listed(self._client, f"{_ENDED} AND CloseTime >= '{format_time(now - AGAIN)}'")]
        gone = await self._gone(now)
        raised = await self._reconciler.tell(ended, gone, now)
        paused = {
            each.id.removeprefix(PREFIX)
            async for each in listed(self._client, f"{_ISSUES} AND ExecutionStatus='Paused'")
            if each.status == PAUSED
        }

        back = await self._back()

        def work(session: Session) -> int:
            close(session, back, now)
            return settle(session, "workflow-paused", paused, paused, now)[0]

        return raised + await self._database.transact(work)

    async def _gone(self, now: datetime) -> list[str]:
        """The issues that are open in SQL and have no workflow. The sets are compared only where their sizes differ."""
        async with self._database.read() as session:
            query = select(IssueRow.id).where(IssueRow.closed_at.is_(None), IssueRow.opened_at < now - LAG)
            opened = list(await session.scalars(query))
        running = (await self._client.count_workflows(f"{_ISSUES} AND {OPEN}")).count
        return await self._reconciler.gone(opened) if len(opened) > running else []

    async def _back(self) -> list[int]:
        """The alarms about issues without a workflow that have one again, as after a restore of Temporal."""
        async with self._database.read() as session:
            missed = await session.run_sync(lasting, "gone-from-temporal")
        there = await self._reconciler.open_issues() if missed else set[str]()
        return [alarm for issue, alarm in missed.items() if issue in there]
