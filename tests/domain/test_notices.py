"""Who is notified of each event: the responsible, the lead and the resident, never the actor."""

from dataclasses import replace
from datetime import datetime

import domain.commands as c
from domain.commands import Actor, merge_command_id
from domain.events import Answered, Event
from domain.issue import Issue
from domain.notices import Job, Notice, jobs, notices
from domain.personal import Sealed
from domain.rules import evolve
from domain.worktime import SHANGHAI
from tests.domain.play import (
    ADMIN,
    CALENDARS,
    COMMUNITY,
    COMPANY,
    DONE,
    REPORTER,
    STREET,
    Stage,
    arrived,
    kinds,
    local,
    pack,
    place,
)


def sent(stage: Stage) -> list[tuple[Event, tuple[Notice, ...]]]:
    """Every event of the play with its notices."""
    issue = Issue.new("issue-1", stage.issue.policy, CALENDARS)
    found: list[tuple[Event, tuple[Notice, ...]]] = []
    for event in stage.events:
        before, issue = issue, evolve(issue, event)
        found.append((event, notices(event, issue, before)))
    return found


def told(stage: Stage) -> list[tuple[str, set[str | None]]]:
    """Kind of event -> who heard of it, for every event of the play."""
    found: list[tuple[str, set[str | None]]] = []
    for event, heard in sent(stage):
        orgs = [notice.org for notice in heard]
        assert len(orgs) == len(set(orgs)), "each once"
        found.append((event.kind, set(orgs)))
    return found


def of_kind(stage: Stage, kind: str) -> set[str | None]:
    """Who heard of the last event of this kind."""
    return [heard for each, heard in told(stage) if each == kind][-1]


def heard(stage: Stage, event: Event) -> set[str | None]:
    """Who hears of an event that has just happened."""
    return {notice.org for notice in notices(event, stage.issue)}


def last(stage: Stage) -> set[str | None]:
    return told(stage)[-1][1]


def test_dispatch_notifies_the_handler_and_progress_notifies_the_resident() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, DONE)
    assert told(stage) == [
        ("reported", set()), ("dispatched", {"company-a"}), ("accepted", {None}), ("arrived", {None}),
        ("assessed", set()), ("completed", {None}),
    ]  # fmt: skip
    stage.let_pass(local("2026-11-28 00:01"))
    assert last(stage) == {"company-a", None}, "closed in silence"


def test_who_loses_the_work_by_another_handler_is_told() -> None:
    stage = arrived()
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    assert of_kind(stage, "redispatched") == {"helpers", "company-a", None}
    stage.give(Actor("v-1", "volunteer", "helpers"), c.Accept())
    assert of_kind(stage, "accepted") == {None}, "once"


def test_who_loses_the_work_by_a_ruling_is_told_and_who_keeps_it_is_told_once() -> None:
    stage = arrived()
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    stage.give(COMPANY, c.Decline("not_our_duty"))
    upheld = c.Rule(upheld=True, handler="enforcement", handler_kind="department", handler_streets=("north",))
    stage.give(COMMUNITY, upheld)
    assert of_kind(stage, "ruled") == {"enforcement", "company-a"}
    kept = arrived()
    kept.give(COMPANY, c.Decline("not_our_duty"))
    kept.give(COMMUNITY, c.Rule(upheld=False))
    assert "company-a" in of_kind(kept, "ruled")


def test_nobody_is_told_of_his_own_doing() -> None:
    stage = Stage()
    stage.give(REPORTER, c.Withdraw())
    assert told(stage)[-2:] == [("withdrawn", {"company-a"}), ("closed", {"company-a"})]


def test_yellow_goes_to_whoever_must_act_and_red_to_those_who_answer_too() -> None:
    stage = Stage()
    stage.let_pass(local("2026-11-20 10:31"))
    assert told(stage)[2:] == [
        ("warned", {"company-a"}), ("overdue", {"company-a"}), ("escalated", {"company-a", "elm", None}),
    ]  # fmt: skip
    stage.let_pass(local("2026-11-20 12:31"))
    assert told(stage)[-2:] == [("warned", {"elm"}), ("overdue", {"elm", "company-a"})]


