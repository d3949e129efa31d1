"""Puts the worker together and runs it: workflows and activities on one task queue, and the delivery of notices."""

import asyncio
import importlib.metadata
import signal
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.codes import CodeJobs
from activities.directory_changes import DirectoryChanges
from activities.missing_calendar import MissingCalendar
from activities.notices import Deliverer, Handler
from activities.pictures import StoredPictures
from activities.privacy import Privacy
from activities.records import Records
from activities.search import SearchJobs
from activities.signals import SignalJobs
from activities.sms import open_sms
from activities.watch import Watch
from activities.webhooks import open_channel
from audit.archive import Archive
from audit.archiver import Archiver
from audit.heads import DailyHead, Destinations
from audit.outside import Outside
from audit.presence import check_presence
from audit.reconcile import Reconciler
from audit.restored import left_word
from audit.schedules import keep_schedules
from db.engine import Database
from domain.retention import DEFAULT, Retention, read_retention
from domain.wire import WireError
from domain.worktime import YearCalendar
from runtime.blobs import DigestStore, open_store
from runtime.egress import EgressGuard
from runtime.observability import metrics_registry, serve_metrics, temporal_runtime
from runtime.pause import pause
from runtime.settings import WORKER_MIB, Settings, SettingsError
from runtime.temporal import connect
from security.keys import Keys
from security.opening import open_keys
from workflows.contract import TASK_QUEUE
from workflows.issue import IssueWorkflow
from workflows.upkeep import ReconcileWorkflow, RetainWorkflow, SealDayWorkflow

log = structlog.get_logger("worker")

RECOVERY: Final = timedelta(seconds=5)
"""How long a task waits for the worker that has its workflow in memory before any worker may take it. A worker that is
killed delays its issues by this time; a busy one must come to them within it, or they are replayed (ADR 38)."""
KIB_A_WORKFLOW: Final = 144
"""What a workflow in memory takes, a little more than `python -m bench memory` measures."""
BUILD: Final = importlib.metadata.version("jiesu")
"""The version of Jiesu, which names the code of each task in a history. Temporal's default, a hash of all modules,
would take 0.4 s at the start and 430 bytes of every history."""
_RETRY_SECONDS: Final = 5.0
"""Pause between two attempts to write the schedules."""


class QuickRunner(SandboxedWorkflowRunner):
    """Temporal's workflow sandbox, without two things that it does for each workflow or payload.

    It does not load our modules anew, most of what an issue took in memory: `tests/workflows/test_purity.py` holds them to what
    the sandbox would refuse. And it makes no serialization context, since none of our converters uses one.
    """

    def __init__(self) -> None:
        super().__init__(restrictions=SandboxRestrictions.default.with_passthrough_modules("workflows"))

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        vars(instance)["get_serialization_context"] = lambda _: None
        return instance


Activity = Callable[..., Any]


def cached(mib: int) -> int:
    """How many workflows a worker keeps in so much memory. Any other is replayed when something happens to it."""
    return mib * 1024 // KIB_A_WORKFLOW


def build(
    client: Client, database: Database, upkeep: Sequence[Activity] = (), codes: CodeJobs | None = None, **options: Any
) -> Worker:
    """The worker of production and tests. `upkeep`: the activities that only schedules start.

    Without `codes` no issue is found by its code alone.
    `options` override arguments of `Worker` in tests, e.g. ``max_cached_workflows=0``.
    """
    records = Records(database) if codes is None else Records(database, codes=codes.hashes)
    settings: dict[str, Any] = {
        "build_id": BUILD,
        "workflow_runner": QuickRunner(),
        "max_cached_workflows": cached(WORKER_MIB),
        "sticky_queue_schedule_to_start_timeout": RECOVERY,
        "graceful_shutdown_timeout": timedelta(seconds=3),
        **options,
    }
    workflows = [IssueWorkflow, ReconcileWorkflow, RetainWorkflow, SealDayWorkflow]
    activities = [records.record, *upkeep]
    return Worker(client, task_queue=TASK_QUEUE, workflows=workflows, activities=activities, **settings)


