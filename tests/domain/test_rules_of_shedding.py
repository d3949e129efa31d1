"""Whoever is judged does not get rid of the lead, nor of a limit: by size, by hand, by transfers, plans, corrections."""

from dataclasses import replace
from datetime import timedelta

import pytest

import domain.commands as c
import domain.events as e
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    STREET,
    Stage,
    arrived,
    climbs,
    kinds,
    local,
    pack,
    place,
    refused,
)

DAY = 86400


# ------------------------------------------------------------------------------------------- size, by hand, transfers


def test_a_size_moves_the_lead_but_the_handler_s_clauses_run_on_until_the_level_above_accepts() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    arrive = stage.clock("arrive")
    stage.give(COMPANY, c.Assess("big"))
    assert climbs(stage) == [("size", "community")]
    assert stage.clock("arrive") == arrive
    stage.let_pass(local("2026-11-20 10:07"))
    assert stage.clock("arrive").overdue, "on the handler's account"
    stage.give(COMMUNITY, c.Accept())
    assert "arrive" not in stage.running()


def test_a_climb_by_hand_leaves_the_handler_s_clauses_running() -> None:
    stage = arrived("minor")
    minor = stage.clock("minor")
    stage.give(COMPANY, c.Escalate("我们办不了"))
    assert stage.clock("minor") == minor
    stage.let_pass(local("2026-11-20 10:23"))
    assert stage.clock("minor").overdue


def test_the_third_decline_leaves_the_handler_s_clauses_running() -> None:
    stage = Stage()
    for _ in range(3):
        stage.give(COMPANY, c.Decline("not_our_duty"))
        if stage.issue.level == "property":
            stage.give(COMMUNITY, c.Rule(upheld=False))
    assert climbs(stage) == [("transfers", "community")]
    assert {"accept", "community-accept"} <= stage.running()


def test_a_climb_by_the_community_s_hand_is_not_the_handler_s_act() -> None:
    stage = arrived("minor")
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    assert "minor" not in stage.running()


def test_the_size_that_the_level_above_sets_is_the_handler_s_limit_before_and_after_the_return() -> None:
    stage = arrived("big")
    assert stage.issue.level == "community"
    stage.give(COMMUNITY, c.Assess("minor", "接头松了"))
    minor = stage.clock("minor")
    assert minor.due == local("2026-11-20 10:23")
    stage.give(COMMUNITY, c.Return("二十分钟的事"))
    assert stage.clock("minor") == minor


def test_what_the_handler_does_after_it_shed_the_lead_starts_its_next_clause() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Escalate("我们办不了"))
    stage.give(COMPANY, c.Arrive(None))
    assert "assess" in stage.running()
    stage.give(COMMUNITY, c.Return("你们办"))
    assert stage.running() == {"assess"}


def test_what_the_handler_shed_runs_on_though_time_moves_the_lead_once_more() -> None:
    stage = arrived("minor", "3+3+5")
    handle = stage.clock("handle")
    stage.give(COMPANY, c.Escalate("我们办不了"))
    stage.let_pass(local("2026-11-20 13:30"))
    assert climbs(stage) == [("hand", "community"), ("community-accept", "street")]
    assert (stage.clock("handle").start, stage.clock("handle").overdue) == (handle.start, True)
    stage.give(STREET, c.Accept())
    assert "handle" not in stage.running()


def test_whoever_upholds_a_decline_and_takes_the_work_has_shed_nothing() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Decline("not_our_duty"))
    stage.give(COMMUNITY, c.Rule(upheld=True))
    assert (stage.issue.level, stage.issue.handler.code) == ("community", "elm")
    assert stage.running() == {"community-accept", "community-answer"}


