"""Dated steps: each is missed once, climbs by day, and gives way to no longer plan until that is granted."""

from datetime import timedelta

import pytest

import domain.commands as c
from tests.domain.play import (
    COMMUNITY,
    COMPANY,
    REPORTER,
    STREET,
    VOLUNTEERS,
    Stage,
    arrived,
    climbs,
    kinds,
    local,
    place,
    refused,
)
from tests.domain.test_rules_of_long_work import TWO_STEPS, VOTE


def planned(*dues: str, size: str = "minor") -> Stage:
    """A plan with these steps is in force, and the resident knows it."""
    stage = arrived(size)  # pyright: ignore[reportArgumentType]
    stage.give(COMPANY, c.Plan(tuple(c.Step(f"第{n}步", local(due)) for n, due in enumerate(dues, 1))))
    stage.give(COMPANY, c.Answer("按计划办"))
    return stage


def taken_over(stage: Stage) -> Stage:
    """The community leads and has done all that its own clauses ask for."""
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Answer("社区盯着"))
    return stage


def missed(stage: Stage) -> list[tuple[str, str]]:
    return [(event.kind, event.level) for event in stage.events if event.clause == "plan-step"]


def test_a_step_done_out_of_order_does_not_let_the_missed_one_climb_again() -> None:
    stage = planned("2026-11-25 18:00", "2026-11-30 18:00", "2026-12-02 18:00")
    stage.let_pass(local("2026-11-26 09:00"))
    taken_over(stage)
    for step in (3, 2):
        stage.give(COMPANY, c.StepDone(step))
        stage.let_pass(3600)
    assert missed(stage) == [("overdue", "property"), ("escalated", "community")]


def test_steps_missed_together_climb_once() -> None:
    stage = planned("2026-11-25 18:00", "2026-11-26 18:00", "2026-11-27 18:00")
    stage.let_pass(local("2026-11-26 09:00"))
    taken_over(stage)
    stage.let_pass(local("2026-11-29 09:00"))
    stage.give(COMPANY, c.StepDone(1))
    stage.let_pass(3600)
    assert missed(stage) == [("overdue", "property"), ("escalated", "community"), ("overdue", "community")]


def test_a_missed_step_climbs_by_day() -> None:
    stage = planned("2026-11-25 23:59:59")
    stage.let_pass(local("2026-11-26 09:00"))
    late = [(event.kind, event.at) for event in stage.events if event.clause == "plan-step"]
    assert late == [("overdue", local("2026-11-25 23:59:59")), ("escalated", local("2026-11-26 08:00"))]


def test_a_climb_that_waits_for_the_morning_does_not_take_effect_in_a_pause() -> None:
    stage = planned("2026-11-25 23:59:59")
    stage.let_pass(local("2026-11-26 06:00"))
    stage.give(COMPANY, c.Wait("weather", local("2026-11-27 10:00")), after=0)
    stage.let_pass(local("2026-11-27 10:01"))
    assert climbs(stage) == [("plan-step", "community")]
    assert stage.events[-1].at == local("2026-11-27 10:00:01"), "once the end of the pause was on record"


def test_a_plan_in_force_runs_on_until_a_longer_one_is_granted() -> None:
    stage = planned("2026-11-25 18:00")
    stage.give(COMPANY, VOTE)
    stage.let_pass(local("2026-11-24 10:00"))
    assert {"plan-step", "plan-update"} <= stage.running()
    stage.let_pass(local("2026-11-25 18:01"))
    assert climbs(stage) == [("plan-step", "community")]


def test_denied_a_longer_plan_leaves_the_one_in_force() -> None:
    stage = planned("2026-11-25 18:00")
    stage.give(COMPANY, VOTE)
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert stage.issue.status == "answered"
    assert stage.clock("plan-step").due == local("2026-11-25 18:00")
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "not-now"


def test_an_answer_given_before_the_plan_is_not_lost_with_it() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Answer("要开会"))
    stage.give(COMPANY, VOTE)
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert stage.issue.status == "answered"


