"""Everything that the routes need, put together once for a process."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict, cast

from fastapi import Request
from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.converter import PayloadCodec

from api.health import Readiness
from api.http.middleware import Meters
from api.identity.authenticator import Doorkeeper, Identity
from api.identity.embedded_provider import EmbeddedProvider
from api.identity.phones import Mint, Phones
from api.identity.session import SessionParts, Sessions
from api.identity.sms import Sms
from audit.service import AuditService
from db.engine import Database
from db.hits import HitStore
from domain.policy import Policy
from domain.worktime import YearCalendar
from protocol.admission import Admission
from protocol.attachments import Attachments
from protocol.caller import Caller
from protocol.clock import Now, Skew, now
from protocol.commands import CommandService
from protocol.directory_cache import DirectoryCache
from protocol.errors import NotFound
from protocol.gateway import TemporalGateway
from protocol.guards import AccessGuard
from protocol.intake import Intake
from protocol.limits import Quotas, TokenBuckets
from protocol.pending import PendingCommands
from protocol.read_model import ReadModel
from protocol.reader import Reader
from protocol.receipts import Receipts
from protocol.resolver import Resolver
from runtime.blobs import DigestStore
from security.keys import Keys
from security.vault import Vault


@dataclass(frozen=True)
class Parts:
    """What the composition root hands over. `calendars` are those in force, `policies` the packs by id."""

    temporal: Client
    database: Database
    identity: Identity
    secret: bytes = field(repr=False)
    policies: Mapping[str, Policy]
    calendars: Sequence[YearCalendar]
    keys: Keys
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    needs_worker: bool = False
    """Whether it is ready only while a worker polls."""
    rate_per_subject: int = 0
    rate_per_address: int = 0
    """Requests a minute; 0: no limit."""
    rates: Mapping[str, str] = field(default_factory=dict[str, str])
    """How often what is dear may be done, by name; see `settings.RATES`. What has no rate has no limit."""
    desk: AuditService | None = None
    """Where auditors ask; None where there is no archive to read."""
    codec_origins: Sequence[str] = ()
    """The origins of Temporal's user interface, whose pages may ask the codec server."""
    blobs: DigestStore | None = None
    """Where pictures lie; None where there are none."""
    sms: Sms | None = None
    mint: Mint | None = None
    """With which phones are verified; None where they are not."""
    session: SessionParts | None = None
    """How browsers sign in; None where they cannot."""
    embedded_provider: EmbeddedProvider | None = None
    """The demo identity provider, where this app serves it."""
    now: Now = now


@dataclass(frozen=True)
class Services:
    """What the routes call."""

    door: Doorkeeper
    directory: DirectoryCache
    model: ReadModel
    reader: Reader
    receipts: Receipts
    commands: CommandService
    intake: Intake
    access: AccessGuard
    admission: Admission
    vault: Vault
    readiness: Readiness
    meters: Meters
    registry: CollectorRegistry
    desk: AuditService | None
    attachments: Attachments | None
    phones: Phones | None
    embedded_provider: EmbeddedProvider | None
    codec: PayloadCodec | None
    codec_origins: Sequence[str]
    policies: Mapping[str, Policy]
    secret: bytes = field(repr=False)
    now: Now
    audits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One replay or export at a time: each takes a whole core."""

    @classmethod
    def of(cls, parts: Parts) -> Self:
        model = ReadModel(parts.database)
        directory = DirectoryCache(model)
        gateway = TemporalGateway(parts.temporal, parts.keys.signer)
        reader = Reader(model, gateway, parts.keys.vault, parts.now)
        admission = Admission(reader, directory, parts.now)
        receipts = Receipts(model)
        skew = Skew()
        quotas = Quotas(parts.rates, HitStore(parts.database, parts.secret))
        resolver = Resolver(directory, reader, parts.policies, parts.now)
        return cls(
            door=_door(parts, directory),
            directory=directory,
            model=model,
            reader=reader,
            receipts=receipts,
            commands=CommandService(
                admission=admission, reader=reader, gateway=gateway, receipts=receipts,
                pending=PendingCommands(model, parts.now), model=model, resolver=resolver, vault=parts.keys.vault,
                quotas=quotas, skew=skew, now=parts.now,
            ),
            intake=Intake(
                reader=reader, gateway=gateway, receipts=receipts, directory=directory, policies=parts.policies,
                calendars=parts.calendars, vault=parts.keys.vault, signer=parts.keys.signer, secret=parts.secret, skew=skew,
                now=parts.now,
            ),
            access=AccessGuard(
                database=parts.database, directory=directory, quotas=quotas, secret=parts.secret, now=parts.now
            ),
            admission=admission,
            vault=parts.keys.vault,
            readiness=Readiness(
                temporal=parts.temporal, gateway=gateway, model=model, signer=parts.keys.signer,
                skew=skew, now=parts.now, needs_worker=parts.needs_worker,
            ),
            meters=Meters(parts.registry),
            registry=parts.registry,
            desk=parts.desk,
            codec=parts.temporal.data_converter.payload_codec,
            codec_origins=parts.codec_origins,
            attachments=parts.blobs and Attachments(
                blobs=parts.blobs, vault=parts.keys.vault, database=parts.database, model=model, now=parts.now
            ),
            phones=_phones(parts, quotas),
            embedded_provider=parts.embedded_provider,
            policies=parts.policies,
            secret=parts.secret,
            now=parts.now,
        )  # fmt: skip

    async def close(self) -> None:
        await self.receipts.close()
        await self.access.close()
        await self.readiness.close()


def _door(parts: Parts, directory: DirectoryCache) -> Doorkeeper:
    return Doorkeeper(
        parts.identity, directory, parts.secret, subjects=TokenBuckets(parts.rate_per_subject),
        addresses=TokenBuckets(parts.rate_per_address), now=parts.now,
        sessions=None if parts.session is None else Sessions(parts.session, parts.secret, parts.now),
    )  # fmt: skip


def _phones(parts: Parts, quotas: Quotas) -> Phones | None:
    if parts.sms is None or parts.mint is None:
        return None
    return Phones(
        sms=parts.sms, mint=parts.mint, database=parts.database, quotas=quotas, secret=parts.secret, now=parts.now
    )  # fmt: skip


class State(TypedDict):
    """What the lifespan gives to every request."""

    services: Services


def services(request: Request) -> Services:
    return cast("Any", request.state).services


async def caller(request: Request) -> Caller:
    """Who asks; 401 for nobody."""
    return await services(request).door.caller(request)


async def no_guesser(request: Request) -> AsyncGenerator[Caller]:
    """As `caller`; a tracking code that opens nothing is counted, and 429 where too many of them came from."""
    use = services(request)
    found = await caller(request)
    if found.actor is not None:
        yield found
        return
    await use.access.may_guess()
    try:
        yield found
    except NotFound:
        await use.access.guessed()
        raise


async def anybody(request: Request) -> Caller:
    """Who asks, if they say so."""
    return await services(request).door.caller_or_anybody(request)
