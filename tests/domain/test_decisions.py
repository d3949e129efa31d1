"""Every (status x command) pair does what the hand-written table says, and every command is given only by its people."""

from datetime import timedelta
from itertools import product

import pytest

import domain.commands as c
from domain.access import may_give, may_see
from domain.commands import SIGNALS
from domain.decide import decide
from domain.issue import Issue
from domain.refusals import WHEN
from domain.vocabulary import STATUSES, Status
from tests.domain.decision_table import GROUPS, MAY, ORDER, PENDING, PLAN, REVIEW, SEES, SIGNS, TABLE
from tests.domain.play import (
    CASTING,
    COMMUNITY,
    COMPANY,
    REPORTER,
    Stage,
    kinds,
    place,
    refused,
)

_PATH: dict[Status, tuple[tuple[c.Actor, c.Body], ...]] = {
    "dispatched": (),
    "accepted": ((COMPANY, c.Accept()),),
    "arrived": ((COMPANY, c.Accept()), (COMPANY, c.Arrive("complex"))),
}
_PATH["planned"] = (*_PATH["arrived"], (COMPANY, PLAN))
_PATH["answered"] = (*_PATH["planned"], (COMPANY, c.Answer("周三换管")))
_PATH["completed"] = (*_PATH["answered"], (COMPANY, c.Complete()))
_PATH["suspended"] = (*_PATH["arrived"], (COMPANY, c.Ask("几楼?")))
_PATH["waiting"] = (*_PATH["arrived"], (COMPANY, c.Wait("parts", REVIEW)))
_PATH["closed"] = (*_PATH["completed"], (REPORTER, c.Confirm("solved", "satisfied")))


def in_status(status: Status) -> Stage:
    stage = Stage()
    for actor, body in _PATH[status]:
        stage.give(actor, body)
    assert stage.issue.status == status
    return stage


def test_no_pair_is_missing() -> None:
    assert TABLE.keys() == SIGNALS.keys()
    assert len(SIGNALS) == 41
    assert len(STATUSES) == 9
    for name, row in TABLE.items():
        assert type(row.body) is SIGNALS[name]
        assert len(row.signs.split()) == len(STATUSES), name
        assert all(row.cell(status) for status in STATUSES)


def test_the_code_has_a_row_for_every_command() -> None:
    assert WHEN.keys() == SIGNALS.keys()


def test_every_outcome_of_the_table_is_used() -> None:
    for name, row in TABLE.items():
        used = {int(sign) for sign in row.signs.split() if sign not in SIGNS}
        assert used == set(range(1, len(row.outcomes) + 1)), name


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("status", STATUSES)
def test_decision(status: Status, name: str) -> None:
    stage = in_status(status)
    row = TABLE[name]
    events = stage.give(row.actor, row.body)
    refusal = f" {events[0].body.code}" if events[0].kind == "refused" else ""  # pyright: ignore[reportAttributeAccessIssue]
    assert " ".join(kinds(events)) + refusal == row.cell(status)
    receipt = stage.issue.receipts[events[-1].command.id]  # pyright: ignore[reportAttributeAccessIssue]
    assert receipt.outcome == ("refused" if refusal else "applied")


@pytest.mark.parametrize("status", ["dispatched", "accepted", "arrived", "planned", "answered"])
@pytest.mark.parametrize("row", PENDING, ids=lambda row: f"{row.command} on {row.asked.__class__.__name__}")
def test_a_word_from_above_on_what_was_asked(status: Status, row) -> None:
    sign = row.signs.split()[STATUSES.index(status)]
    stage = in_status(status)
    asked = stage.give(COMPANY, row.asked)
    if sign == ".":
        assert kinds(asked) == ["refused"]
        return
    assert kinds(asked) != ["refused"]
    assert " ".join(kinds(stage.give(COMMUNITY, row.body))) == row.outcome
    again = stage.give(CASTING["street"], row.body)
    assert kinds(again) == ["refused"], "what was decided waits no longer"


def in_situation(name: str) -> Issue:
    if name == "no contract":
        return Stage(where=place(None)).issue
    if name == "about the operator":
        return Stage(about_operator=True).issue
    stage = Stage(where=place("society" if name.startswith("society") else "company"))
    if "volunteers" in name:
        stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    if "department" in name:
        stage.give(CASTING["street"], c.Redispatch("enforcement", "占道经营", "department"))
    for level in ("community", "street"):
        if f"{level} leads" in name or name.endswith("street leads"):
            stage.give(CASTING[level], c.Escalate("要上级管"))
    assert name.endswith(f"{stage.issue.level} leads")
    return stage.issue


def test_the_groups_hold_every_command_once() -> None:
    listed = " ".join(GROUPS.values()).split()
    assert sorted(listed) == sorted(SIGNALS)
    assert set(ORDER) == set(CASTING)
    assert all(table.keys() == GROUPS.keys() for table in MAY.values())
    assert MAY.keys() == SEES.keys()


@pytest.mark.parametrize("situation", MAY)
def test_who_may_give_what(situation: str) -> None:
    issue = in_situation(situation)
    wrong: list[str] = []
    for group, (column, actor) in product(GROUPS, enumerate(ORDER)):
        expected = MAY[situation][group][column] != "."
        for name in GROUPS[group].split():
            if may_give(issue, CASTING[actor], name) != expected:
                wrong.append(f"{name} by {actor}: expected {expected}")
    assert not wrong


@pytest.mark.parametrize("situation", MAY)
def test_a_command_by_a_stranger_is_refused_as_not_his(situation: str) -> None:
    issue = in_situation(situation)
    wrong: list[str] = []
    for group, (column, actor) in product(GROUPS, enumerate(ORDER)):
        if MAY[situation][group][column] != ".":
            continue
        for name in GROUPS[group].split():
            command = c.Command("new", issue.since + timedelta(seconds=1), CASTING[actor], TABLE[name].body)
            events = decide(issue, command)
            if refused(events) != "not-yours":
                wrong.append(f"{name} by {actor}: {kinds(events)}")
    assert not wrong


@pytest.mark.parametrize("situation", SEES)
def test_who_may_see_it(situation: str) -> None:
    issue = in_situation(situation)
    seen = [actor for actor in ORDER if may_see(issue, CASTING[actor])]
    assert seen == [actor for actor, sign in zip(ORDER, SEES[situation], strict=True) if sign != "."]


def test_the_role_counts_and_not_only_the_organisation() -> None:
    """A person with several posts acts in one of them at a time."""
    issue = in_situation("company handles, property leads")
    assert not may_give(issue, c.Actor("staff-1", "community", "company-a"), "accept")
    assert not may_give(issue, c.Actor("resident-1", "property", "company-b"), "confirm")
    assert may_give(issue, c.Actor("staff-1", "property", "company-a"), "accept")
    assert not may_give(issue, c.Actor("x", "street", "elm"), "supervise")
