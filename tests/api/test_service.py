"""What operators and programs ask: alive, ready, figures without ids, a description with examples."""

import json
from typing import Any

from api.models import COMMANDS
from support.system import System


async def test_it_says_that_it_is_ready(system: System) -> None:
    assert (await system.get("/healthz")).status == 200
    ready = await system.get("/readyz")
    assert ready.status == 200
    assert ready["checks"] == {"temporal": True, "database": True, "clock": True}


async def test_figures_name_routes_and_outcomes_but_no_ids(system: System) -> None:
    taken = await system.report()
    await system.give(taken["id"], "accept", system.staff)
    await system.give(
        taken["id"], "confirm", {"X-Tracking-Code": taken["tracking_code"]}, outcome="not", satisfaction="satisfied"
    )
    await system.get(f"/nowhere/{taken['id']}")
    text = (await system.get("/metrics")).body
    assert 'jiesu_commands_total{command="accept",outcome="applied"}' in text
    assert 'jiesu_commands_total{command="confirm",outcome="refused"}' in text
    assert 'route="/v1/issues/{issue}/commands/accept",status="200"' in text
    assert 'route="unmatched"' in text
    assert taken["id"] not in text


async def test_every_route_is_described_with_examples(system: System) -> None:
    document = (await system.get("/openapi.json")).body
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route.get("description") or route["summary"], path
            if path != "/metrics":
                good = next(answer for status, answer in route["responses"].items() if status.startswith("2"))
                assert "example" in good["content"]["application/json"], path
            if method == "post":
                assert route["requestBody"]["content"]["application/json"]["examples"], path
    given = {path.rsplit("/", 1)[1] for path in document["paths"] if "/commands/" in path and "issue}" in path}
    assert given == set(COMMANDS)


async def test_the_description_shows_nothing_that_the_server_resolves(system: System) -> None:
    text = json.dumps((await system.get("/openapi.json")).body)
    assert "handler_kind" not in text


async def test_problem_types_can_be_looked_up(system: System) -> None:
    answer = await system.get("/problems/stale")
    assert (answer.status, answer["status"]) == (200, 412)
    assert (await system.get("/problems/none")).status == 404


async def test_no_answer_is_kept_or_guessed_at(system: System) -> None:
    headers = (await system.get("/healthz")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


async def test_a_large_body_is_turned_away_before_it_is_read(system: System) -> None:
    body: dict[str, Any] = {"description": "x" * 70_000}
    assert (await system.report(**body)).status == 413


async def test_a_token_of_an_organisation_that_does_not_exist_opens_nothing(system: System) -> None:
    for headers in (
        system.token("p1", "property", "nowhere"),
        system.token("p1", "property", "demo-community"),  # no such role there
        {"Authorization": "Basic cDE6cDE="},
        {"Authorization": "Bearer"},
    ):
        assert (await system.get("/v1/issues", headers)).status == 401
