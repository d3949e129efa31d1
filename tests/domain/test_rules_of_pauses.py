"""Who is judged does not turn the clock: own pauses and their sum, wishes, questions, and who must rule by when."""

from datetime import timedelta

import pytest

import domain.commands as c
import domain.events as e
from domain.clocks import next_step
from tests.domain.play import (
    COMMUNITY,
    COMPANY,
    REPORTER,
    STREET,
    Stage,
    arrived,
    climbs,
    kinds,
    local,
    refused,
)

HOUR = 3600
DAY = 24 * HOUR


def working(policy: str = "12345", **details: object) -> Stage:
    """A broken lamp on a Monday, accepted at 10:01 and the reporter called at 10:02."""
    stage = Stage(policy, at=local("2026-06-01 10:00"), category="facility", **details)  # pyright: ignore[reportArgumentType]
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Contact("打过电话"))
    return stage


def wait(stage: Stage, until: str, reason: str = "parts") -> list[str]:
    return kinds(stage.give(COMPANY, c.Wait(reason, local(until), "等配件"), after=0))  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------------------------------------------ own pauses


def test_a_minute_of_waiting_a_day_takes_nothing_off_a_day_clock() -> None:
    idle, flapping = working(), working()
    for day in range(1, 14):
        flapping.let_pass(local(f"2026-06-{day:02} 12:00"))
        if flapping.issue.level == "property":
            assert wait(flapping, f"2026-06-{day:02} 12:01") == ["waited"]
    idle.let_pass(local("2026-06-14 10:00"))
    flapping.let_pass(local("2026-06-14 10:00"))
    assert climbs(flapping) == climbs(idle)
    assert [each.at for each in flapping.events if each.kind == "escalated"] == [
        each.at for each in idle.events if each.kind == "escalated"
    ]


def test_a_pause_of_one_whole_day_of_service_takes_off_one_day() -> None:
    stage = working()
    due = stage.clock("answer").due
    assert wait(stage, "2026-06-03 09:00") == ["waited"]
    stage.let_pass(local("2026-06-03 09:01"))
    assert stage.clock("answer").due == due + timedelta(days=1)
    assert stage.issue.own == {"company-a": DAY * 1000}


def _climbed_at(stage: Stage) -> list[object]:
    stage.let_pass(local("2026-06-14 10:00"))
    return [event.at for event in stage.events if event.kind == "escalated"]


def test_pauses_that_join_to_a_whole_day_take_it_off_the_sum() -> None:
    stage = working()
    given: list[str] = []
    for day in (2, 3, 4):
        stage.let_pass(local(f"2026-06-{day:02} 07:59"))
        given += wait(stage, f"2026-06-{day:02} 14:00")
        stage.now = local(f"2026-06-{day:02} 14:00")  # at the very end of the first one
        given += wait(stage, f"2026-06-{day:02} 20:00")[1:]
        stage.let_pass(local(f"2026-06-{day:02} 21:00"))
    assert given == ["waited", "waited", "waited", "waited", "waited", "requested"]
    assert stage.issue.own == {"company-a": 2 * DAY * 1000}


def test_the_delay_of_the_record_makes_no_whole_day_of_a_pause() -> None:
    idle, paused = working(), working()
    for day in range(2, 6):
        paused.let_pass(local(f"2026-06-{day:02} 07:59"))
        assert wait(paused, f"2026-06-{day:02} 19:59:59") == ["waited"]
        paused.outage(local(f"2026-06-{day:02} 21:00"))
    assert _climbed_at(paused) == _climbed_at(idle)


def test_two_days_in_sum_are_a_party_s_own_and_more_is_a_wish() -> None:
    stage = working()
    assert wait(stage, "2026-06-03 09:00") == ["waited"]
    stage.let_pass(local("2026-06-03 10:00"))
    assert wait(stage, "2026-06-05 09:00") == ["waited"]
    stage.let_pass(local("2026-06-05 09:30"))
    due = stage.clock("answer").due
    assert wait(stage, "2026-06-07 09:00") == ["requested"]
    assert stage.issue.status == "accepted"
    assert stage.clock("answer").due == due, "until somebody rules the old clock runs"


