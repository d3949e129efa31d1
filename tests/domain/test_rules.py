"""Who leads and who handles: one focused test for each rule of the ladder."""

from dataclasses import replace
from datetime import timedelta

import pytest

import domain.commands as c
import domain.events as e
from domain.clocks import next_deadline, next_step
from domain.issue import Closed, ended
from domain.place import Handler
from domain.vocabulary import CloseKind
from tests.domain.play import (
    ADMIN,
    ANSWER,
    COMMUNITY,
    COMPANY,
    DONE,
    FRIDAY,
    REPORTER,
    STREET,
    VOLUNTEERS,
    Stage,
    arrived,
    climbs,
    kinds,
    local,
    pack,
    place,
    refused,
)

PLAN = c.Plan((c.Step("换管", local("2026-11-30 18:00")),))


# ------------------------------------------------------------------------------------------------ lead and handler


def test_a_climb_moves_the_lead_and_leaves_the_handler() -> None:
    stage = Stage()
    stage.let_pass(31 * 60)
    assert (stage.issue.level, stage.issue.handler.code) == ("community", "company-a")
    assert kinds(stage.give(COMPANY, c.Accept())) == ["accepted"], "a plumber a minute late is not locked out"
    assert kinds(stage.give(COMPANY, c.Arrive("minor"))) == ["arrived", "assessed"]
    assert kinds(stage.give(COMPANY, DONE)) == ["completed"]


def test_property_clauses_end_when_the_lead_climbs() -> None:
    stage = Stage()
    stage.let_pass(31 * 60)
    assert stage.running() == {"community-accept", "community-answer"}
    stage.give(COMPANY, c.Accept())
    assert stage.running() == {"community-accept", "community-answer"}, "and none of them starts anew"


def test_a_clause_of_a_level_is_met_only_by_that_level() -> None:
    stage = Stage()
    stage.let_pass(31 * 60)
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-21 18:00")),)))
    stage.give(COMPANY, c.Answer("明天换"))
    assert "community-accept" in stage.running()
    assert "community-answer" in stage.running()
    taking_over = stage.give(COMMUNITY, c.Accept())[0]
    assert (taking_over.kind, taking_over.clause, stage.issue.status) == ("led", "community-accept", "answered")
    assert "community-accept" not in stage.running()
    assert stage.give(COMMUNITY, c.Answer("已协调"))[0].clause == "community-answer"
    assert refused(stage.give(COMMUNITY, c.Accept())) == "lead-taken", "it has taken over already"


def test_the_lead_above_need_not_wait_for_the_company() -> None:
    stage = Stage()
    stage.let_pass(31 * 60)
    assert stage.issue.status == "dispatched"
    assert kinds(stage.give(COMMUNITY, c.Answer("社区已派人"))) == ["answered"]
    assert stage.issue.status == "dispatched", "the handler's status stays"
    assert refused(stage.give(COMPANY, c.Arrive())) == "accept-first", "the company accepts first"
    assert refused(stage.give(COMMUNITY, c.Resume())) == "wrong-status", "what cannot be is not allowed to it either"
    assert kinds(stage.give(COMMUNITY, c.Complete("explained", ANSWER))) == ["completed"]


def test_a_handler_at_work_to_whom_the_lead_climbs_can_still_take_over() -> None:
    """The community does the work itself; when the issue climbs to it, its own acceptance must still be possible."""
    stage = Stage()
    stage.give(COMMUNITY, c.Redispatch("elm", "社区自己办", "community", ("north",)))
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Escalate("归社区"))
    assert "community-accept" in stage.running()
    assert kinds(stage.give(COMMUNITY, c.Accept())) == ["led"]
    assert "community-accept" not in stage.running()


