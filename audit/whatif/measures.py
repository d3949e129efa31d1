"""What is measured of a course: what was late and by how much, what climbed, whose minutes passed.

`follow` reads one course into facts; a `Tally` adds up the facts of many, in memory that does not grow with them but
for one float per red light and per closed issue.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

import domain.events as e
from audit.whatif.engine import refused_as
from domain.issue import Clock, Issue, Mark, rank
from domain.plans import STEP
from domain.rules import evolve
from domain.vocabulary import Holder, Level

_MS = timedelta(milliseconds=1)
_MINUTE = timedelta(minutes=1)
_DONE = (e.Completed, e.Closed, e.Returned, e.Reopened)
"""With these the duty that somebody was late with is over, whoever led meanwhile."""


@dataclass(frozen=True)
class Late:
    """A red light: `minutes` on the wall clock from the limit to when it was made good, or to the end (`unmet`)."""

    level: Level
    clause: str
    minutes: float
    unmet: bool


@dataclass
class Facts:
    """One course of one issue; counters go by the level that led at the time.

    `closed_after` is in minutes from the report, None if it is open; `held` in milliseconds. `kept` are limits whose
    milestone was reached in time, `climbs` are (level that lost the lead, clause or reason).
    """

    late: list[Late] = field(default_factory=list[Late])
    kept: Counter[Level] = field(default_factory=Counter[Level])
    climbs: list[tuple[Level, str]] = field(default_factory=list[tuple[Level, str]])
    reminders: Counter[Level] = field(default_factory=Counter[Level])
    refused: Counter[tuple[Level, str]] = field(default_factory=Counter[tuple[Level, str]])
    held: Counter[tuple[Level, Holder]] = field(default_factory=Counter[tuple[Level, Holder]])
    led: list[Level] = field(default_factory=list[Level])
    last: Level = "property"
    closed_after: float | None = None
    awaiting: bool = False

    @property
    def highest(self) -> Level:
        return max((*self.led, self.last), key=rank)


@dataclass
class _Red:
    """A red light whose end is not known yet."""

    level: Level
    clock: Clock
    due: datetime
    climbed: bool = False

    def goes_out(self, before: Issue, event: e.Event, after: Issue) -> bool:
        """Whether the event makes it good, or ends the duty.

        A climb takes the clock away but not the delay: that lasts until the milestone is reached after all, or the
        work is completed, given to somebody else or begun anew.
        """
        if any(_same(clock, self.clock) and clock.overdue for clock in after.clocks):
            return False
        if _meets(event, after, self.clock) or isinstance(event.body, _DONE) or before.handler != after.handler:
            return True
        self.climbed = self.climbed or isinstance(event.body, e.Escalated)
        return not self.climbed


def follow(start: Issue, events: Iterable[e.Event], end: datetime) -> Facts:
    """The facts of the course that begins in `start` and is looked at until `end`."""
    facts, state = Facts(), start
    reds: list[_Red] = []
    for event in events:
        before, state = state, evolve(state, event)
        _count(facts, before, event, state)
        for red in [red for red in reds if red.goes_out(before, event, state)]:
            reds.remove(red)
            facts.late.append(_late(red, event.at))
        if isinstance(event.body, e.Overdue):
            clock = next(clock for clock in before.clocks if clock.clause == event.clause)
            reds.append(_Red(event.level, clock, event.was_due or event.at))
    facts.late += (_late(red, end, unmet=True) for red in reds)
    facts.last = state.level
    if facts.closed_after is None:
        facts.awaiting = state.status == "completed"
        if state.holding is not None and end > state.holding.since:
            facts.held[state.level, state.holding.holder] += (end - state.holding.since) // _MS
    return facts


def _count(facts: Facts, before: Issue, event: e.Event, after: Issue) -> None:
    """What counts at once."""
    led_by = before.level if before.version else event.level
    if after.level not in facts.led:
        facts.led.append(after.level)
    for part in event.held:
        facts.held[led_by, part.holder] += part.ms
    if (code := refused_as(event)) is not None:
        facts.refused[led_by, code] += 1
    match event.body:
        case e.Escalated(from_level=level, by=reason):
            facts.climbs.append((level, event.clause or reason))
        case e.Reminded(count=count):
            facts.reminders[led_by] += count
        case e.Closed():  # whatever is refused afterwards moves `since` on
            facts.closed_after = (event.at - after.opened_at) / _MINUTE
        case _:
            facts.kept[led_by] += sum(
                not clock.overdue and _meets(event, after, clock) and not any(_same(clock, c) for c in after.clocks)
                for clock in before.clocks
            )


def _meets(event: e.Event, after: Issue, clock: Clock) -> bool:
    """Whether somebody reached with this event what the clock was waiting for."""
    if event.actor is None:
        return False
    match clock.clause:
        case "silence" | "ask" | "review" | "plan-update" | "idle":  # the resident's, or any word will do
            return False
        case "appointment":
            return isinstance(event.body, (e.Arrived, e.Attempted))
        case "plan-step" if clock.milestone == "step_done":
            step = next((step for step in after.plan.steps if not step.done), None) if after.plan else None
            return isinstance(event.body, e.StepDone) and (step is None or step.due != clock.due)
        case _:
            met = after.met.get((clock.level, clock.milestone))
            named = event.clause == clock.clause and event.was_due is not None
            return named or met == Mark(event.at, event.seq)


def _same(one: Clock, other: Clock) -> bool:
    """Whether it is the same limit: that of a plan's step has a date and no start of its own."""
    return one.clause == other.clause and one.start == other.start and (one.clause != STEP or one.due == other.due)


