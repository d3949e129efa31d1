"""The light of an issue: green, yellow from its warning on, red from its limit on."""

from datetime import timedelta

import domain.commands as c
from domain.clocks import next_clock
from domain.light import light, light_of
from tests.domain.play import COMPANY, DONE, REPORTER, Stage, arrived

MOMENT = timedelta(milliseconds=1)


def test_it_turns_yellow_with_the_warning_and_red_with_the_limit() -> None:
    stage = Stage()
    clock = next_clock(stage.issue)
    assert clock is not None
    assert clock.warn is not None
    told = [light_of(stage.issue, at) for at in (stage.now, clock.warn - MOMENT, clock.warn, clock.due - MOMENT)]
    assert told == ["green", "green", "yellow", "yellow"]
    assert light_of(stage.issue, clock.due) == "red", "although nobody has recorded it yet"


def test_it_stays_red_while_a_missed_limit_runs_though_another_one_is_near() -> None:
    stage = Stage()
    first = next_clock(stage.issue)
    assert first is not None
    stage.let_pass(first.due + timedelta(seconds=1))
    assert stage.issue.is_overdue
    assert light_of(stage.issue, stage.now) == "red"


def test_a_closed_issue_has_none() -> None:
    stage = arrived("minor")
    stage.give(COMPANY, DONE)
    stage.give(REPORTER, c.Confirm("solved", "satisfied"))
    assert stage.issue.is_closed
    assert light_of(stage.issue, stage.now) is None


def test_a_row_without_a_warning_is_green_until_its_limit() -> None:
    now = Stage().now
    assert light(overdue=False, due=now + MOMENT, warn_at=None, now=now) == "green"
    assert light(overdue=False, due=None, warn_at=None, now=now) is None
