"""The system that browsers visit: dev server, database, worker and API with the embedded provider, and what was reported there."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from playwright.async_api import BrowserContext
from sqlalchemy import text

from domain.vocabulary import Role
from support.browser import Site, site
from support.system import Answer, System, running_system

WHO: Final[dict[str, tuple[str, Role, str]]] = {
    "repairman": ("p1", "property", "demo-property"),
    "community": ("c1", "community", "demo-community"),
    "street": ("s1", "street", "demo-street"),
    "fitter": ("p2", "property", "demo-property"),
    "calm repairman": ("w9", "property", "jinpen-property"),
    "calm community": ("c9", "community", "jinpen-community"),
    "calm street": ("s9", "street", "cuiwei-street"),
}
"""Person, role and organisation. Issues of the compound `jinpen` are calm: under its policy nothing climbs meanwhile."""


@dataclass
class Place:
    """A system and its site."""

    system: System
    site: Site
    silent: Answer | None = None
    """An issue that was completed when the tests began, which its resident's silence closes a minute later."""

    @property
    def origin(self) -> str:
        return self.site.origin

    async def reported(self, **body: Any) -> Answer:
        """What a report was answered, once the issue can be read."""
        taken = await self.system.report(**body)
        await self.system.until(f"/v1/issues/{taken['id']}", code_of(taken), lambda _: True)
        return taken

    async def give(self, taken: Answer, *commands: str, who: str = "repairman", **body: Any) -> None:
        """Commands of staff, one after another; `body` belongs to the last."""
        headers = self.system.token(*WHO[who])
        for name in commands:
            given = body if name == commands[-1] else {}
            answer = await self.system.give(taken["id"], name, headers, **given)
            assert answer.status == 200, answer.body

    async def give_as_reporter(self, taken: Answer, command: str, **body: Any) -> Answer:
        """A command of the resident by the code; what is taken from then on, with another code if it was renewed."""
        answer = await self.system.give(taken["id"], command, code_of(taken), **body)
        assert answer.status == 200, answer.body
        return replace(taken, body={**taken.body, **{k: v for k, v in answer.body.items() if k == "tracking_code"}})

    async def completed(self, **body: Any) -> Answer:
        """An issue whose resident is asked whether it is solved."""
        taken = await self.reported(**body)
        await self.give(taken, "accept")
        await self.give(taken, "arrive", assessment="minor")
        await self.give(taken, "complete", answer="换了阀门,试水一小时不漏")
        await self.until(taken, lambda body: body["status"] == "completed")
        return taken

    async def issues(self) -> set[str]:
        """The ids of all issues."""
        async with self.system.database.read() as session:
            return set(await session.scalars(text("SELECT id FROM issues")))

    async def until(self, taken: Answer, ready: Any) -> Answer:
        """The issue, once it is as wanted."""
        return await self.system.until(f"/v1/issues/{taken['id']}", code_of(taken), ready)

    async def told(self, taken: Answer) -> list[str]:
        """The kinds of events on record, the first one first."""
        answer = await self.system.get(f"/v1/issues/{taken['id']}/timeline", code_of(taken))
        return [each["kind"] for each in answer["events"]]

    async def until_told(self, taken: Answer, kind: str) -> list[str]:
        """As `told`, once there is such an event."""
        is_there = lambda body: kind in [each["kind"] for each in body["events"]]  # noqa: E731
        await self.system.until(f"/v1/issues/{taken['id']}/timeline", code_of(taken), is_there)
        return await self.told(taken)

    async def sign_in(self, context: BrowserContext, who: str) -> None:
        """Gives the device the session of somebody, as if he had signed in there."""
        await self.sign_in_as(context, *WHO[who])

    async def sign_in_as(self, context: BrowserContext, person: str, role: str, org: str = "") -> None:
        """The same of anybody."""
        async with self.site.browser() as browser:
            await browser.sign_in(person, role, org)
            cookies = [(each.name, each.value or "") for each in browser.http.cookies.jar]
        await context.add_cookies([{"name": name, "value": value, "url": self.origin} for name, value in cookies])


def code_of(taken: Answer) -> dict[str, str]:
    """The header with which the reporter reads his issue."""
    return {"X-Tracking-Code": taken["tracking_code"]}


def door_of(taken: Answer) -> str:
    """The address in a resident's message."""
    return f"/t/{taken['id']}/{taken['tracking_code']}"


@contextlib.asynccontextmanager
async def running_place(folder: Path, database_url: str = "") -> AsyncIterator[Place]:
    """A whole system in a folder, with a site at a known origin."""
    async with running_system(folder, database_url) as system, site(system) as running:
        yield Place(system, running)
