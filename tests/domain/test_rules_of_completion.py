"""What a completion must show: an answer, that somebody was on site, and a picture; and how it is taken back."""

from dataclasses import replace
from datetime import timedelta

import pytest

import domain.commands as c
from domain.clocks import next_step
from domain.limits import MOST_COMMANDS
from domain.personal import Sealed
from domain.refusals import refusal
from domain.vocabulary import CompletionKind
from tests.domain.invariants import work_of
from tests.domain.play import (
    ADMIN,
    ANSWER,
    COMMUNITY,
    COMPANY,
    DONE,
    REPORTER,
    SETTLED_2027,
    STREET,
    VOLUNTEERS,
    Stage,
    arrived,
    climbs,
    kinds,
    local,
    pack,
    refused,
)

UNPROVEN = c.Complete(answer=ANSWER)
"""A completion without a picture."""


def accepted(**details: str) -> Stage:
    stage = Stage(**details)
    stage.give(COMPANY, c.Accept())
    return stage


def why(stage: Stage, body: c.Body, actor: c.Actor = COMPANY) -> str:
    """The code and what the text names with which this is refused, empty if it is not."""
    found = refusal(stage.issue, stage.command(actor, body))
    return "" if found is None else " ".join((found.code, *found.params.values()))


# An answer


@pytest.mark.parametrize(
    "answer", ["", "好了", "  九个字也还是不够的  ", "\u200b" * 12, "修" + "\u0301" * 12, "修好" + " " * 12 + "了"]
)
@pytest.mark.parametrize("kind", ["solved", "explained", "referred"])
def test_whoever_completes_tells_the_resident_what_was_done(kind: CompletionKind, answer: str) -> None:
    assert why(arrived(), c.Complete(kind, answer, ("照片",))).startswith("answer-short")
    assert why(arrived(), c.Complete(kind, "十个字就已经是够了的", ("照片",))) == ""


def test_of_a_sealed_answer_the_rules_know_whether_it_is_long_enough() -> None:
    stage = arrived()
    command = stage.command(COMPANY, DONE)
    for answers, code in ((False, "answer-short"), (True, None)):
        sealed = replace(command.body, answer=Sealed("k", "AAAA"), answers=answers)
        found = refusal(stage.issue, replace(command, body=sealed))
        assert (found.code if found else None) == code


# Somebody was on site


@pytest.mark.parametrize("kind", ["solved", "partly"])
def test_nothing_is_solved_by_somebody_who_has_not_been_there(kind: CompletionKind) -> None:
    stage = accepted()
    done = replace(DONE, kind=kind)
    assert why(stage, done).startswith(f"arrive-first {kind}")
    stage.give(COMPANY, c.Arrive("minor"))
    assert kinds(stage.give(COMPANY, done)) == ["completed"]


@pytest.mark.parametrize("kind", ["explained", "referred", "settled", "not_settled"])
def test_what_is_explained_or_referred_or_settled_needs_nobody_on_site(kind: CompletionKind) -> None:
    assert kinds(accepted().give(COMPANY, c.Complete(kind, ANSWER))) == ["completed"]


def test_where_nobody_promised_to_come_nobody_must() -> None:
    assert kinds(accepted(policy="12345").give(COMPANY, DONE)) == ["completed"]


def test_the_lead_may_have_been_there_instead_of_the_handler() -> None:
    stage = accepted()
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Arrive("complex"))
    assert kinds(stage.give(COMPANY, DONE)) == ["completed"]


def test_another_handler_must_come_itself() -> None:
    stage = arrived()
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    stage.give(VOLUNTEERS, c.Accept())
    assert why(stage, DONE, VOLUNTEERS).startswith("arrive-first solved")
    stage.give(VOLUNTEERS, c.Arrive("complex"))
    assert kinds(stage.give(VOLUNTEERS, DONE)) == ["completed"]


def test_work_that_is_done_again_needs_no_second_arrival() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.give(REPORTER, c.Reopen("又漏了"))
    stage.give(COMPANY, c.Accept())
    assert kinds(stage.give(COMPANY, c.Complete(answer=ANSWER, evidence=("新照片",)))) == ["completed"]


