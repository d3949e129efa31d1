"""Compares what Temporal holds with what was recorded and archived: asks for what is missing, tells of what must not be.

Nothing else would notice that somebody ended, put back or deleted an issue behind the API's back, or that Temporal will
forget a history before it is archived. Workflows that stand still are left to `activities.watch`.

It keeps no mark of how far it has looked, which could be lost or moved: each look covers the last hours anew, the first
of a process and one a day everything that Temporal still knows. What is archived drops out by its run's id.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from temporalio import activity
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.notices import Now, now_utc
from audit.runs import was_reset
from db import outbox
from db.alarms import put_alarm_once
from db.engine import Database
from db.tables import ArchiveRow, EventRow, IssueRow, SealRow
from domain.wire import format_time, truncate
from workflows.contract import PREFIX, RECONCILE

BOUND: Final = timedelta(hours=1)
"""Archiving takes seconds; what ended this long ago and is not archived is kept from it."""
MARGIN: Final = timedelta(days=7)
"""An alarm is raised when Temporal forgets something unarchived sooner than this."""
LAG: Final = timedelta(minutes=1)
"""Temporal's lists are true a moment later only."""
AGAIN: Final = timedelta(hours=2)
"""How far each look goes back behind the one before."""
WHOLE: Final = timedelta(days=1)
MOST: Final = 1000
"""Jobs asked for by one look, the oldest runs first: after a long outage notices must still get through."""
_CHUNK: Final = 500
_ISSUES: Final = "WorkflowType='Issue'"
_BY_ITSELF: Final = frozenset({WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CONTINUED_AS_NEW})
"""How an issue's workflow ends when nobody meddles."""

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Look:
    """What came of one look: the jobs that it asked for, and the alarms that it raised."""

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
    """Something that is not archived: since when, and of which issue."""

    since: datetime
    issue: str


@dataclass
class _Found:
    alarms: list[_Alarm] = field(default_factory=list[_Alarm])
    waiting: list[_Waiting] = field(default_factory=list[_Waiting])

    def alarm(self, kind: str, issue: str, **detail: str) -> None:
        self.alarms.append(_Alarm(kind, issue, detail))


