"""A merged issue waits for an objection, and may be split again: then the older one lets its residents go."""

from dataclasses import replace
from datetime import timedelta

import pytest

import domain.commands as c
import domain.events as e
from domain.commands import Actor, Authority, Voice
from domain.followers import adoption, joinable, present, speaking
from domain.issue import Closed
from domain.notices import jobs, notices
from domain.rules import evolve
from domain.wire import format_time
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
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

NEIGHBOUR = Actor("resident-9", "resident")
THIRD = Actor("resident-10", "resident")
OPERATOR = Actor("operator", "admin", "north")
ORDER = (Authority("admin", "north", "order"),)
HOUR = 3600


def merged(by: Actor = COMMUNITY) -> Stage:
    """A broken lamp on a Monday, accepted at 10:01; merged into an older issue at 10:02."""
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility", common=True)
    stage.give(COMPANY, c.Accept())
    assert kinds(stage.give(by, c.Merge("older"))) == ["merged"]
    return stage


def taken_in(*voices: Voice) -> Stage:
    """An older issue that has taken in another one with these voices."""
    stage = Stage("12345", at=local("2026-05-29 10:00"), category="facility", common=True)
    stage.give(COMMUNITY, c.Adopt("younger", voices=voices))
    return stage


def voice(actor: Actor, issue: str = "younger") -> Voice:
    return Voice(actor.person, local("2026-05-29 10:00"), issue, reported=True)


def let_go(stage: Stage, *actors: Actor, issue: str = "younger", through: str | None = None) -> list[str]:
    persons = tuple(actor.person for actor in actors or (NEIGHBOUR,))
    return kinds(stage.give(OPERATOR, c.Split(issue=issue, through=through, persons=persons), grants=ORDER))


# The younger issue


def test_its_residents_are_told_where_it_went_and_it_waits_for_them() -> None:
    stage = merged()
    (event,) = stage.events[-1:]
    told = {notice.org for notice in notices(event, stage.issue)}
    assert told >= {None, "company-a", "north"}
    assert (stage.issue.status, stage.issue.merged_into, stage.issue.closed) == ("completed", "older", None)
    assert stage.running() == {"silence"}


def test_silence_closes_it_and_for_some_days_it_may_still_be_taken_up() -> None:
    stage = merged()
    stage.let_pass(local("2026-06-09 00:01"))
    assert stage.issue.closed is not None
    assert stage.issue.closed.kind == "merged"
    assert stage.issue.closed.until is not None


def test_an_objection_goes_to_the_level_above_who_merged() -> None:
    stage = merged()
    assert kinds(stage.give(REPORTER, c.Object("不是同一盏灯"))) == ["objected"]
    assert stage.running() == {"rule-objection"}
    assert stage.clock("rule-objection").level == "street"
    assert refused(stage.give(COMMUNITY, c.Deny("objection", "是同一盏"))) == "rules-above"


def test_upheld_it_closes_for_good() -> None:
    stage = merged()
    stage.give(REPORTER, c.Object("不是同一盏灯"))
    assert kinds(stage.give(STREET, c.Deny("objection", "是同一盏"))) == ["denied", "closed"]
    assert stage.issue.closed == Closed("merged")
    assert stage.issue.merged_into == "older", "its code opens that one"


def test_undone_it_goes_on_as_it_stood_and_the_older_one_is_told() -> None:
    stage, other = merged(), Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    other.give(COMPANY, c.Accept())
    stage.let_pass(local("2026-06-03 10:00"))
    stage.give(REPORTER, c.Object("不是同一盏灯"))
    stage.let_pass(local("2026-06-04 10:00"))
    assert kinds(stage.give(STREET, c.Grant("objection", "两盏灯"))) == ["granted", "taken_back"]
    assert (stage.issue.status, stage.issue.level, stage.issue.merged_into) == ("accepted", "property", None)
    assert stage.running() == other.running()
    assert (stage.clock("answer").due - other.clock("answer").due).days == 2, "the 2nd and the 3rd were whole days"
    (job,) = jobs(stage.events[-1], stage.issue)
    persons = [REPORTER.person]
    assert (job.name, job.issue, job.body["body"]) == ("tell_split", "older", {"issue": "issue-1", "persons": persons})
    assert job.body["at"] == format_time(stage.events[-1].at)


