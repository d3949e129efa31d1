"""Clocks of an issue: running, paused, shelved, restarted."""

from dataclasses import replace

import domain.commands as c
import domain.events as e
from domain.clocks import next_step
from domain.worktime import Limit
from tests.domain.play import (
    ADMIN,
    ANSWER,
    COMMUNITY,
    COMPANY,
    DONE,
    FRIDAY,
    NEIGHBOUR,
    REPORTER,
    STREET,
    VOLUNTEERS,
    Stage,
    arrived,
    kinds,
    local,
    pack,
    refused,
)

# ---------------------------------------------------------------------------------- clocks of the issue, and of levels


def test_a_clause_of_the_issue_never_restarts() -> None:
    stage = Stage("3+3+5")
    due = local("2026-11-27 23:59:59")
    clock = stage.clock("answer")
    assert clock.due == due
    stage.let_pass(local("2026-11-21 09:00"))
    stage.give(COMMUNITY, c.Accept())
    assert stage.clock("answer") == clock
    stage.give(COMMUNITY, c.Return("物业再办"))
    stage.give(COMMUNITY, c.Redispatch("helpers", "换人", "volunteers"))
    assert (stage.clock("answer").start, stage.clock("answer").due) == (clock.start, due)
    stage.let_pass(local("2026-11-30 09:00"))
    assert [event.at for event in stage.events if event.clause == "answer" and event.kind == "overdue"] == [due]


def test_the_next_level_s_clock_starts_when_the_climb_is_recorded() -> None:
    stage = Stage()
    events = stage.outage(local("2026-11-20 15:00"))
    assert [(event.kind, event.at) for event in events] == [
        ("overdue", local("2026-11-20 10:10")),
        ("escalated", local("2026-11-20 10:30")),
    ], "nobody is warned of moments past"
    assert {event.recorded_at for event in events} == {local("2026-11-20 15:00")}
    assert stage.clock("community-accept").due == local("2026-11-20 17:00")
    assert stage.minutes() == {("operator", "company-a"): 30, ("nobody", None): 270}


def test_a_level_s_clause_that_counts_from_the_report_does_so_after_a_climb_too() -> None:
    sit = replace(pack("dispute").clause[1], level="community")
    stage = Stage(replace(pack("52022"), clause=(*pack("52022").clause, sit)))
    stage.let_pass(local("2026-11-21 09:00"))
    assert stage.issue.level == "community"
    assert (stage.clock("sit").start.at, stage.clock("sit").due) == (FRIDAY, local("2026-11-24 23:59:59"))


def test_a_clause_that_starts_with_a_size_waits_for_it() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive())
    assert stage.running() == {"assess"}
    stage.give(COMPANY, c.Assess("minor"))
    assert stage.clock("minor").due == local("2026-11-20 10:23")


def test_reassessment_keeps_the_time_that_has_passed() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Assess("complex", "墙内漏"))
    assert (stage.running(), stage.clock("plan").due) == ({"plan"}, local("2026-11-22 23:59:59"))
    stage.give(COMPANY, c.Assess("minor", "看错了"))
    assert stage.clock("minor").due == local("2026-11-20 10:22"), "from the first time it was said"

    red = arrived("minor")
    red.let_pass(local("2026-11-20 10:30"))
    red.give(COMPANY, c.Assess("complex", "墙内漏"))
    red.give(COMPANY, c.Assess("minor", "看错了"))
    assert red.let_pass(60) == [], "the light that went on for it is on still; it does not go on twice"
    assert red.clock("minor").overdue

    general = Stage("12345")
    assert general.clock("answer").due == local("2026-11-27 23:59:59")
    general.give(COMPANY, c.Accept())
    general.give(COMPANY, c.Assess("complex"))
    assert general.clock("answer-complex").due == local("2026-12-07 23:59:59"), "the 5th is a Saturday"


