"""What happens to an open issue when the directory names other people: contracts end, communities dissolve, staff leave."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

import pytest

import domain.commands as c
from domain.access import Sight, may_see
from domain.accounts import accounts
from domain.commands import Actor, Authority
from domain.directory import (
    Appointment,
    Community,
    Compound,
    Contract,
    Directory,
    Operator,
    Period,
    Street,
)
from domain.directory_changes import said_of
from domain.events import DirectoryChanged
from domain.former import former_sight, own_record
from domain.issue import Issue
from domain.notices import notices
from domain.place import Handler, Place
from domain.resolving import change
from domain.worktime import SHANGHAI
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    DONE,
    ELSEWHERE,
    FRIDAY,
    REPORTER,
    RIVAL,
    STREET,
    VOLUNTEERS,
    Stage,
    arrived,
    climbs,
    kinds,
    local,
    place,
    refused,
)

NEW: Final = replace(place(), operator="company-b")
"""Another company has the contract from today on."""
NOBODY: Final = replace(place(), operator=None, operator_kind=None)
SOCIETY: Final = replace(place(), operator="helpers-of-elm", operator_kind="society")
MERGED: Final = replace(place(), community="oak")
"""The community was dissolved, and the compound belongs to another one."""
REDISPATCH: Final = c.Redispatch("helpers", "志愿者快", "volunteers")


def today(
    stage: Stage, where: Place | None = None, streets: tuple[str, ...] | None = ("north",), **said: str
) -> DirectoryChanged:
    """What changes when the directory says that the issue's place is this one today."""
    (event,) = stage.give(ADMIN, c.DirectoryChanged(where or stage.issue.place, streets, **said))
    assert isinstance(event.body, DirectoryChanged), event
    return event.body


def told(stage: Stage) -> set[str | None]:
    return {notice.org for notice in notices(stage.events[-1], stage.issue)}


def test_another_company_gets_the_contract_and_the_work_with_the_whole_time() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Plan((c.Step("换管", local("2026-11-22 18:00")),)))
    transfers = stage.issue.transfers
    changed = today(stage, NEW)
    assert (changed.handler, changed.lost, changed.got) == (
        Handler("company-b", "company"),
        ("company-a",),
        ("company-b",),
    )
    assert told(stage) == {"company-a", "company-b", None}
    assert (stage.issue.status, stage.issue.level, stage.issue.plan) == ("dispatched", "property", None)
    assert stage.clock("accept").start.at == stage.now
    assert stage.issue.transfers == transfers
    assert stage.issue.former == {"company-a": stage.now}
    assert refused(stage.give(COMPANY, c.Accept())) == "not-yours"
    assert kinds(stage.give(RIVAL, c.Accept())) == ["accepted"]


def test_nothing_that_the_former_company_left_undone_is_on_the_account_of_the_new_one() -> None:
    stage = Stage()
    stage.let_pass(timedelta(hours=2).total_seconds())
    assert climbs(stage) == [("accept", "community")]
    today(stage, NEW)
    stage.let_pass(600)
    (climb,) = accounts(stage.events, stage.issue.policy, stage.issue.calendars)
    assert climb.org == "company-a"
    assert climb.ms < timedelta(hours=2, minutes=2) / timedelta(milliseconds=1)


def test_the_community_that_leads_gets_no_more_time_because_the_company_changed() -> None:
    stage = Stage()
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    due = stage.clock("community-accept").due
    changed = today(stage, NEW)
    assert (changed.lost, changed.got) == (("company-a",), ("company-b",))
    assert (stage.issue.level, stage.issue.handler.code) == ("community", "company-b")
    assert stage.clock("community-accept").due == due


def test_where_nobody_has_a_contract_any_more_the_level_above_leads_and_does_the_work() -> None:
    stage = arrived()
    changed = today(stage, NOBODY)
    assert changed.handler == Handler("elm", "community")
    assert (stage.issue.level, stage.issue.ladder) == ("community", ("community", "street"))
    assert stage.clock("community-accept").start.at == stage.now
    assert kinds(stage.give(COMMUNITY, c.Accept())) == ["accepted"]
    # who has the contract later is back on the ladder, and the community may give it the work
    changed = today(stage, NEW)
    assert (changed.handler, changed.got) == (None, ("company-b",))
    assert stage.issue.ladder == ("property", "community", "street")
    assert stage.issue.level == "community"


