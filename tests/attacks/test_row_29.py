"""A person is erased: the texts are unreadable everywhere, and the seals still prove what happened when."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

import domain.commands as c
from db import erasures
from db.engine import Database
from security import ids
from security.vault import ERASED
from support.planted import COMPOUND, RESIDENT, Planted, planted
from support.system import SECRET, Answer

LIFE = (
    ("property", c.Accept()), (RESIDENT, c.Comment()), ("property", c.Arrive("minor")), ("property", c.Complete()),
    (RESIDENT, c.Confirm("solved", "satisfied")),
)  # fmt: skip
NEIGHBOURS = "楼道灯坏了"


@dataclass
class Scene:
    """One issue of the person who is erased, one of a neighbour, and what there was to be read before."""

    stage: Planted
    neighbour: dict[str, str]
    other: str
    before: Any

    @property
    def issue(self) -> str:
        return self.stage.issues[0]

    async def audit(self, what: str) -> Answer:
        return await self.stage.system.get(f"/v1/audit/issues/{self.issue}/{what}", self.stage.headers("auditor"))


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with planted(tmp_path_factory.mktemp("row-29")) as stage:
        system = stage.system
        await stage.live(LIFE)
        neighbour = system.token("row-29-neighbour", "resident")
        other = (await system.report(neighbour, compound=COMPOUND, description=NEIGHBOURS))["id"]
        await stage.sealed()
        (before,) = await stage.timelines()
        assert await stage.leaks(), "it is found where it may be as long as it is there"
        await erase(stage, system.database)
        yield Scene(stage, neighbour, other, before)


async def erase(stage: Planted, database: Database) -> None:
    """All that the person has reported, as `jiesu privacy erase --person` finds it."""
    names = [stage.subject, ids.pseudonym(SECRET, stage.subject)]
    async with database.read() as session:
        found = [row.id for row in await erasures.reported_by(session, names)]
    assert found == stage.issues
    privacy = stage.privacy()
    await privacy.ask(found, "request")
    assert (await privacy.carry_out()).failed == 0


async def test_row_29_erased_text_is_in_no_file_table_history_log_or_export(scene: Scene) -> None:
    assert await scene.stage.leaks() == {}


async def test_row_29_readers_see_the_erased_mark(scene: Scene) -> None:
    for role in (RESIDENT, "property", "community", "street"):
        path = f"/v1/issues/{scene.issue}/timeline"
        answer = await scene.stage.system.client.get(path, headers=scene.stage.headers(role))
        assert answer.status_code == 200
        assert not scene.stage.canaries.found(answer.content)
        assert answer.json()["events"][0]["data"]["description"] == ERASED
    assert await scene.stage.pictures() == [0]


async def test_row_29_the_seals_hold_and_the_outcome_stays(scene: Scene) -> None:
    verdict = await scene.audit("verdict")
    assert (verdict["holds"], verdict["erased"]) == (True, True)
    assert (await scene.audit("proof"))["record"]["issue"] == scene.issue
    seen = await scene.stage.system.get(f"/v1/issues/{scene.issue}", scene.stage.headers("street"))
    assert seen["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
    (after,) = await scene.stage.timelines()
    assert after["minutes"] == scene.before["minutes"]
    assert [(each["kind"], each["at"]) for each in after["events"]] == [
        (each["kind"], each["at"]) for each in scene.before["events"]
    ]


async def test_row_29_what_others_wrote_stays(scene: Scene) -> None:
    told = await scene.stage.system.get(f"/v1/issues/{scene.other}/timeline", scene.neighbour)
    assert told["events"][0]["data"]["description"] == NEIGHBOURS
    found = await scene.stage.system.get("/v1/issues", scene.stage.headers("community"), q=NEIGHBOURS)
    assert [each["id"] for each in found["items"]] == [scene.other]
