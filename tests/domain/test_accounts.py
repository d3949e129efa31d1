"""What a climb by the clock leaves on the account of whoever does the work."""

from copy import deepcopy
from datetime import datetime, timedelta

import domain.commands as c
from domain.accounts import Climb, accounts
from domain.events import Escalated
from tests.domain.play import CALENDARS, COMMUNITY, COMPANY, REPORTER, STREET, Stage, arrived, local, place, refused

HOUR = 3_600_000
DONE = c.Complete(kind="explained", answer="阀门是业主自己的,已经说明怎么换。")


def account(stage: Stage) -> tuple[Climb, ...]:
    """The climbs on the account of the company, which alone has any."""
    found = accounts(stage.events, stage.issue.policy, CALENDARS)
    assert {climb.org for climb in found} <= {"company-a"}
    return found


def climbed() -> Stage:
    """An issue that nobody accepted for half an hour; it is 10:31, and the community accepts by 12:30."""
    stage = Stage()
    stage.let_pass(local("2026-11-20 10:31"))
    assert stage.issue.level == "community"
    return stage


def complete(stage: Stage, at: datetime) -> None:
    """The company does the work within the minute and completes it at `at`."""
    stage.let_pass(at - timedelta(minutes=2))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive("complex"))
    stage.give(COMPANY, DONE, after=0)
    assert (stage.now, stage.issue.status) == (at, "completed")


def test_an_issue_that_never_climbed_leaves_nothing() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, DONE)
    assert account(stage) == ()


def test_the_days_from_the_climb_to_the_completion_are_the_handlers() -> None:
    stage = climbed()
    complete(stage, local("2026-11-20 16:30:01"))
    (climb,) = account(stage)
    assert (climb.clause, climb.at, climb.made_good) == ("accept", local("2026-11-20 10:30"), False)
    assert climb.ms == 6 * HOUR, "from when the climb was recorded, a grace after it"
    assert stage.minutes()["community", "elm"] > 359, "beside the minutes of the lead"
    stage.let_pass(local("2026-11-30 00:00"))
    assert stage.issue.is_closed
    assert account(stage) == (climb,), "the resident's silence is not the handler's time"


def test_a_climb_is_made_good_before_the_next_level_had_to_accept() -> None:
    for at, made_good in (("2026-11-20 12:30:00", True), ("2026-11-20 12:30:01", False)):
        stage = climbed()
        complete(stage, local(at))
        assert [climb.made_good for climb in account(stage)] == [made_good], at


def test_a_plan_in_force_makes_a_climb_good_one_that_waits_does_not() -> None:
    for end, made_good in (("2026-11-22 18:00", True), ("2027-03-01 18:00", False)):
        stage = climbed()
        stage.give(COMPANY, c.Accept())
        stage.give(COMPANY, c.Plan((c.Step("换管", local(end)),)))
        assert [climb.made_good for climb in account(stage)] == [made_good], end
    stage.let_pass(local("2026-11-20 15:00"))
    stage.give(STREET, c.Grant("plan"))
    assert [climb.made_good for climb in account(stage)] == [True], "a grant counts from the moment of asking"


def test_a_completion_that_the_resident_did_not_take_makes_nothing_good_and_the_time_runs_on() -> None:
    stage = climbed()
    complete(stage, local("2026-11-20 11:30:01"))
    assert [(climb.made_good, climb.ms) for climb in account(stage)] == [(True, HOUR)]
    stage.give(REPORTER, c.Reopen("又漏了"), after=7200)
    complete(stage, local("2026-11-20 14:30:01"))
    assert [(climb.made_good, climb.ms) for climb in account(stage)] == [(False, 2 * HOUR)]