def test_what_others_do_does_not_meet_a_clause_of_the_property_level() -> None:
    own = replace(pack("3+3+5").clause[4], id="property-act", level="property")
    assert own.milestone == "act"
    stage = Stage(replace(pack("3+3+5"), clause=(*pack("3+3+5").clause, own)))
    stage.give(COMMUNITY, c.Supervise())
    assert "property-act" in stage.running()
    stage.give(COMPANY, c.Accept())
    assert "property-act" not in stage.running()


# ------------------------------------------------------------------------------------------------------------- size


def test_size_moves_the_lead_at_once_and_never_back() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    events = stage.give(COMPANY, c.Arrive("big"))
    assert kinds(events) == ["arrived", "assessed", "escalated"]
    assert (events[-1].level, events[-1].clause, events[-1].recorded_at) == ("community", "size", None)
    assert refused(stage.give(COMPANY, c.Assess("hard"))) == "assessment-unexplained", (
        "another assessment needs a reason"
    )
    assert kinds(stage.give(COMPANY, c.Assess("hard", "要动公共管网"))) == ["assessed", "escalated"]
    assert stage.issue.level == "street"
    assert kinds(stage.give(COMPANY, c.Assess("minor", "看错了"))) == ["assessed"]
    assert stage.issue.level == "street"


def test_a_big_matter_that_the_community_leads_stays_there() -> None:
    stage = Stage(where=place(None))
    stage.give(COMMUNITY, c.Accept())
    assert kinds(stage.give(COMMUNITY, c.Assess("big"))) == ["assessed"]


def test_the_same_size_again_is_refused_but_counts_anew_after_a_return() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive("minor"))
    assert refused(stage.give(COMPANY, c.Assess("minor", "还是小事"))) == "assessed-already"
    stage.give(COMMUNITY, c.Return("没修好"))
    stage.give(COMPANY, c.Accept())
    assert kinds(stage.give(COMPANY, c.Arrive("minor"))) == ["arrived", "assessed"]
    assert "minor" in stage.running(), "the twenty minutes are promised again to whoever does it again"
    stage.give(COMMUNITY, c.Return("还是没修好"))
    stage.give(COMPANY, c.Accept())
    assert kinds(stage.give(COMPANY, c.Assess("minor"))) == ["assessed"]


# -------------------------------------------------------------------------------------- transfers, rulings, returns


def test_the_third_transfer_climbs_whatever_its_kind() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Decline("not_our_duty"))
    stage.give(COMMUNITY, c.Rule(upheld=False))
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    events = stage.give(COMMUNITY, c.Redispatch("company-b", "还是专业队", "company", ("north",)))
    assert kinds(events) == ["redispatched", "escalated"]
    assert (events[-1].level, events[-1].clause, stage.issue.transfers) == ("community", "transfers", 3)
    fourth = stage.give(COMMUNITY, c.Redispatch("company-a", "换回来", "company", ("north",)))
    assert (fourth[-1].kind, fourth[-1].level) == ("escalated", "street")


def test_the_third_return_climbs_from_the_level_that_returned() -> None:
    stage = Stage()
    for _ in range(2):
        stage.give(COMPANY, c.Escalate("办不了"))
        assert kinds(stage.give(COMMUNITY, c.Return("办得了"))) == ["returned"]
        assert stage.issue.level == "property"
    stage.give(COMPANY, c.Escalate("办不了"))
    events = stage.give(COMMUNITY, c.Return("办得了"))
    assert [(event.kind, event.level) for event in events] == [("returned", "property"), ("escalated", "street")]


def test_a_decline_waits_for_its_ruling_while_the_clock_runs() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Decline("not_our_duty"))
    assert stage.issue.declined
    other = Stage()
    other.give(COMPANY, c.Decline("unclear"))
    other.give(REPORTER, c.Withdraw())
    assert not other.issue.declined, "what is closed waits for no ruling"
    assert refused(stage.give(COMPANY, c.Decline("unclear"))) == "decline-waits"
    stage.let_pass(local("2026-11-20 10:11"))
    assert stage.events[-1].kind == "overdue"
    ruled = stage.give(COMMUNITY, c.Rule(upheld=False, reason="合同里写了"))[0]
    assert ruled.body == e.Ruled(upheld=False, handler=None, reason="合同里写了")
    assert (stage.issue.handler.code, stage.issue.level, stage.issue.declined) == ("company-a", "property", False)


