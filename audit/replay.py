"""Strict replay: runs today's workflow code over a history, and compares the commands that it gives with those in the
history.

Temporal's own Replayer compares only the kinds and the order of commands. Strict replay compares their content too: the
duration of a timer, the input of an activity, the result of a workflow. Commands are matched by kind and sequence,
since local activities may reach the history later than the code ordered them. The task queue is not compared, nor any
command after the one that ends the run.
"""

import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

from audit.case import Finding
from domain.events import chain, event_digest
from workflows.contract import PREFIX
from workflows.issue import IssueWorkflow

_LOCAL: Final = "core_local_activity"
_AFTER_STARTED: Final = (
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
)
_BARE: Final[Mapping[int, str]] = {
    EventType.EVENT_TYPE_TIMER_CANCELED: "cancel_timer",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: "request_cancel_activity",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "upsert_workflow_search_attributes",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: "start_child_workflow_execution",
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: "signal_external_workflow_execution",
}
"""The commands of which only kind and order are compared: kind of the history event -> kind of the command."""
_UNKEPT: Final = frozenset({"update_response", "respond_to_query", "modify_workflow_properties"})
"""The commands that leave no history event."""


@dataclass(frozen=True)
class PlainCommand:
    """A command in one form for both sides, the code and the history: its kind, and its fields as plain values.

    `where` names the history event; it is empty for a command that the code gave.
    """

    kind: str
    fields: Mapping[str, Any]
    where: str = ""


@dataclass(frozen=True)
class ReplayedRun:
    """The result of replaying one run: how many commands were compared, and what does not hold. `has_ended` is False if
    the replay was broken off: then the finding says nothing of the history.
    """

    commands: int
    findings: tuple[Finding, ...]
    has_ended: bool = True


