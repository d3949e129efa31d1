"""Residents who follow an issue: who may join, what they may do, who decides, and who hears of what."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import domain.commands as c
import domain.events as e
from domain.access import Sight, may_see, sight
from domain.commands import ANONYMOUS, Actor, Authority, Voice
from domain.decide import decide
from domain.followers import MOST_FOLLOWERS, MOST_UNVERIFIED, adoption, speaking, voices
from domain.issue import Closed, Issue
from domain.limits import MOST_OF_FOLLOWER
from domain.notices import notices
from domain.vocabulary import Outcome
from tests.domain.play import (
    COMMUNITY,
    COMPANY,
    DONE,
    FRIDAY,
    NEIGHBOUR,
    REPORTER,
    STREET,
    Stage,
    arrived,
    kinds,
    local,
    place,
    refused,
    said,
)

THIRD = Actor("resident-3", "resident")


def shared(**details: Any) -> Stage:
    """An issue about what neighbours share, on which somebody is at work."""
    return arrived("minor", **{"common": True, "category": "facility", **details})


def joined(*actors: Actor, **details: Any) -> Stage:
    """A shared issue that these joined, with verified phones."""
    stage = shared(**details)
    for actor in actors:
        assert kinds(stage.give(actor, c.Follow(rates=True))) == ["followed"]
    return stage


def completed(*actors: Actor) -> Stage:
    stage = joined(*actors)
    assert kinds(stage.give(COMPANY, DONE))[-1] == "completed"
    return stage


def told(stage: Stage, event: e.Event) -> set[str]:
    """Which residents hear of an event that has just happened; the reporter is ``""``."""
    return {notice.voice for notice in notices(event, stage.issue) if notice.org is None}


def merged(reporter: Actor = NEIGHBOUR, after: float = 60) -> tuple[Stage, Issue]:
    """An older issue that has taken in the neighbour's younger one, and that one."""
    older = Stage(category="elevator")
    younger = Stage(category="elevator", at=local("2026-11-20 10:30"), report=False)
    younger.issue = Issue.new("issue-2", younger.issue.policy, younger.issue.calendars)
    younger.give(reporter, c.Report("JS-2", older.issue.place, "elevator", "电梯坏了"))
    older.now = younger.now
    older.give(
        COMMUNITY, c.Adopt("issue-2", opened=younger.issue.opened_at, voices=speaking(younger.issue)), after=after
    )
    return older, younger.issue


# Joining


def test_a_neighbour_joins_and_leaves() -> None:
    stage = joined(NEIGHBOUR)
    assert may_see(stage.issue, NEIGHBOUR, (), stage.now)
    assert refused(stage.give(NEIGHBOUR, c.Follow())) == "hears-already", "once is enough"
    assert kinds(stage.give(NEIGHBOUR, c.Unfollow())) == ["unfollowed"]
    assert may_see(stage.issue, NEIGHBOUR, (), stage.now), "or he could not learn what became of his last command"
    for body in (c.Urge(), c.Object("没好"), c.Unfollow(), c.Withdraw()):
        assert refused(stage.give(NEIGHBOUR, body)) == "not-yours"
    assert kinds(stage.give(NEIGHBOUR, c.Follow())) == ["followed"]
    assert kinds(stage.give(NEIGHBOUR, c.Urge())) == ["urged"]


def test_the_reporter_does_not_join_his_own_issue_and_staff_none() -> None:
    stage = shared()
    for actor, code in ((REPORTER, "hears-already"), (COMPANY, "not-yours"), (COMMUNITY, "not-yours")):
        assert refused(stage.give(actor, c.Follow())) == code
    assert refused(stage.give(REPORTER, c.Unfollow())) == "not-yours"


@pytest.mark.parametrize(
    "details", [{"common": False}, {"category": "dispute"}, {"category": "care"}, {"about_operator": True}]
)
def test_what_is_nobody_elses_business_is_joined_by_merging_only(details: dict[str, Any]) -> None:
    stage = Stage(**{"common": True, "category": "facility", **details})
    answer = stage.give(NEIGHBOUR, c.Follow())
    assert refused(answer) == "joined-by-staff"
    assert not may_see(stage.issue, NEIGHBOUR, (), stage.now)
    voice = Voice(NEIGHBOUR.person, FRIDAY, "issue-2", reported=True)
    stage.give(COMMUNITY, c.Adopt("issue-2", voices=(voice,)))
    assert may_see(stage.issue, NEIGHBOUR, (), stage.now)