def test_a_society_of_the_community_takes_the_community_off_the_ladder_unless_it_leads() -> None:
    below, led = Stage(), Stage()
    led.give(COMMUNITY, c.Escalate("物业推诿"))
    assert today(below, SOCIETY).ladder == ("property", "street")
    assert today(led, SOCIETY).ladder == ("property", "community", "street")
    assert today(below, NEW).ladder == ("property", "community", "street")


def test_whoever_was_given_the_work_keeps_it_as_long_as_he_works_in_the_street() -> None:
    stage = Stage()
    stage.give(COMMUNITY, REDISPATCH)
    stage.give(VOLUNTEERS, c.Accept())
    changed = today(stage, NEW, None)
    assert (changed.handler, stage.issue.status) == (None, "accepted")
    assert (changed.lost, changed.got) == (("company-a",), ("company-b",))  # as the lead
    assert kinds(stage.give(VOLUNTEERS, c.Arrive("minor"))) == ["arrived", "assessed"]

    given = Stage(where=replace(place(), operator="company-c"))
    given.give(COMMUNITY, c.Redispatch("company-a", "邻近", "company", ("north",)))
    changed = today(given, streets=())
    assert (changed.handler, changed.lost) == (Handler("company-c", "company"), ("company-a",))


def test_a_dissolved_community_leaves_its_clauses_to_its_successor() -> None:
    stage = Stage()
    stage.give(COMMUNITY, c.Escalate("物业推诿"))
    stage.now += timedelta(minutes=20)
    changed = today(stage, MERGED)
    assert (changed.handler, changed.lost, changed.got) == (None, ("elm",), ("oak",))
    assert told(stage) == {"elm", "oak"}
    assert stage.clock("community-accept").start.at == stage.now
    assert refused(stage.give(COMMUNITY, c.Accept())) == "not-yours"
    assert kinds(stage.give(ELSEWHERE, c.Accept())) == ["led"]


def test_a_dissolved_community_that_did_the_work_leaves_it_to_its_successor() -> None:
    stage = Stage(where=NOBODY)
    stage.give(COMMUNITY, c.Accept())
    assert today(stage, replace(MERGED, operator=None, operator_kind=None)).handler == Handler("oak", "community")
    assert kinds(stage.give(ELSEWHERE, c.Accept())) == ["accepted"]


def test_the_company_goes_on_as_before_while_only_the_community_changes() -> None:
    stage = arrived()
    due = {clock.clause: clock.due for clock in stage.issue.clocks}
    changed = today(stage, MERGED)
    assert (changed.handler, changed.lost, changed.got) == (None, (), ())
    assert told(stage) == set()
    assert {clock.clause: clock.due for clock in stage.issue.clocks} == due
    assert kinds(stage.give(COMPANY, DONE)) == ["completed"]


def test_a_wish_waits_for_the_successor_of_whoever_had_to_rule_with_the_whole_time() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要等材料"))
    stage.now += timedelta(minutes=20)
    changed = today(stage, MERGED)
    assert (changed.lost, changed.got) == (("elm",), ("oak",))
    assert stage.clock("rule-extend").start.at == stage.now
    assert kinds(stage.give(ELSEWHERE, c.Grant())) == ["extended"]


def test_where_company_and_community_change_at_once_nobody_rules_on_what_the_former_company_asked() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Extend("要等材料"))
    changed = today(stage, replace(NEW, community="oak"))
    assert (changed.lost, changed.got) == (("company-a",), ("company-b",))
    assert stage.issue.wishes == ()
    assert "rule-extend" not in stage.running()


def test_completed_work_stays_completed_and_is_done_again_by_the_new_company() -> None:
    stage = arrived()
    stage.give(COMPANY, DONE)
    silence = stage.clock("silence").due
    assert today(stage, NEW).handler == Handler("company-b", "company")
    assert (stage.issue.status, stage.clock("silence").due) == ("completed", silence)
    assert refused(stage.give(RIVAL, c.Reopen("不是我们办的"))) == "completed-elsewhere"
    stage.give(REPORTER, c.Reopen("又漏了"))
    assert kinds(stage.give(RIVAL, c.Accept())) == ["accepted"]


def test_paused_work_goes_on_with_the_new_company() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Ask("几楼?"))
    today(stage, NEW)
    assert (stage.issue.status, stage.issue.paused) == ("dispatched", None)
    assert kinds(stage.give(RIVAL, c.Accept())) == ["accepted"]


def test_a_complaint_about_the_operator_is_none_of_the_next_operators() -> None:
    stage = Stage(about_operator=True)
    changed = today(stage, NEW)
    assert (changed.handler, changed.lost, changed.got) == (None, (), ())
    assert stage.issue.former == {}