def test_a_change_of_policy_keeps_the_time_that_has_passed() -> None:
    stage = Stage()
    stage.give(ADMIN, c.ChangePolicy("12345", "错绑", pack("12345")), after=300)
    assert stage.issue.policy == pack("12345")
    assert stage.clock("accept").due == local("2026-11-23 23:59:59")
    assert stage.clock("accept").start.at == FRIDAY
    back = Stage("12345")
    back.give(ADMIN, c.ChangePolicy("52022", "错绑", pack("52022")), after=3600)
    changed_at = back.now
    back.let_pass(5)
    late = back.events[-2:]
    assert [(event.kind, event.at, event.was_due) for event in late] == [
        ("overdue", changed_at, local("2026-11-20 10:10")),
        ("escalated", changed_at, local("2026-11-20 10:10")),
    ]
    assert refused(back.give(ADMIN, c.ChangePolicy("nothing", "没有这个"))) == "no-such-policy"


def test_a_correction_of_urgency_counts_from_the_start() -> None:
    stage = Stage("12345")
    stage.give(COMMUNITY, c.Correct("其实很急", urgent=True), after=600)
    assert stage.clock("accept-urgent").due == local("2026-11-20 10:30")
    stage.give(COMMUNITY, c.Correct("是停水", "utilities", urgent=False))
    assert (stage.issue.category, "answer-utilities" in stage.running()) == ("utilities", True)


def test_complete_meets_answer() -> None:
    stage = Stage("12345")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Contact())
    assert stage.give(COMPANY, DONE)[0].clause == "answer"
    assert stage.running() == {"silence"}


def test_completing_without_having_arrived_does_not_count_as_arriving() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    assert stage.give(COMPANY, c.Complete("explained", ANSWER))[0].clause is None
    assert stage.running() == {"silence"}


def test_act_is_any_command_of_the_lead_but_comment() -> None:
    stage = Stage("3+3+5")
    stage.give(COMPANY, c.Escalate("要社区"))
    for actor, body in ((COMMUNITY, c.Comment("看到了")), (COMPANY, c.Accept()), (COMMUNITY, c.Supply("x"))):
        stage.give(actor, body)
        assert "community-act" in stage.running()
    assert stage.give(COMMUNITY, c.Supervise())[0].clause == "community-act"
    assert "community-act" not in stage.running()


def test_what_counts_from_the_report_is_promised_anew_when_work_is_done_again() -> None:
    stage = Stage("3+3+5")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive())
    assert "arrive" not in stage.running()
    stage.give(COMMUNITY, c.Return("没修好"))
    assert stage.clock("arrive").due == local("2026-11-20 13:03")
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    assert stage.clock("arrive").due == local("2026-11-20 13:04")
    assert stage.clock("answer").start.at == FRIDAY, "but never what is promised for the issue as a whole"
    stage.give(VOLUNTEERS, c.Accept())
    stage.give(VOLUNTEERS, c.Arrive())
    stage.give(VOLUNTEERS, DONE)
    stage.give(REPORTER, c.Reopen("又漏了"))
    assert stage.clock("arrive").due == local("2026-11-20 13:08")


def test_when_the_work_is_completed_only_the_resident_has_something_to_do() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-22 18:00")),)))
    assert "answer" in stage.running()
    stage.give(COMPANY, DONE)
    assert stage.running() == {"silence"}
    visit = replace(pack("12345").clause[-1], id="visit", milestone="arrive")
    owed = Stage(replace(pack("12345"), clause=(*pack("12345").clause, visit)))
    owed.give(COMPANY, c.Accept())
    owed.give(COMPANY, c.Complete("explained", ANSWER))
    assert owed.running() == {"silence"}


# ------------------------------------------------------------------------------------------------------------- pauses


def test_a_pause_stops_the_clock_and_leaves_what_was_left() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Wait("parts", local("2026-11-20 10:30")), after=600)
    assert stage.let_pass(local("2026-11-20 10:27")) == []
    stage.give(COMPANY, c.Resume(), after=0)
    clock = stage.clock("minor")
    assert (clock.due, clock.climbs) == (local("2026-11-20 10:37"), (local("2026-11-20 11:17"),))
    assert clock.warn == local("2026-11-20 10:33"), "four minutes of twenty before the limit, as without the pause"


