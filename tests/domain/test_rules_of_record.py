"""What is recorded and counted: reminders, minutes, repeats, stale and undecodable commands."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

import domain.commands as c
import domain.events as e
from domain.advance import advance, follows_from_commands
from domain.clocks import next_deadline, wake_after
from domain.events import chain, dump_event, event_digest
from domain.issue import Issue, dump_issue, load_issue
from domain.policy import Policy
from domain.rules import UnknownRulesError, evolve
from domain.wire import WireError, canonical
from domain.worktime import SHANGHAI, Limit, ServiceHours
from support.grants import granted
from tests.domain.play import (
    ADMIN,
    ANSWER,
    CALENDARS,
    COMMUNITY,
    COMPANY,
    DEPARTMENT,
    DONE,
    FRIDAY,
    NEIGHBOUR,
    REPORTER,
    STREET,
    VOLUNTEERS,
    Stage,
    climbs,
    kinds,
    local,
    pack,
    place,
    refused,
    said,
)

# ---------------------------------------------------------------------------------------------------------- reminders


def at_the_top() -> Stage:
    """A demo issue that nobody has touched, at the moment when the street's limits have passed."""
    stage = Stage("demo")
    while not any(event.kind == "overdue" and event.level == "street" for event in stage.events):
        deadline = next_deadline(stage.issue, stage.now)
        assert deadline is not None
        stage.let_pass(deadline.at + wake_after(stage.issue, deadline))
    return stage


def told_at(stage: Stage) -> list[datetime]:
    return [event.at for event in stage.events if event.kind == "reminded"]


def told_of(stage: Stage) -> list[int]:
    return [event.body.count for event in stage.events if event.kind == "reminded"]  # pyright: ignore[reportAttributeAccessIssue]


def test_at_the_top_it_is_brought_up_again_with_back_off_and_never_closed() -> None:
    stage = at_the_top()
    red = next(event.at for event in stage.events if event.kind == "overdue" and event.level == "street")
    stage.let_pass(3600)
    reminders = told_at(stage)
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise([red, *reminders])]
    assert waits == [10, 20, 40, 80, 80, 80, 80, 80, 80, 80], "from deadline to deadline, not from record to record"
    assert set(told_of(stage)) == {1}
    assert stage.issue.status == "dispatched"


def test_after_its_number_of_reminders_it_is_brought_up_for_ever() -> None:
    """The pack says: after ten of them, one a day."""
    stage = at_the_top()
    stage.let_pass(timedelta(days=40).total_seconds())
    daily = told_at(stage)[10:]
    assert daily[0] == local("2026-11-21 23:59:59")
    assert [later - earlier for earlier, later in pairwise(daily)] == [timedelta(days=1)] * 38
    assert next_deadline(stage.issue) is not None


def working_days(after: datetime, until: datetime) -> int:
    """How many working days of 2026 come after the one day, up to the other."""
    years = {calendar.year: calendar for calendar in CALENDARS}
    day, last, count = after.astimezone(SHANGHAI).date(), until.astimezone(SHANGHAI).date(), 0
    while day < last:
        day += timedelta(days=1)
        count += years[day.year].is_working(day)
    return count


def left_alone(days: int, policy: Policy | None = None) -> tuple[Stage, datetime]:
    """A leak of June under 52022 that nobody touches, and when the light for the street's accept turned red."""
    stage = Stage(policy or "52022", at=local("2026-06-01 10:00"))
    stage.let_pass(local("2026-06-01 10:00") + timedelta(days=days))
    (red,) = (event.at for event in stage.events if event.clause == "street-accept" and event.kind == "overdue")
    return stage, red


def test_reminders_keep_their_intervals_in_working_days() -> None:
    stage, red = left_alone(120)
    days = [working_days(earlier, later) for earlier, later in pairwise([red, *told_at(stage)])]
    assert days[:7] == [1, 2, 4, 8, 8, 8, 8]
    assert set(days[3:]) == {8}