def test_who_was_to_go_and_left_is_cleared_and_the_organisation_is_told() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Assign("张工", appointed="staff-7"))
    assert stage.issue.assigned == "staff-7"
    changed = today(stage, left="staff-7")
    assert (changed.left, changed.handler) == ("staff-7", None)
    assert stage.issue.assigned is None
    assert told(stage) == {"company-a"}
    assert stage.issue.status == "arrived"
    # somebody else was named meanwhile
    stage.give(COMPANY, c.Assign("李工", appointed="staff-8"))
    assert (
        refused(stage.give(ADMIN, c.DirectoryChanged(stage.issue.place, ("north",), "staff-7")))
        == "directory-unchanged"
    )


def test_who_was_to_go_does_not_go_for_the_next_company() -> None:
    stage = arrived()
    stage.give(COMPANY, c.Assign("张工", appointed="staff-7"))
    today(stage, NEW)
    assert stage.issue.assigned is None


@pytest.mark.parametrize(
    ("where", "code"),
    [
        (place(), "directory-unchanged"), (replace(place(), name="新名字", grid="g1"), "directory-unchanged"),
        (None, "no-such-compound"), (replace(NEW, compound="yard"), "no-such-compound"),
    ],
)  # fmt: skip
def test_nothing_is_recorded_where_nothing_changes(where: Place | None, code: str) -> None:
    assert refused(Stage().give(ADMIN, c.DirectoryChanged(where, ("north",)))) == code


def test_the_contract_goes_and_comes_back() -> None:
    stage = Stage()
    today(stage, NEW)
    today(stage, place())
    assert (stage.issue.handler.code, list(stage.issue.former), stage.issue.resolved) == ("company-a", ["company-b"], 2)


@pytest.mark.parametrize("where", [NEW, NOBODY, SOCIETY, MERGED])
@pytest.mark.parametrize(
    "steps", [(), (c.Accept(),), (c.Accept(), c.Arrive("complex")), (c.Accept(), c.Decline("unclear"))]
)
def test_left_alone_after_a_change_it_reaches_the_top(where: Place, steps: tuple[c.Body, ...]) -> None:
    stage = Stage()
    for step in steps:
        stage.give(COMPANY, step)
    today(stage, where)
    stage.let_pass(FRIDAY + timedelta(days=60))
    assert stage.issue.level == "street"
    assert "reminded" in kinds(stage.events)
    assert STREET.org == stage.issue.place.street


# ------------------------------------------------------------------------------------------------ what may be read

TOWN: Final = Directory(
    streets=(Street("north", ""), Street("south", "")),
    communities=(Community("elm", "", "north"), Community("oak", "", "south")),
    compounds=(Compound("garden", "", "elm"), Compound("yard", "", "elm"), Compound("court", "", "oak")),
    operators=tuple(Operator(code, "", "company") for code in ("company-a", "company-b", "company-c", "company-d")),
    contracts=(
        Contract("company-a", "garden", Period(None, date(2026, 11, 20))),
        Contract("company-b", "garden", Period(date(2026, 11, 20))),
        Contract("company-c", "yard"), Contract("company-d", "court"),
    ),
)  # fmt: skip
"""The contract of company A for the garden ended today, and that of company B began."""


def sees(issue: Issue, viewer: Actor, at: datetime) -> bool:
    day = at.astimezone(SHANGHAI).date()
    grants = TOWN.grants_in(issue.place, [Authority(viewer.role, viewer.org)], day)
    return may_see(issue, viewer, grants, at)


def record(issue: Issue, viewer: Actor, at: datetime) -> Sight | None:
    day = at.astimezone(SHANGHAI).date()
    return former_sight(issue, viewer, TOWN.contract_ended(viewer.org, issue.place.compound, day), at)


def test_a_company_reads_as_long_as_it_has_the_contract_whatever_the_issue_names() -> None:
    open_one, closed = Stage(), Stage()
    closed.give(REPORTER, c.Withdraw())
    for issue in (open_one.issue, closed.issue):
        assert sees(issue, COMPANY, local("2026-11-19 23:59"))
        assert not sees(issue, COMPANY, local("2026-11-20 00:00"))
        assert not sees(issue, RIVAL, FRIDAY)
        assert sees(issue, COMMUNITY, FRIDAY)
        assert sees(issue, REPORTER, FRIDAY)


def test_a_company_that_was_given_the_work_reads_as_long_as_it_works_in_the_street() -> None:
    near, far = Actor("x", "property", "company-c"), Actor("x", "property", "company-d")
    for viewer, expected in ((near, True), (far, False)):
        stage = Stage()
        stage.give(COMMUNITY, c.Redispatch(viewer.org or "", "邻近", "company", ("north",)))
        assert sees(stage.issue, viewer, FRIDAY) is expected


