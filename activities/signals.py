"""Giving a command to an issue's workflow: a raw signal with a request id, so that the server drops repeats."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from db.outbox import Entry

SIGNAL_TIMEOUT: Final = timedelta(milliseconds=900)
"""Below the usual grace: a signal that arrives later than this is stamped and sent anew."""
_PAUSE: Final = 0.02


async def signal(
    client: Client, issue: str, name: str, command: Mapping[str, Any], timeout: timedelta = SIGNAL_TIMEOUT
) -> None:
    """Sends ``{id, at, actor, body, expected_version?}``; acknowledged means durable.

    Raises RPCError otherwise, or RuntimeError where nobody listens at the server's address.
    """
    request = SignalWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=f"issue-{issue}"),
        signal_name=name,
        input=Payloads(payloads=await client.data_converter.encode([dict(command)])),
        identity=client.identity,
        # Within one run the server itself drops a repeat; across runs the receipts in the state do.
        request_id=str(command["id"]),
    )
    deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
    while True:
        left = deadline - asyncio.get_running_loop().time()
        try:
            await client.workflow_service.signal_workflow_execution(request, timeout=timedelta(seconds=left))
        except RPCError as error:
            # Between two runs of a continue-as-new the server refuses for a moment, without having taken it.
            if error.status is not RPCStatusCode.RESOURCE_EXHAUSTED or left < 2 * _PAUSE:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return


class SignalJobs:
    """Jobs of the outbox that give a command to another issue; repeated until the server has taken them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tell_merged(self, job: Entry) -> None:
        """The adopted issue is told that it goes on in the older one; one that is closed by now needs no telling."""
        try:
            await signal(self._client, job.payload["issue"], "merge", job.payload["body"])
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
