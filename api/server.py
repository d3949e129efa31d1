"""The API process: its composition root and its web server."""

import asyncio
import signal
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple

import structlog
import uvicorn
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.service import RPCError

from api.app import create_app
from api.container import Services
from api.identity.authenticator import LocalVerifier, NoTokens, TokenVerifier, WithResidents
from api.identity.embedded_provider import CLIENT, EmbeddedProvider
from api.identity.oidc import OidcVerifier, Provider
from api.identity.session import SessionParts
from api.identity.sms import open_sms
from api.identity.tokens import LocalTokens, ResidentTokens
from audit.archive import Archive
from audit.holdings import Holdings
from audit.service import AuditService
from db.engine import Database
from domain.policy import Policy
from domain.worktime import YearCalendar
from runtime.blobs import DigestStore, open_store
from runtime.observability import metrics_registry, temporal_runtime
from runtime.ports import check_ports
from runtime.settings import Settings, SettingsError, variable
from security.opening import open_keys

log: Final = structlog.stdlib.get_logger(__name__)


async def serve(settings: Settings, policies: Mapping[str, Policy], calendars: Sequence[YearCalendar]) -> None:
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
        rate_per_subject=settings.rate_per_subject, rate_per_address=settings.rate_per_address,
        rates=settings.rates_by_name,
        audit_service=AuditService(Holdings(database, Archive(settings.archive_url)), settings.heads_folder, client), keys=keys, codec_origins=settings.ui_origins,
        blobs=open_store(DigestStore, settings.attachments_url, "attachments"), sms=open_sms(settings), mint=residents.issue,
    )  # fmt: skip
    running = server(create_app(services), settings.api_host, settings.api_port)
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


class SignIn(NamedTuple):
    """How callers sign in.

    `verifier` verifies bearer tokens, `session` configures browser sign-in (None: browsers cannot sign in), and
    `embedded_provider` is the demo identity provider (None: this app does not serve it).
    """

    verifier: TokenVerifier
    session: SessionParts | None = None
    embedded_provider: EmbeddedProvider | None = None


def sign_in(settings: Settings) -> SignIn:
    """How callers sign in, from the settings. Raises SettingsError for an identity provider that may not be used."""
    embedded = EmbeddedProvider.of(settings) if settings.offers_provider else None
    if settings.oidc_issuer is not None:
        try:
            found = Provider(settings.oidc_issuer, plain_loopback=settings.embedded)
        except ValueError as error:
            raise SettingsError(f"JIESU_OIDC_ISSUER: {error}") from None
        client = settings.oidc_client_id
        secret = settings.oidc_client_secret.get_secret_value()
        session = None if client is None else SessionParts(found, client, settings.origin, secret)
        return SignIn(OidcVerifier(found, settings.oidc_audience), session)
    verifier = LocalVerifier(LocalTokens(settings.home)) if settings.accepts_local_tokens else NoTokens()
    if embedded is None:
        return SignIn(verifier)
    provider = Provider(embedded.issuer, plain_loopback=True)
    return SignIn(verifier, SessionParts(provider, CLIENT, embedded.origin, trusts_roles=True), embedded)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process before the database is closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def stop(self) -> None:
        """Stops the server: the first call lets running requests finish, the second call cuts them off."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @property
    def port(self) -> int:
        """The port on which the server listens. It is known only once the server has `started`."""
        return self.servers[0].sockets[0].getsockname()[1]


def server(app: FastAPI, host: str, port: int) -> Server:
    """A web server for this app, whose answers have no `Server` header and so do not reveal its software."""
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=5, timeout_keep_alive=30,
    )  # fmt: skip
    return Server(config)