def test_a_decline_notifies_the_level_that_rules_on_it() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Decline("not_our_duty"))
    assert last(stage) == {"elm"}
    society = Stage(where=place("society"))
    society.give(COMPANY, c.Decline("not_our_duty"))
    assert last(society) == {"north"}, "its community is the society itself"
    led = Stage()
    led.give(COMPANY, c.Escalate("办不了"))
    led.give(COMPANY, c.Decline("not_our_duty"))
    assert last(led) == {"elm", "north"}, "whoever leads rules, and the level above knows"


def test_a_request_for_time_notifies_the_level_that_grants_it() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要勘察"))
    assert last(stage) == {"elm"}
    stage.give(COMMUNITY, c.Grant())
    assert last(stage) == {"company-a"}
    stage.give(COMPANY, c.Plan((c.Step("动用维修资金", local("2027-03-01 18:00")),)))
    assert last(stage) == {"elm", "north", None}, "the street grants it, the community knows"


def test_a_question_goes_to_the_resident_and_his_answer_or_silence_to_the_handler() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Ask("几楼?"))
    assert last(stage) == {"elm", None}, "a question stops the clock, so the level above hears of it"
    stage.give(REPORTER, c.Supply("三楼"))
    assert last(stage) == {"company-a"}
    stage.give(COMPANY, c.Ask("哪天在家?"))
    stage.let_pass(local("2026-11-28 00:01"))
    assert told(stage)[-1] == ("resumed", {"company-a"}), "the clock goes on, and somebody must know"


def test_what_was_reopened_or_urged_reaches_the_lead_as_well() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Escalate("办不了"))
    stage.give(REPORTER, c.Urge())
    assert last(stage) == {"company-a", "elm"}
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive())
    stage.give(COMPANY, DONE)
    assert last(stage) == {"elm", None}
    stage.give(REPORTER, c.Reopen("又漏了"))
    assert last(stage) == {"company-a", "elm"}


def test_of_a_completion_taken_back_everybody_is_told_who_was_told_of_it() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Escalate("办不了"))
    stage.give(COMPANY, DONE)
    completed = last(stage)
    stage.give(COMPANY, c.Reopen("还有一处在漏"))
    assert last(stage) == completed == {"elm", None}


def test_reviews_of_the_long_list_go_to_the_street() -> None:
    stage = arrived()
    stage.give(STREET, c.Shelve("等资金"))
    stage.let_pass(local("2026-12-21 08:00"))
    assert told(stage)[-1] == ("reminded", {"north"})


def test_an_urgent_dispatch_or_climb_rings_the_duty_phone_of_organisations_only() -> None:
    for urgent in (True, False):
        stage = Stage(urgent=urgent)
        stage.let_pass(31 * 60)
        rang = [notice for _, heard in sent(stage) for notice in heard if notice.ring]
        expected = [("dispatched", "company-a"), ("escalated", "company-a"), ("escalated", "elm")]
        assert [(notice.template, notice.org) for notice in rang] == (expected if urgent else [])


def test_a_refusal_a_comment_and_a_correction_tell_nobody() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Arrive())
    stage.give(COMPANY, c.Comment("在路上"))
    stage.give(COMPANY, c.Correct("门牌写错"))
    assert [heard for _, heard in told(stage)[-3:]] == [set(), set(), set()]


PAUSE = c.Wait("parts", local("2026-11-23 10:00"))


def test_a_pause_of_whoever_is_judged_is_told_to_the_lead_and_to_the_level_above_it() -> None:
    stage = arrived()
    stage.give(COMPANY, PAUSE)
    assert last(stage) == {"elm", None}, "the company leads; the community is above it"
    led = arrived()
    led.give(COMPANY, c.Escalate("办不了"))
    led.give(COMPANY, PAUSE)
    assert last(led) == {"elm", "north"}, "more than two hours of the community's limit: it is asked for"
    top = arrived(where=place("society"))
    top.give(COMPANY, c.Escalate("办不了"))
    top.give(COMPANY, PAUSE)
    assert last(top) == {"north"}, "the street leads, and is above the society"


