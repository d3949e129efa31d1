"""Nothing is forgotten: what keeps an open issue moving when those who must act do nothing more."""

from dataclasses import replace
from datetime import timedelta

import pytest

import domain.commands as c
from domain.clocks import next_deadline
from domain.policy import Progress
from domain.worktime import Limit
from tests.domain.play import COMMUNITY, COMPANY, REPORTER, STREET, Stage, arrived, climbs, kinds, local, pack, refused

DAY = 86400


def step(text: str, title: str = "修") -> c.Step:
    return c.Step(title, local(text))


# ------------------------------------------------------------------------------------------------ interim answers


@pytest.mark.parametrize("policy", ["12345", "52022", "3+3+5", "demo"])
def test_a_word_on_the_way_is_no_answer(policy: str) -> None:
    stage = arrived("minor", policy)
    before = stage.issue.clocks, stage.issue.status
    (event,) = stage.give(COMPANY, c.Answer("正在处理"), after=1)
    assert (event.kind, event.body) == ("answered", replace(event.body, interim=True))  # pyright: ignore[reportCallIssue]
    assert (stage.issue.clocks, stage.issue.status) == before, "no clock stops and the work is no further"


@pytest.mark.parametrize("policy", ["12345", "52022", "3+3+5", "dispute"])
def test_an_issue_that_was_answered_with_two_words_and_left_reaches_the_street(policy: str) -> None:
    stage = Stage(policy, category="facility")
    lead = COMMUNITY if policy == "dispute" else COMPANY
    stage.give(lead, c.Accept())
    stage.give(lead, c.Arrive("minor"))
    stage.give(lead, c.Contact())
    stage.give(lead, c.Answer("正在处理"))
    stage.let_pass(30 * DAY)
    assert stage.issue.level == "street"


def test_an_answer_counts_once_a_plan_is_in_force_or_the_work_is_done() -> None:
    planned = arrived("complex", "12345", category="fees")
    planned.give(COMPANY, c.Plan((step("2026-11-23 18:00"),)))
    planned.give(COMPANY, c.Answer("周一修好"))
    assert "answer-complex" not in planned.running()
    done = arrived("minor", "12345", category="fees")
    done.give(COMPANY, c.Complete(answer="已经修好,请您验收一下"))
    assert "answer" not in done.running()


def test_the_resident_may_object() -> None:
    stage = arrived("minor", "12345", category="fees")
    stage.give(COMPANY, c.Answer("正在处理"))
    assert kinds(stage.give(REPORTER, c.Object("没有人来过"))) == ["objected"]
    assert refused(stage.give(REPORTER, c.Object(" "))) == "blank"


# ------------------------------------------------------------------------------------------------ the progress clock


def left_without_climb(policy: str = "3+3+5") -> Stage:
    """At the community, which accepted and acted once; no clause with a climb runs any more."""
    stage = Stage(policy, category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Escalate("要社区出面"))
    stage.give(COMMUNITY, c.Accept())
    return stage


def test_the_progress_clock_runs_only_where_no_clause_climbs() -> None:
    stage = left_without_climb()
    assert "answer" in stage.running(), "the clause of the issue runs, but its only climb is to this level"
    clock = stage.clock("progress")
    assert (clock.due, clock.climbs) == (local("2026-11-27 23:59:59"), (local("2026-11-28 08:00"),))
    assert "progress" not in Stage("52022").running()


def test_what_stands_still_climbs_by_the_progress_clock() -> None:
    stage = left_without_climb()
    stage.let_pass(local("2026-11-28 08:01"))
    assert climbs(stage)[-1] == ("progress", "street")


def test_talk_does_not_restart_the_progress_clock() -> None:
    stage = left_without_climb()
    due = stage.clock("progress").due
    for body in (
        c.Comment("在办"), c.Contact(), c.Schedule(local("2026-11-22 10:00")), c.Attempt(), c.Answer("正在处理"),
        c.Assess("minor", "小事"), c.Assess("complex", "大事"), c.Assign("张工"), c.Mitigate(), c.Supervise("盯着"),
    ):  # fmt: skip
        assert refused(stage.give(COMMUNITY, body)) is None, body
        assert stage.clock("progress").due == due, body
    assert refused(stage.give(REPORTER, c.Urge())) is None
    assert stage.clock("progress").due == due


def test_a_comment_every_six_days_keeps_nothing_from_climbing() -> None:
    stage = left_without_climb()
    for _ in range(5):
        stage.let_pass(6 * DAY)
        stage.give(COMMUNITY, c.Comment("还在办"))
    assert stage.issue.level == "street"


