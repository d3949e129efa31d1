"""Gives commands over HTTP, as anybody's client would."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, Final

import httpx

from api.identity.tokens import issue_token
from bench.drive import PLACE, STAFF, STEPS, now
from domain.commands import Actor, Body, Command
from domain.wire import RESOLVED, dump
from runtime.settings import Settings

REPORT: Final[dict[str, Any]] = {
    "compound": PLACE.compound, "category": "leak", "urgent": False, "description": "厨房漏水",
    "location": "3幢2单元501", "channel": "web", "contact": {"name": "住户", "phone": "13800000000"},
}  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """An issue that the API has taken in."""

    id: str
    tracking_code: str


class WebError(RuntimeError):
    """The API has answered with something else than success."""


@dataclass(frozen=True)
class Web:
    """See the module; made by `web`."""

    http: httpx.AsyncClient
    token: str

    async def report(self) -> Taken:
        answer = _succeeded(await self.http.post("/v1/issues", json=REPORT, headers=_key()))
        return Taken(answer["id"], answer["tracking_code"])

    async def give(self, issue: Taken, body: Body, actor: Actor) -> float:
        """Sends a command; how long it took until its answer."""
        who = {"X-Tracking-Code": issue.tracking_code}
        if actor.org is not None:
            who = {"Authorization": f"Bearer {self.token}"}
        path = f"/v1/issues/{issue.id}/commands/{Command('', now(), actor, body).name}"
        began = time.perf_counter()
        answer = await self.http.post(path, json=_sent(body), headers={**_key(), **who})
        took = time.perf_counter() - began
        _succeeded(answer)
        return took

    async def live(self, pause: float = 0.0) -> tuple[Taken, list[float]]:
        """The whole life of a standard issue, with a pause before each command; how long each command took."""
        issue = await self.report()
        took: list[float] = []
        for body, actor in STEPS:
            await asyncio.sleep(pause)
            took.append(await self.give(issue, body, actor))
        return issue, took


@asynccontextmanager
async def web(settings: Settings) -> AsyncIterator[Web]:
    """A client of the API of this installation, with a token of the staff."""
    address = f"http://{settings.api_host}:{settings.api_port}"
    token = issue_token(settings.home, STAFF.person, STAFF.role, STAFF.org)
    async with httpx.AsyncClient(base_url=address, timeout=30) as http:
        yield Web(http, token)


def _sent(body: Body) -> dict[str, Any]:
    """The body without what the API fills in."""
    filled_in = {field.name for field in fields(body) if field.metadata == RESOLVED}
    return {name: value for name, value in dump(body).items() if name not in filled_in}


def _key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def _succeeded(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code not in (200, 201):
        raise WebError(f"{answer.request.url.path} got {answer.status_code}: {answer.text[:300]}")
    return answer.json()
