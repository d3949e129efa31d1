"""The handler's work: appointments, sizes, what the handler may not choose, and what ends with its part."""

from dataclasses import replace
from datetime import date

import pytest

import domain.commands as c
from domain.limits import MOST_COMMANDS
from domain.worktime import Limit, YearCalendar
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    DONE,
    REPORTER,
    STREET,
    VOLUNTEERS,
    Stage,
    arrived,
    climbs,
    kinds,
    local,
    pack,
    place,
    refused,
)

# ------------------------------------------------------------------------------------------------------ appointments


def visited(policy: str = "12345") -> Stage:
    """The company was there once and has agreed on another visit, tomorrow at ten."""
    stage = arrived("minor", policy=policy)
    stage.give(COMPANY, c.Schedule(local("2026-11-21 10:00")))
    return stage


def test_a_second_visit_can_be_kept() -> None:
    stage = visited()
    stage.let_pass(local("2026-11-21 09:50"))
    assert kinds(stage.give(COMPANY, c.Arrive())) == ["arrived"]
    assert "appointment" not in stage.running()
    assert refused(stage.give(COMPANY, c.Arrive())) == "wrong-status", "nothing more was agreed on"


def test_whoever_finds_nobody_at_home_has_kept_the_appointment() -> None:
    stage = visited()
    stage.let_pass(local("2026-11-21 09:59"))
    stage.give(COMPANY, c.Attempt("没人"), after=0)
    assert "appointment" not in stage.running()


@pytest.mark.parametrize("by", ["redispatch", "return"])
def test_redispatch_or_return_ends_the_appointment(by: str) -> None:
    stage = visited()
    body = c.Redispatch("helpers", "志愿者快", "volunteers") if by == "redispatch" else c.Return("重来")
    stage.give(COMMUNITY, body)
    assert "appointment" not in stage.running()


def test_an_appointment_that_passed_while_the_clock_stood_still_is_nobodys_fault() -> None:
    stage = visited()
    stage.give(COMPANY, c.Wait("access", local("2026-11-21 10:00")))
    stage.let_pass(local("2026-11-21 10:05"))
    assert [event.kind for event in stage.events if event.clause == "appointment"] == []


# ---------------------------------------------------------------------------------------------- what is not theirs


@pytest.mark.parametrize("body", [c.Correct("不是漏水", "noise"), c.Correct("不急", urgent=False)])
def test_the_handler_cannot_correct_what_sets_its_own_limit(body: c.Correct) -> None:
    stage = Stage("12345", urgent=True)
    due = stage.clock("accept-urgent").due
    assert refused(stage.give(COMPANY, body)) == "corrected-from-above"
    assert stage.clock("accept-urgent").due == due
    assert kinds(stage.give(COMMUNITY, body)) == ["corrected"]


def test_the_handler_may_correct_an_issue_to_urgent() -> None:
    stage = Stage("12345")
    assert kinds(stage.give(COMPANY, c.Correct("水很大", urgent=True))) == ["corrected"]
    assert stage.issue.urgent


def test_another_size_needs_a_reason_on_site_too() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Assess("complex"))
    assert refused(stage.give(COMPANY, c.Arrive("minor"))) == "assessment-unexplained"
    arrival = stage.give(COMPANY, c.Arrive("minor", "只是接头松了"))
    assert kinds(arrival) == ["arrived", "assessed"]
    assert arrival[1].body.reason == "只是接头松了"  # pyright: ignore[reportAttributeAccessIssue]


def test_an_extension_applies_to_a_clause_of_the_asking_level() -> None:
    stage = Stage("12345")
    stage.let_pass(local("2026-11-24 11:00"))
    assert stage.issue.level != "property"
    asked = stage.give(COMPANY, c.Extend("要协调"))
    assert asked[0].body.clause.startswith("answer")  # pyright: ignore[reportAttributeAccessIssue]
    climbed = Stage()
    climbed.let_pass(31 * 60)
    assert climbed.running() == {"community-accept", "community-answer"}
    assert refused(climbed.give(COMPANY, c.Extend("要协调"))) == "no-limit-of-yours"


