"""Grants at acceptance of a command, and conflicts of interest."""

from dataclasses import replace
from datetime import date, datetime

import pytest

import domain.commands as c
from domain.access import DECISIONS, MAY, holds
from domain.advance import advance
from domain.commands import Actor, Authority, Command
from domain.events import Event, Refused
from domain.issue import Issue
from tests.domain.casting import BODIES
from tests.domain.play import COMMUNITY, COMPANY, REPORTER, STREET, Stage, local, place

HERE = place("company")
NOON = local("2026-11-20 12:00")
CROSSED = Actor(COMPANY.person, "street", STREET.org)
"""Somebody of the company who was appointed to the street office as well."""


def held(*grants: Authority, actor: Actor = COMPANY, at: datetime = NOON) -> bool:
    return holds(actor, grants, HERE, at)


def test_property_staff_need_the_contract_of_the_compound() -> None:
    assert held(Authority("property", COMPANY.org, compound=HERE.compound))
    assert not held(Authority("property", COMPANY.org))
    assert not held(Authority("property", COMPANY.org, compound="elsewhere"))


def test_a_company_that_was_sent_for_needs_no_contract() -> None:
    rival = Actor("r", "property", "company-b")
    assert held(Authority("property", "company-b"), actor=rival)


def test_the_role_and_the_organisation_have_to_be_among_what_is_held() -> None:
    street = Authority("street", STREET.org)
    assert held(street, actor=STREET)
    assert not held(street, actor=COMMUNITY)
    assert not held(replace(street, org="far-street"), actor=STREET)
    assert not held(actor=STREET)


@pytest.mark.parametrize(
    ("start", "end", "does"),
    [
        (date(2026, 11, 20), None, True), (date(2026, 11, 21), None, False),
        (None, date(2026, 11, 21), True), (None, date(2026, 11, 20), False),
    ],
)  # fmt: skip
def test_from_the_first_day_on_until_the_last_one_is_over(start: date | None, end: date | None, does: bool) -> None:
    assert held(Authority("street", STREET.org, start=start, end=end), actor=STREET) is does


def test_the_day_is_that_of_the_residents() -> None:
    grant = Authority("street", STREET.org, end=date(2026, 11, 21))
    assert held(grant, actor=STREET, at=local("2026-11-20 23:59"))
    assert not held(grant, actor=STREET, at=local("2026-11-21 00:01"))


def last(issue: Issue, actor: Actor, grants: tuple[Authority, ...]) -> Event:
    command = Command("x", issue.since, actor, c.Accept(), grants=grants)
    return advance(issue, [command], issue.since)[1][-1]


def test_a_command_without_the_grant_of_its_role_is_refused() -> None:
    issue = Stage().issue
    right = Authority("property", COMPANY.org, compound=issue.place.compound)
    assert last(issue, COMPANY, (right,)).kind == "accepted"
    for grants in ((), (Authority("community", COMMUNITY.org),)):
        refused = last(issue, COMPANY, grants).body
        assert isinstance(refused, Refused)
        assert refused.code == "no-authority"


@pytest.mark.parametrize("name", sorted(DECISIONS))
def test_who_acted_for_the_company_decides_nothing_from_above(name: str) -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMMUNITY, c.Escalate("难办"))
    stage.give(STREET, c.Escalate("难办"))
    made = BODIES[name][0](stage.issue.since)
    (refused,) = stage.give(CROSSED, made)
    assert isinstance(refused.body, Refused)
    assert refused.body.code == "conflict-of-interest"
    assert refused.body.params == {"side": "property", "role": CROSSED.role}
    assert refused.actor == CROSSED
    assert not any(
        isinstance(event.body, Refused) and event.body.code == "conflict-of-interest"
        for event in stage.give(STREET, made)
    )


def test_a_conflict_of_interest_needs_an_act_and_not_only_a_role() -> None:
    stage = Stage()
    assert stage.give(CROSSED, c.Supervise("盯一下"))[0].kind == "supervised"


def test_a_refused_command_is_no_act() -> None:
    stage = Stage()
    stage.give(COMPANY, c.StepDone(1))
    assert stage.give(CROSSED, c.Supervise("盯一下"))[0].kind == "supervised"


def test_every_decision_is_one_of_those_above() -> None:
    # By the administrator the older issue is told of a split.
    assert all(set(MAY[name]) <= {"senior", "street", *(("admin",) if name == "split" else ())} for name in DECISIONS)


def test_another_code_each_time() -> None:
    stage = Stage()
    assert stage.issue.generation == 0
    stage.give(REPORTER, c.RenewCode())
    stage.give(REPORTER, c.RenewCode())
    assert stage.issue.generation == 2
