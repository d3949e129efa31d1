"""Who is notified of each event: the responsible, the lead and the resident, never the actor."""

from dataclasses import replace

import domain.commands as c
from domain.commands import merge_command_id
from domain.events import Event
from domain.issue import Issue
from domain.notices import Job, Notice, jobs, notices
from domain.personal import Sealed
from domain.rules import evolve
from tests.domain.play import (
    CALENDARS,
    COMMUNITY,
    COMPANY,
    REPORTER,
    STREET,
    Stage,
    arrived,
    local,
    pack,
    place,
)


def told(stage: Stage) -> list[tuple[str, set[str | None]]]:
    """Kind of event -> who heard of it, for every event of the play."""
    issue = Issue.new("issue-1", pack("52022"), CALENDARS)
    found: list[tuple[str, set[str | None]]] = []
    for event in stage.events:
        issue = evolve(issue, event)
        heard = [notice.org for notice in notices(event, issue)]
        assert len(heard) == len(set(heard)), "each once"
        found.append((event.kind, set(heard)))
    return found


def heard(stage: Stage, event: Event) -> set[str | None]:
    """Who hears of an event that has just happened."""
    return {notice.org for notice in notices(event, stage.issue)}


def last(stage: Stage) -> set[str | None]:
    return told(stage)[-1][1]


def test_dispatch_notifies_the_handler_and_progress_notifies_the_resident() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Complete())
    assert told(stage) == [
        ("reported", set()), ("dispatched", {"company-a"}), ("accepted", {None}), ("arrived", {None}),
        ("assessed", set()), ("completed", {None}),
    ]  # fmt: skip
    stage.let_pass(local("2026-11-28 00:01"))
    assert last(stage) == {"company-a", None}, "closed in silence"


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
    assert last(led) == {"elm"}


def test_a_request_for_time_notifies_the_level_that_grants_it() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要勘察"))
    assert last(stage) == {"elm"}
    stage.give(COMMUNITY, c.Grant())
    assert last(stage) == {"company-a"}
    stage.give(COMPANY, c.Plan((c.Step("动用维修资金", local("2027-03-01 18:00")),)))
    assert last(stage) == {"north", None}


def test_a_question_goes_to_the_resident_and_his_answer_or_silence_to_the_handler() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Ask("几楼?"))
    assert last(stage) == {None}
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
    stage.give(COMPANY, c.Complete())
    assert last(stage) == {"elm", None}
    stage.give(REPORTER, c.Reopen("又漏了"))
    assert last(stage) == {"company-a", "elm"}


def test_reviews_of_the_long_list_go_to_the_street() -> None:
    stage = arrived()
    stage.give(STREET, c.Shelve("等资金"))
    stage.let_pass(local("2026-12-21 08:00"))
    assert told(stage)[-1] == ("reminded", {"north"})


def test_an_urgent_dispatch_or_climb_rings_the_duty_phone_of_organisations_only() -> None:
    for urgent in (True, False):
        stage = Stage(urgent=urgent)
        stage.let_pass(31 * 60)
        issue = Issue.new("issue-1", pack("52022"), CALENDARS)
        rang: list[Notice] = []
        for event in stage.events:
            issue = evolve(issue, event)
            rang += [notice for notice in notices(event, issue) if notice.ring]
        expected = [("dispatched", "company-a"), ("escalated", "company-a"), ("escalated", "elm")]
        assert [(notice.template, notice.org) for notice in rang] == (expected if urgent else [])


def test_a_refusal_a_comment_and_a_correction_tell_nobody() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Arrive())
    stage.give(COMPANY, c.Comment("在路上"))
    stage.give(COMPANY, c.Correct("门牌写错"))
    assert [heard for _, heard in told(stage)[-3:]] == [set(), set(), set()]


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