def test_a_red_limit_does_not_use_up_the_extension_that_another_one_needs() -> None:
    stage = arrived(policy="12345")
    stage.let_pass(local("2026-11-21 12:00"))
    assert stage.clock("contact").overdue
    assert stage.give(COMPANY, c.Extend("要协调"))[0].body.clause == "answer-complex"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_handler_may_accept_while_the_lead_waits() -> None:
    stage = Stage()
    stage.let_pass(31 * 60)
    stage.give(COMMUNITY, c.Wait("parts", local("2026-11-20 11:30")))
    assert kinds(stage.give(COMPANY, c.Accept())) == ["accepted"]
    assert (stage.issue.status, stage.issue.interrupted) == ("waiting", "accepted")


@pytest.mark.parametrize(
    "body",
    [c.Resume(), c.Return("重来"), c.Redispatch("helpers", "志愿者快", "volunteers")],
    ids=lambda body: type(body).__name__,
)
def test_only_the_street_takes_up_what_it_has_shelved(body: c.Body) -> None:
    stage = arrived()
    stage.give(STREET, c.Shelve("等专项资金"))
    assert refused(stage.give(COMMUNITY, body)) == "not-yours"
    assert stage.issue.shelved
    assert refused(stage.give(STREET, body)) is None


def test_a_community_that_is_the_operator_does_not_decide_over_itself() -> None:
    stage = Stage(replace(pack("52022"), rule=Limit(5, "m")), where=place("society"))
    stage.give(COMPANY, c.Extend("要协调"))
    assert refused(stage.give(COMMUNITY, c.Grant())) == "operator-here", "the community is the society itself"
    assert kinds(stage.give(STREET, c.Grant())) == ["extended"]
    stage.give(COMPANY, c.Decline("not_our_duty"))
    assert refused(stage.give(COMMUNITY, c.Rule(upheld=True))) == "operator-here"
    stage.give(STREET, c.Rule(upheld=False), after=14 * 60)
    assert stage.minutes()["street", "north"] == 10, "from the moment at which the ruling was late"


def test_an_upheld_ruling_must_name_another_handler() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Decline("not_our_duty"))
    assert refused(stage.give(COMMUNITY, c.Rule(True, "company-a", "就是你们"))) == "handles-already"


# ------------------------------------------------------------------------------------------- what ends with a part


def test_whoever_goes_on_working_takes_the_decline_back() -> None:
    stage = Stage(replace(pack("12345"), rule=Limit(20, "m")))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Decline("not_our_duty"))
    stage.give(COMPANY, c.Arrive(), after=3600)
    assert stage.issue.transfers == 0, "without a ruling it was no transfer"
    stage.give(COMPANY, DONE, after=3600)
    assert stage.minutes()["operator", "company-a"] == 2 + 20 + 60
    assert stage.minutes()["community", "elm"] == 40, "from the moment at which the ruling was late"


def test_a_reopened_issue_needs_mitigate_again() -> None:
    stage = arrived(None, policy="3+3+5")
    stage.give(COMPANY, c.Mitigate("关了阀"))
    stage.give(COMPANY, DONE)
    stage.give(REPORTER, c.Reopen("又漏了"))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive())
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-20 12:00")),)))
    assert "handle" in stage.running()
    stage.give(COMPANY, c.Mitigate("又关了阀"))
    assert "handle" not in stage.running()


def test_more_time_is_not_handed_on_with_the_work() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Extend("人手不够"))
    stage.give(COMMUNITY, c.Grant())
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"), after=0)
    assert stage.clock("accept").due == local("2026-11-20 10:12")
    assert kinds(stage.give(VOLUNTEERS, c.Extend("等人"))) == ["requested"]


def test_reminders_that_are_used_up_do_not_begin_again_when_it_is_shelved() -> None:
    stage = Stage("demo")
    stage.let_pass(3600)
    count = kinds(stage.events).count("reminded")
    stage.give(STREET, c.Shelve("等专项资金"))
    stage.give(STREET, c.Resume())
    stage.let_pass(3600)
    assert stage.issue.level == "street"
    assert kinds(stage.events).count("reminded") == count