def test_the_sum_is_kept_over_a_reopening() -> None:
    again = Stage("demo", category="fees")
    again.give(COMPANY, c.Accept(), after=1)
    again.give(COMPANY, c.Arrive("minor"), after=1)
    assert kinds(again.give(COMPANY, c.Wait("parts", again.now + timedelta(seconds=9)), after=0)) == ["waited"]
    again.give(COMPANY, c.Complete(answer="已经修好,请您验收一下"), after=9)
    before = again.issue.own
    assert before == {"company-a": 9000}
    again.give(REPORTER, c.Reopen("没修好"), after=5)
    assert again.issue.own == before


def test_an_own_pause_is_never_longer_than_the_limit_that_it_stops() -> None:
    stage = arrived("minor")  # 20 minutes of service
    assert kinds(stage.give(COMPANY, c.Wait("parts", stage.now + timedelta(minutes=21)), after=0)) == ["requested"]
    other = arrived("minor")
    assert kinds(other.give(COMPANY, c.Wait("parts", other.now + timedelta(minutes=20), "等"), after=0)) == ["waited"]
    other.let_pass(20 * 60 + 1)
    assert kinds(other.give(COMPANY, c.Wait("parts", other.now + timedelta(minutes=2)), after=0)) == ["requested"]


def test_what_is_urgent_stands_still_by_grant_only() -> None:
    stage = working(urgent=True)
    clocks = stage.issue.clocks
    assert kinds(stage.give(COMPANY, c.Wait("parts", stage.now + timedelta(minutes=5)), after=0)) == ["requested"]
    assert [clock for clock in stage.issue.clocks if clock.clause != "rule-pause"] == list(clocks)


def test_calling_a_paused_issue_urgent_sets_its_clocks_going() -> None:
    stage = working()
    wait(stage, "2026-06-02 12:00")
    stage.give(COMMUNITY, c.Correct("冒烟了", urgent=True), after=HOUR)
    assert stage.clock("answer-urgent").due == local("2026-06-01 12:00") + timedelta(hours=1)


def test_what_a_pause_took_off_until_an_issue_became_urgent_counts_as_it_was_taken() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Wait("parts", stage.now + timedelta(minutes=20)))
    stage.give(COMMUNITY, c.Correct("冒烟了", urgent=True), after=600)
    assert stage.issue.own == {"company-a": 2 * 600 * 1000}, "of a day of 12 hours"


def test_calling_a_paused_issue_urgent_leaves_the_steps_of_its_plan_the_time_that_they_had() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-21 12:00")),)))
    stage.give(COMPANY, c.Wait("parts", local("2026-11-21 20:00")))
    begin = stage.now
    stage.let_pass(local("2026-11-21 18:00"))
    assert kinds(stage.give(COMMUNITY, c.Correct("冒烟了", urgent=True), after=0)) == ["corrected"]
    assert stage.clock("plan-step").due == local("2026-11-21 12:00") + (stage.now - begin)


def test_a_completion_taken_back_brings_no_pause_back_over_what_became_urgent() -> None:
    stage = arrived(category="parking")
    due = stage.clock("plan").due
    stage.give(COMPANY, c.Wait("parts", local("2026-11-21 20:00")))
    assert stage.clock("plan").due > due
    stage.give(COMPANY, c.Complete(answer="已经划好车位,请您看看"))
    stage.give(COMMUNITY, c.Correct("堵了消防通道", urgent=True))
    assert kinds(stage.give(COMPANY, c.Reopen("点错了"))) == ["taken_back"]
    assert (stage.issue.status, stage.clock("plan").due) == ("waiting", due)


def test_minutes_of_an_own_pause_are_the_party_s_own_whatever_its_reason() -> None:
    stage = working()
    wait(stage, "2026-06-01 13:02", "weather")
    stage.let_pass(local("2026-06-01 14:00"))
    stage.give(COMPANY, c.Comment("修"), after=0)
    assert stage.minutes() == {
        ("operator", "company-a"): pytest.approx(240, abs=0.1),
        ("nobody", None): pytest.approx(0, abs=0.1),
    }


# ----------------------------------------------------------------------------------------------------------- wishes


def wished() -> Stage:
    """The company asks for a pause until the 20th, which is more than its own."""
    stage = working()
    assert wait(stage, "2026-06-20 10:00") == ["requested"]
    return stage


