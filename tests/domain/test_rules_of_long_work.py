"""Extensions, dated plans, and days beyond the published calendars."""

from dataclasses import replace
from datetime import date

import pytest

import domain.commands as c
import domain.events as e
from domain.worktime import Limit, YearCalendar
from tests.domain.play import (
    ADMIN,
    CALENDARS,
    COMMUNITY,
    COMPANY,
    DONE,
    REPORTER,
    SETTLED_2027,
    STREET,
    Stage,
    arrived,
    kinds,
    local,
    pack,
    place,
    refused,
)

TWO_STEPS = c.Plan((c.Step("关阀", local("2026-11-22 18:00")), c.Step("换管", local("2026-11-28 18:00"))))
WEEKLY = c.Plan(tuple(c.Step("一层层换", local(f"2026-{day} 18:00")) for day in ("11-22", "11-29", "12-06", "12-13")))
"""It begins in time and goes on every week, but lasts more than 15 days."""
VOTE = c.Plan((c.Step("业主表决", local("2026-12-31 18:00")),))
FUND = c.Plan((c.Step("动用维修资金", local("2027-03-01 18:00")),))


# -------------------------------------------------------------------------------------------------------- extensions


def test_more_time_is_granted_from_above() -> None:
    stage = arrived()
    requested = stage.give(COMPANY, c.Extend("要勘察"))[0]
    assert isinstance(requested.body, e.Requested)
    assert (requested.body.clause, requested.body.by) == ("plan", Limit(2, "nd"))
    assert stage.clock("plan").due == local("2026-11-22 23:59:59"), "until then the old clock runs"
    assert refused(stage.give(COMPANY, c.Grant())) == "not-yours"
    assert refused(stage.give(COMPANY, c.Extend("再要"))) == "extend-asked"
    extended = stage.give(COMMUNITY, c.Grant())[0]
    assert (extended.kind, extended.clause, extended.due) == ("extended", "plan", local("2026-11-24 23:59:59"))
    assert stage.clock("plan").climbs == (local("2026-11-25 08:00"),), (
        "it moves before it lands, and still lands by day"
    )
    assert refused(stage.give(COMPANY, c.Extend("还要"))) == "extended-enough"


@pytest.mark.parametrize("by", [Limit(3, "nd"), Limit(2, "wd"), Limit(1, "h")])
def test_no_more_time_than_the_policy_allows(by: Limit) -> None:
    assert refused(arrived().give(COMPANY, c.Extend("要勘察", by))) == "extend-far"


def test_less_time_may_be_asked_for() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要勘察", Limit(1, "nd")))
    stage.give(COMMUNITY, c.Grant())
    assert stage.clock("plan").due == local("2026-11-23 23:59:59")


def test_an_extension_denied_changes_nothing_and_does_not_count() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要勘察"))
    stage.give(COMMUNITY, c.Deny("extend", "昨天就看过"))
    assert stage.clock("plan").due == local("2026-11-22 23:59:59")
    assert kinds(stage.give(COMPANY, c.Extend("下雨了"))) == ["requested"]


def test_a_community_cannot_grant_its_own_extension() -> None:
    stage = Stage(where=place(None))
    stage.give(COMMUNITY, c.Extend("要协调"))
    assert refused(stage.give(COMMUNITY, c.Grant())) == "rules-above"
    assert kinds(stage.give(STREET, c.Grant())) == ["extended"]


def test_above_the_street_there_is_nobody() -> None:
    stage = Stage()
    stage.give(STREET, c.Escalate("要社区"))
    stage.give(STREET, c.Escalate("要街道"))
    assert refused(stage.give(STREET, c.Extend("要协调"))) == "nobody-above"


def test_a_wish_for_time_and_a_long_plan_are_decided_apart() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, FUND)
    stage.give(COMPANY, c.Extend("答复要时间"))
    assert kinds(stage.give(COMMUNITY, c.Grant("extend"))) == ["extended"]
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "rules-above"


