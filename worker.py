"""Composition root of the worker: workflows and activities on one task queue, and the delivery of notices."""

import asyncio
import importlib.metadata
import signal
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog
from temporalio.client import Client
from temporalio.worker import Worker, WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.contract import TASK_QUEUE
from activities.notices import Deliverer, Handler, TableGateway
from activities.records import Records
from activities.signals import SignalJobs
from activities.watch import Watch
from api.temporal import connect
from db.engine import Database
from observability import metrics_registry, serve_metrics, temporal_runtime
from settings import Settings, SettingsError
from workflows.issue import IssueWorkflow

log = structlog.get_logger("worker")

RECOVERY: Final = timedelta(seconds=1)
"""How long a task waits for a worker that knows the workflow before any other takes it: a kill costs that much."""
CACHED: Final = 500
"""Workflows kept in memory; the others sleep on the server and are replayed when something happens to them."""
BUILD: Final = importlib.metadata.version("jiesu")
"""Which code did a task, in the history of each. Temporal's own choice, a hash of all modules, takes 0.4 s at the start
and 430 bytes of every history."""


class ContextFreeRunner(SandboxedWorkflowRunner):
    """The sandbox, without a trip into it for each payload: no converter of ours asks for whom a payload is."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        vars(instance)["get_serialization_context"] = lambda _: None
        return instance


def build(client: Client, database: Database, **options: Any) -> Worker:
    """The worker, as it runs everywhere; `options` are for tests, e.g. ``max_cached_workflows=0``."""
    records = Records(database)
    settings: dict[str, Any] = {
        "build_id": BUILD,
        "workflow_runner": ContextFreeRunner(),
        "max_cached_workflows": CACHED,
        "sticky_queue_schedule_to_start_timeout": RECOVERY,
        "graceful_shutdown_timeout": timedelta(seconds=3),
        **options,
    }
    return Worker(client, task_queue=TASK_QUEUE, workflows=[IssueWorkflow], activities=[records.record], **settings)


def handlers(client: Client) -> Mapping[str, Handler]:
    """Job name -> what does it."""
    return {"tell_merged": SignalJobs(client).tell_merged}


async def serve(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM; then finishes what it has begun."""
    registry = metrics_registry()
    runtime = temporal_runtime(registry)
    port = serve_metrics(settings, registry)
    log.info("waiting_for_temporal", address=settings.address)
    client = await connect(settings, timeout=90.0, runtime=runtime, identity=f"worker-{socket.gethostname()}")
    if client is None:
        raise SettingsError(f"no Temporal at {settings.address} (JIESU_TEMPORAL_ADDRESS)")
    database = Database(settings.database)
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    watch = Watch(client, database, registry)
    deliverer = Deliverer(database, TableGateway(database), handlers(client))
    try:
        async with build(client, database):
            log.info("worker_ready", address=settings.address, metrics_port=port)
            await asyncio.gather(deliverer.run(stop), watch.run(stop))
    finally:
        await database.close()