def test_after_an_outage_reminders_go_on_where_they_would_have_been() -> None:
    began = local("2026-06-01 10:00")
    plain, _ = left_alone(80)
    caught_up = Stage("52022", at=began)
    caught_up.let_pass(began + timedelta(days=12))
    caught_up.outage(began + timedelta(days=52))
    plain_until = sum(at <= began + timedelta(days=52) for at in told_at(plain))
    assert sum(told_of(caught_up)) == plain_until, "as many as without the outage, the last ones in one message"
    caught_up.let_pass(began + timedelta(days=80))
    assert told_at(caught_up)[-1] == told_at(plain)[-1]
    assert sum(told_of(caught_up)) == sum(told_of(plain))


def test_after_thirty_reminders_there_is_one_every_thirty_days() -> None:
    few = replace(pack("52022"), top=replace(pack("52022").top, times=3))
    stage, _ = left_alone(120, few)
    monthly = told_at(stage)[2:]
    assert [later - earlier for earlier, later in pairwise(monthly)] == [timedelta(days=30)] * 3


def test_after_an_outage_one_reminder_says_how_many_there_would_have_been() -> None:
    stage = at_the_top()
    stage.outage(stage.now + timedelta(seconds=500))
    assert told_of(stage) == [8]
    stage.let_pass(3600)
    assert told_of(stage) == [8, 1, 1]


def test_reminders_end_with_what_they_were_about() -> None:
    stage = at_the_top()
    stage.give(STREET, c.Accept(), after=1)
    stage.give(STREET, c.Answer("街道在协调"), after=1)
    assert stage.issue.reminder is not None, "the answer is owed still"
    stage.give(STREET, c.Plan((c.Step("换管", stage.now + timedelta(seconds=60)),)), after=1)
    stage.give(STREET, c.Answer("街道已协调"), after=1)
    assert stage.issue.reminder is None


def test_an_issue_returned_after_its_last_climb_climbs_for_want_of_progress() -> None:
    stage = Stage("dispute", category="dispute")
    stage.let_pass(local("2026-11-26 09:00"))
    assert stage.issue.level == "street"
    stage.give(STREET, c.Return("社区再调"))
    stage.let_pass(local("2026-12-04 07:59"))
    assert stage.issue.level == "community"
    stage.let_pass(local("2026-12-04 09:00"))
    assert climbs(stage) == [("settle", "street"), ("progress", "street")]


def test_the_street_stops_no_reminder_by_its_own_pause() -> None:
    stage = at_the_top()
    assert stage.issue.reminder is not None
    at = stage.issue.reminder.at
    assert kinds(stage.give(STREET, c.Wait("funds", stage.now + timedelta(days=1)), after=0)) == ["waited"]
    assert stage.issue.reminder.at == at
    assert kinds(stage.let_pass(1000)).count("reminded") == 10


def test_reminders_stand_still_while_it_is_shelved() -> None:
    stage = at_the_top()
    assert stage.issue.reminder is not None
    left = stage.issue.reminder.at - stage.now
    stage.give(STREET, c.Shelve("等专项资金"), after=0)
    assert stage.let_pass(1000) == []
    stage.give(STREET, c.Resume(), after=0)
    assert stage.issue.reminder is not None
    assert stage.issue.reminder.at == stage.now + left


def test_reminders_do_not_begin_anew_after_a_pause() -> None:
    stage = at_the_top()
    stage.let_pass(3600)
    stage.give(STREET, c.Wait("funds", stage.now + timedelta(days=1)))
    stage.give(STREET, c.Resume())
    assert stage.let_pass(3600) == [], "ten were sent; now there is one a day"


def test_a_day_on_which_it_was_shelved_from_morning_to_evening_is_taken_off_the_next_interval() -> None:
    stage, _ = left_alone(15)
    due = local("2026-06-26 23:59:59")
    assert (stage.issue.reminder is not None and stage.issue.reminder.at) == due, (
        "8 working days after the 15th; the 19th is off"
    )
    for begin, end, moved in (
        ("2026-06-17 09:00", "2026-06-17 15:00", due),
        ("2026-06-18 07:00", "2026-06-18 21:00", local("2026-06-29 23:59:59")),
    ):
        stage.let_pass(local(begin))
        stage.give(STREET, c.Shelve("等专项资金"), after=0)
        stage.let_pass(local(end))
        stage.give(STREET, c.Resume(), after=0)
        assert stage.issue.reminder is not None
        assert stage.issue.reminder.at == moved