def test_a_wish_for_time_lapses_with_its_clock() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要勘察"))
    stage.give(COMPANY, TWO_STEPS)
    assert refused(stage.give(COMMUNITY, c.Grant())) == "not-asked"
    assert kinds(stage.give(COMPANY, c.Extend("答复要时间"))) == ["requested"]


def test_only_a_promise_can_be_extended() -> None:
    stage = arrived()
    stage.give(COMPANY, TWO_STEPS)
    stage.give(COMPANY, c.Answer("周六换管"))
    stage.give(COMPANY, c.Schedule(local("2026-11-24 10:00")))
    assert stage.running() == {"appointment", "plan-step", "plan-update"}
    assert refused(stage.give(COMPANY, c.Extend("改天"))) == "no-limit-of-yours"


def test_extensions_add_up_survive_reassessment_and_stand_still_in_a_pause() -> None:
    twice = replace(pack("52022"), extend=replace(pack("52022").extend, times=2))
    stage = arrived(policy=twice)
    for _ in range(2):
        stage.give(COMPANY, c.Extend("要勘察"))
        stage.give(COMMUNITY, c.Grant())
    assert stage.clock("plan").due == local("2026-11-26 23:59:59")
    stage.give(COMPANY, c.Assess("minor", "看错了"))
    stage.give(COMPANY, c.Assess("complex", "没看错"))
    assert stage.clock("plan").due == local("2026-11-26 23:59:59")
    stage.let_pass(local("2026-11-25 10:00"))
    stage.give(COMPANY, c.Wait("parts", local("2026-12-20 10:00")), after=0)
    stage.give(COMMUNITY, c.Grant("pause"))
    stage.let_pass(local("2026-11-27 10:00"))
    stage.give(COMPANY, c.Resume(), after=0)
    assert stage.clock("plan").due == local("2026-11-27 23:59:59"), "only of the 26th no service time is left"


# ------------------------------------------------------------------------------------------------- plans, long work


def test_the_dated_steps_of_a_plan_take_the_place_of_the_limit() -> None:
    stage = arrived()
    stage.give(COMPANY, TWO_STEPS)
    assert stage.running() == {"answer", "plan-step", "plan-update"}, "the two days for a plan are gone"
    assert stage.clock("plan-step").due == local("2026-11-22 18:00")
    assert stage.clock("plan-update").due == local("2026-11-27 23:59:59")
    stage.give(COMPANY, c.StepDone(1))
    assert stage.clock("plan-step").due == local("2026-11-28 18:00")
    for number, code in ((0, "no-such-step"), (3, "no-such-step"), (1, "step-done")):
        assert refused(stage.give(COMPANY, c.StepDone(number))) == code


def test_a_missed_step_shows_red_and_climbs_each_step_once() -> None:
    stage = arrived()
    stage.give(COMPANY, TWO_STEPS)
    stage.give(COMPANY, c.Answer("周六换管"))
    stage.let_pass(local("2026-11-23 10:00"))
    missed = [(event.kind, event.at, event.level) for event in stage.events if event.clause == "plan-step"]
    at = local("2026-11-22 18:00")
    assert missed == [("overdue", at, "property"), ("escalated", at, "community")]
    stage.let_pass(local("2026-11-23 12:00"))
    assert stage.issue.level == "community"
    for body in (c.Accept(), c.Answer("社区盯着")):
        stage.give(COMMUNITY, body)
    stage.give(COMPANY, c.StepDone(1))
    stage.let_pass(local("2026-11-28 17:59"))
    assert stage.issue.level == "community"
    stage.let_pass(local("2026-11-29 10:00"))
    assert stage.issue.level == "street"