def test_nobody_rules_in_two_working_days_and_it_is_undone() -> None:
    stage = merged()
    stage.give(REPORTER, c.Object("不是同一盏灯"))
    stage.let_pass(local("2026-06-04 00:01"))
    event = stage.events[-1]
    assert (event.kind, event.actor, event.clause) == ("taken_back", None, "rule-objection")
    assert isinstance(event.body, e.TakenBack)
    assert event.body.leaves == "older"
    assert stage.issue.status == "accepted"


@pytest.mark.parametrize("actor", [COMMUNITY, STREET])
def test_who_merged_it_and_whoever_is_above_split_it_again(actor: Actor) -> None:
    stage = merged()
    assert kinds(stage.give(actor, c.Split("不是同一盏灯"))) == ["taken_back"]
    assert (stage.issue.status, stage.issue.merged_into) == ("accepted", None)
    assert [job.name for job in jobs(stage.events[-1], stage.issue)] == ["tell_split"]


def test_nobody_below_splits_what_was_merged_above() -> None:
    stage = merged(by=STREET)
    assert refused(stage.give(COMMUNITY, c.Split("不是同一盏灯"))) == "split-from-above"
    for actor in (COMPANY, REPORTER):
        assert refused(stage.give(actor, c.Split("不是同一盏灯"))) == "not-yours"
    assert (
        refused(stage.give(OPERATOR, c.Split("不是同一盏灯"), grants=(Authority("admin", "north"),)))
        == "split-by-merger"
    )


def test_only_what_is_merged_is_split() -> None:
    stage = Stage()
    assert refused(stage.give(COMMUNITY, c.Split("不是一件事"))) == "not-merged"
    stage.give(COMMUNITY, c.Reject("不属实"))
    assert refused(stage.give(COMMUNITY, c.Split("不是一件事"))) == "not-merged", "a rejection is taken back"


def test_a_merge_is_neither_rated_nor_reopened_but_objected_to_or_split() -> None:
    stage = merged()
    for body in (c.Confirm("solved", "satisfied"), c.Confirm("not", "dissatisfied"), c.Reopen("没办")):
        assert refused(stage.give(REPORTER, body)) == "object-instead"
    assert refused(stage.give(COMMUNITY, c.Reopen("点错了"))) == "split-instead"
    (event,) = stage.give(REPORTER, c.Urge())
    assert "older" in said(event), "the resident reads where it goes on"


def test_what_was_split_is_neither_merged_nor_rejected_again_by_the_same_level() -> None:
    stage = merged()
    stage.give(COMMUNITY, c.Split("不是同一盏灯"))
    for body in (c.Merge("another"), c.Reject("不属实")):
        assert refused(stage.give(COMMUNITY, body)) == "overruled", "or a clock would stand still by merging in turns"
    assert kinds(stage.give(STREET, c.Merge("another"))) == ["merged"]


def test_completed_and_dropped_work_is_not_merged() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, c.Complete("explained", "查过了,是邻居家的水管在响"))
    assert refused(stage.give(COMMUNITY, c.Merge("older"))) == "completed-first", "the resident has a word on it first"
    stage = merged()
    for body in (c.Merge("another"), c.Reject("不属实"), c.Adopt("younger-still")):
        assert refused(stage.give(STREET, body)) == "merged-first"


def test_what_is_merged_or_rejected_is_not_returned() -> None:
    """The work would begin anew with the whole time, by whoever is to be ruled on."""
    stage, rejected = merged(), Stage()
    rejected.give(COMMUNITY, c.Reject("不属实"))
    for each, code in ((stage, "split-instead"), (rejected, "take-back-instead")):
        for actor in (COMMUNITY, STREET):
            assert refused(each.give(actor, c.Return("再办"))) == code


def test_nobody_joins_what_is_merged() -> None:
    stage = merged()
    assert not joinable(stage.issue)
    (event,) = stage.give(NEIGHBOUR, c.Follow(rates=True))
    assert "older" in said(event)


def test_whoever_merged_it_does_not_rule_on_the_objection() -> None:
    stage = merged(by=STREET)
    stage.give(REPORTER, c.Object("不是同一盏灯"))
    assert refused(stage.give(STREET, c.Deny("objection", "是"))) == "rules-on-own"
    assert kinds(stage.give(replace(STREET, person="officer-33"), c.Deny("objection", "是"))) == ["denied", "closed"]