def test_a_published_calendar_moves_the_next_reminder() -> None:
    stage, _ = left_alone(15)
    year = next(calendar for calendar in CALENDARS if calendar.year == 2026)
    later = replace(year, version=year.version + 1, off=(*year.off, date(2026, 6, 18)))
    stage.give(ADMIN, c.CalendarPublished(later))
    assert stage.issue.reminder is not None
    assert stage.issue.reminder.at == local("2026-06-29 23:59:59")


# --------------------------------------------------------------------------------------- recorded just after midnight

AT_ONCE = replace(pack("3+3+5"), climb_lands="at once", service_hours=ServiceHours.parse("00:00-24:00"))
"""Climbs at the end of a day take effect then, and are recorded a second after midnight."""


def late_in_the_evening() -> Stage:
    """The company's three hours end with Monday."""
    return Stage(AT_ONCE, at=local("2026-11-23 20:59:59"))


def test_a_climb_recorded_just_after_midnight_takes_no_day_off_the_next_limit() -> None:
    stage = late_in_the_evening()
    stage.let_pass(local("2026-11-24 00:01"))
    climb = stage.events[-1]
    assert (climb.kind, climb.at, climb.recorded_at) == (
        "escalated", local("2026-11-23 23:59:59"), local("2026-11-24 00:00:00"),
    )  # fmt: skip
    assert stage.clock("community-act").due == local("2026-11-24 23:59:59"), "a working day after Monday"
    assert stage.clock("community-accept").due == local("2026-11-24 03:00:00"), "hours count from the record"


def test_a_climb_recorded_late_counts_from_the_day_of_the_record() -> None:
    """Nobody is late for a day in which he could not see the issue."""
    stage = late_in_the_evening()
    stage.outage(local("2026-11-24 00:01:30"))
    assert stage.issue.level == "community"
    assert stage.clock("community-act").due == local("2026-11-25 23:59:59")


# ------------------------------------------------------------------------------------------------------ whose minutes


def test_every_minute_is_counted_for_its_holder() -> None:
    stage = Stage("12345")
    stage.give(COMPANY, c.Accept(), after=10 * 60)  # 10 operator
    stage.give(COMPANY, c.Contact(), after=5 * 60)  # 5 operator: it owed a call
    stage.give(COMPANY, c.Ask("几楼?"), after=0)
    stage.give(REPORTER, c.Supply("三楼"), after=7 * 60)  # 7 resident
    stage.give(COMPANY, c.Wait("parts", local("2026-11-24 10:00")), after=60)  # 1 operator
    stage.give(COMMUNITY, c.Grant("pause"), after=2 * 60)  # 2 operator: it only asks
    stage.give(COMPANY, c.Resume(), after=20 * 60)  # 20 third party
    stage.give(COMPANY, c.Wait("weather", local("2026-11-24 10:00")), after=60)  # 1 operator
    stage.give(COMMUNITY, c.Grant("pause"), after=0)
    stage.give(COMPANY, c.Resume(), after=30 * 60)  # 30 nobody
    stage.give(COMPANY, c.Wait("weather", local("2026-11-20 12:00")), after=60)  # 1 operator
    stage.give(COMPANY, c.Resume(), after=4 * 60)  # 4 operator: nobody granted it
    stage.give(COMPANY, c.Decline("not_our_duty"), after=60)  # 1 operator
    stage.give(COMMUNITY, c.Rule(upheld=False), after=11 * 60)  # 11 operator: the ruling was in time
    stage.give(COMMUNITY, c.Escalate("要社区管"), after=60)  # 1 operator
    stage.give(STREET, c.Escalate("要街道管"), after=13 * 60)  # 13 community
    stage.give(STREET, c.Return("退回物业"), after=17 * 60)  # 17 street
    stage.give(STREET, c.Shelve("等资金"), after=60)  # 1 operator
    stage.give(STREET, c.Resume(), after=19 * 60)  # 19 street
    stage.give(COMPANY, c.Accept(), after=60)  # 1 street: it leads what it had shelved
    stage.give(COMPANY, DONE, after=60)  # 1 street
    stage.give(REPORTER, c.Confirm("solved", "satisfied"), after=23 * 60)  # 23 resident
    assert stage.minutes() == {
        ("operator", "company-a"): 38, ("resident", None): 30, ("third_party", None): 20, ("nobody", None): 30,
        ("community", "elm"): 13, ("street", "north"): 38,
    }  # fmt: skip
    assert sum(stage.minutes().values()) == (stage.now - FRIDAY).total_seconds() / 60


