"""The outcome of a closed issue cannot be edited: by no route and no command; a correction is appended."""

import pytest

import domain.commands as c
from api.http.requests import COMMANDS
from domain.commands import SIGNALS
from domain.events import EVENTS
from support.bare import Bare
from tests.domain.casting import BODIES
from tests.domain.play import CASTING, COMMUNITY, COMPANY, DONE, REPORTER, STREET, Stage, arrived


def closed() -> Stage:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.give(REPORTER, c.Confirm("partly", "dissatisfied", "还在漏"))
    assert stage.issue.closed is not None
    return stage


async def test_row_07_no_route_replaces_or_deletes(bare: Bare) -> None:
    routes = bare.routes
    changing = {route.path for route in routes if route.methods & {"PUT", "PATCH", "DELETE"}}
    assert not [path for path in changing if path.startswith(("/v1/issues", "/v1/commands", "/v1/audit"))]
    posts = {route.path for route in routes if "POST" in route.methods and route.path.startswith("/v1/issues/{issue}/")}
    given = {f"/v1/issues/{{issue}}/commands/{name}" for name in COMMANDS}
    assert given <= posts
    assert not [path for path in posts - given if "outcome" in path or "event" in path or "timeline" in path]


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_row_07_once_closed_nothing_that_anybody_gives_changes_the_outcome(name: str) -> None:
    stage = closed()
    outcome, before = stage.issue.closed, list(stage.events)
    for actor in CASTING.values():
        for make in BODIES[name]:
            events = stage.give(actor, make(stage.now))
            assert [event.kind for event in events] == ["refused"]
    assert stage.issue.closed == outcome
    assert stage.events[: len(before)] == before


def test_row_07_a_correction_is_appended() -> None:
    stage = arrived()
    before = list(stage.events)
    for actor in (COMPANY, COMMUNITY, STREET):
        (corrected,) = stage.give(actor, c.Correct("记错了"))
        assert corrected.kind == "corrected"
    assert stage.events[: len(before)] == before
    assert not [kind for kind in EVENTS if kind in ("edited", "changed", "deleted", "removed")]
