"""Giving a command to an issue's workflow from inside: a raw signal, so that the server drops repeats."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client

SIGNAL_TIMEOUT: Final = timedelta(milliseconds=900)
"""Below the usual grace: a signal that arrives later than this is stamped and sent anew."""


async def signal(client: Client, issue: str, name: str, command: Mapping[str, Any]) -> None:
    """Sends ``{id, at, actor, body, expected_version?}``; acknowledged means durable. Raises RPCError otherwise."""
    payloads = await client.data_converter.encode([dict(command)])
    await client.workflow_service.signal_workflow_execution(
        SignalWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=f"issue-{issue}"),
            signal_name=name,
            input=Payloads(payloads=payloads),
            identity=client.identity,
            # Within one run the server itself drops a repeat; across runs the receipts in the state do.
            request_id=str(command["id"]),
        ),
        timeout=SIGNAL_TIMEOUT,
    )