def test_a_community_that_handles_and_leads_accepts_both_at_once() -> None:
    stage = Stage()
    stage.give(COMMUNITY, c.Redispatch("elm", "自己办", "community", ("north",)))
    stage.give(COMMUNITY, c.Escalate("自己牵头"))
    assert {"accept", "community-accept"} <= stage.running()
    stage.give(COMMUNITY, c.Accept())
    stage.let_pass(DAY / 24)
    assert "arrive" not in stage.running()
    assert stage.issue.left is None


def test_the_level_above_sets_the_size_back() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Assess("complex", "墙内漏"))
    assert "minor" not in stage.running()
    assert kinds(stage.give(COMMUNITY, c.Assess("minor", "接头松了"))) == ["assessed"]
    assert stage.clock("minor").due == local("2026-11-20 10:22"), "from its first start"


def test_the_level_above_returns_it_in_one_step_and_no_limit_begins_anew() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    arrive = stage.clock("arrive")
    stage.give(COMPANY, c.Assess("big"))
    stage.give(COMMUNITY, c.Return("不是大事"))
    assert (stage.issue.level, stage.issue.status, stage.issue.transfers) == ("property", "accepted", 1)
    assert stage.clock("arrive") == arrive


def test_a_return_that_undoes_a_climb_by_hand_takes_no_step_forward_back() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Escalate("我们办不了"))
    forward = stage.issue.progressed
    stage.give(COMMUNITY, c.Return("你们办"))
    assert stage.issue.progressed == forward


def test_without_a_clause_the_level_above_rules_on_the_size_within_a_working_day() -> None:
    assert "rule-size" not in _shed("52022").running(), "its own clause says by when it accepts"
    stage = _shed("52022 without")
    assert (stage.clock("rule-size").level, stage.clock("rule-size").due) == ("community", local("2026-11-23 23:59:59"))
    stage.give(COMMUNITY, c.Accept())
    assert "rule-size" not in stage.running()


def _shed(policy: str) -> Stage:
    if policy == "52022 without":
        clauses = tuple(each for each in pack("52022").clause if each.id != "community-accept")
        stage = arrived("minor", replace(pack("52022"), clause=clauses))
    else:
        stage = arrived("minor", policy)
    stage.give(COMPANY, c.Escalate("我们办不了"))
    return stage


def test_a_decline_taken_back_without_a_ruling_is_no_transfer() -> None:
    stage = Stage()
    for _ in range(5):
        stage.give(COMPANY, c.Decline("not_our_duty"))
        stage.give(COMPANY, c.Accept() if stage.issue.status == "dispatched" else c.Contact())
    assert (stage.issue.transfers, stage.issue.level) == (0, "property")


def test_a_decline_is_ruled_on_within_a_working_day_and_the_minutes_are_the_ruler_s_only_after_that() -> None:
    stage = Stage("12345", category="facility")
    stage.give(COMPANY, c.Decline("not_our_duty"))
    assert stage.clock("rule-decline").due == local("2026-11-23 23:59:59")
    stage.let_pass(local("2026-11-21 10:00"))
    stage.give(COMMUNITY, c.Comment("在看"), after=0)
    assert set(stage.minutes()) == {("operator", "company-a")}


# -------------------------------------------------------------------------------------------------------------- plans


def plan(*days: float) -> c.Plan:
    start = local("2026-11-20 12:00")
    return c.Plan(tuple(c.Step(f"第{n}步", start + timedelta(days=day)) for n, day in enumerate(days, 1)))


@pytest.mark.parametrize(
    ("days", "needs"),
    [
        ((1,), None),  # within the 15 days of the answer
        ((14, 14.5), None),
        ((17.9,), "community"),  # the first step lies beyond the answer's limit
        ((1, 9), "community"),  # more than a week between two steps
        ((1, 8), None),
    ],
)
def test_when_a_plan_stands_for_an_answer(days: tuple[float, ...], needs: str | None) -> None:
    stage = arrived("complex", "12345", category="fees")
    (event,) = stage.give(COMPANY, plan(*days))
    assert isinstance(event.body, e.Planned)
    assert event.body.needs == needs
    assert (stage.issue.plan is None) == (needs is not None)
    assert ("rule-plan" in stage.running()) == (needs is not None)


