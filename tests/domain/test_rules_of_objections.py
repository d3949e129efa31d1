"""A resident objects: to an interim answer or a plan, once each, and to a rejection; the level above rules in two days."""

from dataclasses import replace

import pytest

import domain.commands as c
import domain.events as e
from domain.clocks import next_deadline
from domain.commands import Actor
from domain.issue import Closed
from domain.notices import notices
from domain.rules import evolve
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    DONE,
    REPORTER,
    STREET,
    Stage,
    arrived,
    kinds,
    local,
    place,
    refused,
    said,
)

HOUR = 3600


def told(stage: Stage, event: e.Event) -> list[str | None]:
    return [notice.org for notice in notices(event, stage.issue)]


# ------------------------------------------------------------------------------------------- to an answer or a plan


def answered() -> Stage:
    """A broken lamp on a Monday: the company says that it is on it, at 10:03."""
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Contact())
    stage.give(COMPANY, c.Answer("已安排,请耐心等待"))
    return stage


def test_an_objection_to_an_interim_answer_is_a_clause_of_the_level_above() -> None:
    stage = answered()
    due = stage.clock("answer").due
    (event,) = stage.give(REPORTER, c.Object("等了三天了"))
    assert event.kind == "objected"
    clock = stage.clock("rule-objection")
    assert (clock.level, clock.due) == ("community", local("2026-06-03 23:59:59"))
    assert stage.clock("answer").due == due, "no clock moves"
    assert set(told(stage, event)) >= {"company-a", "elm"}
    stage.let_pass(local("2026-06-04 00:01"))
    assert stage.clock("rule-objection").overdue


@pytest.mark.parametrize("ruling", [c.Grant("objection", "今天必须去"), c.Deny("objection", "配件周四到")])
def test_the_level_above_answers_it_in_words(ruling: c.Grant | c.Deny) -> None:
    stage = answered()
    stage.give(REPORTER, c.Object("等了三天了"))
    (event,) = stage.give(COMMUNITY, ruling)
    assert event.kind in ("granted", "denied")
    assert "rule-objection" not in stage.running()
    assert None in told(stage, event), "the resident reads the answer"


def test_an_answer_without_words_is_none() -> None:
    stage = answered()
    stage.give(REPORTER, c.Object("等了三天了"))
    assert refused(stage.give(COMMUNITY, c.Grant("objection"))) == "ruling-unexplained"
    assert refused(stage.give(COMMUNITY, c.Deny("objection", "  "))) == "ruling-unexplained"


def test_who_is_objected_to_does_not_rule() -> None:
    stage = answered()
    stage.give(REPORTER, c.Object("等了三天了"))
    assert refused(stage.give(COMPANY, c.Deny("objection", "我们很忙"))) == "not-yours"


def test_each_answer_and_each_plan_is_objected_to_once() -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    assert refused(stage.give(REPORTER, c.Object("没人来"))) == "nothing-to-object", "nobody has said anything"
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Answer("已安排"))
    assert kinds(stage.give(REPORTER, c.Object("太慢"))) == ["objected"]
    assert refused(stage.give(REPORTER, c.Object("太慢"))) == "nothing-to-object"
    stage.give(COMMUNITY, c.Deny("objection", "周四到"))
    assert refused(stage.give(REPORTER, c.Object("太慢"))) == "nothing-to-object"
    stage.give(COMPANY, c.Plan((c.Step("换灯", local("2026-06-04 12:00")),)))
    assert kinds(stage.give(REPORTER, c.Object("还是太慢"))) == ["objected"]


def test_completed_work_is_not_objected_to_but_reopened() -> None:
    stage = answered()
    stage.give(COMPANY, c.Complete("explained", "灯杆属于市政,已转交处理"))
    (event,) = stage.give(REPORTER, c.Object("没修"))
    assert "reopen" in said(event)


def test_an_open_objection_is_no_excuse_for_a_climb() -> None:
    stage = answered()
    stage.give(REPORTER, c.Object("太慢"))
    stage.let_pass(local("2026-06-06 08:01"))
    climb = next(event.body for event in stage.events if event.kind == "escalated")
    assert isinstance(climb, e.Escalated)
    assert not climb.wish_open


def test_at_the_top_the_top_answers_itself() -> None:
    stage = answered()
    stage.give(COMMUNITY, c.Escalate("难"), after=0)
    stage.give(STREET, c.Accept())
    stage.give(STREET, c.Answer("正在协调"))
    stage.give(REPORTER, c.Object("太慢"))
    assert stage.clock("rule-objection").level == "street"
    assert kinds(stage.give(STREET, c.Deny("objection", "下周一开会"))) == ["denied"]


# ---------------------------------------------------------------------------------------------------- to a rejection


