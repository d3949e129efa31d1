"""Limits and climbs: when a light goes on, when the lead moves, and how far."""

from dataclasses import replace

import pytest

import domain.commands as c
from domain.advance import StuckClock
from domain.decide import Fold
from domain.rules import rules
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    STREET,
    Stage,
    climbs,
    kinds,
    local,
    pack,
    place,
)

# ----------------------------------------------------------------------------------------------------- limit, climb


def test_the_promise_is_not_the_climb() -> None:
    stage = Stage()
    stage.let_pass(local("2026-11-20 10:11"))
    assert [(event.kind, event.at) for event in stage.events[2:]] == [
        ("warned", local("2026-11-20 10:08")),
        ("overdue", local("2026-11-20 10:10")),
    ]
    assert stage.issue.level == "property"
    stage.let_pass(local("2026-11-20 10:31"))
    assert (stage.events[-1].kind, stage.events[-1].at) == ("escalated", local("2026-11-20 10:30"))
    assert stage.events[-1].was_due == local("2026-11-20 10:10")


def test_at_a_tie_overdue_comes_before_escalated() -> None:
    stage = Stage("demo")
    stage.let_pass(12)
    assert [event.kind for event in stage.events if event.at == stage.events[-1].at] == ["overdue", "escalated"]


def test_on_time_means_before_the_due_moment() -> None:
    for at, expected in (("10:00:09.999", ["accepted"]), ("10:00:10", ["overdue", "escalated", "accepted"])):
        stage = Stage("demo")
        given = stage.command(COMPANY, c.Accept(), at=local(f"2026-11-20 {at}"))
        events = stage.fold([given], now=given.at)
        assert [kind for kind in kinds(events) if kind != "warned"] == expected


def test_a_command_in_time_that_is_delivered_within_the_grace_still_counts() -> None:
    stage = Stage("demo")
    given = stage.command(COMPANY, c.Accept(), at=local("2026-11-20 10:00:09"))
    assert kinds(stage.fold([given], now=local("2026-11-20 10:00:10.900")))[-1] == "accepted"
    assert stage.issue.level == "property"


def test_the_kth_climb_moves_the_lead_to_the_kth_rung_and_no_further() -> None:
    """Urgent under 12345: accept and answer both climb at 30 minutes, the street gets it at 60."""
    stage = Stage("12345", urgent=True)
    stage.let_pass(59 * 60)
    assert stage.issue.level == "community"
    stage.let_pass(2 * 60)
    assert climbs(stage) == [("accept-urgent", "community"), ("answer-urgent", "street")]


def test_each_climb_of_a_list_has_its_own_moment() -> None:
    stage = Stage("12345", urgent=True)
    stage.give(COMPANY, c.Accept())
    stage.let_pass(local("2026-11-20 11:01"))
    assert climbs(stage) == [("answer-urgent", "community"), ("answer-urgent", "street")]
    moved = [event.at for event in stage.events if event.kind == "escalated"]
    assert moved == [local("2026-11-20 10:30"), local("2026-11-20 11:00")]


def test_a_climb_to_a_rung_that_has_the_lead_already_does_nothing() -> None:
    for stage in (Stage("12345", urgent=True, where=place(None)), Stage("12345", urgent=True)):
        if stage.issue.level == "property":
            stage.give(COMPANY, c.Escalate("要社区协调"))
        stage.let_pass(local("2026-11-20 10:59"))
        assert stage.issue.level == "community"
        stage.let_pass(local("2026-11-20 11:01"))
        assert stage.issue.level == "street"


def test_each_climb_happens_once() -> None:
    stage = Stage("3+3+5")
    stage.give(COMPANY, c.Accept())
    stage.let_pass(local("2026-12-30 10:00"))
    assert len(climbs(stage)) == 2
    stage.give(STREET, c.Return("物业再办"))
    assert stage.issue.level == "property"
    before = len(climbs(stage))
    stage.let_pass(3600)
    assert len(climbs(stage)) == before, "what has climbed once under the 5 days is not taken away again"


