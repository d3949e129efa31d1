"""Folds an issue again from the signals in its histories. It does without the replay of Temporal's SDK, so that it
works for ever.

The workflow's code may change, but what the workflow folds may not: first the report, then at each completed workflow
task the signals that had arrived. The time of each fold is the server's time of that task.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, cast

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionSignaledEventAttributes
from temporalio.converter import PayloadConverter

from audit.timeline import states
from domain.advance import advance
from domain.commands import Command, Report
from domain.events import Event, dump_event
from domain.issue import Issue, dump_issue
from domain.policy import Policy
from domain.wire import canonical, dump, truncate
from domain.worktime import YearCalendar
from workflows.contract import Start
from workflows.mailbox import ForgedError, beginning, command_of, report_of

_CONVERTER: Final = PayloadConverter.default
_JSON: Final = b"json/plain"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999, counted from the year 1970."""
# Looked up once: as attributes of their enumeration they cost more than the comparison.
_STARTED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
_SIGNALED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
_FIRED: Final = EventType.EVENT_TYPE_TIMER_FIRED
_TASK_SCHEDULED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
_TASK_STARTED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
_TASK_COMPLETED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


COMMANDS: Final = frozenset(
    {
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_TIMER_CANCELED,
        EventType.EVENT_TYPE_MARKER_RECORDED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
        EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
        EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
    }
)
"""The kinds of history events that each stand for a command which the workflow gave to Temporal, such as a timer."""


class RefoldError(ValueError):
    """A history cannot be folded; the message names the run, the history event and the reason."""


class ForgedStartError(RefoldError):
    """The first run's input is forged, so the workflow refuses it: only the API's signed reports start an issue."""


@dataclass(frozen=True)
class DeliveredCommand:
    """A command as the history holds it: the history event `event_id` of run `run` delivered it, at the server's time
    `at`.
    """

    run: int
    event_id: int
    at: datetime
    command: Command


@dataclass(frozen=True)
class SerializedEvent:
    """An event in its plain form, with the canonical JSON of the plain form and the digest under which SQL stores the
    event.
    """

    plain: dict[str, Any]
    text: bytes
    digest: str

    @classmethod
    def of(cls, event: Event) -> "SerializedEvent":
        plain = dump_event(event)
        text = canonical(plain)
        return cls(
            plain, text, hashlib.sha256(text).hexdigest()[:32]
        )  # as `event_digest`, which would serialize it again


@dataclass(frozen=True)
class Task:
    """A completed workflow task. `event` is the history event that started it, `signals` are those that arrived before
    it completed, `woken` says whether a timer fired before.
    """

    event: HistoryEvent
    signals: Sequence[HistoryEvent]
    woken: bool


@dataclass(frozen=True)
class Turn:
    """One fold by the workflow: the commands (`inbox`), the time `now` at which they were folded, and the events that
    followed.

    `event_id` is the number of the history event, in run `run`, that started the workflow task.
    """

    run: int
    event_id: int
    now: datetime
    inbox: tuple[DeliveredCommand, ...]
    events: tuple[Event, ...]

    @cached_property
    def written(self) -> tuple[SerializedEvent, ...]:
        """The events of this turn as they are stored. Several steps of verification compare them, so each event is
        serialized only once.
        """
        return tuple(map(SerializedEvent.of, self.events))


@dataclass
class Refolded:
    """One issue, folded from the histories of its runs.

    `policy`, `calendars` and `rules_version` are those that the issue pinned at its start. `root` is the root of trust
    of signing keys that the report names. `carried` has the number of each run whose input differs from the state in
    which the previous run ended; without tampering it is empty.
    """

    issue: str
    policy: Policy
    calendars: tuple[YearCalendar, ...]
    rules_version: int
    state: Issue
    root: str = ""
    turns: list[Turn] = field(default_factory=list[Turn])
    carried: list[int] = field(default_factory=list[int])

    @property
    def events(self) -> list[Event]:
        return [event for turn in self.turns for event in turn.events]

    @property
    def written(self) -> list[SerializedEvent]:
        """All events of the issue as they are stored."""
        return [written for turn in self.turns for written in turn.written]

    @property
    def commands(self) -> list[DeliveredCommand]:
        """All commands of the issue in the order in which they were folded."""
        return [taken for turn in self.turns for taken in turn.inbox]

    def states(self) -> Iterator[tuple[Event, Issue]]:
        """Each event of the issue with the state after it."""
        return states(Issue.new(self.issue, self.policy, self.calendars, self.rules_version), self.events)


def refold(issue: str, runs: Sequence[Sequence[HistoryEvent]]) -> Refolded:
    """The issue folded from its runs, which must be in order, the oldest first. Raises RefoldError, ForgedStartError."""
    folded: Refolded | None = None
    for number, events in enumerate(runs):
        if not events or events[0].event_type != _STARTED:
            raise RefoldError(f"run {number}: the history does not begin with its start")
        try:
            start = read_start(events[0])
            if folded is None:
                folded, command = _begin(start, events[0])
            else:
                if vars(start) != json.loads(json.dumps(vars(_continued(folded.state)))):
                    folded.carried.append(number)
                command = report_of(start, folded.policy, folded.calendars)
            report = (
                () if command is None else (DeliveredCommand(number, events[0].event_id, moment(events[0]), command),)
            )
            if command and isinstance(command.body, Report):
                folded.root = command.body.root
        except Exception as error:
            kind = ForgedStartError if isinstance(error, ForgedError) and number == 0 else RefoldError
            raise kind(f"run {number}, event 1: {type(error).__name__}: {error}") from error
        for n, task in enumerate(tasks(events)):
            if n == 0 or task.signals or task.woken:
                _turn(folded, number, task, () if n else report)
    if folded is None:
        raise RefoldError("there is no run")
    if folded.issue != issue:
        raise RefoldError(f"run 0, event 1: the history is that of issue {folded.issue!r}")
    return folded


