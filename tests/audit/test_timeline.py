"""The view of an issue at any event or moment is the fold of its events up to there."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from audit.timeline import MomentError, accounted, at_event, at_time, shown, states
from domain.clocks import next_deadline
from domain.commands import Accept, Confirm
from domain.events import Event
from domain.issue import Issue
from domain.rules import UnknownRulesError, evolve, meets
from domain.wire import dump, format_time
from tests.domain.casting import body, rightful, usual
from tests.domain.play import CALENDARS, COMPANY, DONE, FRIDAY, REPORTER, Stage, arrived, pack

PACKS = ("52022", "12345", "demo", "dispute", "3+3+5")
TICK = timedelta(milliseconds=1)


class Watched(Stage):
    """A stage that notes after each fold how the issue was known to be at that moment."""

    def __init__(self, policy: str) -> None:
        self.began = Issue.new("issue-1", pack(policy), CALENDARS)
        self.known: dict[datetime, Issue] = {}
        super().__init__(policy)

    def fold(self, *args, **options) -> list[Event]:
        events = super().fold(*args, **options)
        self.known[self.now] = self.issue
        return events

    @property
    def states(self) -> list[tuple[Event, Issue]]:
        """Each event with the state after it."""
        found: list[tuple[Event, Issue]] = []
        state = self.began
        for event in self.events:
            state = evolve(state, event)
            found.append((event, state))
        return found


def play(seed: int) -> Watched:
    """A random issue: commands that apply or not, pauses in which the clock acts, outages."""
    draw = random.Random(seed)
    stage = Watched(draw.choice(PACKS))
    for _ in range(draw.randint(3, 14)):
        match draw.randrange(6):
            case 0:
                stage.let_pass(draw.choice((30, 3600, 86_400, 5 * 86_400)))
            case 1:
                stage.outage(draw.choice((2, 7200, 3 * 86_400)))
            case _:
                actor, name = draw.choice((usual, rightful))(stage.issue, draw.randrange(1 << 16))
                stage.give(actor, body(name, draw.randrange(100), stage.now), after=draw.choice((0, 1, 60, 4000)))
    return stage


@pytest.mark.parametrize("seed", range(25))
def test_it_is_what_the_events_fold_to(seed: int) -> None:
    stage = play(seed)
    states = stage.states
    assert len(states) == stage.issue.version
    for event, state in states:
        view = at_event(states, event.seq)
        assert (view.event, view.state) == (event, state)
        plain = shown(view)
        assert plain["event"]["seq"] == state.version
        assert (plain["status"], plain["level"]) == (state.status, state.level)
        assert plain["responsible"]["handler"] == state.handler.code
        assert plain["acts"] == (None if (acts := next_deadline(state)) is None else dump(acts))
        assert (plain["closed"] is None) == (not state.is_closed)

    moments = sorted(stage.known)
    for moment, after in zip(moments, [*moments[1:], None], strict=True):
        known = stage.known[moment]
        assert at_time(states, moment).state == known
        before_next = moment if after is None else after - TICK
        assert at_time(states, before_next).state == known


def test_what_the_clock_caused_is_known_from_its_record_on() -> None:
    stage = Watched("demo")
    stage.outage(60)
    late = [event for event in stage.events if event.recorded_at is not None]
    assert late[0].at < late[0].recorded_at == stage.now
    assert at_time(stage.states, stage.now - TICK).event.seq == 2
    assert at_time(stage.states, stage.now).event == stage.events[-1]


def test_a_moment_that_is_none_is_named() -> None:
    stage = Watched("52022")
    stage.give(COMPANY, Accept())
    states = stage.states
    for seq in (0, 4, 10**6):
        with pytest.raises(MomentError, match=f"there is no event {seq}: the last one is 3"):
            at_event(states, seq)
    with pytest.raises(MomentError, match="there is no event 1: the last one is 0"):
        at_event([], 1)
    with pytest.raises(MomentError, match=f"nothing was known of it yet at {format_time(FRIDAY - TICK)}"):
        at_time(states, FRIDAY - TICK)
    assert at_time(states, FRIDAY + timedelta(days=9999)).event.seq == 3


def test_it_says_who_was_responsible_and_what_was_due() -> None:
    stage = Watched("52022")
    stage.give(COMPANY, Accept())
    plain = shown(at_event(stage.states, 3))
    assert plain["status"] == "accepted"
    assert plain["responsible"] == {"lead": "company-a", "handler": "company-a", "clock": ["operator", "company-a"]}
    assert plain["due"]["milestone"] == "arrive"
    assert plain["due"]["due"] == format_time(stage.now + timedelta(minutes=5))
    assert {clock["clause"] for clock in plain["running"]} == stage.running()
    assert plain["closed"] is None

    closed = arrived("minor")
    closed.give(COMPANY, DONE)
    closed.give(REPORTER, Confirm("solved", "satisfied"))
    states = [(closed.events[-1], closed.issue)]
    plain = shown(at_event(states, closed.issue.version))
    assert plain["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
    assert (plain["due"], plain["acts"], plain["running"]) == (None, None, [])


def test_it_says_what_stood_on_the_account_of_the_handler_at_that_moment() -> None:
    stage = Watched("52022")
    stage.let_pass(30 * 60 + 2)
    climb = next(event for event in stage.events if event.kind == "escalated")
    stage.let_pass(3600)
    stage.give(COMPANY, Accept(), after=0)
    states = stage.states
    assert accounted(states, at_event(states, climb.seq - 1)) == []
    (then,) = accounted(states, at_event(states, climb.seq))
    (now,) = accounted(states, at_event(states, stage.issue.version))
    assert (then["seq"], then["org"], then["made_good"], then["ms"]) == (climb.seq, "company-a", False, 0)
    assert now["ms"] == (stage.now - climb.recorded_at) // TICK


def test_an_issue_of_a_newer_version_is_not_folded_by_these_rules() -> None:
    stage = Watched("52022")
    reported, dispatched = stage.events
    newer = replace(reported, body=replace(reported.body, rules_version=99))
    with pytest.raises(UnknownRulesError, match="no rules 99"):
        list(states(stage.began, [newer]))
    with pytest.raises(UnknownRulesError, match="no rules 99"):
        list(states(replace(stage.issue, version=1, rules_version=99), [dispatched]))
    with pytest.raises(UnknownRulesError, match="no rules 99"):
        meets(dispatched, replace(stage.issue, rules_version=99), stage.issue.clocks[0])