def test_between_the_ruling_and_what_follows_a_clock_runs() -> None:
    stage = merged()
    stage.give(REPORTER, c.Object("不是同一盏灯"))
    before = stage.issue
    granted, _ = stage.give(STREET, c.Grant("objection", "两盏灯"))
    assert evolve(before, granted).clocks


# The older issue


def test_the_older_one_lets_go_those_who_came_with_the_younger_one() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    stage.give(THIRD, c.Follow(rates=True))
    assert let_go(stage) == ["split"]
    assert list(present(stage.issue)) == [THIRD.person]
    assert refused(stage.give(NEIGHBOUR, c.Urge())) == "not-yours"
    event = stage.events[-2]
    assert {notice.org for notice in notices(event, stage.issue)} >= {"company-a"}


def test_with_those_whom_the_younger_one_had_taken_in_itself() -> None:
    stage = taken_in(voice(NEIGHBOUR), voice(THIRD, "youngest"))
    assert let_go(stage, NEIGHBOUR, THIRD) == ["split"]
    assert not present(stage.issue)


def test_whoever_reported_twice_stays_while_one_of_both_is_merged() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    stage.give(COMMUNITY, c.Adopt("another", voices=(voice(NEIGHBOUR, "another"),)))
    let_go(stage)
    assert list(present(stage.issue)) == [NEIGHBOUR.person]
    let_go(stage, issue="another")
    assert not present(stage.issue)


def test_whoever_followed_it_himself_stays() -> None:
    stage = Stage("12345", at=local("2026-05-29 10:00"), category="facility", common=True)
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    stage.give(COMMUNITY, c.Adopt("younger", voices=(voice(NEIGHBOUR),)))
    let_go(stage)
    assert list(present(stage.issue)) == [NEIGHBOUR.person]


def test_who_leaves_the_youngest_of_a_chain_leaves_the_oldest_as_well() -> None:
    middle = taken_in(voice(NEIGHBOUR, "younger"))
    oldest = Stage("12345", at=local("2026-05-28 10:00"), category="facility", common=True)
    oldest.now = middle.now
    oldest.give(COMMUNITY, replace(adoption(middle.issue), issue="middle"))
    middle.give(COMMUNITY, c.Merge("oldest"))
    assert let_go(middle) == ["split"]
    (job,) = jobs(middle.events[-1], middle.issue)
    assert job.issue == "oldest"
    body = {"issue": "younger", "through": middle.issue.id, "persons": [NEIGHBOUR.person]}
    assert job.body["body"] == body
    assert let_go(oldest, through="middle") == ["split"]
    assert list(present(oldest.issue)) == [REPORTER.person] if oldest.issue.reporter != REPORTER.person else True
    assert NEIGHBOUR.person not in present(oldest.issue)
    assert "middle" in oldest.issue.came, "the others of that one stay"


def test_whoever_decides_from_then_on_is_told() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    stage.give(THIRD, c.Follow(rates=True))
    stage.give(REPORTER, c.Withdraw("我搬走了"))
    before = stage.issue
    let_go(stage)
    (event,) = [each for each in stage.events if each.kind == "split"]
    assert "" in {notice.voice for notice in notices(event, stage.issue, before) if notice.org is None}


def test_the_counter_no_longer_speaks_for_whoever_left() -> None:
    stage = taken_in()
    stage.give(COMMUNITY, c.Adopt("silent", unheard=True))
    assert kinds(stage.give(COMMUNITY, c.Urge("老人家问"))) == ["urged"]
    stage.give(OPERATOR, c.Split(issue="silent"), grants=ORDER)
    assert refused(stage.give(COMMUNITY, c.Urge())) == "not-yours"


def test_who_decides_there_by_now_is_followed_by_the_next() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    stage.give(THIRD, c.Follow(rates=True))
    stage.give(REPORTER, c.Withdraw("我搬走了"))
    assert stage.issue.reporter == NEIGHBOUR.person
    let_go(stage)
    assert stage.issue.reporter == THIRD.person
    assert refused(stage.give(NEIGHBOUR, c.Withdraw())) == "not-yours"


