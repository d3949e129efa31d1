"""The reconciler compares what Temporal holds with what was recorded and archived. It queues missing archive jobs, and
raises alarms about tampering.

Nothing else would notice that an operator ended, reset or deleted an issue's workflow behind the API's back, or that
Temporal will forget a history before it is archived. Stuck workflows are left to `activities.watch`.

The reconciler stores no mark of its progress, since a mark could be lost or moved. Each look covers the last hours
again; the first look of a process, and one look a day, cover everything that Temporal still knows. Runs that are
archived are skipped by their id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from temporalio import activity
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from activities.notices import Now, now_utc
from audit.refold import RefoldError
from audit.runs import LostRunError, fold_runs, run_of, was_reset
from db import outbox
from db.alarms import close_kinds, put_alarm_once
from db.engine import Database
from db.tables import ArchiveRow, EventRow, IssueRow, SealRow
from domain.wire import format_time, truncate
from runtime.executions import OPEN, Execution, described, listed
from security.namespace import NamespaceError
from workflows.contract import PREFIX, RECONCILE

BOUND: Final = timedelta(hours=1)
"""A run that is still not archived this long after its end raises an alarm: archiving normally takes seconds."""
MARGIN: Final = timedelta(days=7)
"""An alarm is raised if Temporal will forget an unarchived history sooner than this."""
LAG: Final = timedelta(minutes=1)
"""How long Temporal's lists of workflows may lag behind."""
AGAIN: Final = timedelta(hours=2)
"""How far before the previous look each look begins: it covers this time again."""
WHOLE: Final = timedelta(days=1)
MOST: Final = 1000
"""The most archive jobs that one look queues, those of the oldest runs first: after a long outage the outbox must still
deliver notices in between.
"""
_CHUNK: Final = 500
_BACKLOG: Final = frozenset({"not-archived", "retention-near"})
_ISSUES: Final = "WorkflowType='Issue'"

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class ReconcileResult:
    """How many archive jobs one look queued (`asked`), and how many alarms it raised (`raised`)."""

    asked: int
    raised: int


@dataclass(frozen=True)
class _Alarm:
    kind: str
    issue: str | None
    detail: dict[str, Any]
    ever: bool = True


@dataclass(frozen=True, order=True)
class _Waiting:
    """An issue of which something is not archived, and since when that could have been archived."""

    since: datetime
    issue: str


@dataclass
class _Discrepancies:
    """What one look found: the alarms to raise, and the issues that wait to be archived."""

    alarms: list[_Alarm] = field(default_factory=list[_Alarm])
    waiting: list[_Waiting] = field(default_factory=list[_Waiting])

    def alarm(self, kind: str, issue: str, **detail: str) -> None:
        self.alarms.append(_Alarm(kind, issue, detail))


