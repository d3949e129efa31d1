"""Raises alarms for stuck issues: those whose workflow fails or has missed a deadline."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from temporalio.client import Client
from temporalio.service import RPCError

from db.alarms import put_alarm
from db.engine import Database
from db.tables import AlarmRow, IssueRow
from db.upsert import is_sqlite
from domain.wire import truncate
from runtime.pause import pause
from workflows.contract import PREFIX

PERIOD_SECONDS: Final = 30.0
"""Seconds between two checks for stuck issues."""
BOUND: Final = timedelta(minutes=5)
"""How long after a deadline an issue may go without an event for it; then the deadline counts as missed."""
_FAILING: Final = 'WorkflowType="Issue" AND ExecutionStatus="Running" AND TemporalReportedProblems IS NOT NULL'

_LOCK: Final = 0x6A69657375
"""Key of the PostgreSQL advisory lock that keeps two workers from raising the same alarm."""

log: Final = structlog.stdlib.get_logger(__name__)


class Watch:
    """Raises an alarm for each stuck issue.

    An issue gets no second alarm of a kind until the first is marked as seen.
    """

    def __init__(self, client: Client, database: Database, registry: CollectorRegistry) -> None:
        self._client = client
        self._database = database
        self._open = Gauge("jiesu_alarms_open", "Alarms that nobody has marked as seen.", registry=registry)

    async def run(self, stop: asyncio.Event) -> None:
        """Checks every PERIOD_SECONDS until `stop` is set."""
        while not stop.is_set():
            try:
                await self.look(truncate(datetime.now(UTC)))
            except (RPCError, SQLAlchemyError, OSError) as error:
                log.warning("watch.cannot_look", error=type(error).__name__)
            await pause(stop, PERIOD_SECONDS)

    async def look(self, now: datetime) -> int:
        """Checks once. Returns the number of alarms raised."""
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

        def work(session: Session) -> int:
            if not is_sqlite(session):  # SQLite has one writer at a time
                session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            query = select(AlarmRow.issue).where(AlarmRow.kind == kind, AlarmRow.seen_at.is_(None))
            fresh = sorted(stuck - set(session.scalars(query)))
            for issue in fresh:
                put_alarm(session, kind, issue, {}, now)
            return len(fresh)

        return await self._database.transact(work)