# A picture


@pytest.mark.parametrize("kind", ["solved", "partly"])
def test_solved_work_is_shown_in_a_picture(kind: CompletionKind) -> None:
    stage = arrived()
    reason = why(stage, replace(UNPROVEN, kind=kind))
    assert reason == f"picture-missing leak {kind} company-a"
    assert kinds(stage.give(COMPANY, replace(DONE, kind=kind))) == ["completed"]


@pytest.mark.parametrize("kind", ["explained", "referred", "settled", "not_settled"])
def test_what_is_explained_or_referred_or_settled_needs_no_picture(kind: CompletionKind) -> None:
    assert kinds(arrived().give(COMPANY, replace(UNPROVEN, kind=kind))) == ["completed"]


@pytest.mark.parametrize(("policy", "category"), [("52022", "noise"), ("demo", "leak"), ("dispute", "leak")])
def test_a_picture_is_needed_only_where_the_pack_says_so(policy: str, category: str) -> None:
    actor = COMMUNITY if policy == "dispute" else COMPANY
    stage = Stage(policy, category=category)
    stage.give(actor, c.Accept(), after=1)
    if actor is COMPANY:
        stage.give(actor, c.Arrive("minor"), after=1)
    assert kinds(stage.give(actor, UNPROVEN, after=1)) == ["completed"]


def test_a_reference_to_something_elsewhere_is_no_picture() -> None:
    stage = arrived()
    command = stage.command(COMPANY, DONE)
    assert isinstance(command.body, c.Complete)
    stage.fold([replace(command, body=replace(command.body, pictures=()))])
    assert stage.issue.status == "arrived"


def test_a_picture_of_somebody_else_shows_nothing() -> None:
    for other in (REPORTER, COMMUNITY, VOLUNTEERS):
        stage = arrived()
        stage.upload(other)
        assert why(stage, DONE).startswith("picture-missing "), other
    stage = arrived()
    stage.upload(replace(COMPANY, person="a colleague"))
    assert why(stage, DONE) == ""
    stage.upload(replace(VOLUNTEERS, person=COMPANY.person))  # the same person, for another organisation
    assert why(stage, DONE) == ""


def test_a_picture_from_before_the_work_was_accepted_shows_nothing() -> None:
    stage = Stage()
    stage.upload(COMPANY)
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive("minor"))
    assert why(stage, DONE).startswith("picture-missing ")
    stage.upload(COMPANY, "后来的")
    assert why(stage, c.Complete(answer=ANSWER, evidence=("照片", "后来的"))) == "", "one that does is enough"


def test_a_picture_of_the_moment_of_acceptance_counts() -> None:
    stage = accepted()
    stage.upload(COMPANY)
    stage.give(COMPANY, c.Arrive("minor"))
    assert why(stage, DONE) == ""


def test_work_that_is_done_again_is_shown_again() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.give(REPORTER, c.Reopen("又漏了"))
    stage.give(COMPANY, c.Accept())
    assert why(stage, DONE).startswith("picture-missing ")


def test_a_lead_shows_what_it_did_after_it_took_over() -> None:
    stage = arrived()
    stage.upload(COMMUNITY)
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    assert why(stage, DONE, COMMUNITY).startswith("picture-missing "), "it has not accepted the lead"
    stage.give(COMMUNITY, c.Accept())
    assert why(stage, DONE, COMMUNITY).startswith("picture-missing "), "from before"
    stage.upload(COMMUNITY, "后来的", after=1)
    assert why(stage, c.Complete(answer=ANSWER, evidence=("后来的",)), COMMUNITY) == ""


# Taken back


def planned() -> Stage:
    stage = arrived()
    due = stage.now + timedelta(days=2)
    stage.give(COMPANY, c.Plan((c.Step("关阀", due), c.Step("换管", due + timedelta(days=2)))))
    stage.give(COMPANY, c.StepDone(1))
    return stage


def asking() -> Stage:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要等材料"))
    return stage


def declined() -> Stage:
    stage = arrived()
    stage.give(COMPANY, c.Decline("not_our_duty"))
    return stage


