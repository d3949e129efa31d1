"""The API process: its composition root and its web server."""

import asyncio
import signal
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from fastapi import APIRouter
from temporalio.client import Client
from temporalio.service import RPCError

from activities.sms import open_sms
from api.app import create_app
from api.container import Services
from api.identity.authenticator import WithResidents
from api.identity.signing_in import sign_in
from api.identity.tokens import ResidentTokens
from audit.archive import Archive
from audit.content import places_of
from audit.holdings import Holdings
from audit.service import AuditService
from db.engine import Database
from domain.policy import Policy
from domain.worktime import YearCalendar
from runtime.blobs import DigestStore, open_store
from runtime.observability import metrics_registry, temporal_runtime
from runtime.ports import check_ports
from runtime.proxies import Proxies
from runtime.settings import Settings, variable
from runtime.web import server
from security.opening import open_keys, unfit_key

log: Final = structlog.stdlib.get_logger(__name__)


async def serve(
    settings: Settings,
    policies: Mapping[str, Policy],
    calendars: Sequence[YearCalendar],
    pages: Sequence[APIRouter] = (),
) -> None:
    """Runs `jiesu api` until SIGINT or SIGTERM.

    The process starts even while Temporal or SQL is down, and is ready once both answer. Raises SettingsError, with a
    message of one line, if another process has the port.
    """
    check_ports([(settings.api_host, settings.api_port, variable("api_port"))])
    registry, keys = metrics_registry(), open_keys(settings)
    client = await Client.connect(
        settings.address, namespace=settings.temporal_namespace, lazy=True, runtime=temporal_runtime(registry),
        identity=f"api-{socket.gethostname()}", data_converter=keys.converter,
    )  # fmt: skip
    database = Database(settings.database)
    signing_in = sign_in(settings)
    secret = settings.server_secret()
    residents = ResidentTokens(secret)
    services = Services(
        temporal=client, database=database, verifier=WithResidents(residents, signing_in.verifier),
        session=signing_in.session, embedded_provider=signing_in.embedded_provider, secret=secret,
        policies=policies, calendars=calendars, registry=registry, needs_worker=settings.ready_needs_worker,
        temporal_file=settings.temporal_file, unfit_key=partial(unfit_key, settings),
        rate_per_subject=settings.rate_per_subject, rate_per_address=settings.rate_per_address,
        rates=settings.rates_by_name, proxies=Proxies(settings.trusted_proxies),
        audit_service=AuditService(Holdings(database, Archive(settings.archive_url)), settings.heads_folder, client, places_of(settings)[0]), keys=keys, codec_origins=settings.ui_origins,
        blobs=open_store(DigestStore, settings.attachments_url, "attachments"), sms=open_sms(settings), mint=residents.issue,
    )  # fmt: skip
    running = server(
        create_app(services, pages),
        settings.api_host,
        settings.api_port,
        settings.connections,
        on_stop=services.hub.close,
    )
    log.info("api_starts", host=settings.api_host, port=settings.api_port, temporal=settings.address)
    looking = asyncio.create_task(_look_for_temporal(client))
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, running.stop)
    try:
        await running.serve()
    finally:
        looking.cancel()
        await database.close()
        await keys.close()


async def _look_for_temporal(client: Client) -> None:
    """Logs a warning if Temporal is down at the start. The process serves all the same, and is ready later."""
    try:
        await client.service_client.check_health(timeout=timedelta(seconds=2))
    except (RPCError, RuntimeError):
        log.warning("waiting_for_temporal", address=client.service_client.config.target_host)