def test_whoever_else_handles_it_holds_its_minutes() -> None:
    stage = Stage("12345")
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"), after=60)
    stage.give(VOLUNTEERS, c.Accept(), after=5 * 60)
    stage.give(STREET, c.Redispatch("enforcement", "占道", "department", ("north",)), after=60)
    stage.give(DEPARTMENT, c.Accept(), after=9 * 60)
    assert stage.minutes() == {
        ("operator", "company-a"): 1, ("third_party", "helpers"): 6, ("department", "enforcement"): 9,
    }  # fmt: skip


def test_minutes_of_an_outage_count_once_and_for_no_holder() -> None:
    """Two climbs were due in hours in which nobody could see the issue; one is caught up with at once.

    The other follows once the community has had the 30 minutes in which it must accept.
    """
    stage = Stage("12345", urgent=True)
    stage.outage(local("2026-11-20 12:00"))
    assert stage.minutes() == {("operator", "company-a"): 30, ("nobody", None): 90}
    stage.let_pass(local("2026-11-20 12:31"))
    assert [(event.at, event.level) for event in stage.events if event.kind == "escalated"] == [
        (local("2026-11-20 10:30"), "community"), (local("2026-11-20 12:30"), "street"),
    ]  # fmt: skip
    assert stage.minutes()["community", "elm"] == 30


def test_a_command_given_during_an_outage_does_not_assign_its_minutes() -> None:
    stage = Stage()
    at = local("2026-11-20 11:00")
    stage.fold([stage.command(COMPANY, c.Comment("在路上"), at=at)], now=local("2026-11-20 12:00"))
    stage.give(COMPANY, c.Comment(), after=30 * 60)
    assert stage.minutes() == {("operator", "company-a"): 30, ("nobody", None): 90, ("community", "elm"): 30}


def test_nobody_holds_a_closed_issue() -> None:
    stage = Stage()
    stage.give(REPORTER, c.Withdraw(), after=60)
    stage.give(COMPANY, c.Comment(), after=3600)
    assert stage.minutes() == {("operator", "company-a"): 1}


# ------------------------------------------------------------------------------------- repeats, stale, strange signals


def test_the_same_id_again_has_no_effect() -> None:
    stage = Stage()
    first = stage.give(COMPANY, c.Accept(), id="once")
    assert kinds(first) == ["accepted"]
    assert stage.give(COMPANY, c.Accept(), id="once") == []
    assert stage.fold([stage.command(COMPANY, c.Arrive(), id="twice"), stage.command(COMPANY, c.Arrive(), id="twice")])
    assert [event.command.id for event in stage.events if event.command].count("twice") == 1


def test_a_refusal_has_its_receipt_too() -> None:
    stage = Stage()
    event = stage.give(COMPANY, c.Arrive(), id="early")[0]
    receipt = stage.issue.receipts["early"]
    assert (receipt.outcome, receipt.seq, receipt.code) == ("refused", event.seq, "accept-first")
    assert receipt.params == {"command": "arrive"}
    assert event.body == e.Refused("arrive", receipt.code, receipt.params)
    assert stage.give(COMPANY, c.Arrive(), id="early") == []


def test_a_refusal_says_in_words_what_is_in_the_way() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    for actor, body, words in (
        (COMPANY, DONE, "solved comes after arrive: nobody has been on site for the present handler"),
        (REPORTER, c.Supply("三楼"), "supply does not apply while the issue is accepted"),
        (NEIGHBOUR, c.Urge(), "urge is not for this role and organisation to give here"),
        (COMPANY, c.Wait("parts", local("2026-11-20 10:08")), None),
        (COMPANY, c.Arrive(), "the issue is waiting: resume first, then arrive"),
        (COMPANY, c.Complete("explained", ANSWER), None),
        (REPORTER, c.Urge(), "the work is completed; urge does not apply unless the issue is reopened"),
        (REPORTER, c.Confirm("solved", "satisfied"), None),
        (REPORTER, c.Urge(), "the issue is closed as solved"),
    ):
        event = stage.give(actor, body)[0]
        assert (said(event) if event.kind == "refused" else None) == words