class _Capturing(UnsandboxedWorkflowRunner):
    """Runs workflow code outside the sandbox, and keeps the commands that it gives, by run."""

    def __init__(self) -> None:
        self.completions: defaultdict[str, list[WorkflowActivationCompletion]] = defaultdict(list)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        activate, completions = instance.activate, self.completions[det.info.run_id]

        def capturing(act: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(act)
            completions.append(completion)
            return completion

        instance.activate = capturing
        return instance


async def replay(runs: Iterable[tuple[str, int, Sequence[HistoryEvent]]]) -> AsyncIterator[ReplayedRun]:
    """Replays each ``(issue, number of the run, its history)`` with one Replayer; yields the results in that order.

    A history that must not be replayed is not given to the Replayer: its result says why. Nothing else bounds the time
    of a replay: for histories that anybody may have altered there is `audit.replaying`.
    """
    runner = _Capturing()
    # In debug mode the code runs in this thread: that is quicker, and without the SDK's limit of two seconds a verdict
    # does not depend on the load of the machine. Without a build id the SDK would hash every module of the process.
    replayer = Replayer(workflows=[IssueWorkflow], workflow_runner=runner, debug_mode=True, build_id="audit")
    begun: deque[tuple[str, int, Sequence[HistoryEvent]]] = deque()

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for run in runs:
            begun.append(run)
            if why_unreplayable(run[2]) is not None:
                continue
            for event in run[2]:
                event.DiscardUnknownFields()  # the core may refuse them, and then all later histories too
            yield WorkflowHistory(PREFIX + run[0], run[2])

    async with replayer.workflow_replay_iterator(histories()) as results:
        async for result in results:
            for each in _refused(begun):
                yield each
            completions = runner.completions.pop(result.history.run_id, [])
            commands = [command for each in completions for command in each.successful.commands]
            failures = [each.failed.failure.message for each in completions if each.HasField("failed")]
            if result.replay_failure is not None:
                failures.insert(0, str(result.replay_failure))
            yield _compared(*begun.popleft(), commands, failures[-1] if failures else None)
    for each in _refused(begun):
        yield each


def _refused(begun: deque[tuple[str, int, Sequence[HistoryEvent]]]) -> Iterator[ReplayedRun]:
    """The results of the next runs, as long as these must not be replayed."""
    while begun and (why := why_unreplayable(begun[0][2])) is not None:
        issue, n, _ = begun.popleft()
        yield refused(issue, n, why)


def refused(issue: str, n: int, why: str) -> ReplayedRun:
    """The result of run `n` that must not be replayed."""
    return ReplayedRun(0, (Finding("commands", issue, f"run {n}", f"it cannot be replayed: {why}"),))


def why_unreplayable(events: Sequence[HistoryEvent]) -> str | None:
    """The reason why a history must not be replayed, None if it may be replayed.

    The SDK's core would panic over such a history, and the replay would wait for ever.
    """
    if not events or events[0].event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
        return "event 1 is not its start"
    if len(events) == 1:
        return "nothing follows its start"
    for n, event in enumerate(events, 1):
        if event.event_id != n:
            return f"event {event.event_id} stands where event {n} belongs"
    for event, after in pairwise(events):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED and after.event_type not in _AFTER_STARTED:
            return f"event {after.event_id} cannot follow the start of a workflow task"
    return None


def _compared(
    issue: str, n: int, events: Sequence[HistoryEvent], commands: Sequence[WorkflowCommand], failure: str | None
) -> ReplayedRun:
    found: list[Finding] = []
    if failure is not None:
        found.append(Finding("commands", issue, f"run {n}", f"the code does not fit the history: {failure[:300]}"))
    ours = _by_kind(_given(commands))
    try:
        theirs = _by_kind(commands_in(events))
    except Exception as error:  # noqa: BLE001 - a history may have been altered in any way
        what = f"what the history holds cannot be read: {type(error).__name__}: {str(error)[:200]}"
        return ReplayedRun(0, (*found, Finding("commands", issue, f"run {n}", what)))
    count = sum(map(len, ours.values()))
    ended = "complete" in theirs or "continue" in theirs
    for kind in sorted(ours.keys() | theirs.keys()):
        found += _matched(issue, n, kind, ours.get(kind, []), theirs.get(kind, []), ended=ended)
    return ReplayedRun(count, tuple(found))


def _matched(
    issue: str, n: int, kind: str, ours: Sequence[PlainCommand], theirs: Sequence[PlainCommand], *, ended: bool
) -> Iterator[Finding]:
    for mine, held in zip(ours, theirs, strict=False):
        if mine.fields == held.fields:
            continue
        for name in sorted(mine.fields.keys() | held.fields.keys()):
            if mine.fields.get(name) != held.fields.get(name):
                what = (
                    f"{kind}: {name} is {_short(held.fields.get(name))}, the code gives {_short(mine.fields.get(name))}"
                )
                yield Finding("commands", issue, f"run {n}, {held.where}", what)
    for held in theirs[len(ours) :]:
        yield Finding("commands", issue, f"run {n}, {held.where}", f"{kind}: the code gives no such command")
    if ended:  # of an open issue the last commands may be on their way
        for mine in ours[len(theirs) :]:
            yield Finding("commands", issue, f"run {n}", f"{kind} {_short(mine.fields)}: missing in the history")


def _by_kind(said: Iterable[PlainCommand]) -> dict[str, list[PlainCommand]]:
    found: defaultdict[str, list[PlainCommand]] = defaultdict(list)
    for each in said:
        found[each.kind].append(each)
    return dict(found)


def _given(commands: Iterable[WorkflowCommand]) -> Iterator[PlainCommand]:
    """The commands that the code gave, up to the one that ends the run."""
    for command in commands:
        variant = command.WhichOneof("variant") or "none"
        if variant in _UNKEPT:
            continue
        said = _said(variant, command)
        yield said
        if said.kind in ("complete", "continue", "fail"):
            return


def _said(variant: str, command: WorkflowCommand) -> PlainCommand:
    match variant:
        case "start_timer":
            timer = command.start_timer
            fields = {"duration": _ms(timer.start_to_fire_timeout), "summary": _plain(command.user_metadata.summary)}
            return PlainCommand("timer", fields)
        case "schedule_activity":
            activity = command.schedule_activity
            return PlainCommand("activity", _activity(activity, activity.activity_type, activity.arguments))
        case "schedule_local_activity":
            local = command.schedule_local_activity
            return PlainCommand("local activity", {"type": local.activity_type, "result": _stored(local.arguments)})
        case "complete_workflow_execution":
            return PlainCommand("complete", {"result": _plain(command.complete_workflow_execution.result)})
        case "continue_as_new_workflow_execution":
            again = command.continue_as_new_workflow_execution
            return PlainCommand("continue", {"input": [_plain(each) for each in again.arguments]})
        case "fail_workflow_execution":
            return PlainCommand("fail", {"message": command.fail_workflow_execution.failure.message})
        case "set_patch_marker":
            return PlainCommand("patch", {"id": command.set_patch_marker.patch_id})
        case _:
            return PlainCommand(variant, {})


def commands_in(events: Iterable[HistoryEvent]) -> Iterator[PlainCommand]:
    """The commands that a history holds, in order."""
    for event in events:
        if (said := _held(event)) is not None:
            yield PlainCommand(said.kind, said.fields, f"event {event.event_id}")


def _held(event: HistoryEvent) -> PlainCommand | None:
    match event.event_type:
        case EventType.EVENT_TYPE_TIMER_STARTED:
            timer = event.timer_started_event_attributes
            fields = {"duration": _ms(timer.start_to_fire_timeout), "summary": _plain(event.user_metadata.summary)}
            return PlainCommand("timer", fields)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            activity = event.activity_task_scheduled_event_attributes
            return PlainCommand("activity", _activity(activity, activity.activity_type.name, activity.input.payloads))
        case EventType.EVENT_TYPE_MARKER_RECORDED:
            return _marker(event)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            (result,) = event.workflow_execution_completed_event_attributes.result.payloads or (Payload(),)
            return PlainCommand("complete", {"result": _plain(result)})
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
            again = event.workflow_execution_continued_as_new_event_attributes
            return PlainCommand("continue", {"input": [_plain(each) for each in again.input.payloads]})
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            return PlainCommand("fail", {"message": event.workflow_execution_failed_event_attributes.failure.message})
        case kind:
            return PlainCommand(_BARE[kind], {}) if kind in _BARE else None


def _marker(event: HistoryEvent) -> PlainCommand:
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL:
        return PlainCommand("patch", {"id": marker.marker_name})
    data = json.loads(marker.details["data"].payloads[0].data)
    if marker.HasField("failure"):
        return PlainCommand("local activity", {"type": data["activity_type"], "result": _FAILED})
    (result,) = marker.details["result"].payloads
    return PlainCommand("local activity", {"type": data["activity_type"], "result": json.loads(result.data)})


class _Anything:
    """A value that equals every other. It stands for the result of a local activity that failed, which left no digest
    to compare.
    """

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # pyright: ignore[reportAssignmentType]


_FAILED: Final = _Anything()


def _stored(arguments: Sequence[Payload]) -> str | None:
    """The digest that the activity ``record`` returns for these arguments. The digests are compared because a history
    does not hold the arguments of a local activity.
    """
    (batch,) = (json.loads(argument.data) for argument in arguments)
    return chain(map(event_digest, batch["events"]))


def _activity(activity: Any, kind: str, arguments: Iterable[Payload]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind, "input": [_plain(each) for each in arguments]}
    for name in (
        "schedule_to_close_timeout",
        "schedule_to_start_timeout",
        "start_to_close_timeout",
        "heartbeat_timeout",
    ):
        found[name] = _ms(getattr(activity, name))
    retry = activity.retry_policy
    for name in ("initial_interval", "maximum_interval"):
        found[f"retry {name}"] = _ms(getattr(retry, name))
    return found | {"retry backoff": retry.backoff_coefficient, "retry attempts": retry.maximum_attempts}


def _plain(payload: Payload) -> Any:
    """The encoding and the bytes of a payload; payloads are compared byte by byte."""
    return (payload.metadata.get("encoding", b"").decode(), payload.data)


def _ms(duration: Duration) -> int:
    return duration.ToMilliseconds()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
