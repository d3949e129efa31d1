"""A small part of `make schema` in every run, and checks that the run finds planted faults."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from typing import Any
from unittest.mock import Mock

import pytest
from schemathesis.openapi.checks import AuthScenario, IgnoredAuth

from api.http.audit_responses import VerdictView
from audit.case import Verdict
from tests.schema import sound
from tests.schema.pool import SMALL, ask_all
from tests.schema.run import Part, run
from tests.schema.world import SOME, World, world

SEED = 20261127
ALIVE = "/healthz"
ISSUE = "/v1/issues/{issue}"
Document = dict[str, Any]


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("schema")) as found:
        yield found


def operations(document: Document) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}


async def test_callers_of_each_kind_are_answered_as_the_document_says(running: World) -> None:
    totals = await ask_all(running, SEED, SOME, SMALL)
    assert totals.failures == []
    for name, tally in totals.tallies.items():
        assert set(tally.cases) == operations(running.document), name
        assert len(tally.statuses) > 3, name


def less(document: Document, *paths: str) -> Document:
    found = copy.deepcopy(document)
    found["paths"] = {path: found["paths"][path] for path in paths}
    return found


def unknown_status(document: Document) -> None:
    del document["paths"][ISSUE]["get"]["responses"]["404"]


def wrong_shape(document: Document) -> None:
    document["components"]["schemas"]["AliveView"]["properties"]["status"] = {"type": "integer"}


def wrong_type(document: Document) -> None:
    answer = document["paths"][ALIVE]["get"]["responses"]["200"]
    answer["content"] = {"text/plain": answer["content"]["application/json"]}


def missing_header(document: Document) -> None:
    answer = document["paths"][ALIVE]["get"]["responses"]["200"]
    answer["headers"] = {"ETag": {"required": True, "schema": {"type": "string"}}}


def open_to_nobody(document: Document) -> None:
    document["paths"][ALIVE]["get"]["security"] = [{"bearer": []}]


def refuses_what_it_promises(document: Document) -> None:
    report = document["components"]["schemas"]["ReportBody"]
    report["properties"]["urgent"] = {"type": "string"}
    report["required"].append("urgent")


def takes_what_it_denies(document: Document) -> None:
    document["components"]["schemas"]["PhoneBody"]["properties"]["phone"] = {"type": "string", "maxLength": 2}


@pytest.mark.parametrize(
    ("caller", "path", "change", "check"),
    [
        ("property", ISSUE, unknown_status, "status_code_conformance"),
        ("property", ALIVE, wrong_shape, "response_schema_conformance"),
        ("property", ALIVE, wrong_type, "content_type_conformance"),
        ("property", ALIVE, missing_header, "response_headers_conformance"),
        ("property", ALIVE, open_to_nobody, "ignored_auth"),
        ("anonymous", "/v1/issues", refuses_what_it_promises, "positive_data_acceptance"),
        ("anonymous", "/v1/phones", takes_what_it_denies, "negative_data_rejection"),
    ],
)
async def test_a_run_notices_a_document_that_is_wrong(
    running: World, caller: str, path: str, change: Callable[[Document], None], check: str
) -> None:
    document = less(running.document, path)
    asker = await running.asker(caller, ("dispatched",))

    async def failures() -> list[str]:
        part = Part(asker, "fuzzing", running.site.origin, document, SEED, 20)
        return (await asyncio.to_thread(run, part)).failures

    assert await failures() == []
    change(document)
    assert any(f": {check}: " in failure for failure in await failures())


@pytest.mark.parametrize(
    ("answer", "counts"),
    [("200 OK", True), ("202 Accepted", True), ("404 Not Found", False), ("503 Service Unavailable", False)],
)
def test_made_up_credentials_were_accepted_only_where_something_was_done(answer: str, counts: bool) -> None:
    failure = IgnoredAuth(
        operation=ISSUE,
        message=f"Expected 401 or 403, got `{answer}` for `GET {ISSUE}`",
        scenario=AuthScenario.INVALID_AUTH,
    )
    assert sound.is_failure(Mock(), failure, Mock(), Mock()) is counts


def test_a_verdict_is_described_whole() -> None:
    assert set(VerdictView.model_fields) == {"holds", *(each.name for each in fields(Verdict))}


async def test_examples_are_as_the_document_says(running: World) -> None:
    import jsonschema  # builds the grammars of its formats, which every process that collects tests would do

    shapes = 0
    for methods in running.document["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    given = [each["value"] for each in content.get("examples", {}).values()]
                    if content.get("example") is not None:
                        given.append(content["example"])
                    for example in given:
                        shapes += "schema" in content
                        schema = {**content.get("schema", {}), "components": running.document["components"]}
                        jsonschema.validate(example, schema)
    assert shapes > 100