def test_a_plan_is_told_about_at_least_every_week() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-12-04 18:00")),)))
    stage.give(COMMUNITY, c.Grant("plan"))
    stage.give(COMPANY, c.Answer("管子要订"))
    stage.let_pass(local("2026-11-24 10:00"))
    stage.give(REPORTER, c.Comment("怎么样了"))
    assert stage.clock("plan-update").due == local("2026-11-27 23:59:59")
    stage.give(COMPANY, c.Comment("管子已订"))
    assert stage.clock("plan-update").due == local("2026-12-01 23:59:59")
    stage.let_pass(local("2026-12-02 10:00"))
    assert (stage.events[-1].kind, stage.events[-1].clause, stage.issue.level) == ("overdue", "plan-update", "property")


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((), "plan-empty"),
        ((c.Step("过去", local("2026-11-20 09:00")),), "plan-unordered"),
        ((c.Step("后", local("2026-11-30 18:00")), c.Step("先", local("2026-11-25 18:00"))), "plan-unordered"),
    ],
)
def test_a_plan_lies_ahead_in_order(steps, code: str) -> None:
    assert refused(arrived().give(COMPANY, c.Plan(steps))) == code


def test_a_long_plan_is_granted_by_the_community_and_until_then_the_old_clock_runs() -> None:
    stage = arrived("minor")
    planned = stage.give(COMPANY, VOTE)[0]
    assert isinstance(planned.body, e.Planned)
    assert planned.body.needs == "community"
    assert stage.running() == {"minor", "rule-plan"}
    assert kinds(stage.give(COMMUNITY, c.Grant("plan"))) == ["granted"]
    assert stage.running() == {"answer", "plan-step", "plan-update"}


def test_a_plan_over_sixty_days_is_for_the_street() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, FUND)
    assert refused(stage.give(COMMUNITY, c.Grant("plan"))) == "rules-above"
    assert refused(stage.give(COMMUNITY, c.Deny("plan"))) == "rules-above"
    assert kinds(stage.give(STREET, c.Grant("plan"))) == ["granted"]


def test_a_planner_who_may_grant_the_plan_needs_no_grant() -> None:
    community = Stage(where=place(None))
    community.give(COMMUNITY, c.Accept())
    for stage, planner, needs in ((arrived(), COMPANY, "community"), (community, COMMUNITY, None)):
        planned = stage.give(planner, WEEKLY)[0]
        assert isinstance(planned.body, e.Planned)
        assert planned.body.needs == needs


def test_a_plan_denied_leaves_the_work_where_it_stood() -> None:
    stage = arrived()
    stage.give(COMPANY, VOTE)
    assert (stage.issue.status, stage.running()) == ("planned", {"plan", "rule-plan"}), (
        "until it is granted the old clock runs"
    )
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert (stage.issue.status, stage.running()) == ("arrived", {"plan"})
    assert stage.clock("plan").due == local("2026-11-22 23:59:59")
    stage.let_pass(local("2026-11-21 10:00"))
    stage.give(COMPANY, TWO_STEPS)
    assert stage.clock("answer").due == local("2026-11-23 23:59:59"), "from the plan that counts"
    by_phone = Stage("12345")
    by_phone.give(COMPANY, c.Accept())
    by_phone.give(COMPANY, VOTE)
    by_phone.give(COMMUNITY, c.Deny("plan", "太久"))
    assert by_phone.issue.status == "accepted", "nobody had gone there"


def test_a_plan_of_the_lead_that_is_denied_leaves_the_handler_where_it_stood() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Escalate("办不了"))
    stage.give(COMMUNITY, FUND)
    assert stage.issue.status == "dispatched"
    assert kinds(stage.give(COMPANY, c.Accept())) == ["accepted"], "the lead's plan takes no step from the handler"
    stage.give(STREET, c.Deny("plan", "不必动用资金"))
    assert stage.issue.status == "accepted"