def test_a_full_issue_takes_nobody_in() -> None:
    crowd = tuple(Voice(f"v-{n}", FRIDAY, "issue-2") for n in range(MOST_FOLLOWERS))
    stage = shared()
    assert (
        refused(stage.give(COMMUNITY, c.Adopt("issue-2", voices=(*crowd, Voice("v-x", FRIDAY, "issue-2")))))
        == "followers-full"
    )
    assert kinds(stage.give(COMMUNITY, c.Adopt("issue-2", voices=crowd))) == ["adopted"]
    assert refused(stage.give(NEIGHBOUR, c.Follow())) == "followers-full"


# What they may do


def test_who_follows_urges_objects_and_supplies() -> None:
    stage = joined(NEIGHBOUR)
    stage.give(COMPANY, c.Answer("已安排"))
    for body, kind in ((c.Urge("还没修"), "urged"), (c.Object("没人来"), "objected")):
        assert kinds(stage.give(NEIGHBOUR, body)) == [kind]
    stage.give(COMPANY, c.Ask("哪一层?"))
    assert kinds(stage.give(NEIGHBOUR, c.Supply("三层"))) == ["supplied"]
    assert stage.issue.status == "arrived"
    for body in (c.Comment("在看"), c.Reopen("没好")):
        assert refused(stage.give(NEIGHBOUR, body)) == "not-yours"


def test_each_rates_once_and_that_closes_nothing() -> None:
    stage = completed(NEIGHBOUR, THIRD)
    (rated,) = stage.give(NEIGHBOUR, c.Confirm("solved", "basically"))
    assert (rated.kind, rated.actor) == ("confirmed", NEIGHBOUR)
    assert refused(stage.give(NEIGHBOUR, c.Confirm("solved", "satisfied"))) == "rated-already"
    assert stage.issue.followers[NEIGHBOUR.person].rating == "basically"
    assert stage.issue.followers[THIRD.person].rating == "not_rated"
    assert kinds(stage.give(REPORTER, c.Confirm("solved", "satisfied"))) == ["confirmed"], "a third may say no yet"
    assert kinds(stage.give(THIRD, c.Confirm("solved", "satisfied"))) == ["confirmed", "closed"]
    assert stage.issue.closed == Closed("solved", "satisfied")


def test_who_joined_after_the_completion_or_without_a_phone_does_not_rate() -> None:
    stage = shared()
    stage.give(THIRD, c.Follow())
    stage.give(COMPANY, DONE)
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    assert refused(stage.give(NEIGHBOUR, c.Confirm("not", "dissatisfied"))) == "joined-after-completion"
    assert refused(stage.give(THIRD, c.Confirm("not", "dissatisfied"))) == "rates-unverified"
    assert stage.issue.status == "completed"


def test_the_first_no_has_the_work_done_again_once_for_all() -> None:
    stage = completed(NEIGHBOUR, THIRD)
    assert kinds(stage.give(NEIGHBOUR, c.Confirm("not", "dissatisfied"))) == ["confirmed", "reopened"]
    assert stage.issue.status == "dispatched"
    assert stage.issue.reopened == 0, "it takes nothing of what the reporter may"
    stage.give(COMPANY, c.Accept())
    stage.upload(COMPANY)
    assert kinds(stage.give(COMPANY, DONE)) == ["completed"]
    for actor in (NEIGHBOUR, THIRD):
        assert kinds(stage.give(actor, c.Confirm("not", "dissatisfied"))) == ["confirmed"], "of another completion"
    assert stage.issue.status == "completed"
    assert kinds(stage.give(REPORTER, c.Reopen("没修好"))) == ["reopened"]


def test_the_reporters_word_silences_no_neighbour_before_the_window_is_over() -> None:
    stage = completed(NEIGHBOUR)
    assert kinds(stage.give(REPORTER, c.Confirm("partly", "basically"))) == ["confirmed"]
    assert stage.running() == {"silence"}
    assert kinds(stage.give(NEIGHBOUR, c.Confirm("not", "dissatisfied"))) == ["confirmed", "reopened"]
    stage.give(COMPANY, c.Accept())
    stage.upload(COMPANY)
    stage.give(COMPANY, DONE)
    assert kinds(stage.give(REPORTER, c.Confirm("solved", "satisfied"))) == ["confirmed", "closed"], "once for all"
    assert stage.issue.closed == Closed("solved", "satisfied")


