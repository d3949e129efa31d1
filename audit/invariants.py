"""The checker of the system's invariants, the same for every fault test, benchmark and audit.

It takes nothing in SQL as given: what SQL must hold is folded from Temporal's histories (`audit.refold`). The histories
themselves are replayed strictly with the workflow's code (`audit.replay`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import undefer
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from activities import missing_calendar
from audit.refold import Refolded, RefoldError
from audit.replay import replay
from audit.runs import LostRunError, WorkflowRun, fold_runs, issues_of, runs_of
from db import queries
from db.engine import Database
from db.tables import AlarmRow, EventRow, IssueRow, NoticeRow, OutboxRow
from domain.clocks import next_deadline, wake_after
from domain.events import Escalated, Event, event_digest, load_event
from domain.issue import Issue, dump_issue
from domain.rules import evolve
from policies.liveness.alone import Alone
from policies.liveness.states import States
from runtime.executions import listed
from security.namespace import NamespaceError
from workflows.contract import PREFIX

QUERY_TIMEOUT: Final = timedelta(seconds=10)
STOOD_STILL: Final = ("workflow-fails", "deadline-overlooked")
"""The kinds of alarms about workflows that were stuck; such a workflow may have recovered since."""
_NO_FAULT: Final = (*STOOD_STILL, missing_calendar.KIND)


@dataclass(frozen=True)
class Acknowledged:
    """A command for which the API answered its caller with a status 2xx."""

    issue: str
    command: str


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, the issue in which it does not (None: in no single issue), and the details."""

    invariant: str
    issue: str | None
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.issue or '-'}: {self.detail}"


@dataclass(frozen=True)
class StoredIssue:
    """What SQL holds of one issue: the version and state in its row, and its events."""

    version: int
    state: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]


async def check(
    client: Client,
    database: Database,
    acknowledged: Iterable[Acknowledged] = (),
    *,
    now: datetime,
    bound: timedelta,
    workflow: bool = True,
) -> list[Violation]:
    """All violations of the invariants I1-I5 and I8-I10; empty if all hold.

    `bound` is how late (beyond the policy's grace) a climb may be recorded, and how long after its due time a deadline
    may still be open. Give the bound of a system at rest, or the longest outage of a fault test. With `workflow` the
    snapshot of each issue's workflow is compared with SQL, which needs a running worker.
    """
    expected: defaultdict[str, set[str]] = defaultdict(set)
    for each in acknowledged:
        expected[each.issue].add(each.command)
    found: list[Violation] = []
    known: set[str] = set()
    async for issue in issues_of(client):
        known.add(issue)
        try:
            runs = await runs_of(client, issue)
            folded = fold_runs(issue, runs)
        except (LostRunError, NamespaceError, RefoldError) as error:
            found.append(Violation("I9", issue, f"the history cannot be folded: {error}"))
            continue
        found += await _check_replay(issue, runs)
        found += check_events(issue, [] if folded is None else folded.events, expected[issue], bound)
        found += await _check_stored(database, issue, folded)
        found += [] if folded is None else check_left_alone(folded.state, now)
        if workflow:
            found += await _check_snapshot(client, database, issue, now, bound)
    found += [Violation("I1", issue, "acknowledged, and unknown to Temporal") for issue in expected.keys() - known]
    found += await check_outbox(database, now, bound)
    found += await _check_alarms(client, database)
    return found