def proposing() -> Stage:
    stage = arrived()
    stage.give(COMPANY, c.Plan((c.Step("业主表决", stage.now + timedelta(days=30)),)))
    return stage


def waiting() -> Stage:
    stage = planned()
    stage.give(COMPANY, c.Wait("parts", stage.now + timedelta(days=1)))
    return stage


def visiting() -> Stage:
    stage = arrived()
    stage.give(COMPANY, c.Schedule(stage.now + timedelta(hours=5)))
    return stage


def shelved() -> Stage:
    stage = arrived()
    stage.give(STREET, c.Shelve("等专项资金"))
    return stage


def late() -> Stage:
    """Red, and led by the community."""
    stage = arrived()
    stage.let_pass(3 * 86400)
    assert climbs(stage)
    return stage


SITUATIONS = (arrived, planned, asking, declined, proposing, waiting, visiting, shelved, late)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_completion_taken_back_leaves_the_work_as_it_was(situation) -> None:
    stage = situation()
    before = stage.issue
    assert kinds(stage.give(COMPANY, DONE)) == ["completed"]
    assert stage.running() <= {"silence", "answer"}
    assert kinds(stage.give(COMPANY, c.Reopen("还有一处在漏"))) == ["taken_back"]
    assert work_of(stage.issue) == work_of(before)
    assert next_step(stage.issue) == next_step(before)
    assert stage.issue.work is None


@pytest.mark.parametrize("situation", [arrived, planned, visiting, late])
def test_clocks_run_as_if_the_work_had_never_been_completed(situation) -> None:
    """What fell due in the meantime falls due at once, and nothing gets a new term."""
    stage, other = situation(), situation()
    stage.give(COMPANY, DONE, after=3600)
    stage.let_pass(3 * 86400)
    assert kinds(stage.give(COMPANY, c.Reopen("还有一处在漏")))[0] == "taken_back"
    stage.let_pass(60)
    other.let_pass(stage.now)
    lights = [
        [
            (clock.clause, clock.start, clock.due, clock.overdue, clock.climbed)
            for clock in each.issue.clocks
            if clock.level != "community"
        ]
        for each in (stage, other)
    ]
    assert stage.issue.level == other.issue.level
    assert stage.issue.reopened == 0
    assert stage.issue.looked == ()
    if stage.issue.level == "property":
        assert lights[0] == lights[1]


def test_a_pause_ends_on_its_day_although_the_work_was_completed_meanwhile() -> None:
    stage, other = waiting(), waiting()
    stage.give(COMPANY, DONE, after=3600)
    stage.give(COMPANY, c.Reopen("还有一处在漏"), after=3 * 86400)
    other.let_pass(stage.now)
    assert stage.issue.status == other.issue.status == "planned"
    recorded_late = other.clock("plan-step").due - stage.clock("plan-step").due
    assert recorded_late <= other.issue.policy.grace.span


def test_a_completion_taken_back_ends_the_silence() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.give(COMPANY, c.Reopen("还有一处在漏"))
    stage.let_pass(30 * 86400)
    assert not stage.issue.is_closed
    assert stage.issue.level == "street"


def test_what_is_said_about_completed_work_does_not_answer_the_work_that_goes_on() -> None:
    stage = planned()
    stage.give(COMPANY, DONE)
    stage.give(COMPANY, c.Answer("昨天已经修好了"))
    stage.give(COMMUNITY, c.Comment("好"))
    stage.give(COMPANY, c.Reopen("还有一处在漏"))
    assert "answer" in stage.running()
    assert ("property", "answer") not in stage.issue.met
    assert "commented" in stage.issue.marks


def test_what_was_changed_meanwhile_holds_for_the_work_that_goes_on() -> None:
    stage, other = planned(), planned()
    stage.give(COMPANY, DONE)
    for each in (stage, other):
        each.give(ADMIN, c.CalendarPublished(SETTLED_2027))
        each.give(ADMIN, c.ChangePolicy("12345", "错绑", pack("12345")))
        each.give(COMMUNITY, c.Correct("其实是下水道", "drain"))
    stage.give(COMPANY, c.Reopen("还有一处在漏"))
    assert {clock.clause: clock.due for clock in stage.issue.clocks} == {
        clock.clause: clock.due for clock in other.issue.clocks
    }