def test_a_plan_for_what_is_urgent_stands_only_once_the_place_is_safe() -> None:
    stage = arrived("complex", "12345", urgent=True)
    soon = c.Plan((c.Step("换管", stage.now + timedelta(minutes=50)),))
    (event,) = stage.give(COMPANY, soon, after=0)
    assert event.body.needs == "community"  # pyright: ignore[reportAttributeAccessIssue]
    stage.give(COMPANY, c.Mitigate("关了阀"), after=0)
    (event,) = stage.give(COMPANY, soon, after=0)
    assert event.body.needs is None  # pyright: ignore[reportAttributeAccessIssue]


def test_a_later_plan_never_moves_an_open_step_later_without_a_grant() -> None:
    stage = arrived("complex", "12345", category="fees")
    stage.give(COMPANY, plan(1, 3))
    (event,) = stage.give(COMPANY, plan(2, 3))
    assert event.body.needs == "community"  # pyright: ignore[reportAttributeAccessIssue]
    (event,) = stage.give(COMPANY, plan(1, 2, 5))
    assert event.body.needs is None  # pyright: ignore[reportAttributeAccessIssue]


def test_under_52022_the_first_step_lies_within_the_two_days_for_the_answer() -> None:
    stage = arrived("complex")
    (event,) = stage.give(COMPANY, plan(2.4))
    assert event.body.needs is None  # pyright: ignore[reportAttributeAccessIssue]
    other = arrived("complex")
    (event,) = other.give(COMPANY, plan(2.6))
    assert event.body.needs == "community"  # pyright: ignore[reportAttributeAccessIssue]


# -------------------------------------------------------------------------------------------------------- corrections


def lamp() -> Stage:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Contact())
    return stage


def test_a_corrected_category_moves_the_lead_one_level_and_that_level_keeps_it() -> None:
    stage = lamp()
    stage.let_pass(local("2026-06-03 10:00"))
    stage.give(COMMUNITY, c.Correct("其实是停电", category="utilities"), after=0)
    stage.let_pass(local("2026-06-03 13:59"))
    assert climbs(stage) == [("answer-utilities", "community")]
    stage.let_pass(local("2026-06-03 14:01"))
    assert climbs(stage)[1:] == [("answer-utilities", "street")], "after the four hours in which it accepts"


def test_a_company_that_is_late_does_not_get_rid_of_the_lead_by_calling_it_urgent() -> None:
    stage = lamp()
    stage.let_pass(local("2026-06-03 10:00"))
    stage.give(COMPANY, c.Correct("很急", urgent=True), after=0)
    stage.let_pass(local("2026-06-03 11:59"))
    assert climbs(stage) == []
    stage.let_pass(local("2026-06-03 12:01"))
    assert climbs(stage) == [("answer-urgent", "community")], "one whole limit after the correction"


def test_a_correction_by_the_handler_delays_no_climb() -> None:
    stage = lamp()
    climb = local("2026-06-06 08:00")
    assert stage.clock("answer").climbs[0] == climb
    stage.let_pass(local("2026-06-06 07:30"))
    stage.give(COMPANY, c.Correct("很急", urgent=True), after=0)
    stage.let_pass(climb + timedelta(seconds=30))
    assert climbs(stage) == [("answer-urgent", "community")]


def test_after_an_outage_each_level_keeps_the_lead_for_as_long_as_it_has_to_accept() -> None:
    stage = lamp()
    stage.outage(local("2026-06-20 10:00"))
    assert stage.issue.level == "community"
    stage.let_pass(local("2026-06-20 13:59"))
    assert stage.issue.level == "community"
    stage.let_pass(local("2026-06-20 14:01"))
    assert stage.issue.level == "street"