def test_a_yellow_light_goes_on_once_unless_its_moment_moves_ahead() -> None:
    stage = arrived("minor")
    stage.let_pass(local("2026-11-20 10:20"))
    assert stage.events[-1].kind == "warned"
    stage.give(COMPANY, c.Wait("parts", local("2026-11-20 10:35")), after=0)
    stage.let_pass(600)
    stage.give(COMPANY, c.Resume(), after=0)
    assert kinds(stage.let_pass(110)) == [], "two minutes are left, as there were"
    stage.give(COMPANY, c.Extend("还差一点", Limit(1, "nd")), after=0)
    stage.give(COMMUNITY, c.Grant(), after=0)
    assert stage.clock("minor").due == local("2026-11-21 23:59:59")
    events = stage.let_pass(local("2026-11-22 00:00:30"))
    assert kinds(events) == ["warned", "overdue"]


def test_a_pause_that_is_over_does_not_touch_a_clock_that_starts_later() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Wait("parts", local("2026-11-22 10:00")))
    stage.give(COMPANY, c.Resume(), after=3600)
    stage.give(COMPANY, c.Assess("minor", "看错了"))
    clock = stage.clock("minor")
    assert (clock.due, clock.warn) == (local("2026-11-20 11:24"), local("2026-11-20 11:20"))


def test_days_whose_service_time_a_pause_covers_do_not_count() -> None:
    stage = arrived()
    assert stage.clock("plan").due == local("2026-11-22 23:59:59")
    stage.give(COMPANY, c.Wait("weather", local("2026-11-23 10:00")))
    stage.let_pass(local("2026-11-23 09:00"))
    stage.give(COMPANY, c.Resume(), after=0)
    assert stage.clock("plan").due == local("2026-11-24 23:59:59"), (
        "the 21st and 22nd; of the 23rd service time is left"
    )


def test_a_wait_ends_at_its_review_date() -> None:
    stage = arrived()
    review = local("2026-11-22 10:00")
    stage.give(COMPANY, c.Wait("parts", review))
    assert (step := next_step(stage.issue)) is not None
    assert (step.milestone, step.due, step.org) == ("resume", review, "company-a")
    stage.let_pass(local("2026-11-22 10:01"))
    assert (stage.events[-1].kind, stage.events[-1].at, stage.issue.status) == ("resumed", review, "arrived")
    for when in ("2026-11-22 10:00", "2027-06-01 10:00"):
        assert refused(stage.give(COMPANY, c.Wait("parts", local(when)))) == "review-far"


def test_a_new_review_date_replaces_the_old_one() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Wait("parts", local("2026-11-21 10:00")))
    stage.give(COMPANY, c.Wait("funds", local("2026-11-22 10:00")))
    stage.let_pass(local("2026-11-21 12:00"))
    assert (stage.issue.status, stage.issue.interrupted) == ("waiting", "arrived")
    assert len(stage.issue.pauses) == 0


def test_a_question_stops_the_clock_until_it_is_answered_and_no_longer_than_allowed() -> None:
    stage = arrived()
    until = local("2026-11-27 23:59:59")
    suspended = stage.give(COMPANY, c.Ask("几楼?"))[0]
    assert isinstance(suspended.body, e.Suspended)
    assert (suspended.body.until, suspended.due) == (until, until)
    assert (step := next_step(stage.issue)) is not None
    assert step.org is None, "the resident"
    assert refused(stage.give(NEIGHBOUR, c.Supply("三楼"))) == "not-yours"
    assert kinds(stage.give(REPORTER, c.Supply("三楼"))) == ["supplied"]
    assert (stage.issue.status, stage.running()) == ("arrived", {"plan"})
    stage.give(COMPANY, c.Ask("哪天在家?"))
    stage.let_pass(local("2026-11-28 00:01"))
    assert (stage.events[-1].kind, stage.events[-1].at) == ("resumed", until)
    assert refused(stage.give(COMPANY, c.Ask("还在吗?"))) == "asked-enough"


def test_an_answer_given_in_a_pause_sets_the_status_after_it() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-22 18:00")),)))
    stage.give(COMPANY, c.Wait("parts", local("2026-11-22 09:00")))
    stage.give(COMPANY, c.Answer("配件周日到"))
    assert (stage.issue.status, stage.issue.interrupted) == ("waiting", "answered")
    stage.give(COMPANY, c.Resume())
    assert stage.issue.status == "answered"