def read_start(started: HistoryEvent) -> Start:
    """The input of a run, read from the history event that started it. Raises TypeError, ValueError or what the SDK's
    converter raises.
    """
    (payload,) = started.workflow_execution_started_event_attributes.input.payloads
    return Start(**_read(payload))


def moment(event: HistoryEvent) -> datetime:
    """The server's time of a history event, cut to microseconds. Raises ValueError if the event holds no valid time."""
    stamp = event.event_time
    seconds, nanos = stamp.seconds, stamp.nanos
    if 0 <= seconds <= _LATEST and 0 <= nanos < 1_000_000_000:
        return _EPOCH + timedelta(0, seconds, nanos // 1000)
    return stamp.ToDatetime(UTC)  # raises for an invalid time; it takes five times as long


def _begin(start: Start, started: HistoryEvent) -> tuple[Refolded, Command]:
    """The issue as the workflow begins it, and its report. Raises ForgedError if the workflow refuses the input."""
    continued = started.workflow_execution_started_event_attributes.continued_execution_run_id
    state, report = beginning(start, is_continued=bool(continued))
    if report is None:
        raise ValueError("the first run is not that of a new issue: earlier ones are missing")
    return Refolded(start.issue, state.policy, state.calendars, start.rules_version, state), report


def _continued(state: Issue) -> Start:
    """The input of a run that continues an issue from this state."""
    return Start(state.id, dump(state.policy), dump(state.calendars), state.rules_version, state=dump_issue(state))


def tasks(events: Sequence[HistoryEvent]) -> Iterator[Task]:
    """The completed workflow tasks of one run, in order, each with the signals and timers since the previous one."""
    signals: list[HistoryEvent] = []
    started: HistoryEvent | None = None
    woken = commanded = False
    for event, after in pairwise((*events, None)):
        assert event is not None
        kind = event.event_type
        if kind == _SIGNALED:
            signals.append(event)
        elif kind == _FIRED:
            woken = True
        elif kind == _TASK_STARTED:
            started = event
        elif kind in COMMANDS:
            commanded = True
        elif kind == _TASK_COMPLETED and started is not None and not _is_heartbeat(after, commanded):
            yield Task(started, signals, woken)
            signals, started, woken, commanded = [], None, False, False


def _is_heartbeat(after: HistoryEvent | None, commanded: bool) -> bool:
    """Whether a workflow task was completed only to gain time for a slow local activity; the next task then continues
    the same work.

    `after` is the history event after the completion: after a heartbeat the server schedules the next task at once. A
    replay, or a worker that takes over between the two tasks, handles both as one task, unless the workflow gave
    commands before (`commanded`).
    """
    return not commanded and after is not None and after.event_type == _TASK_SCHEDULED


def _turn(folded: Refolded, run: int, task: Task, report: tuple[DeliveredCommand, ...]) -> None:
    """Folds the commands that arrived for one workflow task, as the workflow did, and appends the turn to `folded`."""
    try:
        now = _workflow_time(task.event)
        inbox = (*report, *(_taken(folded, run, signal, now) for signal in task.signals))
        folded.state, happened = advance(folded.state, [taken.command for taken in inbox], now)
    except Exception as error:
        raise RefoldError(f"run {run}, event {task.event.event_id}: {type(error).__name__}: {error}") from error
    folded.turns.append(Turn(run, task.event.event_id, now, inbox, tuple(happened)))


def _taken(folded: Refolded, run: int, signal: HistoryEvent, now: datetime) -> DeliveredCommand:
    said: WorkflowExecutionSignaledEventAttributes = signal.workflow_execution_signaled_event_attributes
    command = command_of(said.signal_name, said.input.payloads, now, _read, folded.issue, folded.root)
    return DeliveredCommand(run, signal.event_id, moment(signal), command)


def _workflow_time(task: HistoryEvent) -> datetime:
    """The time that ``workflow.now()`` returned in this workflow task: converted through a float, as the SDK does, then
    cut to milliseconds.
    """
    return truncate(datetime.fromtimestamp(task.event_time.ToNanoseconds() / 1e9, UTC))


def _read(payload: Payload) -> dict[str, Any]:
    """The plain value of a payload, as the SDK's converter gives it. Plain JSON objects are read directly, since the
    converter takes ten times as long.
    """
    if payload.metadata.get("encoding") == _JSON:
        with contextlib.suppress(ValueError):  # the failure is recorded in the words of the SDK, below
            plain = json.loads(payload.data)
            if isinstance(plain, dict):
                return cast("dict[str, Any]", plain)
    return _CONVERTER.from_payload(payload, dict[str, Any])