def test_whoever_arrived_without_an_assessment_is_told_how_to_give_it() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive())
    event = stage.give(COMPANY, c.Arrive("minor"))[0]
    assert "say with assess" in said(event)


def test_a_receipt_names_the_last_event_of_its_command_and_its_body() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    last = stage.give(COMPANY, c.Arrive("big"), id="big")[-1]
    assert stage.issue.receipts["big"].seq == last.seq == 6
    digests = {
        c.Command("1", FRIDAY, COMPANY, body).digest for body in (c.Arrive("big"), c.Arrive("minor"), c.Arrive())
    }
    assert len(digests) == 3
    assert stage.issue.receipts["big"].digest == c.Command("other", stage.now, STREET, c.Arrive("big")).digest


def test_a_stale_version_is_refused_before_anything_else() -> None:
    stage = Stage()
    assert refused(stage.give(NEIGHBOUR, c.Arrive(), expected_version=1)) == "stale"
    assert kinds(stage.give(COMPANY, c.Accept(), expected_version=stage.issue.version)) == ["accepted"]
    stage.give(REPORTER, c.Withdraw())
    assert refused(stage.give(COMPANY, c.Accept(), expected_version=1)) == "stale"
    assert refused(stage.give(COMPANY, c.Accept(), expected_version=stage.issue.version)) == "closed"


def test_what_cannot_be_read_is_on_the_record_and_changes_nothing() -> None:
    stage = Stage()
    before = stage.issue
    command = c.Command("", stage.now, None, c.Undecodable("teleport", "unknown signal"))
    events = stage.fold([command, command])
    assert kinds(events) == ["rejected_signal", "rejected_signal"], "each one that came is told apart from none"
    assert events[0].body == e.RejectedSignal("teleport", "unknown signal")
    assert (stage.issue.status, stage.running(), stage.issue.receipts) == (
        before.status, {clock.clause for clock in before.clocks}, before.receipts,
    )  # fmt: skip


def test_an_issue_is_reported_once() -> None:
    stage = Stage()
    body = c.Report("JS-2", place(), "noise", "吵")
    assert refused(stage.give(NEIGHBOUR, body)) == "reported-already"
    assert stage.issue.reporter == REPORTER.person


def test_required_words_are_not_blank() -> None:
    for actor, body in (
        (COMPANY, c.Answer("  ")), (COMPANY, c.Ask("")), (COMPANY, c.Escalate("")), (COMMUNITY, c.Instruct("\n")),
        (COMMUNITY, c.Reject("")), (COMMUNITY, c.Redispatch("", "快")), (STREET, c.Shelve(" ")),
    ):  # fmt: skip
        stage = Stage()
        stage.give(COMPANY, c.Accept())
        assert refused(stage.give(actor, body)) == "blank"
    for body in (c.Comment(), c.Urge(), c.Withdraw()):
        assert refused(Stage().give(REPORTER, body)) is None


def test_merging_is_not_with_itself_nor_twice() -> None:
    stage = Stage()
    assert refused(stage.give(COMMUNITY, c.Adopt("issue-1"))) == "merged-with-itself"
    assert refused(stage.give(COMMUNITY, c.Merge("issue-1"))) == "merged-with-itself"
    assert kinds(stage.give(COMMUNITY, c.Adopt("issue-2"))) == ["adopted"]
    assert stage.issue.adopted == ("issue-2",)
    assert refused(stage.give(COMMUNITY, c.Adopt("issue-2"))) == "taken-in-before"
    assert kinds(stage.give(COMMUNITY, c.Merge("issue-3"))) == ["merged"]
    assert refused(stage.give(COMMUNITY, c.Adopt("issue-4"))) == "merged-first"


def test_a_correction_is_appended_and_overwrites_nothing() -> None:
    stage = Stage()
    reported = stage.events[0]
    stage.give(COMMUNITY, c.Correct("是下水道", "drain"))
    assert (stage.events[0], stage.issue.category) == (reported, "drain")
    stage.give(COMPANY, c.Correct("门牌写错"))
    assert (stage.issue.category, stage.issue.urgent) == ("drain", False)


# ------------------------------------------------------------------------------------------------------ time and state