def handlers(
    client: Client,
    database: Database,
    archive: Archive,
    keys: Keys,
    heads: Path | None = None,
    codes: CodeJobs | None = None,
) -> Mapping[str, Handler]:
    """The handlers of outbox jobs, by the name of the job; without `codes` none is sent to a phone or found."""
    sending = {} if codes is None else {"send_code": codes.send_code}
    signals = SignalJobs(client, database, keys.signer)
    return sending | {
        "tell_merged": signals.tell,
        "tell_split": signals.tell,
        "index": SearchJobs(database, keys.vault, codes).index,
        "archive": Archiver(client, database, archive, heads).archive,
    }


def open_privacy(settings: Settings, database: Database, keys: Keys) -> Privacy:
    """The activities that erase personal texts, as the settings say.

    Raises SettingsError if the retention rules or the store of pictures cannot be opened.
    """
    pictures = StoredPictures(database, open_store(DigestStore, settings.attachments_url, "attachments"))
    return Privacy(database, keys.vault, pictures, open_retention(settings), settings.access_days)


def open_retention(settings: Settings) -> Retention:
    """The retention rules of this installation. Raises SettingsError if their file cannot be read."""
    if settings.retention is None:
        return DEFAULT
    try:
        return read_retention(tomllib.loads(settings.retention.read_text("utf-8")))
    except (WireError, ValueError, OSError) as error:
        raise SettingsError(f"{settings.retention}: {str(error).splitlines()[0]}") from None


def open_archive(settings: Settings) -> Archive:
    """The archive of this installation. Raises SettingsError if it cannot be opened."""
    return open_store(Archive, settings.archive_url, "archive")


async def _schedule(client: Client, stop: asyncio.Event) -> None:
    """Writes the schedules into Temporal. Retries until Temporal has accepted them, or `stop` is set."""
    while not stop.is_set():
        try:
            await keep_schedules(client)
        except RPCError as error:
            log.warning("schedules_not_kept", error=error.message)
        else:
            return
        await pause(stop, _RETRY_SECONDS)


async def serve(settings: Settings, calendars: Sequence[YearCalendar], *, anyway: bool = False) -> None:
    """Runs the worker until SIGINT or SIGTERM, then finishes the tasks under way. Raises SettingsError.

    `calendars`: those of this installation's files. With `anyway` it runs though Temporal holds no issue that is open.
    """
    if left_word(settings.home) is not None:
        raise SettingsError(
            f"{settings.home} was restored, and its read model is not whole yet: start it by `jiesu up`"
        )
    archive = open_archive(settings)
    registry = metrics_registry()
    runtime = temporal_runtime(registry)
    port = serve_metrics(settings, registry)
    log.info("waiting_for_temporal", address=settings.address)
    keys = open_keys(settings)
    client = await connect(
        settings, timeout=90.0, runtime=runtime, identity=f"worker-{socket.gethostname()}", converter=keys.converter
    )
    if client is None:
        raise SettingsError(f"no Temporal at {settings.address} (JIESU_TEMPORAL_ADDRESS)")
    database = Database(settings.database)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch, missing = Watch(client, database, registry), MissingCalendar(database, calendars)
    codes = CodeJobs(database, keys.vault, settings.server_secret(), open_sms(settings))
    changes = DirectoryChanges(client, database, keys.signer)
    jobs = handlers(client, database, archive, keys, settings.heads_folder, codes)
    deliverer = Deliverer(database, open_channel(database, settings.webhooks, EgressGuard.of(settings)), jobs)
    daily = DailyHead(
        database,
        settings.seal_keys_folder,
        Destinations(settings.heads_folder, settings.recipients, lambda: keys.signer.roots, keys.signer.ends_before),
    )
    try:
        if not anyway:
            await check_presence(client, database)
        reconciler = Reconciler(client, database)
        upkeep = [reconciler.reconcile, daily.seal_day, open_privacy(settings, database, keys).retain]
        async with build(client, database, upkeep, codes, max_cached_workflows=cached(settings.worker_mib)):
            log.info("worker_ready", address=settings.address, metrics_port=port)
            await asyncio.gather(
                deliverer.run(stop),
                watch.run(stop),
                Outside(client, database, reconciler).run(stop),
                missing.run(stop),
                changes.run(stop),
                _schedule(client, stop),
                daily.check_key(),
            )
    finally:
        await database.close()
        await keys.close()
