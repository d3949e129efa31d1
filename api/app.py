"""The API as an ASGI app, and the process that serves it."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Final, NamedTuple

import structlog
import uvicorn
from fastapi import Depends, FastAPI
from temporalio.client import Client
from temporalio.service import RPCError

from api.container import Parts, Services, State
from api.http import problems
from api.http.bodies import BodyLimit, known_query
from api.http.middleware import Edge
from api.http.openapi import document
from api.identity.authenticator import Identity, LocalIdentity, NoIdentity, WithResidents
from api.identity.embedded_provider import CLIENT, EmbeddedProvider
from api.identity.oidc import OidcIdentity, Provider
from api.identity.session import SessionParts
from api.identity.sms import open_sms
from api.identity.tokens import LocalTokens, ResidentTokens
from api.routes import attachments, audit, codec, commands, issues, lists, phones, service
from api.routes import embedded_provider as embedded_provider_routes
from api.routes import session as session_routes
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

_DESCRIPTION: Final = """\
接诉即办: act on every complaint. A resident's issue is taken in, worked on, and climbs by itself if nobody acts in time.

Every command carries an `Idempotency-Key`: send the same one again and it takes effect once, with the same answer.
Errors are `application/problem+json`; their types are stable. Times are RFC 3339 in UTC.

Whoever holds several roles says in which one a request is meant, with `X-Acting-Role` and `X-Acting-Org`. A browser's
session is a cookie, and what changes something by it needs the `X-CSRF-Token` that `GET /session` tells.
"""


def create_app(parts: Parts) -> FastAPI:
    """The app over what the composition root has put together; it closes nothing that it was given."""
    found = Services.of(parts)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
        found.readiness.watch()
        yield {"services": found}
        await found.close()

    app = FastAPI(
        title="Jiesu", version="1", description=_DESCRIPTION, lifespan=lifespan,
        # The pages of these load scripts from foreign networks.
        docs_url=None, redoc_url=None,
        redirect_slashes=False, dependencies=[Depends(known_query)],
    )  # fmt: skip
    sessions = found.door.sessions
    app.openapi = lambda: document(app, sessions and sessions.cookie)
    problems.install(app)
    for routes in (issues, lists, commands, attachments, phones, audit, codec, service):
        routes.register(app)
    if parts.session is not None:
        session_routes.register(app)
    if parts.embedded_provider is not None:
        app.include_router(embedded_provider_routes.router)
    app.add_middleware(BodyLimit)
    app.add_middleware(Edge, meters=found.meters)
    app.add_middleware(codec.Cors, origins=found.codec_origins)
    return app


async def serve(settings: Settings, policies: Mapping[str, Policy], calendars: Sequence[YearCalendar]) -> None:
    """`jiesu api`: serves until SIGINT or SIGTERM. It starts without Temporal or SQL, and is ready once they answer.

    Raises SettingsError, in one line, for a taken port.
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
    parts = Parts(
        temporal=client, database=database, identity=WithResidents(residents, signing_in.identity),
        session=signing_in.session, embedded_provider=signing_in.embedded_provider, secret=secret,
        policies=policies, calendars=calendars, registry=registry, needs_worker=settings.ready_needs_worker,
        rate_per_subject=settings.rate_per_subject, rate_per_address=settings.rate_per_address,
        rates=settings.rates_by_name,
        desk=_desk(settings, database, client), keys=keys, codec_origins=settings.ui_origins,
        blobs=open_store(DigestStore, settings.attachments_url, "attachments"), sms=open_sms(settings), mint=residents.issue,
    )  # fmt: skip
    running = server(create_app(parts), settings.api_host, settings.api_port)
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


def _desk(settings: Settings, database: Database, client: Client) -> AuditService:
    """Where auditors ask."""
    return AuditService(Holdings(database, Archive(settings.archive_url)), settings.heads_folder, client)


async def _look_for_temporal(client: Client) -> None:
    """Says at the start that Temporal is not there: the process serves all the same, and is ready later."""
    try:
        await client.service_client.check_health(timeout=timedelta(seconds=2))
    except (RPCError, RuntimeError):
        log.warning("waiting_for_temporal", address=client.service_client.config.target_host)


class SignIn(NamedTuple):
    """Who vouches for callers, how browsers sign in, and the demo provider where this app serves it."""

    identity: Identity
    session: SessionParts | None = None
    embedded_provider: EmbeddedProvider | None = None


def sign_in(settings: Settings) -> SignIn:
    """How callers sign in by these settings. Raises SettingsError for a provider that may not be used."""
    embedded = EmbeddedProvider.of(settings) if settings.offers_provider else None
    if settings.oidc_issuer is not None:
        try:
            found = Provider(settings.oidc_issuer, plain_loopback=settings.embedded)
        except ValueError as error:
            raise SettingsError(f"JIESU_OIDC_ISSUER: {error}") from None
        client = settings.oidc_client_id
        secret = settings.oidc_client_secret.get_secret_value()
        session = None if client is None else SessionParts(found, client, settings.origin, secret)
        return SignIn(OidcIdentity(found, settings.oidc_audience), session)
    identity = LocalIdentity(LocalTokens(settings.home)) if settings.accepts_local_tokens else NoIdentity()
    if embedded is None:
        return SignIn(identity)
    provider = Provider(embedded.issuer, plain_loopback=True)
    return SignIn(identity, SessionParts(provider, CLIENT, embedded.origin, trusts_roles=True), embedded)


class Server(uvicorn.Server):
    """uvicorn, but for its signals: it would end the process by them once more, before the database is closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def stop(self) -> None:
        """The first time requests may finish, the second time they may not."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @property
    def port(self) -> int:
        """Where it listens, once `started`."""
        return self.servers[0].sockets[0].getsockname()[1]


def server(app: FastAPI, host: str, port: int) -> Server:
    """A server that says no more about itself than it has to."""
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=5, timeout_keep_alive=30,
    )  # fmt: skip
    return Server(config)
