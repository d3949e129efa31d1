"""Whatever is sent for a field, its fault has a text of its own in both languages."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.http.problems import NAMED, faults
from api.routes import attachments, audit, codec, commands, forms, issues, lists, phones, service, session
from protocol.errors import Invalid
from texts.catalogue import Wrong

ROUTES = [
    route
    for each in (attachments, audit, codec, commands, forms, issues, lists, phones, service, session)
    for route in each.router.routes
    if isinstance(route, APIRoute)
]
TEXTS = (
    "", " ", "x", "x" * 30_000, "\0", "\ud800", "\u202e", "sealed:x", "-5", "1.5", "9" * 5000, "2026-13-01", "1900-01-01T00:00:00Z",
)  # fmt: skip
VALUES = (
    *TEXTS, None, True, 5, -5, 10**12, 1.5, [], ["x"] * 200, [5], [None], [{}], [{"x": 1}], {}, {"x": 1},
    {"name": 5, "phone": "1" * 50}, {"year": "x"}, [{"text": 5, "by": 5}],
)  # fmt: skip


def found(field: Any, value: Any) -> list[tuple[str, Wrong]]:
    _, errors = field.validate(value, {}, loc=("body",))
    return faults(errors or [])


def of_queries(dependant: Dependant) -> Iterator[tuple[str, Wrong]]:
    for field in (*dependant.query_params, *dependant.path_params):
        for text in TEXTS:
            yield from found(field, text)
    for each in dependant.dependencies:
        yield from of_queries(each)


def of_body(route: APIRoute) -> Iterator[tuple[str, Wrong]]:
    if (field := route.body_field) is None:
        return
    known: Any = getattr(field.field_info.annotation, "model_fields", {})
    for value in VALUES:
        yield from found(field, value)
        for name in known:
            yield from found(field, {name: value})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{min(route.methods)} {route.path}")
def test_each_fault_of_a_field_is_told_by_a_code_of_its_own(route: APIRoute) -> None:
    for field, wrong in (*of_queries(route.dependant), *of_body(route)):
        assert wrong.text.key != "unfit", field
        for language in ("zh", "en"):
            assert "?" not in wrong.text.told(language), (field, wrong.text)


def test_what_pydantic_names_beyond_that_is_not_told() -> None:
    known = {"type": "string_too_long", "loc": ("body", "note"), "ctx": {"max_length": 5, "input": "hunter2"}}
    unknown = {"type": "union_tag_invalid", "loc": ("body", "note"), "ctx": {"tag": "hunter2"}}
    said = Invalid(*faults([known, unknown])).errors("en")
    assert [(each["code"], each["params"]) for each in said] == [
        ("string-too-long", {"max_length": "5"}),
        ("unfit", {}),
    ]
    assert "hunter2" not in str(said)
    assert "max_length" in NAMED