def test_a_proposal_meets_its_clause_when_it_is_granted_and_the_answer_counts_from_then() -> None:
    stage = arrived()
    stage.give(COMPANY, VOTE)
    stage.let_pass(local("2026-11-21 10:00"))
    granted = stage.give(COMMUNITY, c.Grant("plan"), after=0)[0]
    assert (granted.kind, granted.clause, granted.was_due) == ("granted", "plan", local("2026-11-22 23:59:59"))
    assert stage.running() == {"answer", "plan-step", "plan-update"}
    assert stage.clock("answer").due == local("2026-11-23 23:59:59")


def test_nobody_grants_in_time_and_the_plan_that_is_owed_climbs() -> None:
    stage = arrived()
    stage.give(COMPANY, VOTE)
    stage.let_pass(local("2026-11-23 09:00"))
    assert climbs(stage) == [("plan", "community")]


def test_a_plan_granted_after_its_first_step_shows_red_and_does_not_climb() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Plan((c.Step("报价", local("2026-11-20 10:10")), c.Step("表决", local("2026-12-31 18:00")))))
    stage.let_pass(local("2026-11-20 10:12"))
    stage.give(COMMUNITY, c.Grant("plan"), after=0)
    stage.let_pass(60)
    assert missed(stage) == [("overdue", "property")]


def test_plans_that_follow_each_other_count_from_the_first() -> None:
    stage = planned("2026-12-03 18:00", size="complex")
    longer = c.Plan((c.Step("再等", local("2026-12-10 18:00")),))
    assert [event.body.needs for event in stage.give(COMPANY, longer)] == ["community"]  # pyright: ignore[reportAttributeAccessIssue]
    assert stage.clock("plan-step").due == local("2026-12-03 18:00")


def test_work_that_is_redone_begins_its_own_count() -> None:
    stage = planned("2026-12-03 18:00", size="complex")
    stage.let_pass(local("2026-11-27 10:00"))
    stage.give(COMPANY, c.Complete(answer="好了"))
    stage.give(REPORTER, c.Reopen("没好"))
    stage.give(COMPANY, c.Accept())
    fresh = c.Plan((c.Step("重做", local("2026-12-10 18:00")),))
    assert [event.body.needs for event in stage.give(COMPANY, fresh)] == [None]  # pyright: ignore[reportAttributeAccessIssue]


def test_after_the_last_step_the_work_itself_is_due() -> None:
    stage = planned("2026-11-21 18:00")
    stage.give(COMPANY, c.StepDone(1))
    clock = stage.clock("plan-step")
    assert (clock.milestone, clock.due) == ("complete", local("2026-11-27 23:59:59"))
    for _ in range(3):
        stage.let_pass(timedelta(days=2).total_seconds())
        stage.give(COMPANY, c.Comment("快了"))
    assert stage.clock("plan-step").due == clock.due, "words do not put it off"
    stage.let_pass(local("2026-11-28 09:00"))
    assert climbs(stage) == [("plan-step", "community")]


def test_a_denied_plan_does_not_give_the_new_handler_what_the_old_one_had_done() -> None:
    stage = arrived()
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    stage.give(VOLUNTEERS, c.Accept())
    stage.give(VOLUNTEERS, VOTE)
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert stage.issue.status == "accepted"
    assert kinds(stage.give(VOLUNTEERS, c.Arrive())) == ["arrived"]


def test_a_plan_that_is_granted_leaves_a_wish_for_more_time_open() -> None:
    stage = arrived(policy="12345")
    stage.give(COMPANY, c.Contact())
    stage.give(COMPANY, c.Extend("要协调"))
    stage.give(COMPANY, VOTE)
    stage.give(COMMUNITY, c.Grant("plan"))
    assert kinds(stage.give(COMMUNITY, c.Grant())) == ["extended"]


@pytest.mark.parametrize("body", [c.Arrive(), TWO_STEPS])
def test_what_the_lead_does_takes_no_step_from_the_handler(body: c.Body) -> None:
    stage = Stage()
    stage.let_pass(31 * 60)
    stage.give(COMMUNITY, body)
    assert stage.issue.status == "dispatched"
    assert kinds(stage.give(COMPANY, c.Accept())) == ["accepted"]
    assert kinds(stage.give(COMPANY, c.Arrive())) == ["arrived"]


def test_a_plan_is_granted_by_the_street_where_the_community_is_the_operator() -> None:
    stage = Stage(where=place("society"))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, VOTE)
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "not-yours"
    assert kinds(stage.give(STREET, c.Grant("plan"))) == ["granted"]