def test_only_the_organisation_that_completed_takes_it_back() -> None:
    stage = arrived()
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    stage.give(COMPANY, DONE)
    for other in (COMMUNITY, STREET):
        assert refused(stage.give(other, c.Reopen("没修好"))) == "completed-elsewhere"
    assert kinds(stage.give(replace(COMPANY, person="a colleague"), c.Reopen("还有一处在漏"))) == ["taken_back"]


def test_a_lead_takes_its_own_completion_back() -> None:
    stage = late()
    stage.give(COMMUNITY, c.Accept())
    assert kinds(stage.give(COMMUNITY, DONE)) == ["completed"]
    assert refused(stage.give(COMPANY, c.Reopen("没修好"))) == "completed-elsewhere"
    assert kinds(stage.give(COMMUNITY, c.Reopen("还有一处在漏"))) == ["taken_back"]
    assert stage.issue.level == "community"


@pytest.mark.parametrize(
    ("actor", "body"),
    [(REPORTER, c.Reopen("又漏了")), (COMMUNITY, c.Return("没修好")), (REPORTER, c.Confirm("solved", "satisfied"))],
)
def test_once_it_is_answered_a_completion_stands(actor: c.Actor, body: c.Body) -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.give(actor, body)
    assert stage.issue.work is None
    assert refused(stage.give(COMPANY, c.Reopen("还有一处在漏"))) in ("wrong-status", "closed")


def test_a_question_ends_by_the_pack_of_today_and_taking_back_does_not_lengthen_it() -> None:
    stage = Stage(policy="demo")
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Ask("几楼?"), after=0)
    stage.give(ADMIN, c.ChangePolicy("12345", "错绑", pack("12345")), after=0)
    asked = stage.clock("ask")
    assert asked.due == local("2026-11-27 23:59:59")
    assert stage.issue.paused is not None
    assert stage.issue.paused.end == asked.due
    stage.give(COMPANY, c.Complete("explained", ANSWER), after=0)
    stage.give(COMPANY, c.Reopen("还有一处在漏"), after=0)
    assert stage.clock("ask") == asked


def test_taking_back_counts_as_no_reopening_and_moves_no_lead() -> None:
    stage = arrived()
    for _ in range(stage.issue.policy.reopen.times + 1):
        stage.give(COMPANY, DONE)
        assert kinds(stage.give(COMPANY, c.Reopen("还有一处在漏"))) == ["taken_back"]
    assert stage.issue.level == "property"
    stage.give(COMPANY, DONE)
    assert kinds(stage.give(REPORTER, c.Reopen("又漏了"))) == ["reopened"]


def test_a_completion_is_not_taken_back_without_end() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.issue = replace(stage.issue, given={COMPANY.party: MOST_COMMANDS})
    assert why(stage, c.Reopen("还有一处在漏")).startswith("too-many-commands ")
    assert why(stage, c.Reopen("又漏了"), REPORTER) == ""


def test_the_time_of_a_completion_taken_back_is_not_the_residents() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.give(COMMUNITY, c.Comment("看过了"), after=7200)
    stage.give(COMPANY, c.Reopen("还有一处在漏"), after=3600)
    stage.give(COMPANY, c.Comment("接着修"))
    assert stage.minutes() == {("operator", "company-a"): 3 + 180 + 1}


def test_the_time_of_a_completion_that_stands_is_the_residents() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    stage.give(COMMUNITY, c.Comment("看过了"), after=7200)
    stage.give(REPORTER, c.Reopen("又漏了"), after=3600)
    assert stage.minutes() == {("operator", "company-a"): 3, ("resident", None): 180}


def test_after_a_climb_the_time_is_still_that_of_who_completed() -> None:
    stage = late()
    stage.give(COMPANY, DONE)
    before = stage.minutes()
    stage.give(COMPANY, c.Reopen("还有一处在漏"), after=3600)
    assert stage.minutes()["operator", "company-a"] - before["operator", "company-a"] == 60