def test_the_record_of_a_company_stays_for_twelve_months_after_it_lost_the_issue() -> None:
    stage = Stage()
    today(stage, NEW)
    lost = stage.now
    assert record(stage.issue, COMPANY, lost) == Sight(text=False, phone=False, record_of="company-a")
    assert record(stage.issue, COMPANY, lost.replace(year=2027) - timedelta(seconds=1)) is not None
    assert record(stage.issue, COMPANY, lost.replace(year=2027)) is None
    for stranger in (
        Actor("x", "property", "company-d"),
        REPORTER,
        Actor("x", "auditor", "company-a"),
        Actor("x", "property"),
    ):
        assert record(stage.issue, stranger, lost) is None


def test_the_record_of_a_closed_issue_stays_for_twelve_months_after_the_contract() -> None:
    stage, complaint = Stage(), Stage(about_operator=True)
    for each in (stage, complaint):
        each.give(REPORTER, c.Withdraw())
    assert record(stage.issue, COMPANY, local("2027-11-19 23:59")) is not None
    assert record(stage.issue, COMPANY, local("2027-11-20 00:00")) is None
    assert record(complaint.issue, COMPANY, FRIDAY) is None
    # without a date in the directory it counts from the close
    assert former_sight(stage.issue, COMPANY, None, stage.now.replace(year=2027)) is None
    assert former_sight(stage.issue, COMPANY, None, stage.now + timedelta(days=300)) is not None


def test_the_record_holds_what_it_did_and_what_was_ruled_but_nothing_of_others() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(REPORTER, c.Comment("还在漏"))
    stage.give(COMMUNITY, c.Comment("在看"))
    stage.give(COMPANY, c.Extend("要等材料"))
    stage.give(COMMUNITY, c.Grant())
    stage.let_pass(3 * 86_400)
    today(stage, NEW)
    stage.give(RIVAL, c.Accept())
    stage.let_pass(30 * 60)
    of = {org: [event.kind for event in own_record(stage.events, org)] for org in ("company-a", "company-b")}
    assert [kind for kind in of["company-a"] if kind != "warned"][:5] == [
        "reported",
        "dispatched",
        "accepted",
        "requested",
        "extended",
    ]
    assert of["company-a"][-1] == "directory_changed"
    assert set(of["company-a"]) & {"commented"} == set()
    assert "overdue" in of["company-a"]
    assert of["company-b"][:4] == ["reported", "dispatched", "directory_changed", "accepted"]


def test_what_the_directory_says_of_an_issue_follows_the_day() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Assign("张工", appointed="staff-7"))
    staffed = replace(
        TOWN, appointments=(Appointment("staff-7", "property", "company-a", Period(None, date(2026, 11, 19))),)
    )
    before = said_of(stage.issue, staffed, date(2026, 11, 18))
    assert (before.place and before.place.operator, before.left) == ("company-a", None)
    assert change(stage.issue, before) is None
    assert said_of(stage.issue, staffed, date(2026, 11, 19)).left == "staff-7"
    after = change(stage.issue, said_of(stage.issue, staffed, date(2026, 11, 20)))
    assert after is not None
    assert after.handler == Handler("company-b", "company")
    assert said_of(stage.issue, Directory(), date(2026, 11, 20)).place is None


def test_the_id_of_a_change_tells_a_repeat_from_what_comes_again() -> None:
    body = c.DirectoryChanged(NEW, ("north",))
    one = c.directory_command_id("issue-1", 0, body)
    assert one == c.directory_command_id("issue-1", 0, replace(body))
    others = {("issue-2", 0, body), ("issue-1", 1, body), ("issue-1", 0, c.DirectoryChanged(NOBODY, ("north",)))}
    assert one not in {c.directory_command_id(*each) for each in others}


def test_a_rejected_issue_whose_people_changed_is_still_objected_to() -> None:
    stage = Stage("12345", category="facility")
    stage.give(COMPANY, c.Accept())
    stage.give(COMMUNITY, c.Reject("不在本小区"))
    stage.give(REPORTER, c.Object("就在本小区"))
    new = replace(stage.issue.place, operator="company-b")
    stage.give(ADMIN, c.DirectoryChanged(place=new))
    assert stage.issue.handler.code == "company-b"
    assert stage.running() == {"rule-objection"}
    stage.give(STREET, c.Grant("objection", "在"))
    assert stage.issue.status == "dispatched"
