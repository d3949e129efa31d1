"""`Services`: all services of an API process, made from what the composition root (`api.server`) hands over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.converter import PayloadCodec

from activities.sms import Sms
from api.http.middleware import Meters
from api.identity.authenticator import Authenticator, TokenVerifier
from api.identity.embedded_provider import EmbeddedProvider
from api.identity.phones import Mint, Phones
from api.identity.session import SessionParts, Sessions
from audit.service import AuditService
from db.engine import Database
from db.hits import HitStore
from domain.policy import Policy
from domain.worktime import YearCalendar
from protocol.attachments import Attachments
from protocol.auditing import Auditing
from protocol.board import Boards
from protocol.calendar_cache import CalendarCache
from protocol.cards import Cards
from protocol.catalogue import Catalogue
from protocol.clock import Now, Skew, now
from protocol.commands import CommandService
from protocol.directory_cache import DirectoryCache
from protocol.forgetting import Forgetting
from protocol.gateway import TemporalGateway
from protocol.guards import AccessGuard
from protocol.hub import Hub
from protocol.intake import Intake
from protocol.limits import Quotas, TokenBuckets
from protocol.pending import PendingCommands
from protocol.people import People
from protocol.places import Places
from protocol.read_model import ReadModel
from protocol.reader import Reader
from protocol.readiness import Readiness
from protocol.receipts import Receipts
from protocol.resolver import Resolver
from runtime.blobs import DigestStore
from runtime.proxies import Proxies
from security.keys import Keys


@dataclass(frozen=True)
class Services:
    """All services of an API process.

    The fields come from the composition root (`api.server.serve`). Each property makes one service from the fields when
    it is first used. Only code in the one event loop uses the properties, so no service is made twice.
    """

    temporal: Client
    database: Database
    verifier: TokenVerifier
    secret: bytes = field(repr=False)
    policies: Mapping[str, Policy]
    """The loaded policies, by id."""
    calendars: Sequence[YearCalendar]
    """The calendars of this process's files, each for one year; `CalendarCache` adds the published ones."""
    keys: Keys
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    needs_worker: bool = False
    """Whether the API counts as ready only while a worker polls Temporal."""
    unfit_key: Callable[[], str | None] = lambda: None
    """Says what is wrong with a key file of this installation; None if nothing is."""
    temporal_file: Path | None = None
    """The file of Temporal's database, if it is on this host."""
    rate_per_subject: int = 0
    rate_per_address: int = 0
    """How many requests a minute one subject, and one network address, may send; 0 means no limit."""
    proxies: Proxies = field(default_factory=Proxies)
    rates: Mapping[str, str] = field(default_factory=dict[str, str])
    """How often each costly action may be done, by its name in `settings.RATES`.

    An action without a rate has no limit.
    """
    audit_service: AuditService | None = None
    """The service that answers auditors; None where the process has no archive to read."""
    codec_origins: Sequence[str] = ()
    """The origins of Temporal's user interface. Pages of these origins may call the codec server."""
    blobs: DigestStore | None = None
    """The store of pictures; None where the process keeps no pictures."""
    sms: Sms | None = None
    mint: Mint | None = None
    """`sms` sends codes to phones, `mint` makes the tokens of residents; None where phones are not verified."""
    session: SessionParts | None = None
    """The configuration of browser sign-in; None where browsers cannot sign in."""
    embedded_provider: EmbeddedProvider | None = None
    """The demo identity provider; None where this app does not serve it."""
    now: Now = now

    @cached_property
    def model(self) -> ReadModel:
        return ReadModel(self.database)

    @cached_property
    def directory(self) -> DirectoryCache:
        return DirectoryCache(self.model)

    @cached_property
    def gateway(self) -> TemporalGateway:
        return TemporalGateway(self.temporal, self.keys.signer, lambda: self.readiness.known("temporal"))

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.model, self.gateway, self.keys.vault, self.directory, self.now)

    @cached_property
    def hub(self) -> Hub:
        return Hub(self.model, self.now)

    @cached_property
    def cards(self) -> Cards:
        return Cards(self.model, self.keys.vault, self.directory, self.now)

    @cached_property
    def forgetting(self) -> Forgetting:
        return Forgetting(self.database, self.keys.vault, self.now)

    @cached_property
    def receipts(self) -> Receipts:
        return Receipts(self.model)

    @cached_property
    def skew(self) -> Skew:
        return Skew()

    @cached_property
    def quotas(self) -> Quotas:
        return Quotas(self.rates, HitStore(self.database, self.secret))

    @cached_property
    def resolver(self) -> Resolver:
        return Resolver(self.directory, self.reader, self.policies, self.now)

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.directory, self.policies, self.now)

    @cached_property
    def places(self) -> Places:
        return Places(self.directory, self.now)

    @cached_property
    def people(self) -> People:
        return People(self.database, self.directory, self.access, self.now)

    @cached_property
    def boards(self) -> Boards:
        return Boards(self.model, self.directory, self.now)

    @cached_property
    def commands(self) -> CommandService:
        return CommandService(
            reader=self.reader, gateway=self.gateway, receipts=self.receipts,
            pending=PendingCommands(self.model, self.now), model=self.model, resolver=self.resolver,
            vault=self.keys.vault, quotas=self.quotas, skew=self.skew, now=self.now,
        )  # fmt: skip

    @cached_property
    def intake(self) -> Intake:
        return Intake(
            reader=self.reader, gateway=self.gateway, receipts=self.receipts, directory=self.directory,
            policies=self.policies, calendars=CalendarCache(self.model, self.calendars), vault=self.keys.vault,
            signer=self.keys.signer, secret=self.secret, skew=self.skew, now=self.now, texts=self.sms is not None,
        )  # fmt: skip

    @cached_property
    def access(self) -> AccessGuard:
        return AccessGuard(
            database=self.database, directory=self.directory, quotas=self.quotas, secret=self.secret, now=self.now
        )

    @cached_property
    def attachments(self) -> Attachments | None:
        return self.blobs and Attachments(
            blobs=self.blobs, vault=self.keys.vault, database=self.database, model=self.model, now=self.now
        )

    @cached_property
    def authenticator(self) -> Authenticator:
        return Authenticator(
            self.verifier, self.directory, self.secret, subjects=TokenBuckets(self.rate_per_subject, limit="rate_per_subject"),
            addresses=TokenBuckets(self.rate_per_address, limit="rate_per_address"), now=self.now, sessions=self.sessions,
        )  # fmt: skip

    @cached_property
    def sessions(self) -> Sessions | None:
        return self.session and Sessions(self.session, self.secret, self.now)

    @cached_property
    def phones(self) -> Phones | None:
        if self.sms is None or self.mint is None:
            return None
        return Phones(
            sms=self.sms, mint=self.mint, database=self.database, quotas=self.quotas, secret=self.secret, now=self.now
        )

    @cached_property
    def readiness(self) -> Readiness:
        return Readiness(
            temporal=self.temporal, database=self.database, keys=self.keys, pictures=self.blobs, skew=self.skew,
            archive=self.audit_service and self.audit_service.holdings.archive, temporal_file=self.temporal_file,
            now=self.now, needs_worker=self.needs_worker, unfit_key=self.unfit_key,
        )  # fmt: skip

    @cached_property
    def meters(self) -> Meters:
        return Meters(self.registry)

    @cached_property
    def auditing(self) -> Auditing | None:
        return self.audit_service and Auditing(
            self.audit_service, self.model, self.access, self.policies, secret=self.secret, now=self.now
        )

    @property
    def codec(self) -> PayloadCodec | None:
        return self.temporal.data_converter.payload_codec

    async def close(self) -> None:
        self.hub.close()
        await self.receipts.close()
        await self.access.close()
        await self.readiness.close()
