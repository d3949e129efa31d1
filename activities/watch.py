"""Looks for issues that are stuck, and tells somebody: no workflow may stand still in silence."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from db.alarms import raise_alarm
from db.engine import Database
from db.tables import AlarmRow, IssueRow
from domain.wire import truncate
from runtime.pause import pause
from workflows.contract import PREFIX

PERIOD_SECONDS: Final = 30.0
"""Between two looks."""
BOUND: Final = timedelta(minutes=5)
"""What should have been done by the clock this long ago, and is not on record, is not merely late."""
_FAILING: Final = 'WorkflowType="Issue" AND ExecutionStatus="Running" AND TemporalReportedProblems IS NOT NULL'

_TURN: Final = 0x6A69657375
"""PostgreSQL's advisory lock of those that raise alarms here."""

log: Final = structlog.stdlib.get_logger(__name__)


class Watch:
    """Raises an alarm for each stuck issue, once until somebody has marked it as seen."""

    def __init__(self, client: Client, database: Database, registry: CollectorRegistry) -> None:
        self._client = client
        self._database = database
        self._open = Gauge("jiesu_alarms_open", "Alarms that nobody has marked as seen.", registry=registry)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks again and again until `stop` is set."""
        while not stop.is_set():
            try:
                await self.look(truncate(datetime.now(UTC)))
            except (RPCError, SQLAlchemyError, OSError) as error:
                log.warning("watch.cannot_look", error=type(error).__name__)
            await pause(stop, PERIOD_SECONDS)

    async def look(self, now: datetime) -> int:
        """One look; how many alarms it raised."""
        failing = [execution.id.removeprefix(PREFIX) async for execution in self._client.list_workflows(_FAILING)]
        async with self._database.read() as session:
            query = select(IssueRow.id).where(IssueRow.closed_at.is_(None), IssueRow.acts_at < now - BOUND)
            late = list(await session.scalars(query))
        raised = await self._raise("workflow-fails", failing, now) + await self._raise("deadline-overlooked", late, now)
        async with self._database.read() as session:
            self._open.set(await session.scalar(select(func.count()).where(AlarmRow.seen_at.is_(None))) or 0)
        return raised

    async def _raise(self, kind: str, issues: Iterable[str], now: datetime) -> int:
        stuck = set(issues)
        if not stuck:
            return 0
        async with self._database.write() as session:
            if not self._database.is_sqlite:  # there the writer has the database to himself
                await session.execute(select(func.pg_advisory_xact_lock(_TURN)))
            query = select(AlarmRow.issue).where(AlarmRow.kind == kind, AlarmRow.seen_at.is_(None))
            fresh = sorted(stuck - set(await session.scalars(query)))
            for issue in fresh:
                await raise_alarm(session, kind, issue, {}, now)
        return len(fresh)