def _late(red: _Red, until: datetime, unmet: bool = False) -> Late:
    return Late(red.level, red.clock.clause, max(until - red.due, timedelta()) / _MINUTE, unmet)


@dataclass
class Tally:
    """Facts added up. `lateness` and `closing` are in minutes, `held` in milliseconds."""

    issues: int = 0
    kept: int = 0
    red: Counter[str] = field(default_factory=Counter[str])
    unmet: int = 0
    lateness: "array[float]" = field(default_factory=lambda: array("d"))
    climbs: Counter[str] = field(default_factory=Counter[str])
    escalated: int = 0
    highest: Counter[Level] = field(default_factory=Counter[Level])
    reminders: int = 0
    closing: "array[float]" = field(default_factory=lambda: array("d"))
    open: int = 0
    awaiting: int = 0
    held: Counter[Holder] = field(default_factory=Counter[Holder])
    refused: Counter[str] = field(default_factory=Counter[str])

    @property
    def late(self) -> int:
        return self.red.total()

    @property
    def due(self) -> int:
        """The limits that were put to the test: kept, or red."""
        return self.kept + self.late

    def add(self, facts: Facts, at: Level | None = None, *, whole: bool = True) -> None:
        """Adds one course; of what happens at a level only that at level `at`, if given.

        `whole`: the issue itself (its number, close and top level) counts whatever level led; else only at the levels
        that led it, and its end only where it ended.
        """
        late = [each for each in facts.late if at in (None, each.level)]
        self.kept += sum(number for level, number in facts.kept.items() if at in (None, level))
        self.red.update(each.clause for each in late)
        self.unmet += sum(each.unmet for each in late)
        self.lateness.extend(each.minutes for each in late)
        climbs = [clause for level, clause in facts.climbs if at in (None, level)]
        self.climbs.update(climbs)
        self.escalated += bool(climbs)
        self.reminders += sum(number for level, number in facts.reminders.items() if at in (None, level))
        for (level, holder), ms in facts.held.items():
            if at in (None, level):
                self.held[holder] += ms
        for (level, code), number in facts.refused.items():
            if at in (None, level):
                self.refused[code] += number
        self.issues += whole or at in facts.led
        if whole or at == facts.highest:
            self.highest[facts.highest] += 1
        if whole or at == facts.last:
            self._end(facts)

    def _end(self, facts: Facts) -> None:
        if facts.closed_after is None:
            self.open += 1
            self.awaiting += facts.awaiting
        else:
            self.closing.append(facts.closed_after)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: the least value that at least this share of them do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(ceil(share * len(values)), 1) - 1]
