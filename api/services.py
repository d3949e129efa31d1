"""Everything that the routes need, put together once for a process."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict, cast

from fastapi import Request
from prometheus_client import CollectorRegistry
from temporalio.client import Client

from api.commands import Commands
from api.directory_cache import DirectoryCache
from api.edge import Meters
from api.gateway import Gateway
from api.identity import Caller, Doorkeeper, Identity
from api.intake import Intake
from api.queue import Queue
from api.rates import Rates
from api.reader import Reader
from api.readiness import Readiness
from api.readmodel import ReadModel
from api.receipts import Receipts
from api.resolve import Resolver
from api.stamp import Now, Skew, now
from audit.desk import Desk
from db.engine import Database
from domain.policy import Policy
from domain.worktime import YearCalendar


@dataclass(frozen=True)
class Parts:
    """What the composition root hands over. `calendars` are those in force, `policies` the packs by id."""

    temporal: Client
    database: Database
    identity: Identity
    secret: bytes
    policies: Mapping[str, Policy]
    calendars: Sequence[YearCalendar]
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    needs_worker: bool = False
    """Whether it is ready only while a worker polls."""
    rate_per_subject: int = 0
    rate_per_address: int = 0
    """Requests a minute; 0: no limit."""
    desk: Desk | None = None
    """Where auditors ask; None where there is no archive to read."""
    now: Now = now


@dataclass(frozen=True)
class Services:
    """What the routes call."""

    door: Doorkeeper
    directory: DirectoryCache
    model: ReadModel
    reader: Reader
    receipts: Receipts
    commands: Commands
    intake: Intake
    readiness: Readiness
    meters: Meters
    registry: CollectorRegistry
    desk: Desk | None
    policies: Mapping[str, Policy]
    secret: bytes
    now: Now
    audits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One replay or export at a time: each takes a whole core."""

    @classmethod
    def of(cls, parts: Parts) -> Self:
        model = ReadModel(parts.database)
        directory = DirectoryCache(model)
        gateway = Gateway(parts.temporal)
        reader = Reader(model, gateway, parts.now)
        receipts = Receipts(model)
        skew = Skew()
        resolver = Resolver(directory, reader, parts.policies, parts.now)
        return cls(
            door=Doorkeeper(
                parts.identity, directory, parts.secret, subjects=Rates(parts.rate_per_subject),
                addresses=Rates(parts.rate_per_address),
            ),
            directory=directory,
            model=model,
            reader=reader,
            receipts=receipts,
            commands=Commands(
                reader=reader, gateway=gateway, receipts=receipts, queue=Queue(model, parts.now), model=model,
                resolver=resolver, skew=skew, now=parts.now,
            ),
            intake=Intake(
                reader=reader, gateway=gateway, receipts=receipts, directory=directory, policies=parts.policies,
                calendars=parts.calendars, secret=parts.secret, skew=skew, now=parts.now,
            ),
            readiness=Readiness(
                temporal=parts.temporal, gateway=gateway, model=model, skew=skew, now=parts.now,
                needs_worker=parts.needs_worker,
            ),
            meters=Meters(parts.registry),
            registry=parts.registry,
            desk=parts.desk,
            policies=parts.policies,
            secret=parts.secret,
            now=parts.now,
        )  # fmt: skip

    async def close(self) -> None:
        await self.receipts.close()
        await self.readiness.close()


class State(TypedDict):
    """What the lifespan gives to every request."""

    services: Services


def services(request: Request) -> Services:
    return cast("Any", request.state).services


async def caller(request: Request) -> Caller:
    """Who asks; 401 for nobody."""
    return await services(request).door.caller(request)


async def anybody(request: Request) -> Caller:
    """Who asks, if they say so."""
    return await services(request).door.caller_or_anybody(request)