def test_where_the_neighbours_say_nothing_it_closes_as_the_reporter_said() -> None:
    stage = completed(NEIGHBOUR)
    stage.give(REPORTER, c.Confirm("partly", "basically"))
    stage.let_pass(stage.clock("silence").due + timedelta(hours=1))
    assert stage.issue.closed is not None
    assert (stage.issue.closed.kind, stage.issue.closed.satisfaction) == ("partly", "basically")


def test_meanwhile_the_reporter_says_it_once_and_may_still_say_no() -> None:
    stage = completed(NEIGHBOUR)
    stage.give(REPORTER, c.Confirm("solved", "satisfied"))
    assert refused(stage.give(REPORTER, c.Confirm("partly", "basically"))) == "judged-already"
    assert refused(stage.give(COMPANY, c.Reopen("还有一处"))) == "judged-already", "the resident has answered"
    assert kinds(stage.give(REPORTER, c.Confirm("not", "dissatisfied"))) == ["confirmed", "reopened"]
    assert stage.issue.judged is None


def test_whoever_decides_after_the_reporter_speaks_for_himself() -> None:
    stage = completed(NEIGHBOUR)
    stage.give(REPORTER, c.Confirm("solved", "satisfied"))
    stage.give(REPORTER, c.Withdraw())
    assert stage.issue.judged is None
    assert kinds(stage.give(NEIGHBOUR, c.Confirm("partly", "basically"))) == ["confirmed", "closed"]
    assert stage.issue.closed == Closed("partly", "basically")


def test_nobody_waits_for_whoever_cannot_rate() -> None:
    stage = shared()
    stage.give(THIRD, c.Follow())
    stage.give(COMPANY, DONE)
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    assert kinds(stage.give(REPORTER, c.Confirm("solved", "satisfied"))) == ["confirmed", "closed"]


# Who decides


def test_the_issue_goes_on_while_one_is_left_and_the_oldest_decides() -> None:
    stage = joined(NEIGHBOUR, THIRD)
    (withdrawn,) = stage.give(REPORTER, c.Withdraw("我搬走了"))
    assert withdrawn.kind == "withdrawn"
    assert stage.issue.status == "arrived"
    assert stage.issue.reporter == NEIGHBOUR.person
    assert told(stage, withdrawn) == {""}
    assert refused(stage.give(REPORTER, c.Urge())) == "not-yours"
    stage.give(COMPANY, DONE)
    stage.give(NEIGHBOUR, c.Confirm("solved", "satisfied"))
    assert kinds(stage.give(THIRD, c.Confirm("solved", "satisfied"))) == ["confirmed", "closed"]


def test_the_last_one_who_withdraws_closes_it() -> None:
    stage = joined(NEIGHBOUR, THIRD)
    assert kinds(stage.give(NEIGHBOUR, c.Withdraw("不用了"))) == ["unfollowed"], "he takes back his own only"
    assert kinds(stage.give(REPORTER, c.Withdraw())) == ["withdrawn"]
    assert kinds(stage.give(THIRD, c.Withdraw())) == ["withdrawn", "closed"]
    assert stage.issue.closed is not None
    assert stage.issue.closed.kind == "withdrawn"


def test_a_reporter_who_withdrew_may_join_again() -> None:
    stage = joined(NEIGHBOUR)
    stage.give(REPORTER, c.Withdraw())
    assert kinds(stage.give(REPORTER, c.Follow())) == ["followed"]
    assert stage.issue.reporter == NEIGHBOUR.person
    assert kinds(stage.give(NEIGHBOUR, c.Withdraw())) == ["withdrawn"]
    assert stage.issue.reporter == REPORTER.person


# Merging


def test_who_reported_the_younger_issue_follows_the_older_one() -> None:
    older, _ = merged()
    assert may_see(older.issue, NEIGHBOUR, (), older.now)
    assert kinds(older.give(NEIGHBOUR, c.Urge("还没修"))) == ["urged"]
    assert kinds(older.give(REPORTER, c.Withdraw("我搬走了"))) == ["withdrawn"]
    assert older.issue.status == "dispatched"
    assert kinds(older.give(NEIGHBOUR, c.Withdraw())) == ["withdrawn", "closed"]