def test_a_decline_is_settled_by_accepting_after_all() -> None:
    """Or the company would work on the community's minutes for as long as nobody rules."""
    stage = Stage()
    stage.give(COMPANY, c.Decline("not_our_duty"))
    stage.give(COMPANY, c.Accept())
    assert not stage.issue.declined
    assert refused(stage.give(COMMUNITY, c.Rule(upheld=True))) == "no-decline"


def test_a_decline_that_is_upheld_gives_it_to_another_under_the_ruling_level() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Decline("needs_authority"))
    events = stage.give(
        STREET, c.Rule(upheld=True, handler="enforcement", handler_kind="department", handler_streets=("north",))
    )
    assert kinds(events) == ["ruled", "escalated"]
    assert stage.issue.handler == Handler("enforcement", "department")
    assert (stage.issue.level, stage.issue.status) == ("street", "dispatched")


def test_a_return_gives_the_lead_back_and_the_clocks_begin_anew() -> None:
    stage = Stage()
    stage.let_pass(31 * 60)
    event = stage.give(COMMUNITY, c.Return("物业先上门", "property"))[0]
    assert (event.kind, event.level, stage.issue.level) == ("returned", "property", "property")
    assert stage.clock("accept").due == local("2026-11-20 10:42")
    assert refused(stage.give(COMMUNITY, c.Return("再退", "community"))) == "not-below", "that is not below the lead"
    assert refused(stage.give(COMMUNITY, c.Return("再退"))) == "not-begun", "nothing has been done that could be redone"


def test_completed_work_is_done_again_on_return() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    assert stage.running() == {"silence"}
    stage.give(COMMUNITY, c.Return("地面没恢复"))
    assert stage.issue.status == "dispatched"
    assert stage.running() == {"accept"}


def test_a_redispatch_starts_over_with_the_new_handler() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive("complex"))
    stage.give(COMPANY, PLAN)
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    assert (stage.issue.status, stage.issue.handler.code) == ("dispatched", "helpers")
    assert stage.running() == {"accept"}, "the plan of the one before binds nobody"
    assert refused(stage.give(COMMUNITY, c.Redispatch("helpers", "再派", "volunteers"))) == "handles-already"
    assert kinds(stage.give(VOLUNTEERS, c.Accept())) == ["accepted"]


def test_whoever_leads_may_take_over_beside_another_handler() -> None:
    stage = Stage()
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    assert kinds(stage.give(COMPANY, c.Accept())) == ["led"]
    assert stage.issue.status == "dispatched"
    assert kinds(stage.give(VOLUNTEERS, c.Accept())) == ["accepted"]


# -------------------------------------------------------------------------------------- reopening, recurrence, close


def complete(stage: Stage) -> None:
    if stage.issue.status == "dispatched":
        stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive())
    stage.upload(COMPANY)
    assert kinds(stage.give(COMPANY, DONE)) == ["completed"]


def test_the_third_reopening_climbs_and_a_fourth_is_a_new_report() -> None:
    stage = Stage()
    for _ in range(2):
        complete(stage)
        assert kinds(stage.give(REPORTER, c.Reopen("又漏了"))) == ["reopened"]
    complete(stage)
    events = stage.give(REPORTER, c.Reopen("又漏了"))
    assert [(event.kind, event.level, event.clause) for event in events][-1] == ("escalated", "community", "reopening")
    complete(stage)
    assert refused(stage.give(REPORTER, c.Reopen("又漏了"))) == "reopened-enough"


