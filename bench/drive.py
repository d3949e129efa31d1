"""Drives issues and bare workflows through the same sequence of commands."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from bench.floor import QUEUE, Bare, BareTimer
from bench.rows import RowWatch
from bench.stage import Stage
from calendars import load_all
from domain.advance import advance
from domain.commands import Accept, Actor, Arrive, Authority, Body, Command, Complete, Confirm, Report
from domain.issue import RULES_VERSION, Issue
from domain.pins import pins_digest
from domain.place import Place
from domain.policy import Policy
from domain.wire import truncate
from domain.worktime import Limit
from policies.loader import load_pack
from protocol.envelope import Envelope, plain_of
from protocol.gateway import Pins, TemporalGateway
from security.ids import number
from security.keys import Keys
from security.opening import open_keys

PLACE: Final = Place("demo", "demo-community", "demo-street", "demo-property", "company", "g1", "体验小区")
STAFF: Final = Actor("p1", "property", "demo-property")
RESIDENT: Final = Actor("anonymous", "resident")
STEPS: Final[tuple[tuple[Body, Actor], ...]] = (
    (Accept("马上到"), STAFF),
    (Arrive("minor"), STAFF),
    (Complete(answer="换了阀门,试水一小时不漏", answers=True), STAFF),
    (Confirm("solved", "satisfied", "很快"), RESIDENT),
)
"""The commands after the report of a standard issue."""
_TIMEOUT: Final = timedelta(seconds=20)

Timed = Callable[[str, float], None]
"""Called with the duration of each command, in seconds."""


def now() -> datetime:
    return truncate(datetime.now(UTC))


def grants(actor: Actor) -> tuple[Authority, ...]:
    """The authorities of the actor at the place of these issues."""
    return (Authority(actor.role, actor.org, compound=PLACE.compound if actor.role == "property" else None),)


def calm_policy() -> Policy:
    """The demo pack with limits of one day, so that no clock interferes."""
    demo, day = load_pack("demo"), Limit(86_400, "s")
    clauses = (replace(clause, limit=day, climb=tuple(day for _ in clause.climb)) for clause in demo.clause)
    return replace(demo, clause=tuple(clauses), silence=replace(demo.silence, within=day))


def climbing_policy(seconds: int) -> Policy:
    """As `calm_policy`, but the clause `accept` climbs after so many seconds.

    The warning is due together with the limit, so that both are in one batch.
    """
    calm = replace(calm_policy(), warn_at=1.0)
    soon = Limit(seconds, "s")
    clauses = (
        replace(clause, limit=soon, climb=(soon,)) if clause.id == "accept" else clause for clause in calm.clause
    )
    return replace(calm, clause=tuple(clauses))


@dataclass(frozen=True)
class Issues:
    """Issues, driven as the API drives them but without HTTP: dry run, raw signal, receipt row."""

    gateway: TemporalGateway
    rows: RowWatch
    pins: Pins
    keys: Keys
    is_sealed: bool = True
    """Whether personal texts are sealed and payloads encrypted, as the API and its client do."""

    @classmethod
    def on(cls, stage: Stage, rows: RowWatch, policy: Policy, *, is_sealed: bool = True) -> "Issues":
        keys, year = open_keys(stage.settings), now().year
        pins = Pins(policy, tuple(each for each in load_all() if each.year >= year))
        return cls(
            TemporalGateway(stage.protected if is_sealed else stage.client, keys.signer), rows, pins, keys, is_sealed
        )

    async def report(self, at: datetime | None = None) -> str:
        """Starts an issue, reported at that moment or now, and returns once its row is visible."""
        issue = uuid.uuid4().hex[:26]
        report = Report(number(issue), PLACE, "leak", "厨房漏水", location="3幢2单元501")
        command = await self._sealed(issue, Command(str(uuid.uuid4()), at or now(), RESIDENT, report))
        folded, _ = advance(Issue.new(issue, self.pins.policy, self.pins.calendars), [command], command.at)
        await self.gateway.start(Envelope.of(command), folded, self.pins)
        await self.rows.receipt(command.id)
        return issue

    async def give(self, issue: str, body: Body, actor: Actor) -> float:
        """Sends a command; returns the seconds until its receipt was visible."""
        began = time.time()
        command = await self._sealed(issue, Command(str(uuid.uuid4()), now(), actor, body))
        await self.gateway.signal(issue, self.keys.signer.root, Envelope.of(command), _TIMEOUT)
        return await self.rows.receipt(command.id) - began

    async def _sealed(self, issue: str, command: Command) -> Command:
        """The command with the authorities of its actor and with sealed texts."""
        body, actor = command.body, command.actor or RESIDENT
        if isinstance(body, Report):
            covers = pins_digest(self.pins.policy, self.pins.calendars, RULES_VERSION)
            body = replace(body, root=self.keys.signer.root, pins=covers)
        if self.is_sealed:
            body = await self.keys.vault.seal_body(issue, command.id, body)
        return replace(command, body=body, grants=grants(actor))

    async def live(self, timed: Timed | None = None) -> None:
        """Runs a standard issue from report to close."""
        told = timed or _untold
        began = time.time()
        issue = await self.report()
        told("report", time.time() - began)
        for body, actor in STEPS:
            told(type(body).__name__.lower(), await self.give(issue, body, actor))


@dataclass(frozen=True)
class Floor:
    """Bare workflows, given the same signals, each followed by a query."""

    client: Client

    async def start(self) -> WorkflowHandle[Bare, int]:
        issue = uuid.uuid4().hex[:26]
        report = Report(number(issue), PLACE, "leak", "厨房漏水", location="3幢2单元501")
        plain = plain_of(Command(str(uuid.uuid4()), now(), RESIDENT, report))
        return await self.client.start_workflow(Bare.run, plain, id=f"bare-{issue}", task_queue=QUEUE)

    async def signal(self, handle: WorkflowHandle[Bare, int], body: Body, actor: Actor) -> float:
        """Sends the raw signal with a request id as ours has; returns its seconds."""
        began = time.time()
        command = Command(str(uuid.uuid4()), now(), actor, body)
        request = SignalWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            signal_name=command.name,
            input=Payloads(payloads=await self.client.data_converter.encode([plain_of(command)])),
            identity=self.client.identity,
            request_id=command.id,
        )
        await self.client.workflow_service.signal_workflow_execution(request, timeout=_TIMEOUT)
        return time.time() - began

    async def give(self, handle: WorkflowHandle[Bare, int], body: Body, actor: Actor, *, last: bool) -> float:
        """Sends a signal and a query; after the last one awaits the result, since a closed workflow answers queries by replay."""
        began = time.time()
        await self.signal(handle, body, actor)
        await (handle.result() if last else handle.query(Bare.seen))
        return time.time() - began

    async def live(self, timed: Timed | None = None) -> None:
        told = timed or _untold
        began = time.time()
        handle = await self.start()
        await handle.query(Bare.seen)
        told("report", time.time() - began)
        for body, actor in STEPS:
            told(type(body).__name__.lower(), await self.give(handle, body, actor, last=isinstance(body, Confirm)))

    async def sleep_until(self, until: float) -> str:
        """Starts a workflow that sleeps until then; returns its id."""
        name = f"timer-{uuid.uuid4().hex[:26]}"
        await self.client.start_workflow(BareTimer.run, until, id=name, task_queue=QUEUE)
        return name


def _untold(_name: str, _seconds: float) -> None:
    pass


async def every(number_of: int, at_once: int, work: Callable[[int], Awaitable[Any]]) -> None:
    """Runs the work for 0, 1, 2, ... with so many tasks at a time."""
    numbers = iter(range(number_of))

    async def one() -> None:
        for each in numbers:
            await work(each)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, number_of)):
            group.create_task(one())