def test_the_younger_issue_says_where_it_went() -> None:
    stage = Stage()
    stage.give(COMMUNITY, c.Merge("issue-0"))
    assert stage.issue.merged_into == "issue-0"
    (answer,) = stage.give(REPORTER, c.Urge())
    assert "issue-0" in said(answer)


def test_who_reported_without_a_token_is_told_apart_from_the_older_reporter() -> None:
    older, younger = merged(Actor(ANONYMOUS, "resident"))
    (voice,) = (follower.voice for follower in older.issue.followers.values())
    assert voice == Voice("merged-issue-2", younger.opened_at, "issue-2", reported=True)


def test_all_who_speak_in_the_younger_issue_speak_in_the_older_one() -> None:
    younger = joined(NEIGHBOUR, THIRD)
    younger.give(NEIGHBOUR, c.Unfollow())
    assert [voice.person for voice in speaking(younger.issue)] == [REPORTER.person, THIRD.person]
    older = Stage()
    older.give(COMMUNITY, c.Adopt("issue-2", voices=speaking(younger.issue)))
    assert list(older.issue.followers) == [THIRD.person], "who reported both speaks as the reporter"


def test_who_joined_before_the_completion_by_his_report_rates() -> None:
    older, _ = merged()
    older.give(COMPANY, c.Accept())
    older.give(COMPANY, c.Arrive("minor"))
    older.give(COMPANY, DONE)
    assert kinds(older.give(NEIGHBOUR, c.Confirm("solved", "satisfied"))) == ["confirmed"]


# Codes


def test_each_has_a_code_of_his_own_that_he_renews() -> None:
    stage = joined(NEIGHBOUR)
    before = list(voices(stage.issue))
    assert before == [
        Voice(REPORTER.person, FRIDAY, "issue-1", reported=True),
        Voice(NEIGHBOUR.person, stage.now, "issue-1", rates=True),
    ]
    assert kinds(stage.give(NEIGHBOUR, c.RenewCode())) == ["code_renewed"]
    assert [voice.generation for voice in voices(stage.issue)] == [0, 1]
    stage.give(REPORTER, c.Withdraw())
    assert {(voice.person, voice.reported, voice.generation) for voice in voices(stage.issue)} == {
        (REPORTER.person, True, 0), (NEIGHBOUR.person, False, 1),
    }  # fmt: skip
    stage.give(NEIGHBOUR, c.RenewCode())
    assert {voice.person: voice.generation for voice in voices(stage.issue)} == {
        REPORTER.person: 0, NEIGHBOUR.person: 2,
    }  # fmt: skip


# What they see and hear


def test_a_resident_sees_his_own_words_and_never_those_of_another() -> None:
    stage = joined(NEIGHBOUR)
    assert sight(stage.issue, REPORTER) == Sight(text=True, phone=True, own=REPORTER.person)
    blind = Sight(text=False, phone=False, own=NEIGHBOUR.person)
    assert sight(stage.issue, NEIGHBOUR) == blind
    stage.give(REPORTER, c.Withdraw())
    assert sight(stage.issue, NEIGHBOUR) == blind, "nor does he once he decides"


def test_who_follows_is_told_of_each_step() -> None:
    stage = joined(NEIGHBOUR, THIRD)
    both = {NEIGHBOUR.person, THIRD.person}
    assert told(stage, stage.give(COMPANY, c.Answer("周三换灯"))[-1]) == {"", *both}
    assert told(stage, stage.give(STREET, c.Escalate("要上级管"))[-1]) == {"", *both}
    assert told(stage, stage.give(COMPANY, DONE)[-1]) == {"", *both}
    reopened = stage.give(NEIGHBOUR, c.Confirm("not", "dissatisfied"))[-1]
    assert told(stage, reopened) == {"", THIRD.person}, "but not of his own doing"
    stage.give(THIRD, c.Unfollow())
    assert told(stage, stage.give(COMPANY, c.Accept())[-1]) == {"", NEIGHBOUR.person}


def test_who_follows_is_told_that_the_reporter_ended_it() -> None:
    stage = completed(NEIGHBOUR)
    stage.give(NEIGHBOUR, c.Confirm("solved", "satisfied"))
    assert told(stage, stage.give(REPORTER, c.Confirm("solved", "satisfied"))[-1]) == {NEIGHBOUR.person}


