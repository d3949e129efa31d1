"""Who speaks and who judges: reports taken in for somebody, raters of one's own side, and what *not solved* leads to."""

from dataclasses import replace

import pytest

import domain.commands as c
import domain.events as e
from domain.access import capacities
from domain.commands import Actor, Authority
from domain.issue import Closed
from domain.milestones import met_clock
from domain.policy import Reopen
from domain.vocabulary import LEGAL_ROUTES, Outcome
from support.completions import ANSWER
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    DONE,
    REPORTER,
    SETTLED_2027,
    STREET,
    Stage,
    climbs,
    kinds,
    local,
    pack,
    place,
    refused,
)

OF_THE_PHONE = Actor("r-phone", "resident")
"""Whoever holds the phone that was named when the report was taken in."""


def taken_in(by: Actor = COMPANY, reporter: str = OF_THE_PHONE.person, policy: str = "52022") -> Stage:
    """A report that staff took in for somebody."""
    stage = Stage(policy, report=False)
    body = c.Report("JS-1", place(), "leak", "厨房漏水", channel="phone", reporter=reporter, reachable=bool(reporter))
    stage.give(by, body, after=0)
    return stage


def completed(stage: Stage) -> Stage:
    if stage.issue.handler.code == COMPANY.org:
        stage.give(COMPANY, c.Accept())
        stage.give(COMPANY, c.Arrive("minor"))
    stage.upload(COMPANY)
    stage.give(COMPANY, DONE)
    assert stage.issue.status == "completed"
    return stage


def rate(
    stage: Stage, outcome: Outcome = "solved", staff: tuple[Authority, ...] = (), who: Actor = REPORTER
) -> list[e.Event]:
    grants = (Authority("resident", None, "code"), *staff)
    satisfaction = "dissatisfied" if outcome == "not" else "satisfied"
    return stage.give(who, c.Confirm(outcome, satisfaction), grants=grants)


# ------------------------------------------------------------------------------------------------------- who speaks


def test_who_takes_a_report_in_is_on_record_and_is_not_the_reporter() -> None:
    stage = taken_in()
    first = stage.events[0].body
    assert isinstance(first, e.Reported)
    assert (first.taken_by, first.reporter) == (COMPANY, OF_THE_PHONE.person)
    assert stage.issue.reporter == OF_THE_PHONE.person
    completed(stage)
    assert refused(stage.give(COMPANY, c.Confirm("solved", "satisfied"))) == "not-yours"
    as_resident = replace(COMPANY, role="resident", org=None)
    assert refused(stage.give(as_resident, c.Confirm("solved", "satisfied"))) == "not-yours"
    assert kinds(rate(stage, who=OF_THE_PHONE)) == ["confirmed", "closed"]


def test_a_resident_who_reports_himself_was_taken_in_by_nobody() -> None:
    first = Stage().events[0].body
    assert isinstance(first, e.Reported)
    assert (first.taken_by, first.reporter) == (None, "")


def test_an_issue_of_somebody_without_a_phone_cannot_be_rated_by_anybody() -> None:
    stage = completed(taken_in(by=COMMUNITY, reporter=""))
    for who in (COMPANY, COMMUNITY, STREET, REPORTER, Actor(COMMUNITY.person, "resident"), Actor("", "resident")):
        assert refused(stage.give(who, c.Confirm("solved", "satisfied"))) == "not-yours"


@pytest.mark.parametrize("counter", [COMMUNITY, STREET])
def test_for_somebody_without_a_phone_the_counter_urges_objects_and_reopens(counter: Actor) -> None:
    stage = taken_in(by=COMMUNITY, reporter="")
    assert kinds(stage.give(counter, c.Urge("老人家问修了没有"))) == ["urged"]
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Answer("正在安排"))
    assert kinds(stage.give(counter, c.Object("还在滴"))) == ["objected"]
    stage.give(COMPANY, c.Arrive("minor"))
    stage.give(COMPANY, DONE)
    (event,) = stage.give(counter, c.Reopen("还在滴"))
    assert (event.kind, event.actor) == ("reopened", counter), "taken on record"
    assert stage.issue.status == "dispatched"


