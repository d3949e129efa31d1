"""Sends signals to workflows by raw gRPC calls, with a request id by which Temporal drops repeated signals."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

SIGNAL_TIMEOUT: Final = timedelta(milliseconds=900)
"""How long sending one signal may take: less than the usual grace of a policy."""
_sleep = asyncio.sleep
_PAUSE: Final = 0.02
"""Seconds between the first attempt and the second."""


async def send(
    client: Client,
    workflow_id: str,
    name: str,
    payload: Mapping[str, Any],
    request_id: str,
    timeout: timedelta = SIGNAL_TIMEOUT,
) -> None:
    """Sends a signal. When this returns, the signal is in the history of the workflow.

    Within one run of the workflow, Temporal drops a signal with a `request_id` that it has seen. While Temporal is
    overloaded, it tries again until `timeout`. Raises RPCError, or RuntimeError if no server listens.
    """
    request = SignalWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        signal_name=name,
        input=Payloads(payloads=await client.data_converter.encode([dict(payload)])),
        identity=client.identity,
        request_id=request_id,
    )
    clock = asyncio.get_running_loop().time
    left = timeout.total_seconds()
    deadline = clock() + left
    pause = _PAUSE
    while True:
        try:
            await client.workflow_service.signal_workflow_execution(request, timeout=timedelta(seconds=left))
        except RPCError as error:
            if error.status is not RPCStatusCode.RESOURCE_EXHAUSTED or deadline - clock() < 2 * pause:
                raise
            await _sleep(pause)
            left = deadline - clock()
            if left <= 0:  # the pause took longer; the SDK raises TypeError for such a timeout, or waits for ever
                raise
            if not _is_between_runs(error):  # back off from an overloaded server
                pause *= 2
        else:
            return


def _is_between_runs(error: RPCError) -> bool:
    """Whether Temporal refused the signal only because the workflow was just continuing as a new run."""
    failure = ResourceExhaustedFailure()
    return any(
        detail.Unpack(failure) and failure.cause == ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW
        for detail in error.grpc_status.details
    )