def test_a_plan_denied_in_a_pause_leaves_the_pause() -> None:
    stage = arrived()
    stage.give(COMPANY, VOTE)
    stage.give(COMPANY, c.Wait("vote", local("2026-11-22 10:00")))
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert (stage.issue.status, stage.issue.interrupted) == ("waiting", "arrived")
    stage.give(COMPANY, c.Resume())
    assert (stage.issue.status, stage.issue.is_paused) == ("arrived", False)


def test_a_plan_stands_still_with_the_clock() -> None:
    stage = arrived()
    stage.give(COMPANY, TWO_STEPS)
    stage.give(COMPANY, c.Answer("周六换管"))
    stage.let_pass(local("2026-11-21 18:00"))
    stage.give(COMPANY, c.Wait("weather", local("2026-11-23 10:00")), after=0)
    stage.let_pass(local("2026-11-22 18:00"))
    assert kinds(stage.give(COMPANY, c.Resume(), after=0)) == ["resumed"]
    assert stage.clock("plan-step").due == local("2026-11-23 18:00"), "a day was left, a day is left"
    stage.give(COMPANY, c.StepDone(1))
    assert stage.clock("plan-step").due == local("2026-11-29 18:00")


def test_made_safe_with_a_plan_is_handled() -> None:
    stage = arrived(None, policy="3+3+5")
    assert "handle" in stage.running()
    stage.give(COMPANY, TWO_STEPS)
    assert "handle" in stage.running(), "safety first"
    made_safe = stage.give(COMPANY, c.Mitigate("阀门已关"))[0]
    assert (made_safe.clause, made_safe.was_due) == ("handle", local("2026-11-20 13:02"))
    assert stage.running() == {"answer", "plan-step", "plan-update"}


def test_a_missed_appointment_shows_red_without_a_climb() -> None:
    stage = arrived("minor", policy="12345")
    assert refused(stage.give(COMPANY, c.Schedule(stage.now))) == "appointment-past"
    stage.give(COMPANY, c.Schedule(local("2026-11-21 10:00")))
    stage.let_pass(local("2026-11-21 10:01"))
    assert (stage.events[-1].clause, stage.events[-1].kind, stage.issue.level) == ("appointment", "overdue", "property")


# --------------------------------------------------------------------------------- days that nobody has published yet

ONE_PROMISE = replace(
    pack("3+3+5"),
    clause=tuple(clause for clause in pack("3+3+5").clause if clause.id == "answer"),
    climb_lands="at once",
)
MONDAY = local("2026-12-28 10:00")
"""Five working days from here end on 4 January 2027, if 1 January were one."""


def calendar_2027(*off: int) -> YearCalendar:
    return YearCalendar(2027, 1, off=tuple(date(2027, 1, day) for day in off), on=())


def test_a_provisional_deadline_turns_red_and_climbs_as_late_as_any_calendar_could_have_it() -> None:
    stage = Stage(ONE_PROMISE, at=MONDAY)
    stage.let_pass(local("2027-01-21 10:00"))
    assert [(event.kind, event.at) for event in stage.events if event.clause == "answer"] == [
        ("warned", local("2027-01-01 23:59:59")),
        ("overdue", local("2027-01-04 23:59:59")),
        ("escalated", local("2027-01-19 23:59:59")),
    ]
    assert stage.issue.level == "community"


def test_once_the_calendar_is_published_it_climbs_at_once_if_it_should_have_climbed_before() -> None:
    stage = Stage(ONE_PROMISE, at=MONDAY)
    stage.let_pass(local("2027-01-12 10:00"))
    published_at = local("2027-01-12 10:01")
    assert kinds(stage.give(ADMIN, c.CalendarPublished(calendar_2027(1)))) == ["calendar_published", "escalated"]
    assert (stage.events[-1].at, stage.events[-1].was_due) == (published_at, local("2027-01-05 23:59:59"))


