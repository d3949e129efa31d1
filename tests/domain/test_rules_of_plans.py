"""Dated plan steps: each is missed once, climbs by day, and stays in force until a longer plan is granted."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

import domain.commands as c
import domain.events as e
from domain.vocabulary import WaitReason
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
from tests.domain.test_rules_of_long_work import TWO_STEPS, VOTE


def steps(*dues: str) -> c.Plan:
    """A plan with a step for each of these times."""
    return c.Plan(tuple(c.Step(f"第{n}步", local(due)) for n, due in enumerate(dues, 1)))


def planned(*dues: str, size: str = "minor") -> Stage:
    """A plan with these steps is in force, and the resident knows it; it needs no grant, or the community gave it."""
    stage = arrived(size)  # pyright: ignore[reportArgumentType]
    stage.give(COMPANY, steps(*dues))
    if stage.issue.proposed is not None:
        stage.give(COMMUNITY, c.Grant("plan"), after=0)
    stage.give(COMPANY, c.Answer("按计划办"))
    return stage


def waits(stage: Stage, reason: WaitReason, review: str) -> None:
    """The company pauses for longer than it may by itself, and the community grants it at once."""
    assert kinds(stage.give(COMPANY, c.Wait(reason, local(review)), after=0)) == ["requested"]
    assert kinds(stage.give(COMMUNITY, c.Grant("pause"), after=0)) == ["granted"]


def taken_over(stage: Stage) -> Stage:
    """The community leads and has done all that its own clauses ask for."""
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Answer("社区盯着"))
    return stage


def missed(stage: Stage) -> list[tuple[str, str]]:
    return [(event.kind, event.level) for event in stage.events if event.clause == "plan-step"]


def test_a_step_done_out_of_order_does_not_let_the_missed_one_climb_again() -> None:
    stage = planned("2026-11-22 18:00", "2026-11-28 18:00", "2026-12-02 18:00")
    stage.let_pass(local("2026-11-23 09:00"))
    taken_over(stage)
    for step in (3, 2):
        stage.give(COMPANY, c.StepDone(step))
        stage.let_pass(3600)
    assert missed(stage) == [("overdue", "property"), ("escalated", "community")]


def test_steps_missed_together_climb_once() -> None:
    stage = planned("2026-11-22 18:00", "2026-11-23 18:00", "2026-11-24 18:00")
    stage.let_pass(local("2026-11-23 09:00"))
    taken_over(stage)
    stage.let_pass(local("2026-11-26 09:00"))
    stage.give(COMPANY, c.StepDone(1))
    stage.let_pass(3600)
    assert missed(stage) == [("overdue", "property"), ("escalated", "community"), ("overdue", "community")]


def test_a_missed_step_climbs_by_day() -> None:
    stage = planned("2026-11-22 23:59:59")
    stage.let_pass(local("2026-11-23 09:00"))
    late = [(event.kind, event.at) for event in stage.events if event.clause == "plan-step"]
    assert late == [("overdue", local("2026-11-22 23:59:59")), ("escalated", local("2026-11-23 08:00"))]


def test_a_climb_that_waits_for_the_morning_does_not_take_effect_in_a_pause() -> None:
    stage = planned("2026-11-22 23:59:59")
    stage.let_pass(local("2026-11-23 06:00"))
    stage.give(COMPANY, c.Wait("weather", local("2026-11-24 10:00")), after=0)
    stage.let_pass(local("2026-11-24 10:01"))
    assert climbs(stage) == [("plan-step", "community")]
    assert stage.events[-1].at == local("2026-11-24 10:00"), "at the end of the pause"


def test_a_missed_step_of_what_became_urgent_waits_for_no_morning() -> None:
    stage = planned("2026-11-22 23:59:59")
    stage.give(COMMUNITY, c.Correct("冒烟了", urgent=True))
    stage.let_pass(local("2026-11-23 00:01"))
    assert climbs(stage) == [("plan-step", "community")]


def test_a_plan_in_force_runs_on_until_a_longer_one_is_granted() -> None:
    stage = planned("2026-11-22 18:00")
    stage.give(COMPANY, VOTE)
    stage.let_pass(local("2026-11-22 10:00"))
    assert {"plan-step", "plan-update"} <= stage.running()
    stage.let_pass(local("2026-11-22 18:01"))
    assert climbs(stage) == [("plan-step", "community")]


def test_a_plan_that_needs_no_grant_takes_the_place_of_one_that_waits() -> None:
    stage = arrived()
    stage.give(COMPANY, VOTE)
    stage.give(COMPANY, TWO_STEPS)
    assert "rule-plan" not in stage.running()
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "not-asked"
    assert stage.clock("plan-step").due == local("2026-11-22 18:00")


def test_denied_a_longer_plan_leaves_the_one_in_force() -> None:
    stage = planned("2026-11-22 18:00")
    stage.give(COMPANY, VOTE)
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert stage.issue.status == "answered"
    assert stage.clock("plan-step").due == local("2026-11-22 18:00")
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "not-asked"


def test_an_answer_given_before_a_plan_is_in_force_is_owed_again() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Answer("要开会"))
    stage.give(COMPANY, VOTE)
    stage.give(COMPANY, c.Answer("等业主表决"))
    assert stage.issue.status == "planned"
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert stage.issue.status == "arrived"
    stage.give(COMPANY, TWO_STEPS)
    assert "answer" in stage.running()


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
    stage = planned("2026-11-22 18:00", "2026-11-28 18:00", "2026-12-03 18:00", size="complex")
    stage.give(COMPANY, c.StepDone(1))
    stage.let_pass(local("2026-11-25 10:00"))
    longer = steps("2026-11-28 18:00", "2026-12-03 18:00", "2026-12-08 18:00")
    assert [event.body.needs for event in stage.give(COMPANY, longer)] == ["community"]  # pyright: ignore[reportAttributeAccessIssue]
    assert stage.clock("plan-step").due == local("2026-11-28 18:00")


def test_work_that_is_redone_begins_its_own_count() -> None:
    stage = planned("2026-11-22 18:00", "2026-11-28 18:00", size="complex")
    stage.give(COMPANY, c.StepDone(1))
    stage.let_pass(local("2026-11-27 10:00"))
    stage.give(COMPANY, DONE)
    stage.give(REPORTER, c.Reopen("没好"))
    stage.give(COMPANY, c.Accept())
    fresh = steps("2026-11-29 18:00", "2026-12-05 18:00", "2026-12-10 18:00")
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
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "operator-here"
    assert kinds(stage.give(STREET, c.Grant("plan"))) == ["granted"]


# ------------------------------------------------------------------------------------------------- plans and pauses


@pytest.mark.parametrize("order", ["step first", "resume first"])
def test_a_step_done_while_the_clock_stands_still_leaves_the_next_one_its_climb(order: str) -> None:
    stage = planned("2026-11-22 18:00", "2026-11-27 18:00")
    stage.let_pass(local("2026-11-21 10:00"))
    waits(stage, "weather", "2026-12-01 10:00")
    stage.let_pass(local("2026-11-30 10:00"))
    for body in (c.StepDone(1), c.Resume()) if order == "step first" else (c.Resume(), c.StepDone(1)):
        stage.give(COMPANY, body, after=0)
    clock = stage.clock("plan-step")
    assert (clock.due, clock.climbs) == (local("2026-12-06 18:00"), (local("2026-12-06 18:00"),))


@pytest.mark.parametrize("granted", ["in the pause", "after it"])
def test_a_proposal_stands_still_with_the_clock(granted: str) -> None:
    stage = arrived("minor")
    stage.give(COMPANY, steps("2026-11-23 18:00", "2026-12-31 18:00"))
    waits(stage, "vote", "2026-12-01 10:00")
    stage.let_pass(local("2026-11-26 10:03"))
    for body in (c.Grant("plan"), c.Resume()) if granted == "in the pause" else (c.Resume(), c.Grant("plan")):
        stage.give(COMMUNITY, body, after=0)
    clock = stage.clock("plan-step")
    assert (clock.due, clock.climbs) == (local("2026-11-29 18:00"), (local("2026-11-29 18:00"),))


def test_the_date_for_completing_ends_with_a_day_after_a_pause_too() -> None:
    stage = planned("2026-11-21 18:00")
    stage.give(COMPANY, c.StepDone(1))
    stage.give(COMPANY, c.Wait("parts", local("2026-11-23 10:00")))
    stage.let_pass(3600)
    stage.give(COMPANY, c.Resume(), after=0)
    assert stage.clock("plan-step").due == local("2026-11-27 23:59:59"), "the day of the start did not count anyway"


def test_a_published_calendar_moves_the_date_for_completing_and_its_climb() -> None:
    weekly = pack("52022")
    weekly = replace(weekly, plan=replace(weekly.plan, update=Limit(5, "wd")))
    stage = Stage(weekly, at=local("2026-12-28 10:00"))
    for body in (c.Accept(), c.Arrive("complex"), c.Plan((c.Step("换管", local("2026-12-29 18:00")),)), c.StepDone(1)):
        stage.give(COMPANY, body)
    clock = stage.clock("plan-step")
    assert (clock.due, clock.provisional) == (local("2027-01-04 23:59:59"), True)
    assert clock.climbs == (local("2027-01-20 08:00"),), "as late as any calendar could have it"
    stage.give(ADMIN, c.CalendarPublished(YearCalendar(2027, 1, off=(date(2027, 1, 1), date(2027, 1, 4)), on=())))
    clock = stage.clock("plan-step")
    assert (clock.due, clock.climbs) == (local("2027-01-06 23:59:59"), (local("2027-01-07 08:00"),))


def test_a_pause_that_begins_before_the_end_of_an_earlier_one_is_recorded_moves_nothing_twice() -> None:
    stage = planned("2026-11-22 18:00")
    stage.give(COMPANY, c.Wait("parts", local("2026-11-20 20:00")))
    began = stage.now
    again = replace(stage.command(COMPANY, c.Wait("weather", local("2026-11-21 12:00"))), at=local("2026-11-20 21:00"))
    stage.fold([again], now=local("2026-11-21 10:00"))
    stage.let_pass(local("2026-11-21 12:00:05"))
    stood = local("2026-11-21 12:00") - began - timedelta(hours=1)  # it ran from 20:00 to 21:00
    assert stage.clock("plan-step").due == local("2026-11-22 18:00") + stood


def test_a_third_plan_counts_from_the_first_too() -> None:
    dues = ["2026-11-22 18:00", "2026-11-27 18:00"]
    stage = planned(*dues)
    needs = []
    for due in ("2026-12-03 18:00", "2026-12-06 18:00"):
        stage.let_pass(86_000)
        dues.append(due)
        needs += [event.body.needs for event in stage.give(COMPANY, steps(*dues))]  # pyright: ignore[reportAttributeAccessIssue]
    assert needs == [None, "community"]


def test_time_in_which_the_clock_stood_still_does_not_make_a_plan_longer() -> None:
    stage = planned("2026-11-22 18:00")
    waits(stage, "weather", "2026-12-01 10:00")
    stage.let_pass(local("2026-12-01 10:05"))
    again = stage.give(COMPANY, steps("2026-12-03 10:00", "2026-12-09 18:00", "2026-12-14 18:00"))
    assert again[0].body.needs is None  # pyright: ignore[reportAttributeAccessIssue]


def test_an_overdue_plan_update_stays_overdue_through_a_pause() -> None:
    stage = planned("2026-12-04 18:00")
    stage.let_pass(local("2026-11-28 10:00"))
    assert stage.clock("plan-update").overdue
    stage.give(REPORTER, c.Comment("怎么样了"))
    due = stage.clock("plan-update").due
    stage.give(STREET, c.Shelve("等专项资金"))
    assert not stage.clock("plan-update").overdue, "to shelve it is a word"
    assert stage.clock("plan-update").due != due


def test_denied_a_plan_leaves_what_was_done_meanwhile() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, VOTE)
    stage.give(COMPANY, c.Arrive("complex"))
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert stage.issue.status == "arrived"
    by_lead = Stage()
    by_lead.give(COMPANY, c.Escalate("办不了"))
    by_lead.give(COMMUNITY, c.Plan((c.Step("动用维修资金", local("2027-03-01 18:00")),)))
    for body in (c.Accept(), c.Arrive("complex"), c.Plan((c.Step("表决", local("2027-03-01 18:00")),))):
        by_lead.give(COMPANY, body)
    by_lead.give(STREET, c.Deny("plan", "不必"))
    assert by_lead.issue.status == "arrived"


def test_a_grant_that_meets_handle_says_so() -> None:
    stage = arrived(None, policy="3+3+5")
    stage.give(COMPANY, c.Mitigate("关了阀"))
    stage.give(COMPANY, VOTE)
    granted = stage.give(COMMUNITY, c.Grant("plan"))[0]
    assert (granted.clause, granted.was_due) == ("handle", local("2026-11-20 13:02"))


def test_another_far_plan_gives_whoever_must_rule_no_more_time() -> None:
    """Else a plan a day would keep the level above from ever being late with its ruling."""
    stage = arrived("complex", "12345", category="fees")
    stage.give(COMPANY, c.Plan((c.Step("换管", stage.now + timedelta(days=30)),)))
    due = stage.clock("rule-plan").due
    stage.give(COMPANY, c.Plan((c.Step("换管", stage.now + timedelta(days=29)),)), after=3600)
    assert stage.clock("rule-plan").due == due
    stage.let_pass(due + timedelta(minutes=1))
    stage.give(COMPANY, c.Plan((c.Step("换管", stage.now + timedelta(days=28)),)))
    assert stage.clock("rule-plan").overdue


def test_a_longer_plan_is_for_the_street_to_rule_on_from_when_it_was_asked() -> None:
    """It was not asked before, so it is not late for what the community left undone."""
    stage = arrived("complex", "12345", category="fees")
    stage.give(COMPANY, c.Plan((c.Step("换管", stage.now + timedelta(days=30)),)))
    due = stage.clock("rule-plan").due
    stage.let_pass(due + timedelta(minutes=1))
    assert stage.clock("rule-plan").overdue
    stage.give(COMPANY, c.Plan((c.Step("换管", stage.now + timedelta(days=61)),)))
    clock = stage.clock("rule-plan")
    assert (clock.level, clock.overdue) == ("street", False)
    assert clock.due > due + timedelta(days=1)


def test_once_the_street_was_asked_no_shorter_plan_goes_back_to_the_community() -> None:
    """Else two plans in turn would keep either level from ever being late with its ruling."""
    stage = arrived("complex", "12345", category="fees")
    stage.give(COMPANY, c.Plan((c.Step("换管", stage.now + timedelta(days=61)),)))
    due = stage.clock("rule-plan").due
    planned = stage.give(COMPANY, c.Plan((c.Step("换管", stage.now + timedelta(days=30)),)), after=100_000)[-1]
    assert isinstance(planned.body, e.Planned)
    assert planned.body.needs == "street"
    assert (stage.clock("rule-plan").level, stage.clock("rule-plan").due) == ("street", due)
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "rules-above"