def check_events(issue: str, events: Sequence[Event], acknowledged: set[str], bound: timedelta) -> list[Violation]:
    """Violations of I1, I2, I3 and I5 in the events of one issue. `acknowledged` are the ids of commands that must be
    in effect.
    """
    found: list[Violation] = []
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        found.append(Violation("I3", issue, f"event numbers are {[event.seq for event in events]}"))
    blocks: list[str] = []
    for before, event in zip((None, *events), events, strict=False):
        if event.command and (before is None or before.command is None or before.command.id != event.command.id):
            blocks.append(event.command.id)
    # A command that took effect twice in a row gives one block with each event twice.
    kinds = Counter((event.command.id, event.kind) for event in events if event.command)
    twice = {name for name, n in Counter(blocks).items() if n > 1} | {name for (name, _), n in kinds.items() if n > 1}
    found += [Violation("I2", issue, f"command {name} in effect more than once") for name in sorted(twice)]
    found += [
        Violation("I1", issue, f"command {name} acknowledged, without effect") for name in acknowledged - {*blocks}
    ]
    climbs: Counter[tuple[str | None, datetime | None, str]] = Counter()
    for event in events:
        if event.recorded_at is not None and event.recorded_at < event.at:
            found.append(Violation("I5", issue, f"event {event.seq} recorded before its deadline"))
        if isinstance(event.body, Escalated) and event.recorded_at is not None:
            climbs[event.clause, event.at, event.level] += 1
            if event.recorded_at - event.at > bound:
                found.append(Violation("I5", issue, f"event {event.seq} recorded {event.recorded_at - event.at} late"))
    found += [Violation("I5", issue, f"climb of {clause} {n} times") for (clause, _, _), n in climbs.items() if n > 1]
    return found


def check_left_alone(issue: Issue, now: datetime) -> list[Violation]:
    """Violations of I10: if nobody acts from `now` on, an open issue closes by the silence after a valid completion, or
    its lead reaches the top within a bound, where reminders never end.
    """
    if issue.version == 0 or issue.is_closed:
        return []
    # Of each issue by itself: what was found for one that counts as alike is good enough for a search, not for a proof.
    fate = Alone(States((issue.policy,))).fate(issue, now)
    return [Violation("I10", issue.id, f"left alone, {fate.said}")] if fate.how == "frozen" else []


async def _stored(database: Database, issue: str) -> StoredIssue | None:
    async with database.read() as session:
        row = await session.scalar(select(IssueRow).where(IssueRow.id == issue).options(undefer(IssueRow.state)))
        if row is None:
            return None
        bodies = await session.scalars(select(EventRow.body).where(EventRow.issue == issue).order_by(EventRow.seq))
        return StoredIssue(row.version, row.state, list(bodies))


async def _check_replay(issue: str, runs: Sequence[WorkflowRun]) -> list[Violation]:
    """Checks I9: the workflow's code of today gives the commands that the histories hold."""
    found: list[Violation] = []
    async for replayed in replay((issue, n, run.events) for n, run in enumerate(runs)):
        found += [Violation("I9", issue, f"the history does not replay: {each}") for each in replayed.findings]
    return found


async def _check_stored(database: Database, issue: str, folded: Refolded | None) -> list[Violation]:
    """Checks I3 and I4: SQL holds the events that the history leads to, and its state is the fold of its events."""
    stored = await _stored(database, issue)
    expected = [] if folded is None else folded.written
    if stored is None:
        return [Violation("I4", issue, "unknown to SQL")] if expected else []
    found: list[Violation] = []
    ours, theirs = [each.digest for each in expected], [event_digest(event) for event in stored.events]
    shared = min(len(ours), len(theirs))
    if ours[:shared] != theirs[:shared]:
        first = next(n for n in range(shared) if ours[n] != theirs[n])
        found.append(Violation("I4", issue, f"event {first + 1} in SQL is not that of the history"))
    if len(theirs) < len(ours):
        found.append(Violation("I4", issue, f"SQL holds {len(theirs)} of {len(ours)} events"))
    if stored.version != len(theirs):
        found.append(Violation("I3", issue, f"the row is at version {stored.version}, with {len(theirs)} events"))
    if folded is not None:
        state = Issue.new(issue, folded.policy, folded.calendars, folded.rules_version)
        for event in stored.events:
            state = evolve(state, load_event(event))
        if dump_issue(state) != stored.state:
            found.append(Violation("I4", issue, "the state in SQL is not the fold of its events"))
    return found