def test_where_nobody_else_is_left_whoever_decides_stays() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    stage.give(REPORTER, c.Withdraw("我搬走了"))
    let_go(stage)
    assert stage.issue.reporter == NEIGHBOUR.person
    assert kinds(stage.give(NEIGHBOUR, c.Withdraw())) == ["withdrawn", "closed"]


def test_what_waited_for_them_only_closes() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    for body in (c.Accept(), c.Complete("explained", "查过了,是邻居家的水管在响")):
        stage.give(COMPANY, body)
    assert kinds(stage.give(REPORTER, c.Confirm("solved", "satisfied"))) == ["confirmed"]
    assert let_go(stage) == ["split", "closed"]
    assert stage.issue.closed == Closed("solved", "satisfied")


def test_what_is_not_merged_into_it_leaves_nothing() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    assert let_go(stage, issue="stranger") == ["refused"]


def test_nobody_lets_residents_go_but_by_order_of_the_younger_one() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    (event,) = stage.give(STREET, c.Split(issue="younger"))
    assert "younger" in said(event)
    assert list(present(stage.issue)) == [NEIGHBOUR.person]


def test_an_urgent_issue_is_merged_into_an_urgent_one_only() -> None:
    stage, body = Stage(category="facility"), c.Adopt("younger", urgent=True)
    (event,) = stage.give(COMMUNITY, body)
    assert "correct" in said(event)
    stage.give(COMMUNITY, c.Correct("冒烟了", urgent=True))
    assert kinds(stage.give(COMMUNITY, body)) == ["adopted"]


def test_an_issue_that_climbed_is_merged_only_into_one_that_is_led_as_high() -> None:
    stage, body = Stage(category="facility"), c.Adopt("younger", level="community")
    assert refused(stage.give(COMMUNITY, body)) == "other-higher"
    stage.give(COMMUNITY, c.Escalate("要社区管"))
    assert kinds(stage.give(COMMUNITY, body)) == ["adopted"]


def test_the_older_one_is_told_how_urgent_the_younger_one_is_and_who_leads_it() -> None:
    stage = Stage(urgent=True)
    assert adoption(stage.issue).urgent
    stage.give(COMMUNITY, c.Escalate("要社区管"))
    assert adoption(stage.issue).level == "community"


def test_what_was_split_is_not_taken_in_once_more() -> None:
    stage = taken_in(voice(NEIGHBOUR))
    let_go(stage)
    assert refused(stage.give(COMMUNITY, c.Adopt("younger", voices=(voice(NEIGHBOUR),)))) == "taken-in-before"


def test_merge_and_split_leave_every_voice_where_it_was() -> None:
    younger = merged()
    assert [each.person for each in speaking(younger.issue)] == [REPORTER.person]
    younger.give(COMMUNITY, c.Split("不是同一盏灯"))
    assert younger.issue.reporter == REPORTER.person
    assert kinds(younger.give(REPORTER, c.Urge())) == ["urged"]


def test_a_rejection_that_is_undone_tells_no_other_issue() -> None:
    stage = Stage()
    stage.give(COMMUNITY, c.Reject("不属实"))
    stage.give(COMMUNITY, c.Reopen("点错了"))
    assert stage.events[-1].kind == "taken_back"
    assert jobs(stage.events[-1], stage.issue) == ()


def test_the_job_names_the_issues_that_the_younger_one_had_taken_in() -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(COMMUNITY, c.Adopt("youngest", voices=(voice(NEIGHBOUR, "youngest"),)))
    stage.give(COMMUNITY, c.Merge("older"))
    (event,) = stage.give(COMMUNITY, c.Split("不是同一盏灯"))
    assert jobs(event, stage.issue)[0].body["body"]["persons"] == [REPORTER.person, NEIGHBOUR.person]


# Whose word it is


def followed() -> Stage:
    """The merged issue, which a neighbour has followed before."""
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility", common=True)
    stage.give(COMPANY, c.Accept())
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    stage.give(COMMUNITY, c.Merge("older"))
    return stage


def test_a_denied_objection_of_one_follower_closes_over_nobodys_head() -> None:
    stage = followed()
    until = stage.clock("silence").due
    stage.give(NEIGHBOUR, c.Object("随便"))
    assert kinds(stage.give(STREET, c.Deny("objection", "是同一盏"))) == ["denied"]
    assert (stage.running(), stage.clock("silence").due) == ({"silence"}, until)
    assert refused(stage.give(NEIGHBOUR, c.Object("再说一遍"))) == "objected-already", "each once"
    assert kinds(stage.give(REPORTER, c.Object("不是同一盏灯"))) == ["objected"]
    assert kinds(stage.give(STREET, c.Deny("objection", "是同一盏"))) == ["denied", "closed"]


