"""Several appointments: one role per command, never combined; an actor for the property cannot decide above it."""

import pytest

import domain.commands as c
from domain.access import DECISIONS, may_give
from domain.commands import Actor
from domain.events import Refused
from support.system import System
from tests.domain.casting import BODIES
from tests.domain.play import COMMUNITY, COMPANY, STREET, Stage

AS_STREET = Actor(COMPANY.person, "street", STREET.org)
"""The same person, appointed to the street office as well."""


def at_the_street() -> Stage:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMMUNITY, c.Escalate("难办"))
    stage.give(STREET, c.Escalate("难办"))
    return stage


@pytest.mark.parametrize("name", sorted(DECISIONS))
def test_row_04_who_acted_on_the_property_side_does_not_decide_on_the_streets(name: str) -> None:
    stage = at_the_street()
    (event,) = stage.give(AS_STREET, BODIES[name][0](stage.now))
    assert isinstance(event.body, Refused)
    assert event.body.code == "conflict-of-interest"
    assert event.actor == AS_STREET
    assert event.body.params == {"side": "property", "role": "street"}, "both roles are on the record"


def test_row_04_somebody_else_in_the_same_role_decides() -> None:
    stage = at_the_street()
    assert stage.give(STREET, c.Supervise("盯着"))[0].kind == "supervised"


@pytest.mark.parametrize("name", sorted(DECISIONS))
def test_row_04_what_the_person_is_elsewhere_adds_nothing_to_the_acting_role(name: str) -> None:
    stage = at_the_street()
    assert not may_give(stage.issue, COMPANY, name)
    (event,) = stage.give(COMPANY, BODIES[name][0](stage.now))
    assert isinstance(event.body, Refused)
    assert event.body.code == "not-yours"


async def test_row_04_the_api_answers_409_and_sends_nothing(system: System) -> None:
    taken = await system.report()
    accepted = await system.give(taken["id"], "accept", system.token("row-4", "property", "demo-property"))
    assert accepted.status == 200
    refused = await system.give(taken["id"], "supervise", system.token("row-4", "street", "demo-street"))
    assert (refused.status, refused["type"], refused["code"]) == (409, "/problems/refused", "conflict-of-interest")
    events = (await system.get(f"/v1/issues/{taken['id']}/timeline", system.street))["events"]
    assert "supervised" not in [event["kind"] for event in events]
    assert (await system.give(taken["id"], "supervise", system.street)).status == 200
