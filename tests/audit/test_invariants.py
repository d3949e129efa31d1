"""Findings of the invariant checker over the events of an issue."""

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from audit.invariants import Violation, check_events, check_left_alone, check_outbox
from audit.refold import refold
from db.engine import Database
from db.tables import OutboxRow
from domain.commands import Accept, Comment
from domain.events import Event, load_event
from domain.issue import Issue
from domain.values import copy_with
from support.golden import HISTORIES, load_runs
from support.scenarios import SCENARIOS
from support.stories import PROPERTY, Plain, Story, lit_at_night, store


def told(*batches: Plain) -> list[Event]:
    """The events one after the other, with numbers of their own."""
    plain = [event for batch in batches for event in batch]
    return [load_event({**event, "seq": seq}) for seq, event in enumerate(plain, 1)]


def found(events: list[Event]) -> list[str]:
    return [str(each) for each in check_events("i", events, set(), timedelta(seconds=30))]


@pytest.mark.parametrize("between", [True, False])
def test_a_command_that_took_effect_twice_is_found(between: bool) -> None:
    story = Story()
    first, accepted = story.reported(), story.give(Accept(), PROPERTY, command="twice")
    rest = story.give(Comment("x"), PROPERTY) if between else []
    assert found(told(first, accepted, rest)) == []
    assert found(told(first, accepted, rest, accepted)) == ["I2 i: command twice in effect more than once"]


async def test_a_notice_may_wait_for_the_opening_and_no_longer(database: Database) -> None:
    story, events, opening = lit_at_night()
    await store(database, story, events[:-1])
    async with database.write() as session:
        await session.execute(update(OutboxRow).values(status="failed", last_error="gone", ready_at=None))
    await store(database, story, events[-1:])
    waits = timedelta(seconds=30)
    assert await check_outbox(database, opening, waits) == []
    late = await check_outbox(database, opening + timedelta(minutes=2), waits)
    assert [(each.invariant, each.detail) for each in late] == [
        ("I8", f"notice overdue of event {len(events)} still pending")
    ]


async def test_a_notice_that_was_tried_may_not_wait_however_often_it_is_put_off(database: Database) -> None:
    story = Story()
    await store(database, story, story.reported())
    later = story.now + timedelta(hours=1)
    async with database.write() as session:
        await session.execute(update(OutboxRow).values(attempts=3, ready_at=later + timedelta(hours=1)))
    assert [each.invariant for each in await check_outbox(database, later, timedelta(seconds=30))] == ["I8"]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_no_command_of_a_real_run_leads_to_two_events_of_one_kind(name: str) -> None:
    events = json.loads((HISTORIES / f"{name}.json").read_text("utf-8"))["events"]
    assert found([load_event(event) for event in events]) == []


def accepted() -> tuple[Issue, datetime]:
    story = Story()
    story.reported()
    story.give(Accept(), PROPERTY)
    return story.issue, story.now


def at_the_top() -> tuple[Issue, datetime]:
    story = Story()
    story.reported()
    while story.issue.level != "street":
        story.wait(12)
    story.wait(12)
    assert story.issue.reminder is not None
    return story.issue, story.now


def test_an_issue_that_nothing_moves_any_more_is_found() -> None:
    issue, now = accepted()
    assert check_left_alone(issue, now) == []
    frozen = copy_with(issue, clocks=())
    assert check_left_alone(frozen, now) == [
        Violation("I10", issue.id, "left alone, the issue stays with the property (accepted) for ever")
    ]
    # Lights and reminders of the level that sits on it are no way out.
    unmoved = tuple(copy_with(clock, climbs=()) for clock in issue.clocks)
    stuck = copy_with(issue, clocks=unmoved, progressed=None)
    assert [each.invariant for each in check_left_alone(stuck, now)] == ["I10"]


def test_an_issue_at_the_top_of_which_nobody_is_reminded_is_found() -> None:
    issue, now = at_the_top()
    assert check_left_alone(issue, now) == []
    silent = copy_with(issue, clocks=(), reminder=None)
    (found,) = check_left_alone(silent, now)
    assert found.detail.endswith("the issue stays with the street (dispatched) for ever: nobody is reminded")


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_no_state_of_a_real_run_freezes(name: str) -> None:
    folded = refold(f"golden-{name}", [run.events for run in load_runs(name)])
    assert folded is not None
    opened = [(event, state) for event, state in folded.states() if not state.is_closed]
    assert len(opened) > 1
    for event, state in opened:
        assert check_left_alone(state, event.recorded_at or event.at) == []