def test_a_wish_is_a_clause_of_whoever_must_rule() -> None:
    stage = wished()
    clock = stage.clock("rule-pause")
    assert (clock.level, clock.due) == ("community", local("2026-06-02 23:59:59"))
    stage.let_pass(local("2026-06-03 00:01"))
    assert stage.clock("rule-pause").overdue
    stage.give(COMPANY, c.Comment("还在等"), after=local("2026-06-03 10:00").timestamp() - stage.now.timestamp())
    assert stage.issue.level == "property"
    assert stage.minutes()["community", "elm"] == pytest.approx(10 * 60 + 1 / 60, abs=1)


def test_a_wish_that_comes_back_from_above_is_not_late_for_what_was_late_before() -> None:
    stage = wished()
    stage.let_pass(local("2026-06-03 00:01"))
    assert stage.clock("rule-pause").overdue
    stage.give(COMMUNITY, c.Escalate("管不了"), after=0)
    stage.give(COMMUNITY, c.Escalate("还是管不了"), after=0)
    assert stage.issue.level == "street"
    assert not stage.clock("rule-pause").overdue, "the street was asked just now"
    stage.give(STREET, c.Return("你们管得了", "community"), after=HOUR)
    clock = stage.clock("rule-pause")
    assert (stage.issue.level, clock.level, clock.overdue) == ("community", "community", False)
    assert clock.due > stage.now


def test_an_urgent_wish_is_ruled_on_within_half_an_hour() -> None:
    stage = working(urgent=True)
    stage.give(COMPANY, c.Wait("parts", stage.now + timedelta(hours=5)), after=0)
    assert stage.clock("rule-pause").due == stage.now + timedelta(minutes=30)


def test_a_granted_pause_counts_from_the_moment_of_asking() -> None:
    stage = wished()
    due = stage.clock("answer").due
    stage.let_pass(local("2026-06-02 18:00"))
    assert kinds(stage.give(COMMUNITY, c.Grant("pause", "可以"))) == ["granted"]
    assert stage.issue.status == "waiting"
    assert not stage.issue.wishes
    stage.let_pass(local("2026-06-20 11:00"))
    assert stage.clock("answer").due == due + timedelta(days=18), "from the 2nd to the 19th no day was served"


def test_a_pause_that_is_granted_when_it_is_over_still_counts() -> None:
    stage = working()
    assert wait(stage, "2026-06-05 09:00") == ["requested"]
    due = stage.clock("answer").due
    stage.let_pass(local("2026-06-05 12:00"))
    stage.give(COMMUNITY, c.Grant("pause"))
    assert stage.issue.status == "accepted"
    assert stage.clock("answer").due == due + timedelta(days=3)


def test_a_granted_pause_counts_from_the_moment_of_asking_though_there_was_another_meanwhile() -> None:
    stage = working()
    due = stage.clock("answer").due
    assert wait(stage, "2026-06-06 09:00") == ["requested"]
    stage.let_pass(local("2026-06-02 21:00"))
    stage.give(COMPANY, c.Ask("哪一盏?"))
    stage.let_pass(local("2026-06-03 07:00"))
    stage.give(REPORTER, c.Supply("楼道里那盏"))
    stage.let_pass(local("2026-06-04 10:00"))
    stage.give(COMMUNITY, c.Grant("pause"))
    stage.let_pass(local("2026-06-06 10:00"))
    assert stage.clock("answer").due == due + timedelta(days=4), "from the 2nd to the 5th no day was served"


def test_a_pause_that_is_granted_in_a_question_counts_no_moment_twice() -> None:
    stage = working()
    stage.give(COMPANY, c.Plan((c.Step("换灯", local("2026-06-06 12:00")),)))
    assert wait(stage, "2026-06-05 09:00") == ["requested"]
    begin = stage.now
    stage.give(COMPANY, c.Ask("哪一盏?"))
    stage.let_pass(local("2026-06-05 12:00"))
    stage.give(COMMUNITY, c.Grant("pause"), after=0)
    stage.give(REPORTER, c.Supply("楼道里那盏"), after=0)
    assert stage.clock("plan-step").due == local("2026-06-06 12:00") + (stage.now - begin)