def test_the_handlers_counter_speaks_for_nobody() -> None:
    stage = completed(taken_in(by=COMPANY, reporter=""))
    for body in (c.Urge(), c.Object("没修好")):
        assert refused(stage.give(COMPANY, body)) == "not-yours"
    assert kinds(stage.give(COMPANY, c.Reopen("填错了"))) == ["taken_back"]
    stage = Stage(where=place(None), report=False)
    stage.give(COMMUNITY, c.Report("JS-1", place(None), "leak", "漏水", reachable=False), after=0)
    assert stage.issue.handler.code == COMMUNITY.org
    assert "counter" not in capacities(stage.issue, COMMUNITY)
    assert "counter" in capacities(stage.issue, STREET)


def test_where_the_resident_has_a_voice_the_counter_has_none() -> None:
    stage = completed(taken_in())
    for body, code in (
        (c.Urge(), "not-yours"),
        (c.Object("没修好"), "not-yours"),
        (c.Reopen("没修好"), "completed-elsewhere"),
    ):
        assert refused(stage.give(COMMUNITY, body)) == code


def test_a_word_given_at_the_counter_meets_no_limit_of_the_counter() -> None:
    stage = Stage("3+3+5", report=False)
    stage.give(COMMUNITY, c.Report("JS-1", place(), "leak", "漏水", reachable=False), after=0)
    stage.give(COMPANY, c.Answer("正在安排"))
    before = stage.issue
    (event,) = stage.give(COMMUNITY, c.Object("没人来"))
    assert met_clock(before, event, stage.issue) is None
    assert stage.issue.met == before.met


# ------------------------------------------------------------------------------------------------------- who judges


def test_who_acted_does_not_rate() -> None:
    stage = completed(Stage())
    himself = Authority("property", COMPANY.org, person=COMPANY.person)
    assert refused(rate(stage, staff=(himself,))) == "acted-here"
    assert stage.issue.status == "completed"


def test_who_took_the_report_in_does_not_rate_it_by_his_own_phone() -> None:
    stage = completed(taken_in(by=COMMUNITY))
    clerk = Authority("community", COMMUNITY.org, person=COMMUNITY.person)
    assert refused(rate(stage, staff=(clerk,), who=OF_THE_PHONE)) == "acted-here"


def test_a_colleague_of_the_handler_closes_but_is_not_counted() -> None:
    stage = completed(Stage())
    colleague = Authority("property", COMPANY.org, person="staff-9")
    said, closed = rate(stage, staff=(colleague,))
    assert isinstance(said.body, e.Confirmed)
    assert (said.body.counted, said.body.because) == (False, "own_side")
    assert closed.body == e.Closed("solved", "not_rated")


def test_a_colleague_of_the_community_that_acted_is_not_counted_and_one_of_another_is() -> None:
    stage = completed(Stage())
    for org, counted in (("oak", True), (COMMUNITY.org, True)):
        copy = Stage()
        completed(copy)
        (said, _) = rate(copy, staff=(Authority("community", org, person="officer-9"),))
        assert said.body.counted is counted  # pyright: ignore[reportAttributeAccessIssue]
    stage = Stage()
    stage.give(COMMUNITY, c.Supervise("盯着"))
    completed(stage)
    (said, _) = rate(stage, staff=(Authority("community", COMMUNITY.org, person="officer-9"),))
    assert said.body.counted is False  # pyright: ignore[reportAttributeAccessIssue]


def test_who_publishes_a_calendar_is_no_party() -> None:
    stage = Stage()
    stage.give(ADMIN, c.CalendarPublished(SETTLED_2027))
    assert ADMIN.person not in stage.issue.acted