def test_a_recurrence_with_new_facts_climbs_one_level_from_the_start() -> None:
    stage = following("solved", news="换了管子还在漏")
    assert [(event.kind, event.level) for event in stage.events] == [
        ("reported", "property"), ("dispatched", "property"), ("escalated", "community"),
    ]  # fmt: skip
    assert stage.events[-1].clause == "recurrence"
    assert stage.issue.handler.code == "company-a"


def following(kind: CloseKind, **details) -> Stage:
    """An issue that follows one of the same place, which closed so under the company at the community's level."""
    before = c.Before(kind, "community", Handler("company-a", "company"), 1, details.pop("until", None))
    return Stage(follows="issue-0", before=before, **details)


def test_without_new_facts_a_recurrence_climbs_only_by_the_word_of_somebody_above() -> None:
    stage = following("solved")
    assert climbs(stage) == []
    stage.give(COMMUNITY, c.Escalate("确实又漏了"))
    assert climbs(stage) == [("hand", "community")]


@pytest.mark.parametrize("kind", ["withdrawn", "rejected", "merged"])
def test_what_was_withdrawn_rejected_or_merged_does_not_climb_by_coming_back(kind: CloseKind) -> None:
    assert climbs(following(kind, news="又来了")) == []


def test_an_issue_closed_by_silence_is_taken_up_where_it_stood() -> None:
    first = Stage()
    complete(first)
    first.let_pass(local("2026-11-28 00:01"))
    closed = first.issue.closed
    assert closed is not None
    assert closed.until == local("2026-12-04 23:59:59"), "five working days"
    before = ended(first.issue)
    assert before == c.Before("solved", "property", Handler("company-a", "company"), 0, closed.until)
    stage = following("solved", takes_up=True, until=closed.until)
    assert [(event.kind, event.level) for event in stage.events] == [
        ("reported", "community"),
        ("dispatched", "community"),
    ]
    assert (stage.issue.handler.code, stage.issue.reopened) == ("company-a", 2), "counted as a reopening"
    assert stage.clock("community-answer").level == "community"


def test_what_the_resident_closed_is_not_taken_up() -> None:
    stage = Stage()
    complete(stage)
    stage.give(REPORTER, c.Confirm("solved", "satisfied"))
    assert stage.issue.closed == Closed("solved", "satisfied", until=None)


def test_after_its_days_it_is_not_taken_up() -> None:
    assert refused(following("solved", takes_up=True, until=FRIDAY - timedelta(seconds=1)).events) == "not-taken-up"
    assert refused(following("solved", takes_up=True).events) == "not-taken-up"
    assert refused(following("solved", takes_up=True, until=FRIDAY).events) is None


def test_it_is_not_taken_up_by_an_operator_whose_contract_ended() -> None:
    before = c.Before("solved", "property", Handler("company-z", "company"), 0, FRIDAY)
    assert Stage(follows="issue-0", takes_up=True, before=before).issue.handler.code == "company-a"
    before = c.Before("solved", "street", Handler("enforcement", "department"), 0, FRIDAY)
    stage = Stage(follows="issue-0", takes_up=True, before=before)
    assert (stage.issue.handler.code, stage.issue.level) == ("enforcement", "street")


@pytest.mark.parametrize(
    ("kind", "outcome", "closed"),
    [("solved", "partly", "partly"), ("referred", "explained", "explained"), ("explained", "solved", "solved")],
)
def test_the_residents_outcome_overrides_the_handlers(kind, outcome, closed) -> None:
    stage = arrived()
    stage.give(COMPANY, replace(DONE, kind=kind))
    stage.give(REPORTER, c.Confirm(outcome, "basically", "还行"))
    assert stage.issue.closed == Closed(closed, "basically")


def test_silence_closes_as_not_rated_with_the_handlers_kind() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    completed = stage.give(COMPANY, c.Complete("explained", ANSWER))[0]
    assert isinstance(completed.body, e.Completed)
    assert completed.body.silent_until == local("2026-11-27 23:59:59")
    stage.let_pass(local("2026-11-28 00:01"))
    assert stage.issue.closed == Closed("explained", "not_rated", until=local("2026-12-04 23:59:59"))
    assert stage.events[-1].at == local("2026-11-27 23:59:59")
    assert stage.events[-1].actor is None