def test_handler_and_lead_are_told_of_each_who_joins() -> None:
    stage = shared()
    stage.give(STREET, c.Escalate("要上级管"))
    (event,) = stage.give(NEIGHBOUR, c.Follow())
    assert {notice.org for notice in notices(event, stage.issue)} == {COMPANY.org, COMMUNITY.org}
    voice = Voice("merged-issue-2", FRIDAY, "issue-2", reported=True)
    (event,) = stage.give(STREET, c.Adopt("issue-2", voices=(voice,)))
    assert {notice.org for notice in notices(event, stage.issue)} == {COMPANY.org, COMMUNITY.org}, (
        "residents: by theirs"
    )


def test_a_stranger_gives_nothing_but_joins() -> None:
    stage = shared()
    for body in (c.Urge(), c.Withdraw(), c.Confirm("solved", "satisfied"), c.Unfollow(), c.RenewCode()):
        assert refused(decide(stage.issue, stage.command(THIRD, body))) == "not-yours"


# Where they meet those who judge


def on_the_side(stage: Stage, follower: Actor, outcome: Outcome = "solved") -> list[e.Event]:
    staff = Authority("property", COMPANY.org, person="staff-9")
    rating = "dissatisfied" if outcome == "not" else "satisfied"
    return stage.give(follower, c.Confirm(outcome, rating), grants=(Authority("resident"), staff))


def test_a_follower_on_the_handlers_side_counts_nothing_and_closes_nothing() -> None:
    stage = joined(NEIGHBOUR)
    stage.give(COMPANY, DONE)
    (said,) = on_the_side(stage, NEIGHBOUR)
    assert said.body.counted is False  # pyright: ignore[reportAttributeAccessIssue]
    assert stage.issue.followers[NEIGHBOUR.person].rating == "not_rated"
    assert stage.issue.status == "completed"


def test_the_uncounted_word_of_the_reporter_silences_no_neighbour() -> None:
    stage = joined(NEIGHBOUR)
    stage.give(COMPANY, DONE)
    assert kinds(on_the_side(stage, REPORTER)) == ["confirmed"]
    assert kinds(stage.give(NEIGHBOUR, c.Confirm("not", "dissatisfied"))) == ["confirmed", "reopened"]


def unverified(stage: Stage, name: str = "v-x") -> Actor:
    who = Actor(name, "resident")
    assert "followed" in kinds(stage.give(who, c.Follow(rates=False)))
    return who


def test_who_joined_by_a_click_uses_up_nothing_of_the_others() -> None:
    stage = joined(NEIGHBOUR)
    stranger = unverified(stage)
    stage.give(COMPANY, c.Answer("已安排"))
    assert refused(stage.give(stranger, c.Object("很好,没意见"))) == "objects-unverified"
    stage.give(COMPANY, c.Ask("哪一层?"))
    assert refused(stage.give(stranger, c.Supply("不知道"))) == "objects-unverified"
    assert kinds(stage.give(stranger, c.Urge())) == ["urged"]


def test_who_has_a_phone_decides_before_who_has_none_and_without_one_it_does_not_count() -> None:
    stage = Stage(common=True)
    stranger = unverified(stage)
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    stage.give(REPORTER, c.Withdraw())
    assert stage.issue.reporter == NEIGHBOUR.person
    stage.give(NEIGHBOUR, c.Withdraw())
    assert stage.issue.reporter == stranger.person
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive("minor"))
    stage.give(COMPANY, DONE)
    said, closed = stage.give(stranger, c.Confirm("solved", "satisfied"))
    assert (said.body.counted, said.body.because) == (False, "unverified")  # pyright: ignore[reportAttributeAccessIssue]
    assert closed.body == e.Closed("solved", "not_rated")


def test_nobody_takes_up_all_places_by_clicks() -> None:
    stage = Stage(common=True)
    for number in range(MOST_UNVERIFIED):
        unverified(stage, f"v-{number}")
    assert refused(stage.give(Actor("v-x", "resident"), c.Follow(rates=False))) == "unverified-full"
    assert "followed" in kinds(stage.give(NEIGHBOUR, c.Follow(rates=True)))


def test_a_follower_has_a_small_count_of_his_own() -> None:
    stage = Stage(common=True)
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    for _ in range(MOST_OF_FOLLOWER - 1):
        stage.give(NEIGHBOUR, c.Urge(), after=3600)
    assert refused(stage.give(NEIGHBOUR, c.Urge(), after=3600)) == "too-many-commands"
    assert kinds(stage.give(REPORTER, c.Urge())) == ["urged"]


