"""Findings of the invariant checker over the events of an issue."""

import json
from datetime import timedelta

import pytest

from audit.invariants import check_events
from domain.commands import Accept, Comment
from domain.events import Event, load_event
from support.golden import HISTORIES
from support.scenarios import SCENARIOS
from support.stories import PROPERTY, Plain, Story


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


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_no_command_of_a_real_run_leads_to_two_events_of_one_kind(name: str) -> None:
    events = json.loads((HISTORIES / f"{name}.json").read_text("utf-8"))["events"]
    assert found([load_event(event) for event in events]) == []