def test_completing_ends_a_pause() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Ask("几楼?"))
    stage.give(COMPANY, DONE)
    assert (stage.issue.status, stage.issue.is_paused, stage.running()) == ("completed", False, {"silence"})


def test_the_time_in_which_the_resident_looked_at_finished_work_is_nobody_s_delay() -> None:
    stage = Stage("dispute", category="dispute")
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Complete("settled", ANSWER))
    stage.let_pass(local("2026-11-24 09:00"))
    stage.give(REPORTER, c.Reopen("又吵了"), after=0)
    assert stage.clock("settle").due == local("2026-11-26 23:59:59"), "Monday the 23rd does not count; the 24th does"


def test_what_showed_red_or_climbed_does_so_once_across_a_reopening() -> None:
    stage = Stage("dispute", category="dispute")
    stage.give(COMMUNITY, c.Accept())
    stage.let_pass(local("2026-11-26 09:00"))
    stage.give(STREET, c.Return("社区再调"))
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Complete("settled", ANSWER))
    stage.give(REPORTER, c.Reopen("又吵了"), after=60)
    stage.let_pass(3600)
    settle = [event.kind for event in stage.events if event.clause == "settle"]
    assert settle == ["warned", "overdue", "escalated", "completed"]
    assert stage.issue.level == "community"
    assert stage.clock("settle").overdue


# ---------------------------------------------------------------------------------------------------------- shelving


def test_the_street_s_long_list_is_reviewed_monthly() -> None:
    stage = arrived()
    assert refused(stage.give(COMMUNITY, c.Shelve("等资金"))) == "not-yours"
    shelved = stage.give(STREET, c.Shelve("等资金"))[0]
    first = local("2026-12-20 23:59:59")
    assert shelved.due == first
    assert (step := next_step(stage.issue)) is not None
    assert step.org == "north", "the street shelved it, so the street reviews it, whoever leads"
    stage.let_pass(local("2026-12-21 08:00"))
    reminded = stage.events[-1]
    assert (reminded.kind, reminded.at, reminded.clause) == ("reminded", first, "review")
    assert reminded.due == local("2027-01-19 23:59:59")
    assert stage.issue.status == "waiting"
    assert refused(stage.give(COMPANY, c.Resume())) == "shelved-by-street"
    assert refused(stage.give(COMPANY, c.Wait("funds", local("2026-12-30 10:00")))) == "shelved-waits"
    assert kinds(stage.give(STREET, c.Resume())) == ["resumed"]
    assert (stage.issue.status, stage.issue.shelved) == ("arrived", False)


def test_what_is_shelved_while_the_resident_is_asked_stays_shelved_when_he_is_silent() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Ask("几楼?"))
    stage.give(STREET, c.Shelve("等资金"))
    stage.let_pass(local("2026-12-10 10:00"))
    assert (stage.issue.status, stage.issue.shelved) == ("waiting", True)


def test_an_issue_on_which_no_clause_can_climb_is_not_forgotten() -> None:
    """Reopened, a general issue under 12345 has been answered, and nothing else of the pack climbs once it is accepted."""
    stage = Stage("12345")
    for body in (c.Accept(), c.Contact(), DONE):
        stage.give(COMPANY, body)
    stage.give(REPORTER, c.Reopen("又漏了"))
    for body in (c.Accept(), c.Contact()):
        stage.give(COMPANY, body)
    assert stage.running() == {"progress"}
    due = local("2026-11-27 23:59:59")
    assert stage.clock("progress").due == due
    stage.let_pass(local("2026-11-23 09:00"))
    stage.give(COMPANY, c.Comment("还在联系"))
    assert stage.clock("progress").due == due, "words are no progress"
    events = stage.let_pass(local("2026-11-28 10:00"))
    assert [(event.kind, event.clause) for event in events] == [
        ("warned", "progress"), ("overdue", "progress"), ("escalated", "progress"),
    ]  # fmt: skip
    assert stage.issue.level == "community"
    stage.give(COMPANY, replace(DONE, evidence=("又一张照片",)))
    assert stage.running() == {"silence"}