def test_a_denied_wish_changes_nothing() -> None:
    stage = wished()
    before = [clock for clock in stage.issue.clocks if clock.clause != "rule-pause"]
    assert kinds(stage.give(COMMUNITY, c.Deny("pause", "不行"))) == ["denied"]
    assert [*stage.issue.clocks] == before


def test_a_climb_while_a_wish_is_open_is_marked() -> None:
    stage = wished()
    stage.let_pass(local("2026-06-06 08:01"))
    (climb,) = [event.body for event in stage.events if event.kind == "escalated"]
    assert isinstance(climb, e.Escalated)
    assert climb.wish_open
    plain = working()
    plain.let_pass(local("2026-06-06 08:01"))
    assert not next(event.body for event in plain.events if event.kind == "escalated").wish_open  # pyright: ignore[reportAttributeAccessIssue]


def test_nobody_rules_on_his_own_wish() -> None:
    stage = working()
    stage.let_pass(local("2026-06-06 08:01"))
    assert stage.issue.level == "community"
    assert kinds(stage.give(COMMUNITY, c.Wait("funds", local("2026-07-20 10:00")))) == ["requested"]
    assert refused(stage.give(COMMUNITY, c.Grant("pause"))) == "rules-above"
    assert kinds(stage.give(STREET, c.Grant("pause"))) == ["granted"]


def test_a_second_wish_of_the_kind_waits_for_the_first() -> None:
    stage = wished()
    assert refused(stage.give(COMPANY, c.Wait("parts", local("2026-07-20 10:00")))) == "pause-asked"


def test_at_the_top_nobody_grants_and_a_pause_of_its_own_stops_no_reminder() -> None:
    stage = working()
    stage.let_pass(local("2026-06-20 08:01"))
    assert stage.issue.level == "street"
    assert refused(stage.give(STREET, c.Extend("再给几天"))) == "nobody-above"
    count = sum(event.kind == "reminded" for event in stage.events)
    stage.give(STREET, c.Accept())
    assert kinds(stage.give(STREET, c.Wait("funds", local("2026-08-30 10:00"), "等资金"))) == ["waited"]
    stage.let_pass(local("2026-08-30 09:00"))
    assert sum(event.kind == "reminded" for event in stage.events) >= count + 3


def test_at_the_top_a_pause_beyond_its_own_puts_off_neither_light_nor_reminder() -> None:
    idle, paused = Stage("52022"), Stage("52022")
    for stage in (idle, paused):
        stage.let_pass(local("2026-11-23 08:02"))
        assert stage.issue.level == "street"
        stage.give(STREET, c.Accept())
    assert kinds(paused.give(STREET, c.Wait("funds", local("2027-02-20 10:00")), after=0)) == ["waited"]
    for stage in (idle, paused):
        stage.let_pass(local("2026-12-20 10:00"))
    assert kinds(paused.events).count("reminded") == kinds(idle.events).count("reminded") >= 2


# ----------------------------------------------------------------------------------------- questions to the resident


def test_a_question_stops_neither_accept_nor_contact_nor_arrive() -> None:
    stage = Stage("52022")
    stage.give(COMPANY, c.Accept())
    due = stage.clock("arrive").due
    stage.give(COMPANY, c.Ask("几楼?"))
    assert stage.clock("arrive").due == due
    stage.let_pass(HOUR)
    assert climbs(stage) == [("arrive", "community")]


def test_a_question_stops_nothing_urgent() -> None:
    stage = working(urgent=True)
    clocks = stage.issue.clocks
    stage.give(COMPANY, c.Ask("几楼?"), after=0)
    assert [clock for clock in stage.issue.clocks if clock.clause != "ask"] == list(clocks)


def test_a_question_to_nobody_stops_nothing() -> None:
    body = c.Report("JS-1", Stage().issue.place, "facility", "路灯坏了", reachable=False)
    stage = Stage("12345", report=False)
    stage.give(REPORTER, body)
    stage.give(COMPANY, c.Accept())
    due = stage.clock("answer").due
    stage.give(COMPANY, c.Ask("几楼?"))
    assert stage.clock("answer").due == due
    step = next_step(stage.issue)
    assert step is not None
    assert step.clause == "contact", "the company is still the one who must act"