def test_a_step_forward_restarts_the_progress_clock_once() -> None:
    stage = left_without_climb()
    first = stage.clock("progress").start
    stage.let_pass(DAY)
    stage.give(COMMUNITY, c.Sit("三方到场"))
    second = stage.clock("progress").start
    assert second.seq > first.seq
    stage.let_pass(DAY)
    stage.give(COMMUNITY, c.Sit("又开了一次"))
    assert stage.clock("progress").start == second, "a second meeting is no step forward"


def test_urgent_issues_have_a_day_and_a_pack_its_own_numbers() -> None:
    urgent = Stage("3+3+5", urgent=True)
    urgent.give(COMPANY, c.Escalate("要社区出面"))
    urgent.give(COMMUNITY, c.Accept())
    assert urgent.clock("progress").climbs == (urgent.issue.term["led"].at + timedelta(hours=24, seconds=60),)
    own = replace(pack("3+3+5"), progress=Progress(Limit(2, "nd"), Limit(3, "nd"), Limit(2, "h")))
    stage = Stage(own)
    stage.give(COMPANY, c.Escalate("要社区出面"))
    stage.give(COMMUNITY, c.Accept())
    assert stage.clock("progress").due == local("2026-11-22 23:59:59")
    assert stage.clock("progress").climbs == (local("2026-11-24 08:00"),)


def test_a_progress_clock_that_begins_late_gives_a_whole_limit() -> None:
    """The only climbing clause stops long after the last step forward: nobody is late at once."""
    stage = Stage("12345", category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Assess("complex"))
    stage.let_pass(local("2026-12-03 10:00"))
    assert climbs(stage) == [("answer-complex", "community"), ("answer-complex", "street")]
    assert stage.clock("progress").due > stage.now


# ----------------------------------------------------------------------------------------------------- at the top


def test_the_street_keeps_being_reminded_of_what_it_only_accepted() -> None:
    stage = left_without_climb()
    stage.let_pass(local("2026-11-28 08:01"))
    stage.give(STREET, c.Accept())
    stage.give(STREET, c.Answer("正在研究"))
    stage.let_pass(400 * DAY)
    reminders = [event.at for event in stage.events if event.kind == "reminded"]
    assert reminders[-1] > stage.now - timedelta(days=31)
    assert next_deadline(stage.issue, stage.now) is not None


def test_shelving_takes_the_lead_to_the_street() -> None:
    stage = arrived("minor")
    assert kinds(stage.give(STREET, c.Shelve("等专项资金"))) == ["shelved", "escalated"]
    assert climbs(stage) == [("shelving", "street")]
    stage.let_pass(95 * DAY)
    assert [event.kind for event in stage.events if event.clause == "review"] == ["reminded"] * 3
    assert next_deadline(stage.issue, stage.now) is not None


# ------------------------------------------------------------------------------------------------------- packs


def test_on_site_without_a_size_climbs_under_52022() -> None:
    stage = arrived(None)
    assert stage.clock("assess").due == local("2026-11-20 10:12")
    stage.let_pass(local("2026-11-20 10:33"))
    assert climbs(stage) == [("assess", "community")]


@pytest.mark.parametrize("policy", ["12345", "dispute"])
def test_the_levels_above_are_asked_to_accept(policy: str) -> None:
    stage = Stage(policy, category="dispute" if policy == "dispute" else "facility")
    if policy == "12345":
        stage.give(COMPANY, c.Escalate("要社区出面"))
    assert stage.clock("community-accept").due == local("2026-11-20 14:01" if policy == "12345" else "2026-11-20 14:00")
    stage.give(COMMUNITY, c.Escalate("要街道出面"))
    assert "street-accept" in stage.running()


def test_a_light_that_is_due_before_its_climb_gives_no_second_limit() -> None:
    """Its climb is still to come when the clock begins to run, so it counts from the last step forward."""
    base = pack("52022")
    accept, arrive, assess = base.clause[:3]
    clauses = (accept, arrive, replace(assess, limit=Limit(5, "nd"), climb=(Limit(5, "nd"),)))
    progress = Progress(Limit(3, "nd"), Limit(7, "nd"), Limit(24, "h"))
    stage = arrived(None, replace(base, clause=clauses, progress=progress, climb_lands="at once"))
    stage.let_pass(local("2026-11-24 10:00"))
    stage.give(COMPANY, c.Assess("complex"))
    stage.let_pass(local("2026-11-28 08:00"))
    assert climbs(stage) == [("progress", "community")]
    assert next(event.at for event in stage.events if event.kind == "escalated") == local("2026-11-27 23:59:59")
