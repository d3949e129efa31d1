"""Connects to Temporal, and checks whether a worker polls a task queue."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    DescribeWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from runtime.settings import Settings

_PROBE: Final = "jiesu-probe"
_LATER: Final = timedelta(minutes=2)
"""After this time a probe would begin; half of it before, Temporal ends one that could not be deleted."""
_FRESH: Final = timedelta(seconds=75)
"""A worker that polled within this time counts as alive.

A worker polls at least once a minute, and Temporal goes on listing a dead worker for five minutes.
"""


async def connect(
    settings: Settings,
    timeout: float,
    alive: Callable[[], bool] = lambda: True,
    *,
    identity: str | None = None,
    runtime: Runtime | None = None,
    converter: DataConverter = DataConverter.default,
) -> Client | None:
    """A client of Temporal, as soon as Temporal serves the namespace.

    None after `timeout` seconds, or as soon as `alive` returns False.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while alive() and loop.time() < deadline:
        # RuntimeError: connection refused. RPCError: the server is not ready yet.
        with contextlib.suppress(RuntimeError, RPCError):
            client = await Client.connect(
                settings.address,
                namespace=settings.temporal_namespace,
                runtime=runtime,
                identity=identity,
                data_converter=converter,
            )
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
            return client
        await asyncio.sleep(0.05)
    return None


def encrypting(client: Client, converter: DataConverter) -> Client:
    """A client on the connection of `client`, whose payloads pass through the converter."""
    config: dict[str, Any] = {**client.config(), "data_converter": converter}
    return Client(**config)


async def worker_polls(client: Client, task_queue: str, since: datetime | None = None) -> bool:
    """Whether workers have polled for workflows and for activities after `since`, by default 75 seconds ago.

    Raises RPCError if Temporal does not answer.
    """
    oldest = since or datetime.now(UTC) - _FRESH
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
            )
        )
        seen = (poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in answer.pollers)
        if not any(moment >= oldest for moment in seen):
            return False
    return True


async def probe(client: Client, timeout: timedelta) -> datetime:
    """Has Temporal store a workflow that never begins, and delete it. Returns Temporal's time at its start.

    A lesser write would not do: after its disk was full, Temporal may go on storing settings while it starts no workflow.
    Raises RPCError.
    """
    name = f"{_PROBE}-{uuid.uuid4()}"
    later, soon = Duration(), Duration()
    later.FromTimedelta(_LATER)
    soon.FromTimedelta(_LATER / 2)
    started = await client.workflow_service.start_workflow_execution(
        StartWorkflowExecutionRequest(
            namespace=client.namespace, workflow_id=name, workflow_type=WorkflowType(name=_PROBE), request_id=name,
            task_queue=TaskQueue(name=_PROBE), workflow_start_delay=later, workflow_execution_timeout=soon,
        ),
        timeout=timeout,
    )  # fmt: skip
    which = WorkflowExecution(workflow_id=name, run_id=started.run_id)
    described = await client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=which), timeout=timeout
    )
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=which), timeout=timeout
    )
    return described.workflow_execution_info.start_time.ToDatetime(tzinfo=UTC)
