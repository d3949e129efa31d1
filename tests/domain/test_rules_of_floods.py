"""A flood locks nothing: each giver has a count of their own, and what the work needs is taken whatever the counts say."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

import domain.commands as c
from domain.commands import Actor, Body
from domain.events import Event
from domain.followers import MOST_FOLLOWERS
from domain.issue import Issue, Receipt, dump_issue
from domain.limits import MOST_COMMANDS, MOST_OF_FOLLOWER, MOST_RECEIPTS
from domain.notices import notices
from domain.wire import canonical
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    DONE,
    FRIDAY,
    NEIGHBOUR,
    REPORTER,
    SETTLED_2027,
    STREET,
    VOLUNTEERS,
    Stage,
    arrived,
    kinds,
    local,
    pack,
    refused,
)

HOUR = 3600
PAYLOAD = 2 * 1024 * 1024
"""The most bytes that Temporal carries from one run to the next."""


def flooded(stage: Stage, actor: Actor, given: int = MOST_COMMANDS) -> Stage:
    """The stage after the actor's organisation, or the resident, has given so many commands."""
    stage.issue = replace(stage.issue, given={**stage.issue.given, actor.party: given})
    return stage


def only_counted(events: Sequence[Event]) -> list[bool]:
    return [event.body.counted_only for event in events if event.kind == "urged"]  # pyright: ignore[reportAttributeAccessIssue]


def told(stage: Stage, events: Sequence[Event]) -> list[str | None]:
    return [notice.org for event in events for notice in notices(event, stage.issue)]


# ------------------------------------------------------------------------------------------------------------ urging


def test_five_urges_of_an_hour_reach_the_staff_and_the_sixth_is_only_counted() -> None:
    stage = Stage()
    for _ in range(5):
        urged = stage.give(REPORTER, c.Urge("快点"), after=60)
        assert only_counted(urged) == [False]
        assert told(stage, urged) == ["company-a"]
    sixth = stage.give(REPORTER, c.Urge("快点"), after=60)
    assert only_counted(sixth) == [True]
    assert told(stage, sixth) == []


def test_whoever_urges_for_the_sixth_time_is_told_that_it_was_only_counted() -> None:
    stage = Stage()
    for _ in range(6):
        stage.give(REPORTER, c.Urge("快点"))
    *first, sixth = [receipt for receipt in stage.issue.receipts.values() if receipt.seq > 2]
    assert {(receipt.outcome, receipt.code) for receipt in first} == {("applied", "")}
    assert (sixth.outcome, sixth.code) == ("applied", "counted")
    assert sixth.named == {"most": "5"}


def test_an_urge_is_heard_again_once_the_first_of_five_is_an_hour_ago() -> None:
    stage = Stage()
    for _ in range(5):
        stage.give(REPORTER, c.Urge(), after=60)
    assert only_counted(stage.give(REPORTER, c.Urge(), after=HOUR - 4 * 60 - 1)) == [True]
    assert only_counted(stage.give(REPORTER, c.Urge(), after=1)) == [False]
    assert only_counted(stage.give(REPORTER, c.Urge(), after=58)) == [True], "the second of the five was 59:59 ago"


def test_who_urges_all_day_is_heard_five_times_an_hour() -> None:
    """Urges that were only counted keep nobody from being heard later."""
    stage = Stage()
    heard = [only_counted(stage.give(REPORTER, c.Urge(), after=5 * 60)) for _ in range(24)]
    assert heard.count([False]) == 10


def test_one_neighbour_does_not_use_up_anothers_urges() -> None:
    stage = Stage()
    for _ in range(6):
        stage.give(NEIGHBOUR, c.Urge(), after=0)  # refused: not the reporter
    for _ in range(5):
        stage.give(REPORTER, c.Urge(), after=0)
    stage.issue = replace(stage.issue, reporter=NEIGHBOUR.person)
    assert only_counted(stage.give(NEIGHBOUR, c.Urge(), after=0)) == [False]