def test_each_wish_of_the_handler_is_told_to_the_lead_and_to_the_level_above_it() -> None:
    wishes: tuple[tuple[str, c.Body], ...] = (
        ("declined", c.Decline("not_our_duty")),
        ("requested", c.Extend("要勘察")),
        ("suspended", c.Ask("几楼?")),
        ("planned", c.Plan((c.Step("动用维修资金", local("2027-03-01 18:00")),))),
    )
    for kind, wish in wishes:
        led = arrived(policy="12345")
        led.give(COMPANY, c.Escalate("办不了"))
        led.give(COMPANY, wish)
        assert of_kind(led, kind) - {None} == {"elm", "north"}, kind


def test_the_ruling_on_a_wish_is_told_to_the_handler_and_to_the_lead_and_a_granted_pause_to_the_resident() -> None:
    for ruling, heard in (
        (c.Grant("pause"), {"company-a", "elm", None}),
        (c.Deny("pause", "配件本地就有"), {"company-a", "elm"}),
    ):
        stage = arrived()
        stage.give(COMPANY, c.Escalate("办不了"))
        stage.give(COMPANY, PAUSE)
        assert last(stage) == {"elm", "north"}
        stage.give(STREET, ruling)
        assert last(stage) == heard


def test_a_wish_on_which_nobody_ruled_in_time_is_told_to_the_next_level_above_as_well() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Wait("parts", local("2026-12-04 10:00")))
    stage.let_pass(local("2026-11-24 09:00"))
    (heard,) = (heard for event, heard in sent(stage) if (event.kind, event.clause) == ("overdue", "rule-pause"))
    assert {notice.org for notice in heard} == {"company-a", "elm", "north"}


def test_an_objection_is_told_to_the_handler_to_the_lead_and_above() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Answer("正在办"))
    stage.give(COMPANY, c.Escalate("办不了"))
    stage.give(REPORTER, c.Object("没人来过"))
    assert told(stage)[-1] == ("objected", {"company-a", "elm", "north"})


def test_a_plan_that_needs_no_grant_is_told_to_the_resident_only() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-22 18:00")),)))
    assert last(stage) == {None}


def test_another_size_is_told_to_the_lead_and_above_and_the_first_to_nobody() -> None:
    stage = arrived("minor")
    assert of_kind(stage, "assessed") == set()
    stage.give(COMPANY, c.Assess("complex", "墙里漏"))
    assert last(stage) == {"elm"}
    stage.give(COMPANY, c.Escalate("办不了"))
    stage.give(COMPANY, c.Assess("minor", "只是接头"))
    assert last(stage) == {"elm", "north"}, "back to the first size is another size, too"


def test_the_same_size_found_again_after_the_work_was_reopened_is_told_to_nobody() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Complete(kind="explained", answer="垫圈老化,要等业主来换。"))
    stage.give(REPORTER, c.Reopen("又漏了"))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive("minor"))
    assert told(stage)[-1] == ("assessed", set())


def test_whoever_changes_every_limit_or_closes_it_from_above_does_so_before_the_eyes_of_those_above() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Correct("漏到楼下了", urgent=True))
    assert of_kind(stage, "corrected") == {"elm"}
    stage.give(ADMIN, c.ChangePolicy("12345", "错绑", pack("12345")))
    assert of_kind(stage, "policy_changed") == {"company-a", "elm"}
    for body, kind in ((c.Reject("不属实"), "rejected"), (c.Merge("older"), "merged")):
        stage = arrived("minor")
        stage.give(COMMUNITY, body)
        assert of_kind(stage, kind) == {"company-a", "north", None}


def test_an_interim_answer_is_told_to_the_level_above_the_lead() -> None:
    stage = arrived()
    event = stage.give(COMPANY, c.Answer("正在办"))[0]
    for interim, above in ((True, {"elm"}), (False, set[str]())):
        answer = replace(event, body=Answered("正在办", interim=interim))
        assert {notice.org for notice in notices(answer, stage.issue)} == {*above, None}


def test_reminders_at_the_top_go_to_the_level_that_answers_the_handler_and_the_street() -> None:
    stage = Stage("3+3+5")
    stage.let_pass(local("2026-12-31 00:00"))
    reminded = [heard for kind, heard in told(stage) if kind == "reminded"]
    assert reminded
    assert reminded[-1] == {"company-a", "north"}
    returned = Stage("3+3+5")
    returned.let_pass(local("2026-12-31 00:00"))
    returned.give(STREET, c.Return("再查", to="community"))
    answers = {"company-a", "elm", "north"}
    (event,) = [event for event in reversed(stage.events) if event.kind == "reminded"][:1]
    assert {notice.org for notice in notices(event, returned.issue)} == answers, (
        "the community answers, the street supervises"
    )