def rejected(by: Actor = COMMUNITY, policy: str = "12345") -> Stage:
    """A broken lamp on a Monday, accepted at 10:01; rejected at 10:02."""
    stage = Stage(policy, at=local("2026-06-01 10:00"), category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(by, c.Reject("不在本小区"))
    return stage


def test_the_resident_is_told_why_and_the_level_above_that_it_happened() -> None:
    stage = rejected()
    event = stage.events[-1]
    assert event.kind == "rejected"
    assert {None, "company-a", "north"} <= set(told(stage, event))
    assert stage.issue.closed is None
    assert stage.running() == {"silence"}


def test_silence_closes_a_rejected_issue() -> None:
    stage = rejected()
    stage.let_pass(local("2026-06-09 00:01"))
    assert stage.issue.closed == Closed("rejected")
    assert stage.events[-1].actor is None


def test_an_objection_to_a_rejection_goes_to_the_level_above_who_rejected() -> None:
    stage = rejected()
    assert kinds(stage.give(REPORTER, c.Object("就在本小区"))) == ["objected"]
    assert stage.running() == {"rule-objection"}
    assert stage.clock("rule-objection").level == "street"
    assert refused(stage.give(COMMUNITY, c.Deny("objection", "不在"))) == "rules-above"
    assert refused(stage.give(REPORTER, c.Object("就在本小区"))) == "nothing-to-object"


def test_where_the_community_is_the_operator_the_street_rules() -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), where=place("community"), category="facility")
    stage.give(STREET, c.Reject("不属实"))
    stage.give(REPORTER, c.Object("属实"))
    assert stage.clock("rule-objection").level == "street"


def test_upheld_it_closes_at_once() -> None:
    stage = rejected()
    stage.give(REPORTER, c.Object("就在本小区"))
    assert kinds(stage.give(STREET, c.Deny("objection", "地图上在隔壁"))) == ["denied", "closed"]
    assert stage.issue.closed == Closed("rejected")


def test_undone_it_goes_on_as_it_stood_and_nobody_is_late_for_the_days_between() -> None:
    stage, other = rejected(), Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    other.give(COMPANY, c.Accept())
    stage.let_pass(local("2026-06-03 10:00"))
    stage.give(REPORTER, c.Object("就在本小区"))
    stage.let_pass(local("2026-06-04 10:00"))
    assert kinds(stage.give(STREET, c.Grant("objection", "就在本小区,请办"))) == ["granted", "taken_back"]
    assert (stage.issue.status, stage.issue.level) == ("accepted", "property")
    assert stage.running() == other.running()
    assert (stage.clock("answer").due - other.clock("answer").due).days == 2, "the 2nd and the 3rd were whole days"
    assert not stage.clock("contact").overdue


def test_nobody_rules_in_two_working_days_and_it_is_undone() -> None:
    stage = rejected()
    stage.give(REPORTER, c.Object("就在本小区"))
    stage.let_pass(local("2026-06-04 00:01"))
    event = stage.events[-1]
    assert (event.kind, event.actor, event.clause) == ("taken_back", None, "rule-objection")
    assert event.at == local("2026-06-03 23:59:59")
    assert stage.issue.status == "accepted"
    assert stage.issue.closed is None


def test_a_rejection_is_neither_rated_nor_reopened_but_objected_to() -> None:
    stage = rejected()
    for body in (c.Confirm("solved", "satisfied"), c.Confirm("not", "dissatisfied"), c.Reopen("没办")):
        (event,) = stage.give(REPORTER, body)
        assert isinstance(event.body, e.Refused)
        assert "objects" in said(event)


def test_who_rejected_by_mistake_takes_it_back() -> None:
    stage = rejected()
    assert kinds(stage.give(COMMUNITY, c.Reopen("点错了"))) == ["taken_back"]
    assert stage.issue.status == "accepted"


def test_an_issue_rejected_in_a_pause_goes_on_in_it() -> None:
    stage = arrived("complex", at=local("2026-06-01 10:00"))
    stage.give(COMPANY, c.Wait("parts", local("2026-06-02 18:00")))
    stage.give(COMMUNITY, c.Reject("不属实"))
    stage.give(REPORTER, c.Object("属实"))
    stage.give(STREET, c.Grant("objection", "属实"))
    assert stage.issue.status == "waiting"
    stage.let_pass(local("2026-06-02 18:01"))
    assert stage.issue.status == "arrived"


def test_an_issue_whose_pause_ended_while_it_was_rejected_works_again() -> None:
    stage = arrived("complex", at=local("2026-06-01 10:00"))
    stage.give(COMPANY, c.Wait("parts", local("2026-06-01 18:00")))
    stage.give(COMMUNITY, c.Reject("不属实"))
    stage.let_pass(local("2026-06-03 10:00"))
    stage.give(REPORTER, c.Object("属实"))
    stage.give(STREET, c.Grant("objection", "属实"))
    assert stage.issue.status == "arrived"
    stage.upload(COMPANY)
    assert kinds(stage.give(COMPANY, DONE)) == ["completed"]


def undone(stage: Stage) -> Stage:
    stage.give(REPORTER, c.Object("属实"), after=HOUR)
    assert kinds(stage.give(STREET, c.Grant("objection", "属实"), after=HOUR)) == ["granted", "taken_back"]
    return stage