def test_of_urges_the_state_keeps_five_moments_and_no_older_ones_than_an_hour() -> None:
    stage = Stage()
    for _ in range(9):
        stage.give(REPORTER, c.Urge(), after=1)
    assert len(stage.issue.urged[REPORTER.person]) == 5
    stage.issue = replace(stage.issue, reporter=NEIGHBOUR.person)
    stage.give(NEIGHBOUR, c.Urge(), after=HOUR)
    assert stage.issue.urged == {NEIGHBOUR.person: (stage.now,)}


def test_urges_have_an_end_since_each_leaves_a_receipt() -> None:
    stage = Stage()
    for _ in range(MOST_COMMANDS):
        stage.give(REPORTER, c.Urge("快点"), after=1)
    assert refused(stage.give(REPORTER, c.Urge("快点"))) == "too-many-commands"
    assert refused(stage.give(REPORTER, c.Comment("还在漏"))) == "too-many-commands"
    stage.issue = replace(stage.issue, reporter=NEIGHBOUR.person)
    assert refused(stage.give(NEIGHBOUR, c.Urge("快点"))) is None, "one does not use up another's"


# ------------------------------------------------------------------------------- a resident's flood, and the staff


@pytest.mark.parametrize(
    "body", [c.Contact("通了电话"), c.Assign("张工"), c.Mitigate("关了阀"), c.Refer("119")], ids=type
)
def test_a_flood_of_one_resident_takes_nothing_from_the_company(body: Body) -> None:
    stage = arrived(policy="12345")
    for _ in range(MOST_COMMANDS):
        stage.give(REPORTER, c.Urge("快点"), after=1)
    assert refused(stage.give(COMPANY, body)) is None


def test_a_flood_of_one_organisation_takes_nothing_from_another() -> None:
    stage = Stage()
    for _ in range(MOST_COMMANDS):
        stage.give(COMPANY, c.Comment("在办"), after=1)
    assert refused(stage.give(COMPANY, c.Comment("在办"))) == "too-many-commands"
    for actor in (REPORTER, COMMUNITY, STREET):
        assert refused(stage.give(actor, c.Comment("在看"))) is None


@pytest.mark.parametrize(
    "body",
    [c.Supply("三楼"), c.Confirm("solved", "satisfied"), c.Reopen("又漏了"), c.Withdraw(), c.RenewCode()],
    ids=type,
)
def test_whatever_a_resident_has_given_he_still_answers_decides_and_gets_a_new_code(body: Body) -> None:
    stage = arrived()
    if isinstance(body, c.Supply):
        stage.give(COMPANY, c.Ask("几楼?"))
    elif not isinstance(body, (c.Withdraw, c.RenewCode)):
        stage.give(COMPANY, DONE)
    flooded(stage, REPORTER)
    assert refused(stage.give(REPORTER, c.Comment("还在漏"))) == "too-many-commands"
    assert refused(stage.give(REPORTER, body)) is None


# --------------------------------------------------------------------------------------- an organisation's own count

NEAR = c.Plan((c.Step("换管", local("2026-11-22 18:00")),))


def test_a_milestone_is_always_taken_once_and_its_repetition_is_not() -> None:
    stage = flooded(Stage("12345"), COMPANY, MOST_RECEIPTS)
    for body in (c.Accept(), c.Contact("通了电话"), c.Arrive(), c.Assess("complex"), NEAR, c.Answer("周日换管")):
        assert refused(stage.give(COMPANY, body)) is None, body
    for body in (c.Contact("又打了"), c.Arrive(), c.Assess("minor", "看错了"), NEAR, c.Answer("周日换管")):
        assert refused(stage.give(COMPANY, body)) == "too-many-commands", body
    assert refused(stage.give(COMPANY, DONE)) is None


def test_a_milestone_counts_for_each_level_by_itself() -> None:
    stage = Stage("dispute", category="dispute")
    stage.give(COMMUNITY, c.Accept())
    stage.give(COMMUNITY, c.Contact())
    stage.give(COMMUNITY, c.Sit("调解会", ("甲", "乙")))
    stage.give(COMMUNITY, c.Escalate("调解不成"))
    flooded(flooded(stage, STREET, MOST_RECEIPTS), COMMUNITY, MOST_RECEIPTS)
    for body in (c.Accept(), c.Sit("联席会议", ("甲", "乙"))):
        assert refused(stage.give(STREET, body)) is None
    assert refused(stage.give(STREET, c.Sit("联席会议", ("甲", "乙")))) == "too-many-commands"