# ----------------------------------------------------------------------------------------- time that nobody could see


def test_the_end_of_a_pause_that_nobody_could_see_is_nobodys_time() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Ask("几楼?"))
    stage.outage(local("2026-11-29 12:00"))
    assert (stage.events[-1].kind, stage.issue.level) == ("resumed", "property")
    assert stage.minutes()["nobody", None] == pytest.approx(36 * 60, abs=0.1)
    stage.give(COMPANY, c.Comment("在"), after=600)
    assert stage.clock("minor").due > stage.now


def test_a_published_calendar_settles_the_end_of_a_question_too() -> None:
    stage = Stage(at=local("2026-12-28 10:00"))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Ask("几楼?"))
    assert stage.clock("ask").provisional
    stage.give(ADMIN, c.CalendarPublished(YearCalendar(2027, 1, off=(date(2027, 1, 1), date(2027, 1, 4)), on=())))
    clock = stage.clock("ask")
    assert (clock.due, clock.provisional) == (local("2027-01-06 23:59:59"), False)


@pytest.mark.parametrize(
    "calendar", [YearCalendar(99_999, 1, (), ()), YearCalendar(2027, 0, (), ())], ids=["year", "version"]
)
def test_a_calendar_that_cannot_be_true_changes_nothing(calendar: YearCalendar) -> None:
    stage = Stage()
    assert refused(stage.give(ADMIN, c.CalendarPublished(calendar))) == "calendar-faulty"


def test_climbs_that_land_at_opening_are_spread() -> None:
    stage = Stage("12345", at=local("2026-11-20 21:00"), category="utilities")
    assert stage.clock("answer-utilities").climbs_round
    assert not stage.clock("answer-utilities").round


def test_the_older_issue_survives() -> None:
    stage = Stage()
    before, after = local("2026-11-20 09:00"), local("2026-11-20 11:00")
    assert refused(stage.give(COMMUNITY, c.Adopt("issue-0", opened=before))) == "older-takes-in"
    assert refused(stage.give(COMMUNITY, c.Merge("issue-2", opened=after))) == "older-takes-in"
    assert kinds(stage.give(COMMUNITY, c.Adopt("issue-2", opened=after))) == ["adopted"]
    assert kinds(stage.give(COMMUNITY, c.Merge("issue-0", opened=before))) == ["merged"]
    assert climbs(stage) == []


def test_only_the_handlers_own_work_takes_its_decline_back() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Escalate("办不了"))
    stage.give(COMPANY, c.Decline("not_our_duty"))
    stage.give(COMMUNITY, c.Arrive())
    assert stage.issue.declined


def test_an_extension_for_the_whole_issue_survives_a_redispatch() -> None:
    stage = arrived(policy="12345")
    stage.give(COMPANY, c.Contact())
    stage.give(COMPANY, c.Extend("要协调"))
    stage.give(COMMUNITY, c.Grant())
    due = stage.clock("answer-complex").due
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    assert stage.clock("answer-complex").due == due
    assert refused(stage.give(VOLUNTEERS, c.Extend("还要"))) == "extended-enough"


def test_interim_answers_are_limited_like_comments() -> None:
    stage = arrived()
    for _ in range(MOST_COMMANDS):
        stage.give(COMPANY, c.Answer("我们在办"), after=0)
    assert refused(stage.give(COMPANY, c.Answer("还在办"))) == "too-many-commands"
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-22 18:00")),)))
    assert refused(stage.give(COMPANY, c.Answer("周日换管"))) is None, "an answer that meets its clause is always taken"


def test_of_two_reported_at_once_one_survives() -> None:
    stage = Stage()
    at = stage.issue.opened_at
    assert refused(stage.give(COMMUNITY, c.Adopt("issue-0", opened=at))) == "older-takes-in"
    assert kinds(stage.give(COMMUNITY, c.Adopt("issue-2", opened=at))) == ["adopted"]