def test_what_was_taken_up_again_is_not_rejected_again_by_the_same_level() -> None:
    stage = undone(rejected())
    assert refused(stage.give(COMMUNITY, c.Reject("不属实"))) == "overruled"
    assert kinds(stage.give(STREET, c.Reject("确实不在"))) == ["rejected"]
    stage.give(REPORTER, c.Object("在"))
    stage.let_pass(local("2026-06-04 00:01"))
    assert stage.issue.status == "accepted"
    for actor in (COMMUNITY, STREET):
        assert refused(stage.give(actor, c.Reject("不属实"))) == "overruled"


def test_nor_where_nobody_ruled_in_time() -> None:
    stage = rejected()
    stage.give(REPORTER, c.Object("属实"))
    stage.let_pass(local("2026-06-04 00:01"))
    assert refused(stage.give(COMMUNITY, c.Reject("不属实"))) == "overruled"


def test_at_the_top_another_person_rules() -> None:
    stage = rejected(by=STREET)
    stage.give(REPORTER, c.Object("属实"))
    assert refused(stage.give(STREET, c.Deny("objection", "不属实"))) == "rules-on-own"
    assert kinds(stage.give(replace(STREET, person="officer-33"), c.Deny("objection", "不属实"))) == [
        "denied",
        "closed",
    ]


def test_an_answer_and_a_rejection_are_objected_to_on_one_day() -> None:
    """Both rulings were due at the end of the same day: undoing the rejection answers what was objected to before."""
    stage = answered()
    stage.give(REPORTER, c.Object("太慢"))
    stage.give(COMMUNITY, c.Reject("不在本小区"))
    stage.give(REPORTER, c.Object("就在本小区"))
    stage.let_pass(local("2026-06-04 00:01"))
    assert stage.events[-1].kind == "taken_back"
    assert "rule-objection" not in stage.running()


def test_whoever_must_rule_on_a_rejection_is_told_and_holds_the_time() -> None:
    stage = rejected()
    (event,) = stage.give(REPORTER, c.Object("属实"), after=HOUR)
    assert "north" in told(stage, event)
    stage.let_pass(local("2026-06-04 00:01"))
    minutes = stage.minutes()
    assert minutes["resident", None] == pytest.approx(60, abs=1)
    assert minutes["street", "north"] == pytest.approx(60 * 61 - 3, abs=2)


def test_an_objection_outlives_the_handler() -> None:
    stage = answered()
    stage.give(REPORTER, c.Object("太慢"))
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    assert "rule-objection" in stage.running()


def test_urgent_work_does_not_pause_of_itself_after_a_rejection_either() -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Contact())
    assert kinds(stage.give(COMPANY, c.Wait("parts", local("2026-06-03 09:00")))) == ["waited"]
    stage.give(COMMUNITY, c.Reject("不属实"))
    stage.give(COMMUNITY, c.Correct("冒烟了", urgent=True))
    stage.give(REPORTER, c.Object("属实"))
    stage.give(STREET, c.Grant("objection", "属实"))
    stop = stage.issue.paused
    assert stop is None or stop.stops == "nothing"


WORK = {
    "asked": c.Ask("几楼?"),
    "waiting": c.Wait("parts", local("2026-06-02 18:00")),
    "planned": c.Plan((c.Step("换灯", local("2026-06-02 12:00")),)),
    "appointed": c.Schedule(local("2026-06-02 09:00")),
}


@pytest.mark.parametrize("body", WORK.values(), ids=WORK)
def test_a_new_handler_of_a_rejected_issue_begins_with_nothing_of_the_old_one(body: c.Body) -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Contact())
    assert refused(stage.give(COMPANY, body)) is None
    _passes_on(stage)
    assert stage.issue.status == "dispatched"
    assert stage.running().isdisjoint({"ask", "review", "plan-step", "plan-update", "appointment"})
    stage.let_pass(local("2026-07-20 09:00"))
    assert stage.issue.level == "street"


def test_a_shelved_issue_that_is_rejected_passes_on_unshelved() -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(STREET, c.Shelve("等资金"))
    _passes_on(stage, by=STREET)
    assert (stage.issue.shelved, stage.issue.status) == (False, "dispatched")
    stage.let_pass(local("2026-08-01 09:00"))
    assert stage.issue.reminder is not None


def _passes_on(stage: Stage, by: Actor = COMMUNITY) -> None:
    """Rejected, the company's contract ends, and the rejection is undone."""
    stage.give(by, c.Reject("不属实"))
    stage.give(ADMIN, c.DirectoryChanged(place=replace(stage.issue.place, operator="company-b")))
    stage.give(REPORTER, c.Object("属实"))
    stage.give(replace(STREET, person="officer-33"), c.Grant("objection", "属实"))
    assert stage.issue.handler.code == "company-b"


@pytest.mark.parametrize("ruling", [c.Grant("objection", "在"), c.Deny("objection", "不在")])
def test_between_a_ruling_and_what_follows_from_it_a_clock_runs(ruling: c.Grant | c.Deny) -> None:
    stage = rejected()
    stage.give(REPORTER, c.Object("就在本小区"))
    before = stage.issue
    said, _ = stage.give(STREET, ruling)
    assert next_deadline(evolve(before, said)) is not None
