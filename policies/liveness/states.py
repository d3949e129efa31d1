"""What tells two states of an issue apart in the search: all that the rules read, but no ids, texts and numbers.

*Fate* is exact: two states of one fate end alike, and at the same time, if nobody acts any more. It holds all moments
as they are; of marks and met milestones it holds only which clauses they start and meet, unless the work is paused, for
only the end of a pause computes clocks anew from them.

*Shape* leaves distances out: of moments to come it holds the order, of moments past only that they are past. Commands
are given on from the first state found of each shape. So every state reached is run to its end by its own times, but
what may follow a command is tried for one distance of each order. That is a limit of the search.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, Final, cast

from domain.clocks import ALWAYS, climb_moment, next_climb, passed_deadline
from domain.issue import Clock, Issue, Mark, rank
from domain.policy import Clause, Policy
from domain.vocabulary import LEVELS, Goal, Level
from domain.wire import Text
from domain.worktime import YearCalendar

Key = int
"""The hash of a state's parts: 64 bits, so that a million states are all told apart but once in a million searches."""

DROPPED: Final = frozenset(
    {
        "id", "number", "reporter", "follows", "root", "generation", "rules_version", "opened_at",  # fixed
        "version", "receipts", "holding", "closed",  # what happened; a closed issue is not explored
        "adopted", "attempts", "acted",  # counted, or read only of persons who act in two roles, which nobody does here
        "said",  # whether the resident may object, which moves no clock of the work
        "given", "urged",  # counted, far beyond what a search gives, or read for notices only
        "assigned", "former", "resolved",  # who will go, who lost it and how often: no rule of the clock reads them
        "building", "common", "followers", "asked_again", "asked_by_side", "merged_into", "judged", "heard", "came", "objected",  # nobody joins here
        "since",  # clocks stand in the future of it
        "policy", "calendars", "ladder", "clocks", "resting", "marks", "term", "met", "left",  # each has its own part of the key
    }
)  # fmt: skip
"""Fields of `Issue` that are no part of a key, or not as they stand. New fields are parts until they are named here."""
OF_COMMANDS: Final = frozenset(
    {
        "handler", "place", "completion", "own", "transfers", "reopened", "asked", "extended", "proposed",
        "planned_since", "reachable", "waits_for",
    }
)  # fmt: skip
"""Fields that only commands read, so they are no part of the fate."""
OF_DISTANCE: Final = frozenset({"progressed", "own", "pauses", "looked", "planned_since", "keeps_until", "floors"})
"""Fields that hold nothing but distances, or act through the moments of climbs: they are parts of the fate only."""
WHOLE: Final = frozenset({"completed", "mitigated"})
"""Marks that the rules read besides those that start clauses."""
_OF_FATE: Final = tuple(field.name for field in fields(Issue) if field.name not in DROPPED)
_OF_FATE_AT_WORK: Final = tuple(name for name in _OF_FATE if name not in OF_COMMANDS)
_OF_SHAPE: Final = tuple(name for name in _OF_FATE if name not in OF_DISTANCE)
_OF_REST: Final = tuple(name for name in _OF_SHAPE if name not in OF_COMMANDS)
_PLAIN: Final = frozenset({str, int, bool, float, type(None)})


