"""Measures the course of an issue: what was late and by how much, what climbed, and who held the issue for how long.

`follow` turns one course into facts; a `Tally` adds up the facts of many courses. The memory of a tally grows only by
one float for each late limit and each closed issue.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

import domain.events as e
from audit.whatif.engine import refused_as
from domain.issue import Clock, Issue, rank
from domain.plans import STEP
from domain.rules import evolve, meets
from domain.vocabulary import LEVELS, Holder, Level

_MS = timedelta(milliseconds=1)
_MINUTE = timedelta(minutes=1)
_DONE = (e.Completed, e.Closed, e.Returned, e.Reopened)
"""The events that end the duty of which a limit was late, whatever level leads by then."""


@dataclass(frozen=True)
class Late:
    """A late limit. `minutes` run from its due time until it was met or, if it never was (`unmet`), until the end of
    the judged time.
    """

    level: Level
    clause: str
    minutes: float
    unmet: bool


@dataclass
class Facts:
    """The facts of one course of one issue. Levels in them are those that led when the fact arose.

    `closed_after` is in minutes from the report, None if the issue is open; `held` is in milliseconds. `kept` counts
    limits whose milestone was reached in time. `climbs` are (level that lost the lead, clause or reason). `led` are the
    levels that ever led, `last` is the one that led at the end.
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
    """A late limit while it is not met. `climbed` says whether the lead moved up a level since."""

    level: Level
    clock: Clock
    due: datetime
    climbed: bool = False

    def goes_out(self, before: Issue, event: e.Event, after: Issue) -> bool:
        """Whether the event ends this delay, because it meets the limit or ends the duty.

        A climb removes the clock but does not end the delay. The delay lasts until the milestone is reached after all,
        or the work is completed, given to another handler or begun anew.
        """
        if any(_same(clock, self.clock) and clock.overdue for clock in after.clocks):
            return False
        if meets(event, after, self.clock) or isinstance(event.body, _DONE) or before.handler != after.handler:
            return True
        self.climbed = self.climbed or isinstance(event.body, e.Escalated)
        return not self.climbed


def follow(start: Issue, events: Iterable[e.Event], end: datetime) -> Facts:
    """The facts of the course that begins in the state `start`, judged until `end`."""
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
    """Adds what one event shows without regard to late limits: time held, refusals, climbs, reminders, the close,
    limits kept.
    """
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
        case e.Closed():  # `since` would not do: refusals after the close move it on
            facts.closed_after = (event.at - after.opened_at) / _MINUTE
        case _:
            facts.kept[led_by] += sum(
                not clock.overdue and meets(event, after, clock) and not any(_same(clock, c) for c in after.clocks)
                for clock in before.clocks
            )


def _same(one: Clock, other: Clock) -> bool:
    """Whether two clocks are the same limit. All limits of a plan's steps have one clause and start, and differ by
    their due time.
    """
    return one.clause == other.clause and one.start == other.start and (one.clause != STEP or one.due == other.due)


def _late(red: _Red, until: datetime, unmet: bool = False) -> Late:
    return Late(red.level, red.clock.clause, max(until - red.due, timedelta()) / _MINUTE, unmet)


@dataclass
class Tally:
    """The sums of the facts of many courses. `lateness` and `closing` are in minutes, `held` in milliseconds."""

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
        """The number of limits that came to a result: kept or late."""
        return self.kept + self.late

    def add(self, facts: Facts, at: Level | None = None, *, whole: bool = True) -> None:
        """Adds the facts of one course; if `at` is given, only those of the time while that level led.

        With `whole` the issue itself (its number, close and highest level) counts whatever level led. Otherwise it
        counts only if the level `at` led it: its highest level only if that is `at`, its close only if `at` led last.
        """
        levels = LEVELS if at is None else (at,)
        late = [each for each in facts.late if each.level in levels]
        self.red.update(each.clause for each in late)
        self.unmet += sum(each.unmet for each in late)
        self.lateness.extend(each.minutes for each in late)
        climbs = [clause for level, clause in facts.climbs if level in levels]
        self.climbs.update(climbs)
        self.escalated += bool(climbs)
        self.kept += sum(facts.kept[level] for level in levels)
        self.reminders += sum(facts.reminders[level] for level in levels)
        for (level, holder), ms in facts.held.items():
            if level in levels:
                self.held[holder] += ms
        for (level, code), number in facts.refused.items():
            if level in levels:
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
    """The percentile by nearest rank: the least value that at least the share `share` of the values do not exceed. None
    without values.
    """
    if not values:
        return None
    return sorted(values)[max(ceil(share * len(values)), 1) - 1]