def test_after_the_window_a_denied_objection_of_a_follower_closes() -> None:
    stage = followed()
    stage.let_pass(local("2026-06-05 10:00"))
    stage.give(NEIGHBOUR, c.Object("随便"), after=0)
    stage.now = local("2026-06-09 10:00")
    assert stage.issue.wish("objection") is not None
    denied, closed = stage.give(STREET, c.Deny("objection", "是同一盏"), after=0)
    assert (denied.kind, closed.kind, closed.actor) == ("denied", "closed", STREET)


def test_whoever_joins_what_was_rejected_does_not_object_to_that() -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility", common=True)
    stage.give(COMMUNITY, c.Reject("不属实"))
    stage.give(NEIGHBOUR, c.Follow(rates=True))
    assert refused(stage.give(NEIGHBOUR, c.Object("随便"))) == "joined-after-drop"
    assert kinds(stage.give(REPORTER, c.Object("属实"))) == ["objected"]


def test_whoever_dropped_it_does_not_object_for_the_resident() -> None:
    stage = Stage("12345", report=False)
    stage.give(
        STREET, c.Report("JS-2", stage.issue.place if stage.issue.place.compound else place(), "leak", "漏水"), after=0
    )
    stage.give(COMMUNITY, c.Reject("不属实"))
    assert refused(stage.give(COMMUNITY, c.Object("代居民提出"))) == "another-counter"
    assert kinds(stage.give(STREET, c.Object("居民不同意"))) == ["objected"]


@pytest.mark.parametrize(
    ("drop", "back"), [(c.Reject("不属实"), c.Reopen("点错了")), (c.Merge("older"), c.Split("不是"))]
)
def test_no_objection_is_made_to_vanish_by_dropping_the_issue_for_a_moment(drop: c.Body, back: c.Body) -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Contact())
    stage.give(COMPANY, c.Answer("以后再说"))
    stage.give(REPORTER, c.Object("等了三天了"))
    due = stage.clock("rule-objection").due
    stage.give(COMMUNITY, drop)
    stage.let_pass(local("2026-06-03 10:00"))
    stage.give(COMMUNITY, back, after=0)
    wish = stage.issue.wish("objection")
    assert wish is not None
    assert wish.ruler == "community"
    assert stage.clock("rule-objection").due - due == timedelta(days=1), "of the 2nd nobody could make use"


@pytest.mark.parametrize("urgent", [True, False])
def test_no_clock_ran_while_it_was_merged_though_a_question_was_open(urgent: bool) -> None:
    stage, other = (Stage("12345", at=local("2026-06-01 10:00"), category="facility", urgent=urgent) for _ in range(2))
    for each in (stage, other):
        each.give(COMPANY, c.Accept())
        each.give(COMPANY, c.Ask("几楼?"))
    stage.give(COMMUNITY, c.Merge("older"))
    stage.let_pass(local("2026-06-02 10:00"))
    stage.give(COMMUNITY, c.Split("不是"), after=0)
    assert stage.issue.status == "suspended"
    assert not stage.issue.is_overdue
    assert "escalated" not in [event.kind for event in stage.events]
    early = "contact-urgent" if urgent else "contact"
    assert stage.clock(early).due > other.clock(early).due, "a question does not stop that"


def test_nobody_is_late_for_days_in_which_nobody_could_know_that_it_was_undone() -> None:
    """The server stood still from the third to the twelfth."""
    stage = merged()
    stage.give(REPORTER, c.Object("不是同一盏灯"))
    stage.fold((), local("2026-06-12 10:00"))
    assert [event.kind for event in stage.events][-1] == "taken_back"
    assert stage.issue.level == "property"
    assert not stage.issue.is_overdue
    assert stage.minutes().get(("operator", "company-a"), 0) < 10


