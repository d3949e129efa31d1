"""A trial of the embedded default: roles to choose with one click, and demo issues, given by the services that take any other."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Request

from api.container import Services
from api.dependencies import Use
from api.http.requests import COMMANDS, ReportBody
from api.identity.authenticator import acting
from api.identity.oidc import is_loopback
from api.identity.tokens import Claims
from domain.directory import Directory
from domain.vocabulary import Role
from pages.forms import check_ours
from pages.story import org_name
from protocol.caller import Caller
from protocol.clock import today
from protocol.commands import Applied, CommandDraft
from protocol.errors import NotFound, Refused, Unavailable

T = TypeVar("T")

RESIDENT: Final = "r1"
"""The person in whose name the demo issues are reported, whom one is as the resident of the trial."""
SLOW: Final = "jinpen"
QUICK: Final = "demo"
"""The compounds of the trial: in one the limits are hours and days, in the other every step has ten seconds."""
_KEYS: Final = uuid.UUID("6f1a9f0a-3a54-4a4e-9a0b-0d3c1f0c7a11")
_TRIES: Final = 60
_PAUSE: Final = 0.2
"""How often each step of the demo is asked for again, with the same key, after how many seconds: a machine may be busy."""


@dataclass(frozen=True)
class Part:
    """A role that one may take with one click: as whom, for which organisation."""

    role: Role
    org: str = ""
    person: str = RESIDENT
    name: str = ""


@dataclass(frozen=True)
class Case:
    """A demo issue: what a resident reports, and what the property company does with it, command by command."""

    name: str
    report: Mapping[str, Any]
    steps: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    compound: str = SLOW


@dataclass(frozen=True)
class Trial:
    """The trial of this installation."""

    use: Services = field(repr=False)

    async def cast(self, compound: str) -> list[Part]:
        """The roles around a compound, from the ground up; none where the directory lacks it."""
        directory = await self.use.directory.get()
        place = directory.place(compound, today(self.use.now()))
        if place is None:
            return []
        held: list[tuple[Role, str | None]] = [
            ("property", place.operator), ("community", place.community), ("street", place.street),
        ]  # fmt: skip
        return [self._part(role, org, directory) for role, org in held if org is not None]

    async def casts(self) -> list[list[Part]]:
        """The roles around the compounds of the trial, those with the slow limits first, a resident among them."""
        return [[Part("resident"), *await self.cast(SLOW)], await self.cast(QUICK)]

    def _part(self, role: Role, org: str, directory: Directory) -> Part:
        """A role, as whoever is appointed to it, where somebody is."""
        found = (each.person for each in directory.appointments if (each.role, each.org) == (role, org))
        return Part(role, org, next(found, f"demo-{role}"), org_name(org, directory))

    async def play(self) -> None:
        """Reports the demo issues and gives their commands. Done again it changes nothing: each has its own key for ever.

        Raises Unavailable if a part of the system is away for all tries.
        """
        for case in CASES:
            with suppress(Refused):  # time has gone by since an earlier play that was cut short
                await self._play(case)

    async def _play(self, case: Case) -> None:
        parts = await self.cast(case.compound)
        if not parts or parts[0].role != "property":
            return
        resident, handler = await self._caller(Part("resident")), await self._caller(parts[0])
        draft = ReportBody.model_validate({"compound": case.compound, **case.report}).draft
        taken = await _patiently(lambda: self.use.intake.take(resident, draft, _key(case.name)))
        for number, (name, fields) in enumerate(case.steps):
            shape = COMMANDS[name]
            body = shape.read(shape.model.model_validate_json(json.dumps(fields)))
            await self._give(handler, taken.issue.id, CommandDraft(body, _key(case.name, str(number))))

    async def _give(self, handler: Caller, issue: str, draft: CommandDraft) -> None:
        """Gives a command, and waits for its receipt: the next one is judged by what it led to."""
        for _ in range(_TRIES):
            if isinstance(await _patiently(lambda: self.use.commands.give(handler, issue, draft)), Applied):
                return
            await asyncio.sleep(_PAUSE)

    async def _caller(self, part: Part) -> Caller:
        claims = Claims(part.person, part.role, part.org or None)
        directory, secret = await self.use.directory.get(), self.use.secret
        actor, grants = acting(claims, {}, directory, today(self.use.now()), secret)
        return Caller(actor, None, secret, claims.person, grants)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What is asked for, again and again with the same key while a part of the system does not answer."""
    for _ in range(_TRIES - 1):
        with suppress(Unavailable):
            return await ask()
        await asyncio.sleep(_PAUSE)
    return await ask()


def _key(*names: str) -> str:
    return str(uuid.uuid5(_KEYS, "/".join(names)))


async def trial_of(request: Request, use: Use) -> Trial | None:
    """The trial, where anybody may be anybody: on the embedded default, and under a name of this machine.

    None elsewhere, and under any other name: a foreign page may have made it point here (DNS rebinding).
    """
    provider = use.embedded_provider
    if provider is None:
        return None
    ours, host = urlsplit(provider.origin), request.url.hostname or ""
    is_here = is_loopback(host) and (request.url.port or 80) == (ours.port or 80)
    return Trial(use) if is_here else None


TrialOrNone = Annotated[Trial | None, Depends(trial_of)]


async def trial_form(request: Request, trial: TrialOrNone) -> Trial:
    """The trial, for a form of a page of ours. Raises NotFound where there is none, Forbidden for another page's form."""
    if trial is None:
        raise NotFound
    check_ours(request, "", "")
    return trial


Trying = Annotated[Trial, Depends(trial_form)]


def other_address(request: Request) -> str:
    """The other name of this machine, under which a browser keeps another session: for a second role in a second window."""
    other = "localhost" if request.url.hostname != "localhost" else "127.0.0.1"
    return f"http://{other}:{request.url.port or 80}/"


CASES: Final = (
    Case("leak", {"category": "leak", "urgent": True, "location": "3幢2单元501", "description": "厨房吊顶一直滴水，快流到客厅了"},
        (("accept", {"note": "维修工马上到"}), ("contact", {"note": "已通电话，请先挪开家电"}))),
    Case("light", {"category": "facility", "location": "5幢1单元三楼楼道", "description": "楼道灯坏了两盏，老人晚上上楼看不清"}),
    Case("fire-lane", {"category": "parking", "location": "2幢北侧消防通道", "description": "消防通道上长期停着两辆车"},
        (("accept", {"note": "已派保安查看"}), ("escalate", {"reason": "车主不在本小区，需要社区协调"}))),
    Case("rubbish", {"category": "sanitation", "location": "7幢东侧垃圾房", "description": "垃圾房两天没有清运"},
        (("accept", {}), ("arrive", {"assessment": "minor"}), ("complete", {"answer": "已清运并冲洗，以后每天早晚各清一次", "evidence": []}))),
    Case("parts", {"category": "elevator", "location": "1幢电梯", "description": "电梯关门时异响"},
        (("accept", {"note": "维保单位已联系"}), ("arrive", {"assessment": "minor"}), ("extend", {"reason": "等门机配件", "by": "2nd"}))),
    Case("nobody", {"category": "drain", "location": "4幢1单元101", "description": "卫生间下水道返水"}, compound=QUICK),
)  # fmt: skip
"""The last one is left alone: it turns red and climbs before one's eyes."""
