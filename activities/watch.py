"""Raises alarms for stuck issues, whose workflow fails or has missed a deadline, and closes those that are over."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from temporalio.client import Client
from temporalio.service import RPCError

from db.alarms import close, settle
from db.engine import Database
from db.tables import AlarmRow, EventRow, IssueRow, OutboxRow
from domain.wire import truncate
from runtime.executions import listed
from runtime.pause import pause
from workflows.contract import PREFIX

PERIOD_SECONDS: Final = 30.0
"""Seconds between two checks for stuck issues."""
BOUND: Final = timedelta(minutes=5)
"""How long after a deadline an issue may go without an event for it; then the deadline counts as missed."""
_FAILING: Final = 'WorkflowType="Issue" AND ExecutionStatus="Running" AND TemporalReportedProblems IS NOT NULL'

_GAP: Final = timedelta(seconds=3 * PERIOD_SECONDS)
"""A look later than this after the one before means that something had stopped."""
LONGEST_CATCHING_UP: Final = timedelta(hours=1)
"""After so long without a gap, issues that are late are not catching up, even though they get fewer."""
_RETRIED: Final = ("record-fails", "stored-differs", "job-failing")
_CAUSES: Final = select(func.count(AlarmRow.kind.distinct())).where(AlarmRow.seen_at.is_(None))

log: Final = structlog.stdlib.get_logger(__name__)


class Watch:
    """Raises an alarm for each stuck issue, one of a kind, and closes it once the issue goes on.

    After a stop of the worker, of Temporal or of the database the issues catch up on their deadlines. So nothing counts
    as overlooked until the watch has looked without a gap for BOUND, nor while fewer are late with each look.
    """

    def __init__(self, client: Client, database: Database, registry: CollectorRegistry) -> None:
        self._client = client
        self._database = database
        self._open = Gauge("jiesu_alarms_open", "Causes of alarms that nobody has marked as seen.", registry=registry)
        self._looked_at: datetime | None = None
        self._began = self._since = datetime.max.replace(tzinfo=UTC)
        """When looks without a gap began; since when, moreover, issues are not catching up."""
        self._late = 0

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
        failing = {each.id.removeprefix(PREFIX) async for each in listed(self._client, _FAILING)}
        async with self._database.read() as session:
            query = select(IssueRow.id).where(IssueRow.closed_at.is_(None), IssueRow.acts_at < now - BOUND)
            late = set(await session.scalars(query))
        overlooked = set[str]() if self._is_catching_up(len(late), now) else late

        def work(session: Session) -> tuple[int, int]:
            raised, _ = settle(session, "workflow-fails", failing, failing, now)
            more, _ = settle(session, "deadline-overlooked", overlooked, late, now)
            _close_what_works_again(session, now)
            return raised + more, session.scalar(_CAUSES) or 0

        raised, causes = await self._database.transact(work)
        self._open.set(causes)
        return raised

    def _is_catching_up(self, late: int, now: datetime) -> bool:
        if self._looked_at is None or now - self._looked_at > _GAP:
            self._began = self._since = now
        elif late < self._late and now - self._began < LONGEST_CATCHING_UP:
            self._since = now
        self._looked_at, self._late = now, late
        return now - self._since < BOUND


def _close_what_works_again(session: Session, now: datetime) -> None:
    """Closes alarms about events that were recorded since, and about jobs that are done or gone."""
    query = select(AlarmRow.id, AlarmRow.kind, AlarmRow.issue, AlarmRow.at, AlarmRow.detail)
    over: list[int] = []
    for row in session.execute(query.where(AlarmRow.kind.in_(_RETRIED), AlarmRow.gone_at.is_(None))):
        if row.kind == "job-failing":
            waits = select(OutboxRow.id).where(OutboxRow.id == row.detail["id"], OutboxRow.finished_at.is_(None))
            is_over = session.scalar(waits) is None
        else:
            stored = select(EventRow.seq).where(EventRow.issue == row.issue, EventRow.stored_at > row.at)
            is_over = session.scalar(stored.limit(1)) is not None
        if is_over:
            over.append(row.id)
    close(session, over, now)