@pytest.mark.parametrize("person", [COMPANY.person, "staff-9"])
def test_a_word_against_ones_own_side_is_always_heard(person: str) -> None:
    stage = completed(Stage())
    events = rate(stage, "not", staff=(Authority("property", COMPANY.org, person=person),))
    assert kinds(events) == ["confirmed", "reopened"]
    assert events[0].body.counted  # pyright: ignore[reportAttributeAccessIssue]


# -------------------------------------------------------------------------------------- not solved is not the end


def test_not_solved_and_satisfied_is_refused() -> None:
    stage = completed(Stage())
    (event,) = stage.give(REPORTER, c.Confirm("not", "satisfied"))
    assert refused([event]) == "unsolved-satisfies"


def test_not_solved_begins_the_work_again() -> None:
    stage = completed(Stage())
    assert kinds(rate(stage, "not")) == ["confirmed", "reopened"]
    assert (stage.issue.status, stage.issue.level, stage.issue.reopened) == ("dispatched", "property", 1)


def test_not_solved_climbs_beyond_the_number_of_reopenings_and_at_the_top_is_the_end() -> None:
    stage = Stage()
    for turn in range(stage.issue.policy.reopen.times - 1):
        completed(stage)
        assert kinds(rate(stage, "not")) == ["confirmed", "reopened"], turn
    completed(stage)
    assert kinds(rate(stage, "not")) == ["confirmed", "reopened", "escalated"]
    completed(stage)
    assert kinds(rate(stage, "not")) == ["confirmed", "reopened", "escalated"]
    assert climbs(stage) == [("reopening", "community"), ("reopening", "street")]
    completed(stage)
    said, closed = rate(stage, "not")
    assert said.kind == "confirmed"
    assert closed.body == e.Closed("not_settled", "dissatisfied", LEGAL_ROUTES)


def test_at_the_top_it_begins_again_as_often_as_the_policy_allows() -> None:
    stage = Stage()
    stage.let_pass(local("2026-11-24 21:00"))
    assert stage.issue.level == "street"
    for _ in range(stage.issue.policy.reopen.times):
        completed(stage)
        assert kinds(rate(stage, "not")) == ["confirmed", "reopened"]
    completed(stage)
    assert kinds(rate(stage, "not")) == ["confirmed", "closed"]


def test_a_refusal_ends_a_mediation() -> None:
    stage = Stage("dispute", category="dispute")
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Complete("settled", ANSWER))
    rate(stage, "not")
    assert stage.issue.closed == Closed("not_settled", "dissatisfied")
    assert stage.events[-1].body == e.Closed("not_settled", "dissatisfied", LEGAL_ROUTES)


def test_beyond_its_number_a_reopening_climbs_though_the_policy_lets_climb_only_later() -> None:
    stage = Stage(replace(pack("52022"), reopen=Reopen(times=1, climbs_from=9)))
    completed(stage)
    assert kinds(rate(stage, "not")) == ["confirmed", "reopened"]
    completed(stage)
    assert kinds(rate(stage, "not")) == ["confirmed", "reopened", "escalated"]


def test_who_lost_the_issue_by_the_directory_does_not_rate_whoever_got_it() -> None:
    stage = Stage("52022")
    stage.give(ADMIN, c.DirectoryChanged(replace(place(), operator="company-b"), ("north",)))
    successor = Actor("staff-b", "property", "company-b")
    grants = (Authority("property", "company-b", compound=place().compound),)
    for body in (c.Accept(), c.Arrive("minor"), c.Complete("explained", ANSWER)):
        stage.give(successor, body, grants=grants)
    assert stage.issue.status == "completed"
    (said, _) = rate(stage, staff=(Authority("property", COMPANY.org, person="staff-9"),))
    assert isinstance(said.body, e.Confirmed)
    assert (said.body.counted, said.body.because) == (False, "own_side")