def test_a_rating_is_one_of_three_words() -> None:
    """*Not rated* is what silence leaves; nobody can say it."""
    stage = Stage()
    complete(stage)
    with pytest.raises(ValueError, match="satisfaction"):
        c.load_command(
            "confirm",
            {"id": "1", "at": "2026-11-20T02:00:00Z", "actor": {"person": "p", "role": "resident"},
             "body": {"outcome": "solved", "satisfaction": "not_rated"}},
        )  # fmt: skip


def test_after_closing_nothing_applies_and_no_clock_runs() -> None:
    stage = Stage()
    complete(stage)
    stage.give(REPORTER, c.Confirm("solved", "satisfied"))
    assert stage.running() == set()
    assert next_deadline(stage.issue) is None
    assert next_step(stage.issue) is None
    for actor, body in ((REPORTER, c.Reopen("又漏了")), (COMPANY, c.Comment()), (ADMIN, c.ChangePolicy("x", "y"))):
        assert refused(stage.give(actor, body)) == "closed"
    assert stage.let_pass(10 * 365 * 86400.0) == []


# -------------------------------------------------------------------------------------------- where an issue starts


def test_a_society_skips_the_community() -> None:
    for kind in ("society", "community"):
        stage = Stage(where=place(kind))
        assert stage.issue.ladder == ("property", "street")
        stage.let_pass(31 * 60)
        assert climbs(stage) == [("accept", "street")]


def test_without_a_contract_the_community_handles_and_leads() -> None:
    stage = Stage(where=place(None))
    assert stage.issue.ladder == ("community", "street")
    assert (stage.issue.level, stage.issue.handler) == ("community", Handler("elm", "community"))
    assert stage.running() == {"community-accept", "community-answer"}
    accepted = stage.give(COMMUNITY, c.Accept())[0]
    assert (accepted.kind, accepted.clause) == ("accepted", "community-accept")


def test_a_complaint_about_the_operator_starts_at_the_community() -> None:
    stage = Stage(about_operator=True)
    assert (stage.issue.level, stage.issue.handler.code) == ("community", "elm")
    assert refused(stage.give(COMPANY, c.Accept())) == "not-yours"


def test_a_complaint_about_the_community_s_own_society_starts_at_the_street() -> None:
    stage = Stage(where=place("society"), about_operator=True)
    assert (stage.issue.ladder, stage.issue.handler.code) == (("street",), "north")


def test_a_dispute_starts_at_the_community_and_is_settled_within_three_working_days() -> None:
    stage = Stage("dispute", category="dispute")
    assert (stage.issue.level, stage.issue.handler.code) == ("community", "elm")
    assert stage.running() == {"community-accept", "contact", "sit", "settle"}
    assert stage.clock("contact").due == local("2026-11-23 23:59:59")
    assert stage.clock("sit").due == local("2026-11-24 23:59:59")
    assert stage.clock("settle").due == local("2026-11-25 23:59:59")
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Contact("双方都联系了"))
    assert stage.running() == {"sit", "settle"}
    stage.give(COMMUNITY, c.Sit("调解一次", ("甲", "乙")))
    stage.let_pass(local("2026-11-26 09:00"))
    assert climbs(stage) == [("settle", "street")]
    assert stage.events[-1].at == local("2026-11-26 08:00"), "an ordinary climb lands at opening"
    assert "street-settle" in stage.running()
    stage.give(STREET, c.Complete("settled", ANSWER))
    assert stage.issue.status == "completed"


def test_the_sub_ladder_of_a_policy_decides_the_first_level() -> None:
    street_only = replace(pack("dispute"), ladder=("street",))
    assert Stage(street_only).issue.level == "street"
