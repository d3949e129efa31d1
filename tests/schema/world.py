"""The system of a schema run: issues in every state, and callers in every role."""

import contextlib
import io
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from api.http import examples
from api.http.problems import TYPES
from audit.heads import Destinations, publish
from audit.log_keys import LogKeys
from domain.vocabulary import ROLES, Role
from support.browser import Site, site
from support.completions import ANSWER
from support.system import System, running_system

ORGS: Mapping[Role, tuple[str, str | None]] = {
    "resident": ("r1", None),
    "property": ("p1", "demo-property"),
    "community": ("c1", "demo-community"),
    "street": ("s1", "demo-street"),
    "department": ("e1", "demo-enforcement"),
    "volunteer": ("v1", "demo-volunteers"),
    "auditor": ("a1", "demo-street"),
    "admin": ("m1", "demo-street"),
}
CALLERS = ("anonymous", "code", "browser", *ROLES)
"""Who asks: nobody, with credentials made up at times; a tracking code; a signed-in browser; a token of each role."""

SOME = ("anonymous", "code", "browser", "property", "street", "auditor")
"""Of these all differ in what they may do; the others are asked for by `make schema`."""

_ARRIVED = (("accept", {}), ("arrive", {"assessment": "minor"}))
_COMPLETED = (*_ARRIVED, ("complete", {"answer": ANSWER}))
STATES: Mapping[str, Sequence[tuple[str, dict[str, Any]]]] = {
    "dispatched": (),
    "accepted": (("accept", {}),),
    "suspended": (("accept", {}), ("ask", {"question": "哪一户?"})),
    "arrived": _ARRIVED,
    "completed": _COMPLETED,
    "closed": (*_COMPLETED, ("confirm", {"outcome": "solved", "satisfaction": "satisfied"})),
}
"""What was done to an issue until then."""
_DIGITS = 3
_ISSUES = [f"issue-{number}" for number in range(2 * len(STATES) + 1)]
VALUES: Mapping[str, Sequence[str]] = {
    "path.issue": _ISSUES,
    "path.command": ["command-0", "command-1", "command-2"],
    "path.digest": ["picture-0"],
    "path.name": list(TYPES),
    "query.after": _ISSUES,
    "query.at": ["1", "2", "2026-11-21T08:00:00.000Z", "2099-01-01T00:00:00Z"],
    "query.query": ["", "category=leak", "compound=demo", "category=leak since=2026-11-01"],
    "query.org": [str(org) for _, org in ORGS.values() if org],
    "query.compound": ["demo"],
    "query.issue": _ISSUES,
    "query.cursor": [""],
    "header.If-Match": ["*", '"2"', '"4"'],
    "body.compound": ["demo"],
    "body.issue": _ISSUES,
    "body.into": _ISSUES,
    "body.follows": _ISSUES,
    "body.handler": ["demo-property", "demo-enforcement"],
    "body.person": ["p1", "p2"],
    "body.policy": ["demo", examples.WHAT_IF["policy"]],
    "body.query": [examples.WHAT_IF["query"]],
    "body.phone": ["13800000000", "138 0000 0001"],
}
"""What fits somewhere, by place; some stand for what only the asker knows, see `Asker.knows`."""


@dataclass(frozen=True)
class Asker:
    """Somebody with issues of his own, and what he may know of them; plain values, for another process."""

    name: str
    headers: Mapping[str, str]
    issues: Sequence[str]
    commands: Sequence[str]
    picture: str

    def knows(self, text: str) -> str:
        """What a stand-in stands for: the same cases follow from a seed, whatever the ids of the day are."""
        kind, _, number = text.partition("-")
        known = {"issue": self.issues, "command": self.commands or [str(uuid.uuid4())], "picture": [self.picture]}
        found = known.get(kind) if number.isdecimal() and number.isascii() and len(number) < _DIGITS else None
        return text if found is None else found[int(number) % len(found)]


@dataclass(frozen=True)
class World:
    """A running system. `document` is its OpenAPI document."""

    system: System
    site: Site
    document: dict[str, Any]
    sealed: list[str] = field(default_factory=list[str])

    async def asker(self, name: str, states: Sequence[str]) -> Asker:
        """Somebody to whom the issues are news that this makes, one in each of the states."""
        headers = await self._headers(name)
        sent = headers if name == "resident" else None
        found = [await self._issue(state, sent) for state in states]
        if name == "code":
            headers = {"X-Tracking-Code": found[0][1]}
        issues = [*(issue for issue, _, _ in found), *self.sealed]
        commands = [command for _, _, command in found if command]
        return Asker(name, headers, issues, commands, await self._picture(issues[0], found[0][1]))

    async def _headers(self, name: str) -> dict[str, str]:
        if name in ("anonymous", "code"):
            return {}
        if name == "browser":
            async with self.site.browser() as browser:
                await browser.sign_in("p2", "property", "demo-property")
                cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.http.cookies.jar)
                return {"Cookie": cookies, **await browser.csrf()}
        role: Role = next(each for each in ROLES if each == name)
        person, org = ORGS[role]
        return self.system.token(person, role, org)

    async def _issue(self, state: str, reporter: dict[str, str] | None) -> tuple[str, str, str | None]:
        """An issue in that state: its id, its code, the id of the last command."""
        taken = await self.system.report(reporter)
        assert taken.status == 201, taken.body
        code, last = {"X-Tracking-Code": taken["tracking_code"]}, None
        for name, body in STATES[state]:
            who = code if name == "confirm" else self.system.staff
            done = await self.system.give(taken["id"], name, who, **body)
            # The clocks of its policy run for seconds: on a slow machine it may have climbed by now.
            last = done.body.get("command_id", last)
        return taken["id"], taken["tracking_code"], last

    async def _picture(self, issue: str, code: str) -> str:
        """The name of a picture of the issue."""
        target = io.BytesIO()
        Image.new("RGB", (4, 4)).save(target, "PNG")
        sent = {"Content-Type": "image/png", "X-Tracking-Code": code}
        path = f"/v1/issues/{issue}/attachments"
        answer = await self.system.client.post(path, content=target.getvalue(), headers=sent)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["attachment"])

    async def seal(self) -> str:
        """A closed issue, sealed and in the log of a published head."""
        issue, _, _ = await self._issue("closed", None)
        auditor = await self._headers("auditor")
        path = f"/v1/audit/issues/{issue}/verdict"
        await self.system.until(path, auditor, lambda _: True)
        ring = LogKeys.create(self.system.home / "seals", "city.example/jiesu")
        await publish(
            self.system.database,
            ring,
            Destinations(self.system.heads, roots=lambda: self.system.keys.signer.roots),
            datetime.now(UTC),
        )
        return issue


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A system in that folder, with an embedded provider to sign in with and a published head."""
    async with running_system(folder) as system, site(system) as found:
        system.hub.close()  # each stream ends as soon as it has begun, else it would be waited for
        document = (await system.client.get(f"{found.origin}/openapi.json")).json()
        made = World(system, found, document)
        made.sealed.append(await made.seal())
        yield made