async def _check_snapshot(
    client: Client, database: Database, issue: str, now: datetime, bound: timedelta
) -> list[Violation]:
    """Checks I4 and I9: the workflow answers, its snapshot agrees with SQL, and none of its deadlines is long past."""
    try:
        handle = client.get_workflow_handle(PREFIX + issue)
        snapshot = await handle.query("snapshot", rpc_timeout=QUERY_TIMEOUT)
    except (RPCError, WorkflowQueryFailedError) as error:
        return [Violation("I9", issue, f"the workflow does not answer: {error}")]
    stored = await _stored(database, issue)
    if stored is None:
        return [Violation("I4", issue, "unknown to SQL")]
    found: list[Violation] = []
    if snapshot["state"] != stored.state:
        version = snapshot["state"].get("version", 0)
        found.append(Violation("I4", issue, f"the workflow is at {version}, SQL at {stored.version}, or they differ"))
    async with database.read() as session:
        state = await queries.issue(session, issue)
    deadline = next_deadline(state, now) if state is not None else None
    if state is not None and deadline is not None and deadline.at + wake_after(state, deadline) + bound < now:
        found.append(Violation("I9", issue, f"{deadline.what} of {deadline.clause} was due at {deadline.at}"))
    return found


async def check_outbox(database: Database, now: datetime, bound: timedelta) -> list[Violation]:
    """Checks I8: each notice was delivered at most once, a notice that failed has a reason, and no outbox entry waits
    for long.
    """
    async with database.read() as session:
        entries = (await session.scalars(select(OutboxRow))).all()
        delivered = Counter((await session.scalars(select(NoticeRow.id))).all())
    found: list[Violation] = []
    for entry in entries:
        name = f"{entry.kind} {entry.template} of event {entry.seq}"
        if entry.status == "failed" and not entry.last_error:
            found.append(Violation("I8", entry.issue, f"{name} failed without a reason on record"))
        since = (
            entry.ready_at if entry.ready_at and not entry.attempts else entry.created_at
        )  # some wait for the opening
        if entry.status in ("pending", "sending") and since + bound + timedelta(seconds=60) < now:
            found.append(Violation("I8", entry.issue, f"{name} still {entry.status}"))
        if entry.kind == "notice" and entry.status == "sent" and delivered.get(entry.id, 0) != 1:
            found.append(Violation("I8", entry.issue, f"{name} sent, and delivered {delivered.get(entry.id, 0)} times"))
    sent = Counter((each.issue, each.seq, each.template, each.to_org, each.to_reporter, each.payload.get("voice"))
                   for each in entries
                   if each.kind == "notice" and each.status == "sent")  # fmt: skip
    found += [
        Violation("I8", key[0], f"notice {key[2]} of event {key[1]} sent {n} times") for key, n in sent.items() if n > 1
    ]
    return found


async def _check_alarms(client: Client, database: Database) -> list[Violation]:
    """Checks I9: no workflow reports problems to Temporal, and there is no alarm that nobody has marked as seen.

    Alarms about stuck workflows are not counted: `_check_snapshot` shows whether a workflow is still stuck. Nor is that
    of a year without a calendar: it is no fault of the record.
    """
    found: list[Violation] = []
    waiting = select(AlarmRow).where(AlarmRow.seen_at.is_(None), AlarmRow.kind.not_in(_NO_FAULT))
    async with database.read() as session:
        alarms = (await session.scalars(waiting)).all()
    found += [Violation("I9", alarm.issue, f"alarm {alarm.kind}: {alarm.detail}") for alarm in alarms]
    async for execution in listed(client, 'WorkflowType="Issue" AND TemporalReportedProblems IS NOT NULL'):
        found.append(Violation("I9", execution.id.removeprefix(PREFIX), "the workflow reports problems"))
    return found