def test_work_that_starts_over_reaches_its_milestones_anew() -> None:
    stage = arrived()
    stage.give(COMMUNITY, c.Return("没修好"))
    flooded(stage, COMPANY, MOST_RECEIPTS)
    for body in (c.Accept(), c.Arrive("complex"), c.Mitigate()):
        assert refused(stage.give(COMPANY, body)) is None, body


def test_what_no_clause_asks_for_is_taken_once_for_each_term_and_level() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Contact())
    flooded(flooded(stage, COMPANY, MOST_RECEIPTS), COMMUNITY, MOST_COMMANDS)
    assert refused(stage.give(COMPANY, c.Contact())) == "too-many-commands"
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    assert "contact" not in {clock.milestone for clock in stage.issue.clocks}
    for actor in (COMPANY, COMMUNITY):
        assert refused(stage.give(actor, c.Contact())) is None, "the lead's term began after the company's call"
        assert refused(stage.give(actor, c.Contact())) == "too-many-commands"


def test_the_visit_that_an_appointment_waits_for_is_always_taken() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Schedule(local("2026-11-20 15:00")))
    flooded(stage, COMPANY, MOST_RECEIPTS)
    assert refused(stage.give(COMPANY, c.Arrive())) is None


def test_making_safe_is_always_taken_until_it_is_safe() -> None:
    stage = flooded(arrived(), COMPANY, MOST_RECEIPTS)
    assert refused(stage.give(COMPANY, c.Mitigate("关了阀"))) is None
    assert refused(stage.give(COMPANY, c.Mitigate("关了阀"))) == "too-many-commands"


def test_a_plan_is_proposed_once_whatever_the_count_and_then_counts() -> None:
    """A proposal reaches no milestone before it is granted, so it could be repeated without end."""
    long = c.Plan((c.Step("业主表决", local("2026-12-31 18:00")),))
    stage = flooded(arrived(), COMPANY)
    assert refused(stage.give(COMPANY, long)) is None
    assert refused(stage.give(COMPANY, long)) == "too-many-commands"
    stage.give(COMMUNITY, c.Deny("plan", "太久"))
    assert refused(stage.give(COMPANY, long)) == "too-many-commands"


@pytest.mark.parametrize(
    "body",
    [
        c.Comment("在办"), c.Assign("张工"), c.Schedule(local("2026-11-21 10:00")), c.Attempt(), c.Correct("门牌写错"),
        c.Answer("在办"), c.Wait("parts", local("2026-11-21 10:00")), c.Extend("要等材料"), c.Ask("几楼?"),
        c.Decline("not_our_duty"),
    ],
    ids=type,
)  # fmt: skip
def test_other_acts_of_staff_have_a_count_of_their_own(body: Body) -> None:
    stage = arrived()
    assert refused(flooded(stage, COMPANY, MOST_COMMANDS - 1).give(COMPANY, body)) is None
    stage = flooded(arrived(), COMPANY)
    assert refused(stage.give(COMPANY, body)) == "too-many-commands"


# ---------------------------------------------------------------------------------------------- decisions from above


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        (c.Extend("要等材料"), c.Grant("extend")), (c.Extend("要等材料"), c.Deny("extend", "材料本地就有")),
        (c.Decline("not_our_duty"), c.Rule(upheld=False)),
        (None, c.Return("没修好")), (None, c.Redispatch("helpers", "志愿者快", "volunteers")), (None, c.Escalate("物业推诿")),
        (None, c.Adopt("issue-2")), (None, c.Merge("issue-2")), (None, c.Reject("不在本小区")), (None, c.Refer("119")),
    ],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
