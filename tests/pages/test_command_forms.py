"""Forms of commands: each command of staff has one, its fields are those of the API, and what is sent reads as there."""

from datetime import datetime
from typing import get_args

import pytest

from api.http.examples import COMMANDS as EXAMPLES
from api.http.requests import COMMANDS
from domain.access import MAY
from domain.worktime import Unit
from pages.actions import OF_STAFF
from pages.command_forms import ONE_TAP, STEPS, Offer, form_of, instant, label_key, plain_of
from texts.catalogue import LANGUAGES, tables

_ANY = Offer({name: [("x", "X"), ("y", "Y")] for name in ("person", "handler", "owner", "step", "evidence", "by")})


def as_sent(value: object, name: str) -> dict[str, str]:
    """What a form sends for the value of an API's body."""
    match value:
        case bool():
            return {name: "yes" if value else "no"}
        case list() if name == "steps":
            return {f"steps.{n}.{part}": str(each[part]) for n, each in enumerate(value) for part in each}
        case list() if name == "evidence":
            return {f"evidence.{n}": each for n, each in enumerate(value)}
        case list():
            return {name: "\r\n".join(value)}
        case _:
            return {name: str(value)}


def test_staff_may_give_every_command_that_is_not_the_residents_or_the_administrators_alone() -> None:
    others = {name for name, may in MAY.items() if set(may) <= {"reporter", "follower", "neighbour", "leaver", "admin"}}
    assert MAY.keys() - others - set(OF_STAFF) == {"attach", "adopt"}, "a photo is uploaded; a merge adopts by itself"


@pytest.mark.parametrize("name", OF_STAFF)
def test_what_a_form_sends_is_the_body_of_the_apis_example(name: str) -> None:
    sent: dict[str, str] = {"key": "k", "version": "3"}
    for field, value in EXAMPLES[name].items():
        sent |= as_sent(value, field)
    assert plain_of(name, sent) == EXAMPLES[name]
    shape = COMMANDS[name]
    shape.read(shape.model.model_validate(plain_of(name, sent)))


@pytest.mark.parametrize("name", OF_STAFF)
def test_a_form_has_a_field_for_all_that_the_api_takes_and_nothing_required_in_one_tap(name: str) -> None:
    form = form_of(name, _ANY, "zh")
    shown = {field.name.partition(".")[0] for field in form.fields}
    assert shown == set(COMMANDS[name].model.model_fields)
    required = {field.name.partition(".")[0] for field in form.fields if field.is_required}
    assert {key for key, field in COMMANDS[name].model.model_fields.items() if field.is_required()} <= required
    assert not (name in ONE_TAP and required)
    assert all(field.label and not field.label.isascii() for field in form.fields)


def test_completing_is_never_one_tap() -> None:
    form = form_of("complete", Offer(), "zh")
    assert not form.may_be_tapped
    assert {field.name for field in form.fields if field.is_required} == {"answer"}


def test_only_choices_that_would_take_effect_are_offered() -> None:
    (what, _) = form_of("grant", Offer(working={"what": ["pause"]}), "zh").fields
    assert (what.kind, what.value, what.choices) == ("fixed", "pause", [("pause", "暂停")])
    (kind, *_) = form_of("complete", Offer(working={"kind": ["explained", "referred"]}), "zh").fields
    assert ([sent for sent, _ in kind.choices], kind.value, kind.is_required) == (["explained", "referred"], "", True)


def test_what_was_written_stays_beside_what_is_wrong_with_it() -> None:
    sent = {"reason": "parts", "review": "bald", "note": "等阀门", "evidence.0": "x"}
    form = form_of("wait", Offer(), "zh", sent, {"review": "请写一个时间", "": "另有问题"})
    assert {field.name: field.value for field in form.fields} == {"reason": "parts", "review": "bald", "note": "等阀门"}
    assert form.faults == [("review", "请写一个时间"), ("reason", "另有问题")]
    ticked = form_of("complete", _ANY, "zh", {"evidence.7": "y", "evidence": "z x"}).fields[2]
    assert (ticked.kind, list(ticked.ticked)) == ("photos", ["y", "z", "x"])


def test_times_without_a_zone_are_chinas_and_nonsense_is_left_to_the_api() -> None:
    assert instant("2026-12-24T09:30") == "2026-12-24T01:30:00.000Z"
    assert datetime.fromisoformat(instant("2026-12-24T09:30:00Z")).hour == 9
    assert instant("bald") == "bald"


def test_each_label_is_used_and_each_field_has_one() -> None:
    used = {"none", "by.none", "to.none", "handler.none", "step.of", *(f"unit.{unit}" for unit in get_args(Unit))}
    for name in OF_STAFF:
        for field in COMMANDS[name].model.model_fields:
            if field == "steps":
                used |= {"steps.title", "steps.due", "steps.owner"}
            else:
                used.add(label_key(name, field))
    used |= {f"{field}.{answer}" for field in ("upheld", "urgent") for answer in ("yes", "no")}
    for language in LANGUAGES:
        assert set(tables(language)["fields"]) == used, language
    assert len(form_of("plan", _ANY, "en").fields) == 3 * STEPS + 1