class Reconciler:
    """See the module. Several may look at once: what one has asked for or told of the other leaves alone."""

    def __init__(self, client: Client, database: Database, clock: Now = now_utc) -> None:
        self._client = client
        self._database = database
        self._clock = clock
        self._looked_at: datetime | None = None
        self._saw_all_at: datetime | None = None

    @activity.defn(name=RECONCILE)
    async def reconcile(self) -> None:
        """The activity."""
        look = await self.look(truncate(self._clock()))
        log.info("reconciled", asked=look.asked, raised=look.raised)

    async def look(self, now: datetime) -> Look:
        """One look. Raises RPCError or SQLAlchemyError; the next one makes up for it."""
        retention = await self._retention()
        found, since = _Found(), self._since(now, retention)
        await self._look_at_ended(found, since, now - LAG)
        await self._look_at_running(found, now - LAG)
        await self._look_at_unsealed(found, now - retention, now - BOUND)
        found.alarms += _backlog(found.waiting, now, retention)
        look = await self._database.transact(lambda session: _put(session, found, now))
        self._looked_at = now
        if since <= now - retention:
            self._saw_all_at = now
        return look

    def _since(self, now: datetime, retention: timedelta) -> datetime:
        if self._looked_at is None or self._saw_all_at is None or now - self._saw_all_at >= WHOLE:
            return now - retention - WHOLE  # what is past its time goes a while later
        return min(self._looked_at, now) - AGAIN

    async def _retention(self) -> timedelta:
        """How long the namespace keeps what has ended."""
        described = await self._client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=self._client.namespace)
        )
        return described.config.workflow_execution_retention_ttl.ToTimedelta()

    async def _look_at_ended(self, found: _Found, since: datetime, until: datetime) -> None:
        """Runs that are not archived, also of issues that go on in another run; and those that did not end by themselves."""
        closed = f"CloseTime >= '{format_time(since)}' AND CloseTime <= '{format_time(until)}'"
        ended = [each async for each in self._client.list_workflows(f"{_ISSUES} AND {closed}")]
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
        for each in ended:
            issue = _issue_of(each)
            if each.status is None or each.status in _BY_ITSELF:
                continue
            if await self._was_cut_off(issue, each.run_id):
                found.alarm("reset-from-outside", issue, run=each.run_id)
            else:
                found.alarm("ended-from-outside", issue, run=each.run_id, status=each.status.name.lower())

    async def _was_forged(self, ended: WorkflowExecution) -> bool:
        """Whether it was begun around the API and has come to nothing, as it says itself."""
        if ended.status is not WorkflowExecutionStatus.COMPLETED:
            return False
        handle = self._client.get_workflow_handle(ended.id, run_id=ended.run_id)
        result: Any = await handle.result(follow_runs=False)
        return isinstance(result, dict) and "forged" in result

    async def _look_at_running(self, found: _Found, until: datetime) -> None:
        """Open issues that Temporal does not know, and closed ones that run again."""
        async with self._database.read() as session:
            query = select(IssueRow.id).where(IssueRow.closed_at.is_(None), IssueRow.opened_at < until)
            open_ = list(await session.scalars(query))
        # Listed afterwards, so what was open before and has ended since is asked about below.
        running = {
            _issue_of(each) async for each in self._client.list_workflows(f"{_ISSUES} AND ExecutionStatus='Running'")
        }
        for issue in open_:
            if issue not in running and await self._described(issue) is None:
                found.alarm("gone-from-temporal", issue)
        for issue in await self._closed(running, until):
            described = await self._described(issue)
            if described is None or described.status is not WorkflowExecutionStatus.RUNNING:
                continue
            if await was_reset(self._client, issue, described.run_id):
                found.alarm("reset-from-outside", issue, run=described.run_id)

    async def _look_at_unsealed(self, found: _Found, since: datetime, until: datetime) -> None:
        """Issues on record as closed without a leaf in the log; what Temporal has forgotten is beyond help."""
        closed = (EventRow.kind == "closed", EventRow.at >= since, EventRow.at < until)
        unsealed = ~exists().where(SealRow.issue == EventRow.issue)
        async with self._database.read() as session:
            rows = await session.execute(
                select(EventRow.issue, EventRow.at, EventRow.recorded_at).where(*closed, unsealed)
            )
            # What the clock closed during an outage ended when it was recorded.
            waiting = [_Waiting(recorded_at or at, issue) for issue, at, recorded_at in rows]
        found.waiting += [each for each in waiting if each.since < until]

    async def _was_cut_off(self, issue: str, run_id: str) -> bool:
        """Whether this run ended because the issue was put back to an earlier moment, of this run or another."""
        run = await self._described(issue, run_id)
        if run is not None and run.raw_description.workflow_extended_info.reset_run_id:
            return True
        newest = await self._described(issue)
        return newest is not None and newest.run_id != run_id and await was_reset(self._client, issue, newest.run_id)

    async def _described(self, issue: str, run_id: str | None = None) -> WorkflowExecutionDescription | None:
        """What Temporal says of a run, the newest if none is named; None if it does not know it."""
        try:
            return await self._client.get_workflow_handle(PREFIX + issue, run_id=run_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def _known(self, column: InstrumentedAttribute[str], values: Sequence[str]) -> set[str]:
        """Those of the values that stand in this column."""
        async with self._database.read() as session:
            return {
                value
                for chunk in _chunks(values)
                for value in await session.scalars(select(column).where(column.in_(chunk)))
            }

    async def _closed(self, issues: Collection[str], until: datetime) -> list[str]:
        """Those of them that have been closed for a while."""
        async with self._database.read() as session:
            return [
                issue
                for chunk in _chunks(sorted(issues))
                for issue in await session.scalars(
                    select(IssueRow.id).where(IssueRow.id.in_(chunk), IssueRow.closed_at < until)
                )
            ]


def _backlog(waiting: Sequence[_Waiting], now: datetime, retention: timedelta) -> list[_Alarm]:
    """One alarm for all that waits too long, and one more if its time runs out: an outage must not raise thousands."""
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


def _put(session: Session, found: _Found, now: datetime) -> Look:
    """Asks for the oldest first. An issue without a row cannot be asked for: the read model has to be rebuilt first."""
    wanted = list(dict.fromkeys(each.issue for each in sorted(found.waiting)))
    known = {
        issue
        for chunk in _chunks(wanted)
        for issue in session.scalars(select(IssueRow.id).where(IssueRow.id.in_(chunk)))
    }
    asked = 0
    for issue in wanted:
        if asked == MOST:
            break
        asked += issue in known and outbox.request(session, issue, "archive", now)
    told = [put_alarm_once(session, each.kind, each.issue, each.detail, now, ever=each.ever) for each in found.alarms]
    return Look(asked, sum(told))


def _issue_of(execution: WorkflowExecution) -> str:
    return execution.id.removeprefix(PREFIX)


def _closed_at(execution: WorkflowExecution) -> datetime:
    assert execution.close_time is not None, "it was found by it"
    return execution.close_time.astimezone(UTC)


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[n : n + _CHUNK] for n in range(0, len(ids), _CHUNK))