class States:
    """Tells states of issues apart that are under one of these policies."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        clauses = [clause for policy in policies for clause in policy.clause]
        starts = {clause.starts for clause in clauses if clause.level == "issue"}
        self._marks = starts | WHOLE
        self._clauses: dict[Level, tuple[Clause, ...]] = {
            level: tuple(clause for clause in clauses if clause.level in ("issue", level) or clause.starts in ALWAYS)
            for level in LEVELS
        }

        self._above: dict[Level, tuple[Clause, ...]] = {
            level: tuple(
                clause for clause in clauses if clause.starts in ALWAYS and clause.level in LEVELS[rank(level) + 1 :]
            )
            for level in LEVELS
        }

    def fate(self, issue: Issue, now: datetime) -> Key:
        """The exact key: states that share it end alike and at the same time if nobody acts any more.

        The time itself is a part only where a deadline has passed already, so that it acts at once.
        """
        paused = issue.is_paused
        parts = _parts(issue, _OF_FATE if paused else _OF_FATE_AT_WORK, _same)
        term = issue.term
        parts += [issue.policy.id, issue.ladder, _years(issue.calendars), issue.left is None]
        parts += [tuple(map(_exact, issue.clocks)), tuple(map(_exact, issue.resting))]
        if paused:  # its end computes the clocks anew
            parts += [self._facts(issue, issue.level, term), _at(issue.marks), _at(term), frozenset(issue.met)]
            if issue.left is not None:
                parts += [issue.left.level, self._facts(issue, issue.left.level, issue.left.term), _at(issue.left.term)]
        else:
            parts += self._later(issue)
            parts += [term[kind].at for kind in ALWAYS if kind in term]
        if passed_deadline(issue, now, now) is not None:
            parts.append(now)
        return hash(tuple(parts))

    def rest(self, issue: Issue, now: datetime) -> Key:
        """The key without distances, and without what only commands read, of a state in which nobody acts any more."""
        climbs = [_climb(issue, clock) for clock in issue.clocks]
        coming = sorted(moment for moment in _moments(issue, climbs) if moment > now)
        rank = {moment: number for number, moment in enumerate(coming)}.get
        parts = _parts(issue, _OF_REST, rank)
        parts += [
            issue.policy.id,
            issue.ladder,
            _years(issue.calendars),
            frozenset(_ordered(clock, climb, rank) for clock, climb in zip(issue.clocks, climbs, strict=True)),
        ]
        parts += self._facts(issue, issue.level, issue.term) if issue.is_paused else self._later(issue)
        return hash(tuple(parts))

    def _later(self, issue: Issue) -> list[object]:
        """Of each clause of a level above that starts from what its term takes over: whether its milestone is met."""
        return [_fact(issue.term.get(clause.starts), issue.met.get(clause.goal)) for clause in self._above[issue.level]]

    def shape(self, issue: Issue, now: datetime, *, eve: bool = False) -> Key:
        """The key without distances, for a state at `now`; with `eve` it is the state just before a deadline."""
        climbs = [_climb(issue, clock) for clock in issue.clocks]
        coming = sorted(moment for moment in _moments(issue, climbs) if moment > now)
        rank = {moment: number for number, moment in enumerate(coming)}.get
        parts = _parts(issue, _OF_SHAPE, rank)
        parts += [issue.policy.id, issue.ladder, _years(issue.calendars), self._facts(issue, issue.level, issue.term)]
        parts += [
            frozenset(_ordered(clock, climb, rank) for clock, climb in zip(issue.clocks, climbs, strict=True)),
            frozenset((clock.clause, clock.overdue, clock.climbed) for clock in issue.resting),
            eve,
            frozenset(kind for kind in issue.marks if kind in self._marks),
            frozenset(kind for kind in issue.term if kind.startswith("assessed:")),
        ]
        if issue.left is not None:
            parts += [issue.left.level, self._facts(issue, issue.left.level, issue.left.term)]
            parts.append(frozenset(kind for kind in issue.left.term if kind.startswith("assessed:")))
        return hash(tuple(parts))

    def _facts(self, issue: Issue, level: Level, term: Mapping[str, Mark]) -> tuple[bool | None, ...]:
        """Of each clause that may run while `level` leads, or whose start a later term takes over: None if it has not
        started, else whether its milestone was met since; then whether the level has accepted.
        """
        met, marks, led = issue.met, issue.marks, term.get("led")
        facts = [
            _fact((marks if clause.level == "issue" else term).get(clause.starts), met.get(clause.goal))
            for clause in self._clauses[level]
        ]
        goal: Goal = (level, "accept")
        facts.append(_fact(led, met.get(goal)))
        return tuple(facts)


def _fact(start: Mark | None, met: Mark | None) -> bool | None:
    return None if start is None else met is not None and met.seq > start.seq


def _climb(issue: Issue, clock: Clock) -> tuple[Level, datetime] | None:
    """The next climb of the clock: to which level, and when."""
    climb = next_climb(issue, clock) if clock.climbs else None
    return None if climb is None else (climb[1], climb_moment(issue, clock, climb[0]))


def _moments(issue: Issue, climbs: Iterable[tuple[Level, datetime] | None]) -> set[datetime]:
    """All moments of the state that may lie in the future: limits, next climbs, reminders, and dates that people named."""
    found = {clock.due for clock in issue.clocks}
    found.update(climb[1] for climb in climbs if climb is not None)
    _parts(issue, _OF_SHAPE, found.add)
    return found


def _parts(issue: Issue, names: Sequence[str], moment: Callable[[datetime], object]) -> list[object]:
    """The values of these fields with their places; those that are empty or nothing are left out."""
    values, parts = vars(issue), list[object]()
    for place, name in enumerate(names):
        value = values[name]
        if value:
            parts += (place, value if type(value) in _PLAIN else _plain(value, moment))
    return parts


def _plain(value: Any, moment: Callable[[datetime], object]) -> Any:
    """The value as something that can be hashed, with each moment replaced; of marks only the moment counts."""
    kind = cast("type[Any]", type(value))
    if kind in _PLAIN:
        return value
    if kind is datetime:
        return moment(value)
    if kind is tuple:
        return tuple([_plain(each, moment) for each in cast("tuple[Any, ...]", value)])
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return frozenset([(key, _plain(each, moment)) for key, each in items])
    if kind is Mark:
        return moment(value.at)
    if isinstance(value, Text):
        return value
    return tuple([_plain(getattr(value, name), moment) for name in _names(kind)])


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _same(moment: datetime) -> datetime:
    return moment


def _exact(clock: Clock) -> tuple[object, ...]:
    return (
        clock.clause, clock.level, clock.milestone, clock.start.at, clock.due, clock.climbs, clock.provisional,
        clock.overdue, clock.climbed,
    )  # fmt: skip


def _ordered(
    clock: Clock, climb: tuple[Level, datetime] | None, rank: Callable[[datetime], int | None]
) -> tuple[object, ...]:
    moves = None if climb is None else (climb[0], rank(climb[1]))
    return clock.clause, clock.milestone, clock.provisional, clock.overdue, rank(clock.due), moves


def _at(marks: Mapping[str, Mark]) -> frozenset[tuple[str, datetime]]:
    return frozenset((kind, mark.at) for kind, mark in marks.items())


def _years(calendars: Iterable[YearCalendar]) -> tuple[int, ...]:
    return tuple(calendar.year for calendar in calendars)
