"""Every (status x command) pair has the outcome of the hand-written table, and only allowed actors give commands."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import pytest

import domain.commands as c
import domain.events as e
from calendars import load_all
from domain import access, directory
from domain.access import may_follow, may_give, may_report, may_see
from domain.clocks import owner
from domain.commands import SIGNALS, Authority
from domain.decide import decide
from domain.directory import acting_by
from domain.events import Event
from domain.evolve import evolve
from domain.issue import Issue
from domain.milestones import meets
from domain.pins import pinned
from domain.refusals import WHEN, against
from domain.vocabulary import ROLES, STATUSES, HandlerKind, Status
from domain.worktime import SHANGHAI
from support.grants import granted
from tests.domain.decision_table import (
    ACTING,
    ANSWERS,
    ASSIGNED,
    AT_THE_TOP,
    BEFORE,
    FOLLOWS,
    GATES,
    GROUPS,
    MAY,
    MEETS,
    NEEDLESS,
    ORDER,
    OVERSEES,
    PENDING,
    PINNED,
    PLAN,
    REACHES,
    REPORTS,
    REVIEW,
    SEES,
    SIGNS,
    TABLE,
    TAKEN_BACK,
    TOWN,
    WISHES,
    ActingRow,
    Row,
)
from tests.domain.play import (
    CASTING,
    COMMUNITY,
    COMPANY,
    DONE,
    FRIDAY,
    REPORTER,
    STREET,
    Stage,
    arrived,
    kinds,
    local,
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
_PATH["completed"] = (*_PATH["answered"], (COMPANY, DONE))
_PATH["suspended"] = (*_PATH["arrived"], (COMPANY, c.Ask("几楼?")))
_PATH["waiting"] = (*_PATH["arrived"], (COMPANY, c.Wait("parts", REVIEW)))
_PATH["closed"] = (*_PATH["completed"], (REPORTER, c.Confirm("solved", "satisfied")))


def in_status(status: Status) -> Stage:
    stage = Stage(common=True)
    for actor, body in _PATH[status]:
        stage.give(actor, body)
    assert stage.issue.status == status
    return stage


def test_the_decision_table_has_every_command_and_status() -> None:
    assert TABLE.keys() == SIGNALS.keys()
    assert len(SIGNALS) == 47
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


@pytest.mark.parametrize("row", [*TABLE.values(), TAKEN_BACK], ids=[*TABLE, "taken_back"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_command_in_a_status_has_the_outcome_of_the_table(status: Status, row: Row) -> None:
    stage = in_status(status)
    events = stage.give(row.actor, row.body)
    code, cell = refused(events), row.cell(status)
    assert (code in SIGNS[cell]) if code else (" ".join(kinds(events)) == cell)
    receipt = stage.issue.receipts[events[-1].command.id]  # pyright: ignore[reportAttributeAccessIssue]
    assert receipt.outcome == ("refused" if code else "applied")


@pytest.mark.parametrize("status", ["dispatched", "accepted", "arrived", "planned", "answered"])
@pytest.mark.parametrize("row", PENDING, ids=lambda row: f"{row.command} on {row.asked.__class__.__name__}")
def test_a_decision_on_a_request_has_the_outcome_of_the_table(status: Status, row) -> None:
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


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize("clause", WISHES)
def test_a_wish_is_a_clause_of_whoever_must_rule_on_it(clause: str, urgent: bool) -> None:
    stage = arrived(urgent=urgent)
    stage.give(COMPANY, WISHES[clause])
    clock = stage.clock(clause)
    assert (clock.level, clock.milestone, owner(stage.issue, clock)) == ("community", "rule", COMMUNITY.org)
    assert clock.due == local("2026-11-20 10:33" if urgent else "2026-11-23 23:59:59")
    assert clock.climbs == ()


@pytest.mark.parametrize("clause", WISHES)
def test_a_wish_passes_to_the_lead_where_that_is_above_whoever_had_to_rule(clause: str) -> None:
    stage = arrived()
    stage.give(COMPANY, WISHES[clause])
    stage.give(STREET, c.Escalate("要社区"))
    assert (stage.clock(clause).level, stage.clock(clause).due) == ("community", local("2026-11-23 23:59:59"))
    stage.let_pass(local("2026-11-23 10:00"))
    stage.give(STREET, c.Escalate("要街道"), after=0)
    assert (stage.clock(clause).level, stage.clock(clause).due) == ("street", local("2026-11-24 23:59:59"))


@pytest.mark.parametrize("name", AT_THE_TOP)
def test_where_the_street_leads_only_those_below_it_wish(name: str) -> None:
    body, by_street, by_company = AT_THE_TOP[name]
    for actor, expected in ((STREET, by_street), (COMPANY, by_company)):
        stage = arrived(policy="12345")
        for reason in ("要社区", "要街道"):
            stage.give(STREET, c.Escalate(reason))
        events = stage.give(actor, body)
        refusal = f" {events[0].body.code}" if events[0].kind == "refused" else ""  # pyright: ignore[reportAttributeAccessIssue]
        assert " ".join(kinds(events)) + refusal == expected
        rulers = [clock.level for clock in stage.issue.clocks if clock.milestone == "rule"]
        assert rulers == (["street"] if actor is COMPANY else [])


@pytest.mark.parametrize("name", NEEDLESS)
def test_a_question_that_is_ended_as_needless_stopped_no_clock(name: str) -> None:
    stage = in_status("arrived")
    due = stage.clock("plan").due
    stage.give(COMPANY, c.Ask("几楼?"))
    stage.let_pass(local("2026-11-22 10:00"))
    stage.give(CASTING[name], c.Object("已经说过了") if name == "reporter" else c.Resume(), after=0)
    assert stage.issue.status == "arrived"
    assert (stage.clock("plan").due == due) is NEEDLESS[name]


@pytest.mark.parametrize("status", ANSWERS)
def test_an_answer_for_which_no_plan_stands_is_an_interim_one(status: Status) -> None:
    answered = in_status(status).give(COMPANY, c.Answer("我们在办"))[-1]
    assert isinstance(answered.body, e.Answered)
    assert answered.body.interim is ANSWERS[status]


def in_situation(name: str) -> Issue:
    if name == "no contract":
        return Stage(where=place(None)).issue
    if name == "about the operator":
        return Stage(about_operator=True).issue
    stage = Stage(where=place("society" if name.startswith("society") else "company"))
    if "volunteers" in name:
        stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    if "department" in name:
        stage.give(CASTING["street"], c.Redispatch("enforcement", "占道经营", "department", ("north",)))
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
            if refused(events) not in ("not-yours", "hears-already"):
                wrong.append(f"{name} by {actor}: {kinds(events)}")
    assert not wrong


@pytest.mark.attack(2)
@pytest.mark.parametrize("situation", SEES)
def test_each_actor_sees_an_issue_as_the_access_table_says(situation: str) -> None:
    issue = in_situation(situation)
    seen = [name for name in ORDER if may_see(issue, CASTING[name], granted(CASTING[name], issue.place), issue.since)]
    assert seen == [actor for actor, sign in zip(ORDER, SEES[situation], strict=True) if sign != "."]


def test_the_role_counts_and_not_only_the_organisation() -> None:
    """A person with several posts acts in one of them at a time."""
    issue = in_situation("company handles, property leads")
    assert not may_give(issue, c.Actor("staff-1", "community", "company-a"), "accept")
    assert not may_give(issue, c.Actor("resident-1", "property", "company-b"), "confirm")
    assert may_give(issue, c.Actor("staff-1", "property", "company-a"), "accept")
    assert not may_give(issue, c.Actor("x", "street", "elm"), "supervise")


def attaches(issue: Issue, actor: c.Actor) -> bool:
    return against(issue, actor, "attach", granted(actor, issue.place), issue.since) is None


@pytest.mark.parametrize("situation", MAY)
def test_pictures_are_attached_by_those_who_may_comment(situation: str) -> None:
    issue = in_situation(situation)
    may = [name for name in ORDER if attaches(issue, CASTING[name])]
    assert may == [actor for actor, sign in zip(ORDER, MAY[situation]["word"], strict=True) if sign != "."]


def test_a_picture_for_a_closed_issue_is_refused_as_closed_whoever_brings_it() -> None:
    issue = in_status("closed").issue
    for actor in CASTING.values():
        refusal = against(issue, actor, "attach", (), issue.since)
        assert refusal is not None
        assert refusal.code == "closed"


def test_a_picture_is_attached_only_in_a_role_that_is_held() -> None:
    issue = in_status("accepted").issue
    grant = Authority("community", COMMUNITY.org)
    assert against(issue, COMMUNITY, "attach", (grant,), issue.since) is None
    lapsed = replace(grant, end=issue.since.astimezone(SHANGHAI).date())
    for grants in ((), (lapsed,)):
        refusal = against(issue, COMMUNITY, "attach", grants, issue.since)
        assert refusal is not None
        assert refusal.code == "no-authority"


@pytest.mark.parametrize(("kind", "streets", "expected"), ASSIGNED)
def test_an_issue_is_given_only_to_who_works_in_its_street(
    kind: HandlerKind, streets: tuple[str, ...] | None, expected: bool
) -> None:
    stage = in_status("accepted")
    stage.give(COMPANY, c.Decline("not_our_duty"))
    named = {"handler": "another", "handler_kind": kind, "handler_streets": streets}
    for body in (c.Redispatch(reason="换人", **named), c.Rule(upheld=True, **named)):
        assert refused(decide(stage.issue, stage.command(COMMUNITY, body))) == (None if expected else "works-elsewhere")
    # Where the decline is not upheld nobody is given anything.
    kept = stage.command(COMMUNITY, c.Rule(upheld=False, **named))
    assert refused(decide(stage.issue, kept)) is None


@pytest.mark.parametrize(("where", "is_before"), REPORTS)
def test_who_may_report_where(where: str, is_before: bool) -> None:
    at = BEFORE if is_before else FRIDAY
    day = at.astimezone(SHANGHAI).date()
    here = TOWN.place(where, day)
    assert here is not None
    may: list[str] = []
    for name in ORDER:
        actor = CASTING[name]
        grants = TOWN.grants_in(here, [Authority(actor.role, actor.org)], day)
        if may_report(actor, grants, here, at):
            may.append(name)
        assert actor.role == "resident" or not may_report(actor, (), here, at), "nothing without a grant"
    assert may == [name for name, sign in zip(ORDER, REPORTS[where, is_before], strict=True) if sign != "."]


@pytest.mark.parametrize(("org", "is_before"), REACHES)
def test_an_organisation_works_in_the_places_of_the_table(org: str, is_before: bool) -> None:
    at = BEFORE if is_before else FRIDAY
    assert TOWN.reach(org, at.astimezone(SHANGHAI).date()) == REACHES[org, is_before]


@pytest.mark.parametrize("viewer", OVERSEES)
def test_whose_work_one_oversees(viewer: str) -> None:
    orgs = [each.org for each in CASTING.values() if each.org] + ["oak", "elm", "nobody"]
    day = FRIDAY.astimezone(SHANGHAI).date()
    assert {org for org in orgs if TOWN.oversees(CASTING[viewer], org, day)} == set(OVERSEES[viewer].split())


@pytest.mark.parametrize(("state", "where"), FOLLOWS)
def test_what_may_follow_an_old_issue(state: str, where: str) -> None:
    old = in_status("closed" if state == "closed" else "completed").issue
    assert may_follow(replace(old.place, compound=where), old) is FOLLOWS[state, where]


@pytest.mark.parametrize("day", PINNED)
def test_the_calendars_that_an_issue_is_given(day: date) -> None:
    years = [calendar.year for calendar in pinned(load_all(), day)]
    assert years == [int(year) for year in PINNED[day].split()]


@pytest.mark.parametrize("row", ACTING)
def test_by_which_appointment_somebody_acts(row: ActingRow) -> None:
    held, role, org, prefer, expected = row
    if isinstance(expected, str):
        with pytest.raises(getattr(directory, expected)):
            acting_by(held, role, org, prefer)
    else:
        assert acting_by(held, role, org, prefer) == expected


@pytest.mark.parametrize("gate", GATES)
def test_what_depends_on_the_role_alone(gate: str) -> None:
    assert [role for role in ROLES if getattr(access, gate)(role)] == GATES[gate].split()


@pytest.mark.parametrize(("status", "given", "expected"), MEETS)
def test_which_limits_a_command_keeps(status: Status, given: tuple[tuple[c.Actor, c.Body], ...], expected: str) -> None:
    stage = in_status(status)
    before, events = stage.issue, list[Event]()
    for actor, body in given:
        before, events = stage.issue, stage.give(actor, body)
    kept: list[str] = []
    for event in events:
        after = evolve(before, event)
        kept += [clock.clause for clock in before.clocks if meets(event, after, clock)]
        before = after
    assert kept == expected.split()


def test_an_issue_is_overdue_while_a_limit_that_passed_is_not_kept() -> None:
    stage = Stage()
    assert not stage.issue.is_overdue
    stage.let_pass(16 * 60)
    assert stage.issue.is_overdue
    red = stage.issue.clocks
    stage.give(REPORTER, c.Withdraw())
    assert not replace(stage.issue, clocks=red).is_overdue, "closed it is over"
