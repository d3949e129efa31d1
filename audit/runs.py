"""The runs of an issue's workflow as Temporal holds them, or as the archive does where Temporal has forgotten them."""

from collections.abc import Awaitable, Callable, Sequence
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
from audit.refold import moment
from security.codec import decode_events
from workflows.contract import PREFIX

_CONTINUED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
_ENDS: Final = (
    _CONTINUED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
)
_RESET: Final = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW

Forgotten = Callable[[str], Awaitable[list[HistoryEvent] | None]]
"""Gives the history of a run that Temporal does not know, by its id; None if nobody has it."""


class LostRunError(Exception):
    """Neither Temporal nor the archive has this run; the message names it."""


@dataclass(frozen=True)
class Run:
    """One run: Temporal's id of it, and its history."""

    id: str
    events: list[HistoryEvent]

    @property
    def has_ended(self) -> bool:
        return self.events[-1].event_type in _ENDS

    @property
    def goes_on(self) -> bool:
        """Whether another run continues it."""
        return self.events[-1].event_type == _CONTINUED

    @property
    def ended_at(self) -> datetime:
        return moment(self.events[-1])


async def chain_of(client: Client, issue: str, forgotten: Forgotten) -> list[Run]:
    """The runs that lead to the newest one, the oldest first. Raises as `run_of`.

    What a reset from outside cut off is not among them.
    """
    handle = client.get_workflow_handle(PREFIX + issue)
    try:
        run_id = (await handle.describe()).run_id
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise LostRunError("the workflow") from None
    runs: list[Run] = []
    while run_id:
        run = await run_of(client, issue, run_id, forgotten)
        runs.insert(0, run)
        run_id = run.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
    return runs


async def run_of(client: Client, issue: str, run_id: str, forgotten: Forgotten) -> Run:
    """One run by its id, decrypted. Raises LostRunError, RPCError, NamespaceError where its key is not here."""
    try:
        history = await client.get_workflow_handle(PREFIX + issue, run_id=run_id).fetch_history()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        events = await forgotten(run_id)
        if events is None:
            raise LostRunError(f"run {run_id}") from None
        return Run(run_id, events)
    return Run(run_id, await decode_events(history.events, client.data_converter.payload_codec))


def resets(issue: str, runs: Sequence[Run]) -> list[Finding]:
    """Where somebody put an issue back to an earlier moment: what had happened since is not in its history."""
    return [
        Finding("archive", issue, f"run {n}, event {event.event_id}", "the issue was put back to here from outside")
        for n, run in enumerate(runs)
        for event in run.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        and event.workflow_task_failed_event_attributes.cause == _RESET
    ]


async def was_reset(client: Client, issue: str, run_id: str) -> bool:
    """Whether this run began by a reset: then its first event is another run's."""
    execution = WorkflowExecution(workflow_id=PREFIX + issue, run_id=run_id)
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace, execution=execution, maximum_page_size=1
    )  # fmt: skip
    found = await client.workflow_service.get_workflow_execution_history(request)
    first = found.history.events[0].workflow_execution_started_event_attributes
    return first.original_execution_run_id != run_id