def lights(stage: Stage, clause: str) -> dict[str, set[datetime | None]]:
    """Kind of event of this clause or of a reminder -> from when its notices may be delivered."""
    found: dict[str, set[datetime | None]] = {}
    for event, heard in sent(stage):
        if event.clause in (clause, "top"):
            found.setdefault(event.kind, set()).update(notice.earliest for notice in heard)
    return found


def test_a_light_of_the_night_is_told_at_the_next_opening() -> None:
    stage = arrived("complex")  # a plan is due on Sunday, 23:59:59
    stage.let_pass(local("2026-11-23 12:00"))
    red = next(event for event in stage.events if (event.kind, event.clause) == ("overdue", "plan"))
    assert red.at == local("2026-11-22 23:59:59")
    assert lights(stage, "plan")["overdue"] == {local("2026-11-23 08:00")}


def test_a_light_within_service_hours_is_told_at_once() -> None:
    stage = Stage()
    stage.let_pass(local("2026-11-20 10:11"))
    assert lights(stage, "accept") == {"warned": {None}, "overdue": {None}}


def test_a_light_that_an_outage_delayed_into_the_day_is_told_when_it_is_recorded() -> None:
    stage = arrived("complex")
    stage.outage(local("2026-11-23 10:30"))
    assert lights(stage, "plan")["overdue"] == {None}
    late = arrived("complex")
    late.outage(local("2026-11-23 20:00"))
    assert lights(late, "plan")["overdue"] == {local("2026-11-24 08:00")}, "closing time is no service"


def test_a_light_of_an_urgent_issue_is_told_at_once() -> None:
    stage = Stage(at=local("2026-11-20 23:00"), urgent=True)
    stage.let_pass(local("2026-11-20 23:20"))
    assert lights(stage, "accept") == {"warned": {None}, "overdue": {None}}


def test_a_pack_that_serves_day_and_night_tells_at_once() -> None:
    stage = Stage("demo", at=local("2026-11-20 23:59"))
    stage.let_pass(local("2026-11-21 03:00"))
    assert {notice.earliest for _, heard in sent(stage) for notice in heard} == {None}
    assert "reminded" in kinds(stage.events)


def test_a_reminder_of_the_night_is_told_at_the_next_opening() -> None:
    stage = Stage("3+3+5")
    stage.let_pass(local("2026-12-31 00:00"))
    found = {
        (event.recorded_at, notice.earliest)
        for event, heard in sent(stage)
        if event.kind == "reminded"
        for notice in heard
    }
    assert found
    assert {(local_time(earliest), earliest > at) for at, earliest in found if at and earliest} == {("08:00:00", True)}


def local_time(moment: datetime) -> str:
    return format(moment.astimezone(SHANGHAI), "%H:%M:%S")


def test_only_lights_warnings_and_reminders_wait_for_the_opening() -> None:
    stage = Stage(at=local("2026-11-20 22:00"))
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Escalate("办不了"))
    assert {notice.earliest for _, heard in sent(stage) for notice in heard} == {None}


def test_adopt_queues_a_merge_command_for_the_younger_issue() -> None:
    stage = Stage()
    event = stage.give(COMMUNITY, c.Adopt("issue-2"))[0]
    command = {
        "id": merge_command_id("issue-2", "issue-1"),
        "at": "2026-11-20T02:01:00.000Z",
        "actor": {"person": "officer-1", "role": "community", "org": "elm"},
        "body": {"into": "issue-1"},
    }
    assert jobs(event, stage.issue) == (Job("tell_merged", "issue-2", command),)
    assert c.load_command("merge", command).body == c.Merge("issue-1")
    assert jobs(stage.events[0], stage.issue) == ()


def test_what_was_reported_and_is_sealed_is_still_to_be_found_by_its_words() -> None:
    stage = Stage()
    reported = stage.events[0]
    sealed = replace(reported, body=replace(reported.body, description=Sealed("issue-1", "bm9ib2R5")))
    assert jobs(sealed, stage.issue) == (Job("index", "issue-1", {}),)