def test_a_command_is_clamped_between_the_last_change_and_now() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept(), after=60)
    early = stage.fold([stage.command(REPORTER, c.Comment(), at=FRIDAY)], now=stage.now + timedelta(seconds=1))
    assert early[0].at == FRIDAY + timedelta(seconds=60)
    ahead = stage.fold([stage.command(REPORTER, c.Comment(), at=stage.now + timedelta(hours=1))])
    assert ahead[0].at == stage.now


def test_the_grace_may_be_given_in_minutes() -> None:
    stage = Stage(replace(pack("demo"), grace=Limit(1, "m")))
    assert stage.fold(now=FRIDAY + timedelta(seconds=69)) == []
    assert kinds(stage.fold(now=FRIDAY + timedelta(seconds=70))) == ["overdue", "escalated"]
    deadline = next_deadline(stage.issue)
    assert deadline is not None
    assert wake_after(stage.issue, deadline) == timedelta(minutes=1)


def test_wake_ups_are_spread_where_many_fall_together_and_never_before_the_grace() -> None:
    stage = Stage("12345")
    deadline = next(d for d in [next_deadline(stage.issue, stage.clock("accept").due)] if d)
    waits = {wake_after(Issue.new(f"issue-{n}", pack("12345"), ()), deadline) for n in range(50)}
    assert deadline.round
    assert len(waits) > 10
    assert min(waits) >= timedelta(seconds=1)
    assert max(waits) < timedelta(seconds=16)


def test_events_must_follow_each_other() -> None:
    stage = Stage()
    with pytest.raises(ValueError, match="does not follow"):
        evolve(stage.issue, stage.events[0])


def test_an_issue_of_a_newer_version_is_not_folded_by_these_rules() -> None:
    newer = replace(Issue.new("issue-1", pack("demo"), CALENDARS), rules_version=99)
    report = c.Command("1", FRIDAY, REPORTER, c.Report("JS-1", place(), "leak", "水"))
    with pytest.raises(UnknownRulesError, match="no rules 99"):
        advance(newer, [report], FRIDAY)
    reported = Stage().events[0]
    with pytest.raises(UnknownRulesError, match="no rules 99"):
        evolve(Stage(report=False).issue, replace(reported, body=replace(reported.body, rules_version=99)))


def test_what_follows_from_commands_alone_is_told_apart() -> None:
    issue = Issue.new("issue-1", pack("demo"), CALENDARS)
    report = c.Command("1", FRIDAY, REPORTER, c.Report("JS-1", place(), "leak", "水"))
    issue, events = advance(issue, [report], FRIDAY)
    assert follows_from_commands([report], events, FRIDAY)
    ahead = replace(report, at=FRIDAY + timedelta(seconds=1))
    assert not follows_from_commands([ahead], events, FRIDAY), "it would be clamped to now"
    late, fired = advance(issue, [], FRIDAY + timedelta(seconds=20))
    assert not follows_from_commands([], fired, late.since)
    withdraw = c.Command("2", FRIDAY, REPORTER, c.Withdraw(), grants=granted(REPORTER, issue.place))
    _, closing = advance(issue, [withdraw], FRIDAY)
    assert not follows_from_commands([withdraw], closing, FRIDAY)
    strange = c.Command("", FRIDAY, None, c.Undecodable("x", "y"))
    assert not follows_from_commands([strange], advance(issue, [strange], FRIDAY)[1], FRIDAY)


def test_the_state_names_its_policy_and_calendars_and_is_not_taken_up_under_others() -> None:
    stage = Stage()
    plain = json.loads(canonical(dump_issue(stage.issue)))
    assert plain["policy"] == {"id": "52022", "version": 1, "digest": pack("52022").digest}
    with pytest.raises(ValueError, match="under policy"):
        load_issue(plain, pack("12345"), CALENDARS)
    with pytest.raises(ValueError, match="under calendars"):
        load_issue(plain, pack("52022"), CALENDARS[:1])
    with pytest.raises(WireError, match="unknown field"):
        load_issue({**plain, "mood": "bad"}, pack("52022"), CALENDARS)


def test_a_digest_over_events_depends_on_each_and_their_order() -> None:
    digests = [event_digest(dump_event(event)) for event in Stage().events]
    assert len(set(digests)) == 2
    assert chain(digests) != chain(reversed(digests))
    assert chain(digests) == chain(iter(digests))
