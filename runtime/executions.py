"""Workflows as Temporal lists and describes them, whatever their status.

The SDK's own list, description and query raise ValueError over a status that it does not know, such as that of a paused
workflow: one of these would hide all the others from the caller.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, ListWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

RUNNING: Final = "running"
PAUSED: Final = "paused"
OPEN: Final = "CloseTime IS NULL"
"""The condition of a list for workflows that have not ended, running or paused."""
_BY_ITSELF: Final = frozenset({"completed", "continued_as_new"})
_NAME: Final = "WORKFLOW_EXECUTION_STATUS_"
_PAGE: Final = 1000


@dataclass(frozen=True)
class Execution:
    """One run of a workflow. `status` is Temporal's, in small letters: ``running``, ``paused``, ``continued_as_new``."""

    id: str
    run_id: str
    status: str
    closed_at: datetime | None
    reset_run_id: str = ""
    """The run that a reset made of this one; only of a run that was described."""

    @property
    def is_open(self) -> bool:
        return self.status in (RUNNING, PAUSED)

    @property
    def was_ended(self) -> bool:
        """Whether it was ended from outside: terminated or cancelled, or it failed."""
        return not self.is_open and self.status not in _BY_ITSELF


async def listed(client: Client, query: str) -> AsyncGenerator[Execution]:
    """The runs that Temporal's list holds for this query. Raises RPCError."""
    page = b""
    while True:
        request = ListWorkflowExecutionsRequest(
            namespace=client.namespace, query=query, page_size=_PAGE, next_page_token=page
        )
        answer = await client.workflow_service.list_workflow_executions(request, retry=True)
        for info in answer.executions:
            yield _execution(info)
        if not (page := answer.next_page_token):
            return


async def described(client: Client, workflow: str, run_id: str = "") -> Execution | None:
    """A run of a workflow, by default the newest; None if Temporal does not know it. Raises RPCError."""
    which = WorkflowExecution(workflow_id=workflow, run_id=run_id)
    request = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=which)
    try:
        answer = await client.workflow_service.describe_workflow_execution(request, retry=True)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
    return _execution(answer.workflow_execution_info, answer.workflow_extended_info.reset_run_id)


def _execution(info: WorkflowExecutionInfo, reset_run_id: str = "") -> Execution:
    closed = info.close_time.ToDatetime(tzinfo=UTC) if info.HasField("close_time") else None
    return Execution(info.execution.workflow_id, info.execution.run_id, _status(info.status), closed, reset_run_id)


def _status(number: "WorkflowExecutionStatus.ValueType") -> str:
    try:
        return WorkflowExecutionStatus.Name(number).removeprefix(_NAME).lower()
    except ValueError:  # of a server that is newer than this SDK
        return f"status {number}"
