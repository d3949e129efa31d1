"""Sends a raw signal with a request id, so that the server drops repeats."""

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
"""Below the usual grace: a signal that arrives later than this is stamped and sent anew."""
_sleep = asyncio.sleep
_PAUSE: Final = 0.02
"""Seconds before the second try."""


async def send(
    client: Client,
    workflow_id: str,
    name: str,
    payload: Mapping[str, Any],
    request_id: str,
    timeout: timedelta = SIGNAL_TIMEOUT,
) -> None:
    """Sends a signal; once this returns it is in the history. Within one run the server drops a repeated request id.

    Raises RPCError, or RuntimeError where nobody listens at the server's address.
    """
    request = SignalWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        signal_name=name,
        input=Payloads(payloads=await client.data_converter.encode([dict(payload)])),
        identity=client.identity,
        request_id=request_id,
    )
    deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
    pause = _PAUSE
    while True:
        left = deadline - asyncio.get_running_loop().time()
        try:
            await client.workflow_service.signal_workflow_execution(request, timeout=timedelta(seconds=left))
        except RPCError as error:
            if error.status is not RPCStatusCode.RESOURCE_EXHAUSTED or left < 2 * pause:
                raise
            await _sleep(pause)
            if not _is_between_runs(error):  # a server that has too much to do is asked less and less often
                pause *= 2
        else:
            return


def _is_between_runs(error: RPCError) -> bool:
    """Whether it was refused for the moment between two runs of a continue-as-new, which is soon over."""
    failure = ResourceExhaustedFailure()
    return any(
        detail.Unpack(failure) and failure.cause == ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW
        for detail in error.grpc_status.details
    )
