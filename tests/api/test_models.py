"""Request models follow the domain's dataclasses: unknown and resolved fields are refused."""

from dataclasses import MISSING, fields
from typing import Any

import pytest
from pydantic import ValidationError

import domain.commands as c
from api.http import examples
from api.http.requests import COMMANDS, LONGEST_TEXT, ReportBody
from domain.wire import dump

RESOLVED_IN_REPORT = {"building", "common", "number", "place", "root", "pins", "reachable", "reporter", "before"}


def read(name: str, plain: Any) -> c.Body:
    shape = COMMANDS[name]
    return shape.read(shape.model.model_validate(plain))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_model_has_the_fields_of_its_command_but_those_that_are_resolved(name: str) -> None:
    known = {field.name for field in fields(c.SIGNALS[name]) if not field.metadata.get("resolved")}
    assert set(COMMANDS[name].model.model_fields) == known


@pytest.mark.parametrize("name", COMMANDS)
def test_a_field_is_required_where_the_rules_require_it(name: str) -> None:
    for field in fields(c.SIGNALS[name]):
        if not field.metadata.get("resolved"):
            required = field.default is MISSING and field.default_factory is MISSING
            assert COMMANDS[name].model.model_fields[field.name].is_required() is required


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_is_read_without_loss(name: str) -> None:
    body = read(name, examples.COMMANDS[name])
    said = {key: value for key, value in examples.COMMANDS[name].items() if value != ""}
    defaults = {field.name: dump(field.default) for field in fields(body) if field.default is not MISSING}
    assert dump(body) == {key: value for key, value in said.items() if value != defaults.get(key, MISSING)}


def test_the_report_has_the_fields_of_the_rules() -> None:
    known = {field.name for field in fields(c.Report)} - RESOLVED_IN_REPORT
    assert set(ReportBody.model_fields) == known | {"compound"}


def test_the_example_report_is_valid() -> None:
    body = ReportBody.model_validate(examples.REPORT)
    assert body.draft.contact == c.ContactDetails("住户", "13800000000")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("accept", {"note": "x", "level": "street"}),
        ("accept", {"actor": {"person": "p1"}}),
        ("accept", {"at": "2026-01-01T00:00:00Z"}),
        ("redispatch", {"handler": "x", "reason": "y", "handler_kind": "street"}),
        ("rule", {"upheld": True, "handler_kind": "street"}),
        ("redispatch", {"handler": "x", "reason": "y", "handler_streets": ["demo-street"]}),
        ("change_policy", {"policy": "demo", "reason": "x", "body": None}),
    ],
)
def test_what_only_the_server_says_is_refused(name: str, plain: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        read(name, plain)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("arrive", {"assessment": "huge"}),
        ("accept", {"note": 5}),
        ("rule", {"upheld": "true"}),
        ("step_done", {"step": "1"}),
        ("step_done", {"step": True}),
        ("step_done", {"step": 1.0}),
        ("step_done", {"step": 10**30}),
        ("wait", {"reason": "parts", "review": "2026-11-28"}),
        ("wait", {"reason": "parts", "review": "2026-11-28T08:00:00"}),
        ("wait", {"reason": "parts", "review": 1764316800}),
        ("wait", {"reason": "parts", "review": "9999-12-31T23:59:59Z"}),
        ("wait", {"reason": "parts", "review": "0001-01-01T00:00:00+23:59"}),
        ("extend", {"reason": "x", "by": "2 days"}),
        ("extend", {"reason": "x", "by": "0nd"}),
        ("instruct", {"text": " \n"}),
        ("instruct", {"text": "x" * (LONGEST_TEXT + 1)}),
        ("complete", {"evidence": "photo"}),
        ("complete", {"evidence": ["x"] * 101}),
        ("plan", {"steps": [{"title": "x"}]}),
        ("confirm", {"outcome": "solved", "satisfaction": "not_rated"}),
        ("calendar_published", {"calendar": {"year": 2027, "version": 1, "off": [20270101], "on": []}}),
        ("calendar_published", {"calendar": {"year": 99999, "version": 1, "off": [], "on": []}}),
        ("calendar_published", {"calendar": {"year": 2027, "version": 1, "off": ["2026-01-01"], "on": []}}),
        ("calendar_published", {"calendar": {"year": 2027, "version": 1, "off": ["2027-01-01"] * 2, "on": []}}),
        ("calendar_published", {"calendar": {"year": 2027, "version": 1, "off": ["2027-01-02"], "on": ["2027-01-02"]}}),
    ],
)
def test_a_value_of_the_wrong_type_is_not_coerced(name: str, plain: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(name, plain)


@pytest.mark.parametrize("field", ["compound", "category", "description"])
def test_a_report_needs_place_category_and_description(field: str) -> None:
    plain = {key: value for key, value in examples.REPORT.items() if key != field}
    with pytest.raises(ValidationError):
        ReportBody.model_validate(plain)


@pytest.mark.parametrize("extra", ["id", "number", "place", "level", "created_at", "deadline", "status", "actor"])
def test_a_report_cannot_assign_what_is_not_its_own(extra: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        ReportBody.model_validate({**examples.REPORT, extra: "x"})


def test_notes_may_be_empty() -> None:
    assert read("accept", {"note": ""}) == c.Accept()
    assert read("confirm", {"outcome": "solved", "satisfaction": "satisfied", "comment": ""}) == c.Confirm(
        "solved", "satisfied"
    )


def test_a_time_of_any_zone_is_taken_to_the_millisecond() -> None:
    body = read("schedule", {"time": "2026-11-22T09:00:00.123456+08:00"})
    assert dump(body) == {"time": "2026-11-22T01:00:00.123Z"}


def test_which_commands_need_no_body() -> None:
    free = {name for name, shape in COMMANDS.items() if shape.may_be_empty}
    assert {"accept", "complete", "withdraw"} <= free
    assert free.isdisjoint({"confirm", "supply", "redispatch", "merge"})


@pytest.mark.parametrize("text", ["sealed:", "sealed:some-key:bm9ib2R5", "sealed:" + "x" * 3000])
def test_nobody_sends_what_looks_sealed(text: str) -> None:
    for name, plain in (("answer", {"text": text}), ("complete", {"evidence": [text]}), ("plan", plan(text))):
        with pytest.raises(ValidationError, match="may not begin with `sealed:`"):
            read(name, plain)
    for part in ({"description": text}, {"description": "x", "contact": {"name": text}}):
        with pytest.raises(ValidationError, match="sealed"):
            ReportBody.model_validate({"compound": "demo", "category": "leak", **part})


def plan(title: str) -> dict[str, Any]:
    return {"steps": [{"title": title, "due": "2026-11-25T08:00:00.000Z"}]}