@pytest.mark.parametrize("ender", ["resident", "community"])
def test_a_needless_question_took_nothing_off(ender: str) -> None:
    stage = working()
    due = stage.clock("answer").due
    stage.give(COMPANY, c.Ask("几楼?"))
    assert stage.clock("answer").due > due
    stage.let_pass(3 * DAY)
    if ender == "resident":
        assert kinds(stage.give(REPORTER, c.Object("早就说过了"))) == ["objected"]
    else:
        assert kinds(stage.give(COMMUNITY, c.Resume("不用问"))) == ["resumed"]
    assert stage.issue.status == "accepted"
    assert stage.clock("answer").due == due


def test_a_question_that_is_answered_took_off_the_days_of_the_resident() -> None:
    stage = working()
    due = stage.clock("answer").due
    stage.give(COMPANY, c.Ask("几楼?"))
    stage.let_pass(local("2026-06-04 21:00"))
    stage.give(REPORTER, c.Supply("三楼"))
    assert stage.clock("answer").due == due + timedelta(days=3)


def test_the_street_that_leads_rules_on_the_wish_of_the_company_below_it() -> None:
    stage = working()
    stage.let_pass(local("2026-06-20 08:01"))
    assert stage.issue.level == "street"
    assert wait(stage, "2026-07-20 10:00") == ["requested"]
    assert stage.clock("rule-pause").level == "street"
    assert kinds(stage.give(STREET, c.Grant("pause"))) == ["granted"]


# ------------------------------------------------------------------------------------------- whose time a question is


def test_a_needless_question_leaves_its_minutes_with_whoever_asked() -> None:
    for ends in ("the resident", "the community"):
        stage = working()
        stage.give(COMPANY, c.Ask("几楼?"))
        for _ in range(3):
            stage.give(COMPANY, c.Comment("等居民"), after=HOUR)
        if ends == "the resident":
            stage.give(REPORTER, c.Object("早就说过了"), after=HOUR)
        else:
            stage.give(COMMUNITY, c.Resume("不用问"), after=HOUR)
        assert stage.minutes() == {("operator", "company-a"): 243}, ends


def test_a_question_that_is_answered_is_the_resident_s_time() -> None:
    stage = working()
    stage.give(COMPANY, c.Ask("几楼?"))
    stage.give(COMPANY, c.Comment("等居民"), after=HOUR)
    stage.give(REPORTER, c.Supply("三楼"), after=HOUR)
    assert stage.minutes() == {("operator", "company-a"): 3, ("resident", None): 120}


def test_whoever_must_still_arrive_does_not_make_its_time_the_resident_s_by_a_question() -> None:
    stage = Stage("52022")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Ask("几楼?"))
    stage.give(COMPANY, c.Comment("等居民"), after=20 * 60)
    assert stage.minutes() == {("operator", "company-a"): 22}


# ------------------------------------------------------------------------------------------------------- at the top


def at_the_top(*, urgent: bool = False) -> Stage:
    stage = working(urgent=urgent)
    stage.give(COMPANY, c.Assess("hard"))
    stage.give(STREET, c.Accept())
    return stage


def test_a_long_pause_of_the_street_that_leads_stops_no_clock() -> None:
    """Nobody is above to grant it; else the street could keep an issue from ever being late."""
    for urgent, days in ((False, 91), (True, 1)):
        stage, idle = at_the_top(urgent=urgent), at_the_top(urgent=urgent)
        assert kinds(stage.give(STREET, c.Wait("funds", stage.now + timedelta(days=days)), after=0)) == ["waited"]
        for each in (stage, idle):
            each.let_pass(local("2026-07-20 10:00"))
        reminded = [[each.at for each in s.events if each.kind == "reminded"] for s in (stage, idle)]
        assert reminded[0] == reminded[1] != []


def test_a_pause_of_the_street_that_leads_stops_clocks_as_far_as_that_of_anybody() -> None:
    stage = at_the_top()
    due = stage.clock("answer-complex").due
    stage.give(STREET, c.Wait("funds", local("2026-06-03 09:00")), after=0)
    assert stage.clock("answer-complex").due == due + timedelta(days=1)
    stage.give(STREET, c.Wait("funds", local("2026-07-03 09:00")), after=HOUR)
    assert stage.clock("answer-complex").due == due, "and no further once it asks for more"