class Reconciler:
    """The activity ``reconcile``. Several workers may run it at once: a job that is queued already, or an alarm that is
    raised already, is not repeated.
    """

    def __init__(self, client: Client, database: Database, clock: Now = now_utc) -> None:
        self._client = client
        self._database = database
        self._clock = clock
        self._looked_at: datetime | None = None
        self._saw_all_at: datetime | None = None

    @activity.defn(name=RECONCILE)
    async def reconcile(self) -> None:
        """Takes one look at the present time, and logs how many jobs and alarms came of it."""
        look = await self.look(truncate(self._clock()))
        log.info("reconciled", asked=look.asked, raised=look.raised)

    async def look(self, now: datetime) -> ReconcileResult:
        """Takes one look: compares, queues jobs and raises alarms. Raises RPCError or SQLAlchemyError; then the next
        look covers the same time.
        """
        retention = await self._retention()
        found, since = _Discrepancies(), self._since(now, retention)
        await self._look_at_ended(found, since, now - LAG)
        await self._look_at_running(found, now - LAG)
        await self._look_at_unsealed(found, now - retention, now - BOUND)
        found.alarms += _backlog(found.waiting, now, retention)
        over = _BACKLOG - {each.kind for each in found.alarms}

        def work(session: Session) -> ReconcileResult:
            close_kinds(session, over, now)
            return _put(session, found, now)

        look = await self._database.transact(work)
        self._looked_at = now
        if since <= now - retention:
            self._saw_all_at = now
        return look

    def _since(self, now: datetime, retention: timedelta) -> datetime:
        if self._looked_at is None or self._saw_all_at is None or now - self._saw_all_at >= WHOLE:
            return now - retention - WHOLE  # Temporal deletes what is past its retention a while later
        return min(self._looked_at, now) - AGAIN

    async def _retention(self) -> timedelta:
        """How long Temporal keeps ended workflows of this namespace."""
        described = await self._client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=self._client.namespace)
        )
        return described.config.workflow_execution_retention_ttl.ToTimedelta()

    async def _look_at_ended(self, found: _Discrepancies, since: datetime, until: datetime) -> None:
        """Finds ended runs that are not archived (also of issues that continue in another run), and runs that were
        ended or reset from outside.
        """
        closed = f"CloseTime >= '{format_time(since)}' AND CloseTime <= '{format_time(until)}'"
        ended = [each async for each in listed(self._client, f"{_ISSUES} AND {closed}")]
        archived = await self._known(ArchiveRow.run, [each.run_id for each in ended])
        left = [each for each in ended if each.run_id not in archived]
        recorded = await self._known(IssueRow.id, list(map(_issue_of, left)))
        for each in [each for each in left if _issue_of(each) not in recorded]:
            if await self._was_forged(each):
                found.alarm("forged-start", _issue_of(each), run=each.run_id)
                left.remove(each)
        found.waiting += [_Waiting(_closed_at(each), _issue_of(each)) for each in left]
        sealed = await self._known(SealRow.issue, list(map(_issue_of, left)))
        for each in left:
            if _issue_of(each) in sealed and await was_reset(self._client, _issue_of(each), each.run_id):
                found.alarm("reset-from-outside", _issue_of(each), run=each.run_id)
        await self._look_at_interference(found, ended)

    async def tell(self, ended: Sequence[Execution], gone: Sequence[str], now: datetime) -> int:
        """Raises the alarms about these ended runs and about issues without a workflow. Returns how many are new."""
        found = _Discrepancies()
        await self._look_at_interference(found, ended)
        for issue in gone:
            found.alarm("gone-from-temporal", issue)
        if not found.alarms:
            return 0
        return (await self._database.transact(lambda session: _put(session, found, now))).raised

    async def gone(self, issues: Sequence[str]) -> list[str]:
        """Which of these issues have no workflow in Temporal."""
        there = await self.open_issues()
        return [each for each in issues if each not in there and await self._described(each) is None]

    async def open_issues(self) -> set[str]:
        """The issues whose workflow has not ended."""
        return {_issue_of(each) async for each in listed(self._client, f"{_ISSUES} AND {OPEN}")}

    async def _look_at_interference(self, found: _Discrepancies, ended: Sequence[Execution]) -> None:
        for each in ended:
            issue = _issue_of(each)
            if not each.was_ended:
                continue
            if await self._was_cut_off(issue, each.run_id):
                found.alarm("reset-from-outside", issue, run=each.run_id)
            else:
                found.alarm("ended-from-outside", issue, run=each.run_id, status=each.status)

    async def _was_forged(self, ended: Execution) -> bool:
        """Whether the workflow refused its start as forged."""
        if ended.status != "completed":
            return False
        issue = _issue_of(ended)
        try:
            return fold_runs(issue, [await run_of(self._client, issue, ended.run_id)]) is None
        except (LostRunError, NamespaceError, RefoldError):
            return False

    async def _look_at_running(self, found: _Discrepancies, until: datetime) -> None:
        """Finds issues that are open in SQL but unknown to Temporal, and issues that are closed in SQL but run again
        after a reset.
        """
        async with self._database.read() as session:
            query = select(IssueRow.id).where(IssueRow.closed_at.is_(None), IssueRow.opened_at < until)
            open_ = list(await session.scalars(query))
        # Listed after the query, so an issue that ended in between is described below.
        running = {_issue_of(each) async for each in listed(self._client, f"{_ISSUES} AND {OPEN}")}
        for issue in open_:
            if issue not in running and await self._described(issue) is None:
                found.alarm("gone-from-temporal", issue)
        for issue in sorted(await self._known(IssueRow.id, sorted(running), IssueRow.closed_at < until)):
            newest_run = await self._described(issue)
            if newest_run is None or not newest_run.is_open:
                continue
            if await was_reset(self._client, issue, newest_run.run_id):
                found.alarm("reset-from-outside", issue, run=newest_run.run_id)

    async def _look_at_unsealed(self, found: _Discrepancies, since: datetime, until: datetime) -> None:
        """Finds issues that SQL holds as closed, that have no leaf in the log, and whose histories Temporal still
        keeps.
        """
        closed = (EventRow.kind == "closed", EventRow.at >= since, EventRow.at < until)
        unsealed = ~exists().where(SealRow.issue == EventRow.issue)
        async with self._database.read() as session:
            rows = await session.execute(
                select(EventRow.issue, EventRow.at, EventRow.recorded_at).where(*closed, unsealed)
            )
            # An issue that a deadline closed during an outage ended when that was recorded.
            waiting = [_Waiting(recorded_at or at, issue) for issue, at, recorded_at in rows]
        found.waiting += [each for each in waiting if each.since < until]

    async def _was_cut_off(self, issue: str, run_id: str) -> bool:
        """Whether a reset of the issue's workflow ended this run: the run itself was reset, or the newest run began
        with a reset.
        """
        run = await self._described(issue, run_id)
        if run is not None and run.reset_run_id:
            return True
        newest = await self._described(issue)
        return newest is not None and newest.run_id != run_id and await was_reset(self._client, issue, newest.run_id)

    async def _described(self, issue: str, run_id: str = "") -> Execution | None:
        return await described(self._client, PREFIX + issue, run_id)

    async def _known(
        self, column: InstrumentedAttribute[str], values: Sequence[str], *where: ColumnElement[bool]
    ) -> set[str]:
        """Which of `values` occur in this column, in rows that meet the conditions `where`."""
        async with self._database.read() as session:
            return await session.run_sync(_known, column, values, *where)