def test_in_a_year_that_stays_without_a_calendar_a_dispute_reaches_the_top_and_is_brought_up_for_ever() -> None:
    monday = local("2027-01-11 10:00")
    stage = Stage("dispute", at=monday, category="dispute", calendars=())
    stage.let_pass(local("2027-06-30 10:00"))
    settle = [(event.kind, event.at) for event in stage.events if event.clause == "settle"]
    assert ("overdue", local("2027-01-14 23:59:59")) in settle, "three working days"
    assert ("escalated", local("2027-01-30 08:00")) in settle, "15 days later, at opening"
    assert stage.issue.level == "street"
    assert stage.events[-1].kind == "reminded"
    assert stage.issue.reminder is not None


def test_a_limit_in_hours_climbs_at_its_time_in_a_year_without_a_calendar() -> None:
    stage = Stage("3+3+5", at=local("2027-01-11 10:00"), calendars=())
    stage.let_pass(local("2027-01-11 14:00"))
    assert stage.clock("answer").provisional
    assert (stage.events[-1].clause, stage.events[-1].kind, stage.issue.level) == ("arrive", "escalated", "community")


def test_a_calendar_published_in_time_moves_the_deadline() -> None:
    stage = Stage(ONE_PROMISE, at=MONDAY)
    assert stage.clock("answer").provisional
    stage.let_pass(local("2026-12-30 10:00"))
    stage.give(ADMIN, c.CalendarPublished(calendar_2027(1)))
    clock = stage.clock("answer")
    assert (clock.due, clock.provisional) == (local("2027-01-05 23:59:59"), False)
    stage.let_pass(local("2027-01-06 10:00"))
    assert stage.issue.level == "community"


def test_a_published_calendar_withdraws_a_premature_red_light() -> None:
    stage = Stage(ONE_PROMISE, at=MONDAY)
    stage.let_pass(local("2027-01-05 10:00"))
    assert stage.clock("answer").overdue
    stage.give(ADMIN, c.CalendarPublished(calendar_2027(1, 4, 5, 6)))
    assert not stage.clock("answer").overdue
    assert stage.clock("answer").due == local("2027-01-08 23:59:59")
    stage.let_pass(local("2027-01-09 10:00"))
    assert kinds(stage.events[-2:]) == ["overdue", "escalated"]


def test_silence_closes_as_late_as_any_calendar_could_have_it() -> None:
    """Completed on Tuesday 29 December: five working days on is 5 January at the earliest."""
    stage = Stage(ONE_PROMISE, at=local("2026-12-29 10:00"))
    stage.give(COMPANY, c.Accept())
    (completed,) = stage.give(COMPANY, DONE)
    assert (completed.body.silent_until, completed.body.provisional) == (local("2027-01-20 23:59:59"), True)  # pyright: ignore[reportAttributeAccessIssue]
    stage.let_pass(local("2027-01-20 23:59:58"))
    assert stage.issue.status == "completed"
    stage.let_pass(60)
    assert stage.issue.closed is not None
    assert (stage.issue.closed.kind, stage.issue.closed.satisfaction) == ("solved", "not_rated")


def test_a_published_calendar_says_when_silence_closes() -> None:
    stage = Stage(ONE_PROMISE, at=local("2026-12-29 10:00"))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, DONE)
    stage.give(ADMIN, c.CalendarPublished(calendar_2027(1)))
    clock = stage.clock("silence")
    assert (clock.due, clock.provisional) == (local("2027-01-06 23:59:59"), False)


def test_an_older_calendar_does_not_displace_a_newer_one() -> None:
    stage = Stage(calendars=(*CALENDARS, replace(SETTLED_2027, version=2)))
    assert refused(stage.give(ADMIN, c.CalendarPublished(SETTLED_2027))) == "calendar-older"
    newer = replace(SETTLED_2027, version=3)
    assert kinds(stage.give(ADMIN, c.CalendarPublished(newer))) == ["calendar_published"]
    assert [each for each in stage.issue.calendars if each.year == 2027] == [newer]