def test_at_the_top_another_person_may_merge_it_again() -> None:
    stage = merged(by=STREET)
    stage.give(STREET, c.Split("并错了"))
    assert refused(stage.give(STREET, c.Merge("right"))) == "overruled"
    other = replace(STREET, person="officer-33")
    assert kinds(stage.give(other, c.Merge("right"))) == ["merged"]
    stage.give(other, c.Split("又错了"))
    assert refused(stage.give(other, c.Merge("again"))) == "overruled", "each of them once"
    assert refused(stage.give(STREET, c.Merge("again"))) == "overruled"


def test_what_cannot_go_is_not_taken_in() -> None:
    younger = merged()
    younger.give(COMMUNITY, c.Split("不是"))
    stage = Stage(category="facility")
    assert (
        refused(stage.give(COMMUNITY, replace(adoption(younger.issue), issue="younger", opened=None)))
        == "other-overruled"
    )
    assert kinds(stage.give(STREET, replace(adoption(younger.issue), issue="younger", opened=None))) == ["adopted"]
    done = Stage(category="facility")
    done.give(COMMUNITY, c.Reject("不属实"))
    assert refused(stage.give(STREET, replace(adoption(done.issue), issue="done", opened=None))) == "other-status"


def test_nothing_is_merged_into_what_is_shelved() -> None:
    stage = Stage(category="facility")
    stage.give(STREET, c.Shelve("等资金"))
    assert refused(stage.give(STREET, c.Adopt("younger", level="street"))) == "shelved-takes-none"


def test_a_merged_issue_renews_no_code_since_the_other_one_would_not_know() -> None:
    (event,) = merged().give(REPORTER, c.RenewCode())
    assert "older" in said(event)


# Whose time it is, and what of the work passes on


def test_while_it_waits_it_is_the_residents_time_and_then_that_of_whoever_must_rule() -> None:
    stage = merged()
    stage.give(REPORTER, c.Object("不是同一盏灯"), after=HOUR)
    stage.give(STREET, c.Grant("objection", "两盏灯"), after=2 * HOUR)
    minutes = stage.minutes()
    assert minutes["resident", None] == pytest.approx(60, abs=1)
    assert minutes["street", "north"] == pytest.approx(120, abs=1)


def test_until_it_is_split_it_is_the_residents_time() -> None:
    stage = merged()
    stage.give(COMMUNITY, c.Split("并错了"), after=HOUR)
    assert stage.minutes()["resident", None] == pytest.approx(60, abs=1)


def test_a_new_handler_begins_with_nothing_of_the_old_one() -> None:
    stage = merged()
    stage.give(ADMIN, c.DirectoryChanged(place=replace(stage.issue.place, operator="company-b")))
    stage.give(COMMUNITY, c.Split("并错了"))
    assert stage.issue.status == "dispatched"


def test_what_is_shelved_stays_so_though_its_review_passed_meanwhile() -> None:
    stage = Stage("12345", at=local("2026-06-01 10:00"), category="facility")
    stage.give(STREET, c.Shelve("等资金"))
    review = stage.clock("review").due
    stage.now = review - timedelta(hours=1)
    stage.give(STREET, c.Merge("older"), after=0)
    stage.give(STREET, c.Split("并错了"), after=2 * HOUR)
    assert stage.issue.shelved


@pytest.mark.parametrize("review", ["2026-06-02 09:00", "2026-06-09 09:00"])
def test_the_steps_of_a_plan_move_once_by_the_days_in_which_nobody_worked(review: str) -> None:
    """Whether the pause ends while the issue is merged, or goes on afterwards."""
    stage = arrived("complex", at=local("2026-06-01 10:00"))
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-06-10 12:00")),)))
    stage.give(COMMUNITY, c.Grant("plan", "可以"))
    stage.give(COMPANY, c.Wait("parts", local(review)))
    if stage.issue.wish("pause") is not None:
        stage.give(COMMUNITY, c.Grant("pause", "可以"))
    assert stage.issue.paused is not None
    begun = stage.issue.paused.begin
    stage.give(COMMUNITY, c.Merge("older"), after=HOUR)
    stage.let_pass(local("2026-06-02 12:00"))
    (event,) = stage.give(COMMUNITY, c.Split("并错了"), after=0)
    if stage.issue.paused is not None:
        stage.give(COMPANY, c.Resume(), after=0)
    assert stage.issue.plan is not None
    assert stage.issue.plan.steps[0].due - local("2026-06-10 12:00") == event.at - begun
