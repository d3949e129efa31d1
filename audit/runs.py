"""The runs of an issue's workflow, read from Temporal or, for runs that Temporal has forgotten, from the archive."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from audit.case import Finding
from audit.refold import COMMANDS, ForgedStartError, Refolded, moment, refold
from runtime.executions import described, listed
from security.codec import decode_events
from workflows.contract import PREFIX

_COMPLETED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
_CONTINUED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
_ENDS: Final = (
    _COMPLETED,
    _CONTINUED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
)
_RESET: Final = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW

Fallback = Callable[[str], Awaitable[list[HistoryEvent] | None]]
"""A function that reads the history of a run that Temporal has forgotten, by the run's id, say from the archive; it
returns None if the run is not there.
"""


class LostRunError(Exception):
    """Neither Temporal nor the archive has this run; the message names it."""


@dataclass(frozen=True)
class WorkflowRun:
    """One run of an issue's workflow: Temporal's id of the run, and its decrypted history."""

    id: str
    events: list[HistoryEvent]

    @property
    def has_ended(self) -> bool:
        return self.events[-1].event_type in _ENDS

    @property
    def is_continued(self) -> bool:
        """Whether another run of the same issue continues this run."""
        return self.events[-1].event_type == _CONTINUED

    @property
    def ended_at(self) -> datetime:
        return moment(self.events[-1])


async def _no_fallback(_: str) -> None:
    return None


async def runs_of(client: Client, issue: str, fallback: Fallback = _no_fallback) -> list[WorkflowRun]:
    """The issue's runs that continue each other up to the newest one, the oldest first. Runs that a reset cut off are
    left out.

    Raises LostRunError, RPCError, and NamespaceError if the key that decrypts a run is not here.
    """
    newest = await described(client, PREFIX + issue)
    if newest is None:
        raise LostRunError("the workflow")
    run_id = newest.run_id
    runs: list[WorkflowRun] = []
    while run_id:
        run = await run_of(client, issue, run_id, fallback)
        runs.insert(0, run)
        run_id = run.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
    return runs


async def run_of(client: Client, issue: str, run_id: str, fallback: Fallback = _no_fallback) -> WorkflowRun:
    """One run of the issue by its id. Raises LostRunError, RPCError, and NamespaceError if the key that decrypts the
    run is not here.
    """
    try:
        history = await client.get_workflow_handle(PREFIX + issue, run_id=run_id).fetch_history()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        events = await fallback(run_id)
        if events is None:
            raise LostRunError(f"run {run_id}") from None
        return WorkflowRun(run_id, events)
    return WorkflowRun(run_id, await decode_events(history.events, client.data_converter.payload_codec))


async def issues_of(client: Client, among: str = "") -> AsyncIterator[str]:
    """The ids of all issues that Temporal still knows, each once; `among` is a further condition for Temporal's list of
    workflows.
    """
    seen: set[str] = set()
    async for execution in listed(client, 'WorkflowType="Issue"' + (f" AND {among}" if among else "")):
        issue = execution.id.removeprefix(PREFIX)
        if issue not in seen:
            seen.add(issue)
            yield issue


def fold_runs(issue: str, runs: Sequence[WorkflowRun]) -> Refolded | None:
    """The issue folded from its runs; None if the workflow refused its start as forged. Raises RefoldError.

    The start itself decides this, and not the result, which nobody signs. A workflow that commanded anything did not
    refuse its start, so if that is forged it was altered later.
    """
    try:
        return refold(issue, [run.events for run in runs])
    except ForgedStartError:
        if any(event.event_type in COMMANDS for run in runs for event in run.events):
            raise
        return None


def resets(issue: str, runs: Sequence[WorkflowRun]) -> list[Finding]:
    """A finding for each place where an operator reset the workflow to an earlier moment. The history then lacks what
    had happened after that moment.
    """
    return [
        Finding("archive", issue, f"run {n}, event {event.event_id}", "the issue was put back to here from outside")
        for n, run in enumerate(runs)
        for event in run.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        and event.workflow_task_failed_event_attributes.cause == _RESET
    ]


async def was_reset(client: Client, issue: str, run_id: str) -> bool:
    """Whether this run began with a reset: its first history event then names another run as the original one."""
    execution = WorkflowExecution(workflow_id=PREFIX + issue, run_id=run_id)
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace, execution=execution, maximum_page_size=1
    )  # fmt: skip
    found = await client.workflow_service.get_workflow_execution_history(request)
    first = found.history.events[0].workflow_execution_started_event_attributes
    return first.original_execution_run_id != run_id
