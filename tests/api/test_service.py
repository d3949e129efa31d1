"""Routes for operators and programs: health, readiness, metrics without ids, OpenAPI with examples."""

import json
from datetime import datetime
from typing import Any

from api.http.requests import COMMANDS
from api.http.responses import TakenView
from support.system import System

PICTURES = "/v1/issues/{issue}/attachments"
PICTURE = PICTURES + "/{digest}"


async def test_readyz_reports_every_check(system: System) -> None:
    assert (await system.get("/healthz")).status == 200
    ready = await system.get("/readyz")
    assert ready.status == 200
    names = ("temporal", "database", "keys", "archive", "pictures", "clock", "signing")
    assert ready["checks"] == dict.fromkeys(names, True)


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
            if path.endswith("/events"):
                assert route["responses"]["200"]["content"]["text/event-stream"]["example"], path
            elif path not in (
                "/metrics",
                "/v1/audit/bundle",
                "/v1/audit/mining",
                "/v1/issues.csv",
                "/v1/issues.xlsx",
                PICTURE,
            ):
                good = next(answer for status, answer in route["responses"].items() if status.startswith("2"))
                assert "example" in good["content"]["application/json"], path
            if (method, path) == ("post", PICTURES):
                assert set(route["requestBody"]["content"]) == {"image/*", "application/octet-stream"}
            elif method == "post":
                assert route["requestBody"]["content"]["application/json"]["examples"], path
    given = {path.rsplit("/", 1)[1] for path in document["paths"] if "/commands/" in path and "issue}" in path}
    assert given == set(COMMANDS)


OPEN = {
    ("get", "/v1/places"),
    ("get", "/v1/vocabulary"),
    ("post", "/v1/issues"),
    ("get", "/v1/candidates"),
    ("post", "/v1/issues/{issue}/commands/follow"),
}
"""What anybody may ask for."""
"""What a tracking code opens nothing of."""

STAFFS = (
    "/v1/issues.csv", "/v1/issues.xlsx",
    "/v1/issues", "/v1/worklist", "/v1/worklist/events", "/v1/access", "/v1/organisations", "/v1/policies", "/codec/decode",
)  # fmt: skip
"""Where a tracking code opens nothing."""


async def test_openapi_describes_the_security_of_each_route(system: System) -> None:
    document = (await system.get("/openapi.json")).body
    assert set(document["components"]["securitySchemes"]) == {"bearer", "code"}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            schemes = {name for way in route.get("security", []) for name in way or {"nobody": []}}
            wanted = {"bearer", "code"} if path.startswith("/v1/") else set[str]()
            if path.startswith("/v1/phones"):
                wanted = {"nobody"}
            elif (method, path) in OPEN:
                wanted = {"nobody", "bearer", "code"}
            elif path in STAFFS or path.startswith("/v1/audit/"):
                wanted = {"bearer"}
            assert schemes == wanted, (method, path)


async def test_only_answers_that_are_sent_are_described(system: System) -> None:
    document = (await system.get("/openapi.json")).body
    assert "HTTPValidationError" not in json.dumps(document)
    for path, methods in document["paths"].items():
        for route in methods.values():
            problems = {status for status in route["responses"] if status >= "400"}
            for status in problems - {"503"}:
                assert set(route["responses"][status]["content"]) == {"application/problem+json"}, path
            if path.startswith("/v1/"):
                assert {"422", "429", "503"} <= problems, path
    assert "304" in document["paths"]["/v1/issues/{issue}"]["get"]["responses"]
    ready = document["paths"]["/readyz"]["get"]["responses"]["503"]["content"]
    assert ready["application/json"]["example"]["ready"] is False


async def test_the_answer_to_a_report_is_as_described(system: System) -> None:
    document = (await system.get("/openapi.json")).body
    taken = document["paths"]["/v1/issues"]["post"]["responses"]["201"]["content"]["application/json"]
    assert taken["schema"] == {"$ref": "#/components/schemas/TakenView"}
    TakenView.model_validate_json(json.dumps((await system.report()).body))
    TakenView.model_validate_json(json.dumps(TakenView.example))


async def test_requests_over_the_rate_limit_are_answered_429(system: System) -> None:
    async with system.api_on(system.temporal, rate_per_subject=3, rate_per_address=2) as client:
        answers = [await client.get("/v1/issues", headers=system.staff) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert (answers[3].json()["type"], answers[3].headers["retry-after"]) == ("/problems/too-many", "20")
        told = answers[3].json()
        assert (told["limit"], told["rate"]) == ("rate_per_subject", "3/minute")
        assert datetime.fromisoformat(told["until"]).tzinfo is not None
        assert (await client.get("/v1/issues", headers=system.community)).status_code == 200
        nobody = [await client.get("/v1/issues", headers={"Authorization": f"Bearer {n}"}) for n in range(3)]
        assert [answer.status_code for answer in nobody] == [401, 401, 429]
        # What a proxy on this host says is taken for the address.
        assert (await client.get("/v1/issues", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 401
        # Nobody gets further addresses out of his own network.
        own = [await client.get("/v1/issues", headers={"X-Forwarded-For": f"2001:db8::{n}"}) for n in range(1, 4)]
        assert [(answer.status_code, answer.json().get("limit")) for answer in own] == [
            (401, None), (401, None), (429, "rate_per_address")
        ]  # fmt: skip
        assert (await client.get("/healthz")).status_code == 200


async def test_a_question_with_an_unknown_parameter_is_invalid(system: System) -> None:
    for path in ("/v1/issues", "/v1/issues/x", "/v1/worklist"):
        answer = await system.get(path, system.staff, statuss="open")
        assert (answer.status, answer["errors"][0]["field"]) == (422, "statuss")


async def test_a_trailing_slash_is_not_found(system: System) -> None:
    assert (await system.get("/v1/issues/", system.staff)).status == 404


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