def test_decisions_from_above_are_always_taken(asked: Body | None, body: Body) -> None:
    stage = flooded(arrived(), COMMUNITY)
    if asked is not None:
        stage.give(COMPANY, asked)
    assert refused(stage.give(COMMUNITY, c.Instruct("今天办完"))) == "too-many-commands"
    assert refused(stage.give(COMMUNITY, c.Supervise())) == "too-many-commands"
    assert refused(stage.give(COMMUNITY, body)) is None


def test_an_issue_is_shelved_whatever_the_count_but_not_again_and_again() -> None:
    stage = flooded(arrived(), STREET, MOST_RECEIPTS)
    assert refused(stage.give(STREET, c.Shelve("等专项资金"))) is None
    assert refused(stage.give(STREET, c.Shelve("等专项资金"))) == "too-many-commands"


@pytest.mark.parametrize(
    "body", [c.ChangePolicy("12345", "错绑", pack("12345")), c.CalendarPublished(SETTLED_2027)], ids=type
)
def test_a_calendar_and_another_policy_are_taken_whatever_the_street_has_said(body: Body) -> None:
    assert refused(flooded(arrived(), ADMIN).give(ADMIN, body)) is None


@pytest.mark.parametrize(
    ("actor", "body"),
    [
        (REPORTER, c.RenewCode()), (COMPANY, c.Refer("119")), (COMMUNITY, c.Adopt("issue-2")),
        (COMMUNITY, c.Return("没修好")), (STREET, c.Redispatch("helpers", "志愿者快", "volunteers")),
    ],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
def test_what_one_giver_could_repeat_without_end_ends_at_twice_the_count_for_this_giver_alone(
    actor: Actor, body: Body
) -> None:
    assert refused(flooded(arrived(), actor, MOST_RECEIPTS - 1).give(actor, body)) is None
    stage = flooded(arrived(), actor, MOST_RECEIPTS)
    assert refused(stage.give(actor, body)) == "too-many-commands"
    others = {REPORTER, COMPANY, COMMUNITY, STREET} - {actor}
    assert all(refused(stage.give(each, c.Comment("在看"))) is None for each in others)


def test_whoever_has_a_stolen_code_renewed_a_thousand_times_can_be_stopped() -> None:
    stage = flooded(Stage(), REPORTER, MOST_RECEIPTS)
    assert refused(stage.give(REPORTER, c.RenewCode())) == "too-many-commands"
    assert kinds(stage.give(REPORTER, c.Withdraw())) == ["withdrawn", "closed"], "to be reported anew"


# --------------------------------------------------------------------------------------------------------- the state


def test_each_receipt_counts_for_whoever_gave_the_command_and_only_once() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Grant())  # refused, and yet it leaves a receipt
    urge = stage.command(REPORTER, c.Urge())
    stage.fold([urge, urge])
    assert stage.issue.given == {"resident-1": 2, "company-a": 3}
    assert sum(stage.issue.given.values()) == len(stage.issue.receipts)


def test_receipts_never_outgrow_a_run() -> None:
    """The state of an issue that six givers and all followers have filled to the last command fits into what starts the
    next run.
    """
    givers = ("resident-1", "company-a", "helpers", "elm", "north", "enforcement")
    stage = Stage()
    for _ in range(6):
        stage.give(REPORTER, c.Urge())
    longest: Receipt = max(stage.issue.receipts.values(), key=lambda receipt: len(receipt.code))
    assert longest.code == "counted"
    receipts = {
        f"0d6f6a52-0f0e-5a0e-9a57-{n:012}": longest
        for n in range(len(givers) * MOST_RECEIPTS + MOST_FOLLOWERS * MOST_OF_FOLLOWER)
    }
    full: Issue = replace(stage.issue, receipts=receipts, given=dict.fromkeys(givers, MOST_RECEIPTS))
    assert len(canonical(dump_issue(full))) < PAYLOAD * 0.9, "policy and calendars travel beside it"


def test_volunteers_to_whom_it_passes_have_a_count_of_their_own() -> None:
    stage = flooded(arrived(), COMPANY)
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"))
    assert stage.now > FRIDAY
    for body in (c.Accept(), c.Assign("老张"), c.Contact()):
        assert refused(stage.give(VOLUNTEERS, body)) is None