def test_urgent_climbs_at_half_an_hour_and_an_hour_stay_exact() -> None:
    stage = Stage("12345", urgent=True)
    stage.let_pass(3600 + 60)
    moved = [event.at for event in stage.events if event.kind == "escalated"]
    assert moved == [local("2026-11-20 10:30"), local("2026-11-20 11:00")]


def test_nobody_acts_above_his_place() -> None:
    assert refused(arrived("minor").give(STREET, c.Assess("minor"))) == "assessed-already"


def test_a_plan_for_a_small_problem_begins_within_its_twenty_minutes() -> None:
    stage = arrived("minor")
    (event,) = stage.give(COMPANY, plan(1))
    assert event.body.needs == "community"  # pyright: ignore[reportAttributeAccessIssue]
    assert "minor" in stage.running()


def test_a_plan_that_does_not_stand_for_an_answer_is_ruled_on_above_whoever_owes_the_answer() -> None:
    stage = arrived("complex", "12345", category="fees")
    stage.give(COMPANY, c.Escalate("要社区出面"))
    (event,) = stage.give(COMPANY, plan(17.9))
    assert event.body.needs == "street"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_community_that_does_the_work_does_not_rule_on_its_own_decline() -> None:
    stage = Stage("52022", where=place(None))
    stage.give(COMMUNITY, c.Decline("not_our_duty"))
    assert refused(stage.give(COMMUNITY, c.Rule(upheld=False))) == "rules-above"
    assert kinds(stage.give(STREET, c.Rule(upheld=False))) == ["ruled"]


@pytest.mark.parametrize("anew", ["handler", "policy"])
def test_what_a_correction_put_off_holds_for_that_handler_and_policy_only(anew: str) -> None:
    stage = Stage("12345", category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Correct("冒烟了", urgent=True))
    assert stage.issue.floors == {"answer-urgent": local("2026-11-20 12:02")}
    if anew == "handler":
        stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    else:
        stage.give(ADMIN, c.ChangePolicy("12345", "错绑", replace(pack("12345"), version=2)))
    stage.let_pass(local("2026-11-20 10:31"))
    assert stage.events[-1].at == local("2026-11-20 10:30"), "half an hour after the dispatch"


# ------------------------------------------------------------------------------- who leads does not choose its limits


@pytest.mark.parametrize(
    ("details", "body"),
    [({"category": "utilities"}, c.Correct("不是水电", "noise")), ({"urgent": True}, c.Correct("不急", urgent=False))],
)
def test_the_community_that_leads_does_not_correct_its_own_limits(details: dict[str, object], body: c.Correct) -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), **{"category": "fees", **details})  # pyright: ignore[reportArgumentType]
    stage.let_pass(local("2026-06-01 16:01" if "category" in details else "2026-06-01 10:31"))
    assert stage.issue.level == "community"
    assert refused(stage.give(COMMUNITY, body)) == "corrected-from-above"
    assert kinds(stage.give(STREET, body)) == ["corrected"]


def test_the_community_that_does_the_work_itself_does_not_correct_its_own_limits() -> None:
    stage = Stage("12345", category="fees", urgent=True)
    stage.give(COMMUNITY, c.Redispatch("elm", "社区自己办", "community", ("north",)))
    assert stage.issue.level == "property"
    assert refused(stage.give(COMMUNITY, c.Correct("不急", urgent=False))) == "corrected-from-above"


def test_the_street_sets_back_the_size_by_which_the_community_gave_itself_more_time() -> None:
    """Nobody has accepted the work; still the size is not the community's alone."""
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="fees")
    stage.let_pass(local("2026-06-03 09:00"))
    assert (stage.issue.level, stage.issue.status) == ("community", "dispatched")
    due = stage.clock("answer").climbs
    stage.give(COMMUNITY, c.Assess("complex", "涉及几家"))
    assert stage.clock("answer-complex").climbs > due
    assert kinds(stage.give(STREET, c.Assess("minor", "一家的事"))) == ["assessed"]
    assert stage.clock("answer").climbs == due