def test_a_climb_outside_service_hours_lands_at_opening_unless_it_is_urgent() -> None:
    at = local("2026-11-20 16:00")
    calm = Stage("12345", at=at, category="utilities")
    calm.give(COMPANY, c.Accept())
    calm.let_pass(local("2026-11-21 09:00"))
    landed = next(event for event in calm.events if event.kind == "escalated")
    assert (landed.at, landed.clause) == (local("2026-11-21 08:00"), "answer-utilities")
    night = Stage("12345", at=local("2026-11-20 23:00"), urgent=True)
    night.let_pass(31 * 60)
    assert night.events[-1].at == local("2026-11-20 23:30")


def test_nobody_is_warned_of_what_is_over() -> None:
    for at, expected in (("10:00:09.999", ["warned"]), ("10:00:10", [])):
        stage = Stage("demo")
        assert kinds(stage.outage(local(f"2026-11-20 {at}"))) == expected


def test_a_clock_that_does_not_move_is_a_bug_and_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("demo")
    still = rules(1)._replace(act=lambda issue, command: Fold(issue, command.at))
    monkeypatch.setattr("domain.rules.VERSIONS", {stage.issue.rules_version: still})
    with pytest.raises(StuckClock, match="does not move"):
        stage.outage(3600)


def test_a_level_that_gets_the_lead_again_is_not_late_for_what_was_before() -> None:
    stage = Stage("dispute", category="dispute", where=place())
    stage.let_pass(local("2026-11-24 10:00"))
    assert stage.clock("contact").overdue
    stage.give(STREET, c.Escalate("久拖不决"))
    stage.give(STREET, c.Return("先调解", to="community"))
    clock = stage.clock("contact")
    assert (clock.due, clock.overdue) == (local("2026-11-25 23:59:59"), False)
    assert stage.clock("settle").due == local("2026-11-25 23:59:59"), "that of the whole issue runs once"


def test_work_that_begins_anew_is_promised_anew_at_the_levels_above_too() -> None:
    """A clause of the community that counts from the report, at a place where the company leads first."""
    contact = pack("dispute").clause[0]
    stage = Stage(replace(pack("52022"), clause=(*pack("52022").clause, contact)))
    stage.let_pass(local("2026-11-20 11:00"))
    plan = c.Plan((c.Step("关阀", local("2026-11-22 18:00")), c.Step("换管", local("2026-11-28 18:00"))))
    for body in (c.Accept(), plan, c.Answer("社区盯着"), c.StepDone(1)):
        stage.give(COMMUNITY, body)
    stage.let_pass(local("2026-11-24 10:00"))
    assert stage.clock("contact").overdue
    stage.give(COMMUNITY, c.Return("重来"), after=0)
    stage.give(COMPANY, c.Escalate("办不了"))
    clock = stage.clock("contact")
    assert (clock.due, clock.overdue) == (local("2026-11-25 23:59:59"), False)


def test_a_light_that_counts_from_the_report_goes_on_once_though_the_lead_went_away_and_came_back() -> None:
    stage = Stage("demo")
    stage.give(COMPANY, c.Accept(), after=0)
    stage.give(ADMIN, c.ChangePolicy("dispute", "两家争执", body=pack("dispute")), after=0)
    stage.give(COMPANY, c.Escalate("要社区出面"), after=0)
    stage.let_pass(local("2026-11-26 08:01"))
    assert stage.issue.level == "street"
    stage.give(STREET, c.Return("物业先办"))
    assert stage.issue.level == "property"
    stage.let_pass(local("2026-12-05 08:00"))
    assert stage.issue.level == "community"
    assert [event.kind for event in stage.events if event.clause == "contact"] == ["warned", "overdue"]
    assert stage.clock("contact").overdue, "still nobody has called"