def _backlog(waiting: Sequence[_Waiting], now: datetime, retention: timedelta) -> list[_Alarm]:
    """The alarms about what waits too long to be archived: one alarm for all of it, and a second one if Temporal will
    soon forget the oldest.

    There is no alarm for each issue, since an outage would then raise thousands.
    """
    late = sorted(each for each in waiting if each.since < now - BOUND)
    if not late:
        return []
    oldest = late[0]
    detail = {"oldest": oldest.issue, "since": format_time(oldest.since)}
    number = len({each.issue for each in late})
    alarms = [_Alarm("not-archived", None, {**detail, "issues": number}, ever=False)]
    forgotten = oldest.since + retention
    if forgotten - now < MARGIN:
        alarms.append(_Alarm("retention-near", None, {**detail, "forgotten": format_time(forgotten)}, ever=False))
    return alarms


def _put(session: Session, found: _Discrepancies, now: datetime) -> ReconcileResult:
    """Queues archive jobs, the oldest first, and raises the alarms. An issue without a row in SQL gets no job: its row
    must be rebuilt first.
    """
    wanted = list(dict.fromkeys(each.issue for each in sorted(found.waiting)))
    known = _known(session, IssueRow.id, wanted)
    asked = 0
    for issue in wanted:
        if asked == MOST:
            break
        asked += issue in known and outbox.request(session, issue, "archive", now)
    told = [put_alarm_once(session, each.kind, each.issue, each.detail, now, ever=each.ever) for each in found.alarms]
    return ReconcileResult(asked, sum(told))


def _issue_of(execution: Execution) -> str:
    return execution.id.removeprefix(PREFIX)


def _closed_at(execution: Execution) -> datetime:
    assert execution.closed_at is not None, "it was found by it"
    return execution.closed_at


def _known(
    session: Session, column: InstrumentedAttribute[str], values: Sequence[str], *where: ColumnElement[bool]
) -> set[str]:
    chunks = (values[n : n + _CHUNK] for n in range(0, len(values), _CHUNK))
    return {value for chunk in chunks for value in session.scalars(select(column).where(column.in_(chunk), *where))}