def test_a_completion_that_was_taken_back_was_none() -> None:
    stage = climbed()
    complete(stage, local("2026-11-20 11:30:01"))
    stage.give(COMPANY, c.Reopen("点错了"), after=1800)
    assert [(climb.made_good, climb.ms) for climb in account(stage)] == [(False, HOUR + HOUR // 2)]


def test_what_the_lead_completes_makes_no_climb_of_the_handlers_good() -> None:
    stage = climbed()
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, DONE)
    assert [climb.made_good for climb in account(stage)] == [False]


def test_the_time_ends_when_the_work_is_given_to_somebody_else() -> None:
    stage = climbed()
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"), after=58 * 60 + 1)
    stage.let_pass(local("2026-11-24 10:00"))
    assert [(climb.clause, climb.ms) for climb in account(stage)] == [("accept", 59 * 60_000)]


def test_the_time_ends_when_the_handler_leads_again_and_the_next_climb_is_another() -> None:
    stage = climbed()
    stage.give(COMMUNITY, c.Return("请物业办"), after=0)
    stage.let_pass(local("2026-11-20 11:01:01"))
    first, second = account(stage)
    assert (first.clause, first.ms) == ("accept", 59_000)
    assert (second.clause, second.at) == ("accept", local("2026-11-20 11:01"))


def test_a_climb_from_the_community_is_not_on_the_account_of_the_company() -> None:
    stage = Stage("3+3+5")
    stage.let_pass(local("2026-11-20 18:00"))
    levels = [event.level for event in stage.events if event.kind == "escalated"]
    assert levels == ["community", "street"]
    assert [climb.clause for climb in account(stage)] == ["arrive"]


def test_a_community_that_does_the_work_itself_has_its_climb_on_its_own_account() -> None:
    stage = Stage("3+3+5", where=place(None))
    stage.let_pass(local("2026-11-20 18:00"))
    found = accounts(stage.events, stage.issue.policy, CALENDARS)
    assert [(climb.org, climb.clause) for climb in found] == [("elm", "community-accept")]


def test_a_missed_step_of_the_plan_is_the_handlers_whoever_leads() -> None:
    stage = arrived("big")
    assert stage.issue.level == "community"
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-21 18:00")),)))
    stage.let_pass(local("2026-11-23 10:00"))
    assert stage.issue.level == "street"
    assert [(climb.clause, climb.at) for climb in account(stage)] == [("plan-step", local("2026-11-21 18:00"))]


def wished(*wishes: c.Body) -> Stage:
    """An issue that climbed at 10:31 while somebody above still had to rule on these wishes of the company."""
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    for wish in wishes:
        assert not refused(stage.give(COMPANY, wish))
    stage.let_pass(local("2026-11-20 10:32"))
    (climb,) = (event.body for event in stage.events if isinstance(event.body, Escalated))
    assert climb.wish_open == bool(wishes)
    return stage


DECLINE, PAUSE = c.Decline("not_our_duty"), c.Wait("parts", local("2026-11-24 10:00"))


def test_a_climb_while_a_wish_waits_is_on_the_account_only_once_the_wish_was_denied() -> None:
    assert len(account(wished())) == 1
    stage = wished(DECLINE)
    assert account(stage) == ()
    stage.give(COMMUNITY, c.Rule(upheld=False, reason="是物业的事"))
    assert [climb.clause for climb in account(stage)] == ["arrive"]
    granted = wished(DECLINE)
    granted.give(COMMUNITY, c.Rule(upheld=True, reason="确属城管"))
    assert account(granted) == ()


def test_a_wish_for_more_time_waits_for_its_ruling_though_the_clause_went_with_the_climb() -> None:
    stage = Stage()
    stage.let_pass(local("2026-11-20 10:28"))
    stage.give(COMPANY, c.Extend("忙不过来"))
    stage.let_pass(local("2026-11-20 10:31"))
    assert stage.issue.level == "community"
    assert account(stage) == ()
    assert "rule-extend" in stage.running(), "else asking a minute before each climb would cost nothing"
    granted = deepcopy(stage)
    granted.give(COMMUNITY, c.Grant("extend"))
    assert account(granted) == ()
    stage.give(COMMUNITY, c.Deny("extend", "昨天就知道"))
    assert len(account(stage)) == 1


def test_of_two_wishes_one_that_is_granted_is_enough() -> None:
    stage = wished(PAUSE, DECLINE)
    stage.give(COMMUNITY, c.Deny("pause", "配件本地就有"))
    assert len(account(stage)) == 1
    stage.give(COMMUNITY, c.Rule(upheld=True, reason="确属城管"))
    assert account(stage) == ()


def test_a_wish_that_the_handler_lets_go_of_keeps_no_climb_off_its_account() -> None:
    stage = wished(DECLINE)
    stage.give(COMPANY, c.Arrive())
    assert not stage.issue.declined
    assert len(account(stage)) == 1, "else a decline a minute before each climb would cost nothing"


def test_a_wish_that_was_asked_after_the_climb_decides_nothing_about_it() -> None:
    stage = climbed()
    stage.give(COMPANY, DECLINE)
    stage.give(COMMUNITY, c.Rule(upheld=True, reason="确属城管"))
    assert len(account(stage)) == 1


def test_an_outage_is_nobodys_time_and_the_next_level_has_its_whole_limit_from_the_record() -> None:
    stage = Stage()
    stage.outage(local("2026-11-20 13:00"))
    assert stage.issue.level == "community"
    complete(stage, local("2026-11-20 14:00"))
    (climb,) = account(stage)
    assert (climb.at, climb.ms, climb.made_good) == (local("2026-11-20 10:30"), HOUR, True)


def test_a_wish_a_minute_before_the_climb_is_let_go_with_the_completion_unless_the_ruling_was_late() -> None:
    for at, on_account in (("2026-11-25 09:00", True), ("2026-11-27 09:00", False)):
        stage = Stage("12345", category="fees")
        stage.give(COMPANY, c.Accept())
        stage.let_pass(local("2026-11-25 07:59"))
        stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-12-30 10:00")),)), after=0)
        stage.let_pass(local(at))
        assert stage.issue.level != "property"
        assert account(stage) == (), "nobody has ruled"
        stage.give(COMPANY, DONE)
        assert stage.issue.status == "completed"
        assert bool(account(stage)) is on_account
        stage.give(COMPANY, c.Reopen("填错了"))
        assert account(stage) == (), "the wish waits again"