def test_who_left_and_is_merged_back_keeps_what_he_rated() -> None:
    stage = joined(NEIGHBOUR)
    stage.give(COMPANY, DONE)
    stage.give(NEIGHBOUR, c.Confirm("partly", "basically"))
    rated = stage.issue.followers[NEIGHBOUR.person].rated
    stage.give(NEIGHBOUR, c.Unfollow())
    stage.give(REPORTER, c.Reopen("没好"))
    stage.give(COMMUNITY, c.Adopt("issue-0", voices=(Voice(NEIGHBOUR.person, FRIDAY, "issue-0", reported=True),)))
    back = stage.issue.followers[NEIGHBOUR.person]
    assert (back.left, back.rating, back.rated) == (False, "basically", rated)


def test_nothing_is_merged_into_work_that_is_completed() -> None:
    stage = joined(NEIGHBOUR)
    stage.give(COMPANY, DONE)
    assert refused(stage.give(COMMUNITY, c.Adopt("issue-2"))) == "completed-first"


def test_the_counter_goes_on_speaking_for_whoever_was_merged_without_a_phone() -> None:
    younger = Stage(report=False)
    younger.give(COMMUNITY, c.Report("JS-2", place(), "leak", "漏水", reachable=False), after=0)
    stage = Stage()
    assert refused(stage.give(COMMUNITY, c.Urge())) == "not-yours"
    stage.give(COMMUNITY, adoption(replace(younger.issue, id="issue-2")))
    assert kinds(stage.give(COMMUNITY, c.Urge("老人家问"))) == ["urged"]


# The word of whoever decides, kept for those who follow it


def test_a_party_that_is_judged_does_not_make_the_word_vanish_by_returning_the_work() -> None:
    stage = Stage("52022", common=True, where=place(None))
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Complete("explained", "查过了,是邻居家的水管在响"))
    assert kinds(stage.give(REPORTER, c.Confirm("partly", "dissatisfied"))) == ["confirmed"]
    assert refused(stage.give(COMMUNITY, c.Return("再办", to="community"))) == "judged-already"
    assert kinds(stage.give(STREET, c.Return("再办", to="community")))[0] == "returned"


def test_a_word_that_does_not_count_is_said_once_too() -> None:
    stage = completed(NEIGHBOUR)
    assert kinds(on_the_side(stage, REPORTER)) == ["confirmed"]
    assert [event.body for event in on_the_side(stage, REPORTER) if isinstance(event.body, e.Refused)]
    assert kinds(stage.give(REPORTER, c.Confirm("not", "dissatisfied"))) == ["confirmed", "reopened"]


def test_who_is_on_the_side_of_whoever_did_it_uses_up_nothing_of_the_neighbours() -> None:
    stage = completed(NEIGHBOUR, THIRD)
    assert kinds(on_the_side(stage, NEIGHBOUR, "not")) == ["confirmed", "reopened"]
    stage.give(COMPANY, c.Accept())
    stage.upload(COMPANY)
    stage.give(COMPANY, DONE)
    assert kinds(on_the_side(stage, NEIGHBOUR, "not")) == ["confirmed"], "once for them all"
    assert kinds(stage.give(THIRD, c.Confirm("not", "dissatisfied"))) == ["confirmed", "reopened"]


@pytest.mark.parametrize("leaves", [c.Unfollow(), c.Withdraw()])
def test_it_closes_when_the_last_one_who_was_waited_for_leaves(leaves: c.Body) -> None:
    stage = completed(NEIGHBOUR)
    stage.give(REPORTER, c.Confirm("solved", "satisfied"))
    assert kinds(stage.give(NEIGHBOUR, leaves)) == ["unfollowed", "closed"]
    assert stage.issue.closed == Closed("solved", "satisfied")


def test_nobody_waits_for_whoever_acted_in_it() -> None:
    stage = joined(replace(COMPANY, role="resident", org=None))
    assert kinds(stage.give(COMPANY, DONE))[-1] == "completed"
    assert kinds(stage.give(REPORTER, c.Confirm("solved", "satisfied"))) == ["confirmed", "closed"]


def test_who_joined_at_the_moment_of_the_completion_is_not_waited_for() -> None:
    stage = shared()
    stage.give(COMPANY, DONE)
    stage.give(NEIGHBOUR, c.Follow(rates=True), after=0)
    assert kinds(stage.give(REPORTER, c.Confirm("solved", "satisfied"))) == ["confirmed", "closed"]
