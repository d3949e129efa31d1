"""An exhaustive search for issues that freeze under a policy (invariant I10).

It gives every command of every organisation in every state that it reaches, up to a number of commands, each also after
time has run to just before, or just past, the next deadline. Each state found is left alone: the issue must close by
silence, or its lead must reach the top of the ladder, where reminders never end. What never does is *frozen*, a bug of the
rules. Where nothing but the progress clock moves the lead there is a *hole* of the pack: a clause with a climb is missing.
The moves to it are folded again under the pack without a progress clock, and it counts only if the issue freezes there.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import domain.commands as c
from domain.access import MAY, capacities
from domain.advance import advance
from domain.clocks import Deadline, next_deadline
from domain.issue import Issue
from domain.place import Place
from domain.policy import Policy, Progress
from domain.refusals import refusal
from domain.rules import rules
from domain.values import Copyable, copy_with
from domain.worktime import Limit
from policies.liveness import moves as m
from policies.liveness.alone import Alone, Fate, strike
from policies.liveness.report import Found, Report, ceiling
from policies.liveness.spread import spread
from policies.liveness.states import Key, States

START: Final = datetime(2026, 3, 2, 2, tzinfo=UTC)
"""A Monday, two hours after opening; the calendars of the search know no holidays."""
_NEVER: Final = Limit(3650, "nd")
"""The longest limit of all: with it the progress clock is as good as switched off."""
_JUST: Final = timedelta(milliseconds=1)
_STAFF: Final = (m.COMPANY, m.COMMUNITY, m.STREET, m.DEPARTMENT, m.ADMIN)
_PARTS: Final = 2
"""Into so many parts each round is divided, on however many cores, so that a search finds the same everywhere."""
_TIMES: Final = 1000
"""So many times keep the bodies of their commands; most states are at few times."""
_OFTEN: Final = 100
_TRIES: Final = 500
"""So many states that only the progress clock moves are tried without it, until one is frozen there."""


class Step(NamedTuple):
    """One thing that happens on the way to a state: a command, or time that passes (no command)."""

    at: datetime
    words: str
    command: c.Command | None = None


@dataclass(frozen=True)
class Node(Copyable):
    """A state at a time, and the way to it."""

    issue: Issue
    now: datetime
    path: tuple[Step, ...]
    named: datetime = START
    """The latest date that somebody has named in a command on the way."""
    shape: Key = 0
    eve: bool = False
    """Whether time ran to just before a deadline, and nothing has happened since."""
    came: tuple[int, Key] | None = None
    """The number of the move that led here, and how the state in which it was given would end; None after time."""


@dataclass
class _Part:
    """What comes of a part of the states of a round: states of new shapes, and what was found."""

    fresh: list[Node] = field(default_factory=list[Node])
    given: Counter[int] = field(default_factory=Counter[int])
    """How often each move was given, by its number."""
    moving: set[int] = field(default_factory=set[int])
    """The moves after which an issue was open and could end otherwise than before."""
    fates: dict[Key, Fate] = field(default_factory=dict[Key, Fate])
    asked: set[Key] = field(default_factory=set[Key])
    clauses: set[str] = field(default_factory=set[str])
    report: Report = field(default_factory=lambda: Report(0))


class _Given(c.Command):
    """A command whose digest nobody needs."""

    @property
    def digest(self) -> str:
        return ""


class Search:
    """One search under one policy; `others` are the packs to which an administrator may change.

    `seconds` is the longest that it may take; it uses up to two `processes` at a time.
    """

    def __init__(
        self,
        policy: Policy,
        others: Sequence[Policy] = (),
        *,
        resident: bool = False,
        seconds: float | None = None,
        processes: int = 1,
    ) -> None:
        # A warning changes nothing but its own light, so none are given.
        self._policy = replace(policy, warn_at=1.0)
        known = tuple(replace(other, warn_at=1.0) for other in others)
        self._without = replace(self._policy, progress=Progress(_NEVER, _NEVER, _NEVER))
        self._states = States((self._policy, *known))
        self._alone = Alone(self._states)
        self._moves = m.moves(self._policy, known, resident=resident)
        self._actors = [(actor, m.grants(actor)) for actor in (*_STAFF, *((m.RESIDENT,) if resident else ()))]
        self._tries: dict[datetime, list[list[tuple[int, str, Step, datetime]]]] = {}
        self._counted = _Part()
        self._processes = processes
        self._until = None if seconds is None else time.monotonic() + seconds

    def run(self, commands: int) -> Report:
        """Searches to this depth, or until it has found the shortest sequences that freeze an issue."""
        report, seen, layer = Report(commands), set[Key](), list[Node]()
        for given in range(commands + 1):
            begun = _Part()
            self._reach((node for lost, node in _roots(self._policy) if lost == given), begun, seen)
            layer += begun.fresh
            report = report.plus(begun.report)
            if given == commands or report.frozen or not report.complete:
                break
            layer, report = self._round(layer, report, seen, last=given == commands - 1)
        never = tuple(clause.id for clause in self._policy.clause if clause.id not in self._alone.clauses)
        return replace(report, states=len(self._alone.asked), never=never)

    def _round(self, layer: Sequence[Node], report: Report, seen: set[Key], *, last: bool) -> tuple[list[Node], Report]:
        """The states of new shapes one command further, and the report with what was found on the way."""

        def work(nodes: Sequence[Node]) -> _Part:
            return self._part(nodes, set(seen), last=last)

        fresh: list[Node] = []
        # All parts are done before the first is read, so that each knows the same wherever it runs.
        for part in list(spread(work, [layer[number::_PARTS] for number in range(_PARTS)], self._processes)):
            report = report.plus(part.report)
            self._alone.known.update(part.fates)
            self._alone.asked |= part.asked
            self._alone.clauses.update(part.clauses)
            self._counted.given += part.given
            self._counted.moving |= part.moving
            for node in part.fresh:
                if node.shape not in seen:
                    seen.add(node.shape)
                    fresh.append(node)
        return fresh, report

    def _part(self, nodes: Sequence[Node], seen: set[Key], *, last: bool) -> _Part:
        """Gives every command in each state.

        The last time the states that follow are only left alone, and a move is left out that was given often in the
        rounds before, and never changed how an open issue could end.
        """
        counted = self._counted
        idle = {move for move, often in counted.given.items() if often >= _OFTEN and move not in counted.moving}
        part, known = _Part(), len(self._alone.known)
        part.asked = self._alone.asked
        self._alone.forget()
        for node in nodes:
            if self._until is not None and time.monotonic() > self._until:
                part.report = replace(part.report, complete=False)
                break
            if last:
                for after in self._given(node, part, idle):
                    self._check(after, part, roughly=True)
            else:
                self._reach(self._given(node, part), part, seen)
        if not last:
            part.fates = dict(list(self._alone.known.items())[known:])
        part.clauses = self._alone.clauses
        return part

    def _reach(self, nodes: Iterable[Node], part: _Part, seen: set[Key]) -> None:
        """Adds those states whose shape is new, and with each the states just before and just past its next deadline."""
        for node in nodes:
            if self._is_new(node, part, seen):
                for later in self._in_time(node):
                    self._is_new(later, part, seen)

    def _is_new(self, node: Node, part: _Part, seen: set[Key]) -> bool:
        if node.issue.is_closed:
            return False
        self._check(node, part)
        shape = self._states.shape(node.issue, node.now, eve=node.eve)
        came = node.came
        if came is not None and came[0] not in part.moving and came[1] != self._states.rest(node.issue, node.now):
            part.moving.add(came[0])
        if shape in seen:
            return False
        seen.add(shape)
        part.fresh.append(copy_with(node, shape=shape))
        return True

    def _given(self, node: Node, part: _Part, but: Collection[int] = ()) -> Iterator[Node]:
        """The states after each command that somebody may give now, but for the moves of these numbers."""
        issue, now, tried = node.issue, node.now, 0
        rest = 0 if but else self._states.rest(issue, now)
        act = rules(issue.rules_version).act
        for (actor, _), tries in zip(self._actors, self._tries_at(now), strict=True):
            mine = capacities(issue, actor)
            for number, name, step, named in tries:
                if mine.isdisjoint(MAY[name]) or number in but:
                    continue
                tried += 1
                command = step.command
                assert command is not None
                if refusal(issue, command) is not None:
                    continue
                part.given[number] += 1
                path = (*node.path, step)
                try:
                    after = _bare(act(issue, command).issue)
                except Exception as error:  # noqa: BLE001 - whatever it is, the issue would stand still for ever
                    said = f"the rules fail with {type(error).__name__} {error}"
                    part.report = part.report.plus(replace(_NOTHING, frozen=(Found(_words(path), said),)))
                    continue
                yield Node(after, now, path, max(node.named, named), came=(number, rest))
        part.report = replace(part.report, tried=part.report.tried + tried)

    def _tries_at(self, now: datetime) -> list[list[tuple[int, str, Step, datetime]]]:
        """By actor, every move at this time: its number, the command's name, the step, and the latest date it names."""
        if (known := self._tries.get(now)) is None:
            if len(self._tries) >= _TIMES:
                self._tries.clear()
            known = self._tries[now] = [
                [
                    (number, move.name, _step(now, actor, move, grants), m.named(move.body(now), now))
                    for number, move in enumerate(self._moves)
                ]
                for actor, grants in self._actors
            ]
        return known

    @staticmethod
    def _in_time(node: Node) -> Iterator[Node]:
        """The states just before and just past the next deadline."""
        deadline = next_deadline(node.issue)
        if deadline is None:
            return
        what = _in_words(deadline)
        if (before := deadline.at - _JUST) > node.now:
            step = Step(before, f"time runs to just before {what}")
            yield copy_with(node, now=before, path=(*node.path, step), eve=True, came=None)
        issue, _, now = strike(node.issue, deadline, node.now)
        path = (*node.path, Step(now, f"time runs past {what}"))
        yield copy_with(node, issue=issue, now=now, path=path, came=None)

    def _check(self, node: Node, part: _Part, *, roughly: bool = False) -> None:
        """Leaves the issue alone, and notes what becomes of it.

        If `roughly`, states with deadlines in the same order count as alike, and the bound is of the first of them.
        """
        if node.issue.is_closed:
            return
        fate, own = (
            self._alone.roughly(node.issue, node.now) if roughly else (self._alone.fate(node.issue, node.now), True)
        )
        report = part.report
        if fate.how == "frozen" and own:
            part.report = report.plus(replace(_NOTHING, frozen=(Found(_words(node.path), fate.said),)))
        if fate.caught is not None and own:
            hole = None
            if report.hole is None and report.caught < _TRIES and (said := self._frozen_without(node)) is not None:
                hole = Found(_words(node.path), said, ceiling(fate.caught - node.now))
            part.report = report.plus(replace(_NOTHING, caught=1, hole=hole))
        if own and fate.end is not None and (left := ceiling(fate.end - max(node.now, node.named))) > report.seconds:
            part.report = replace(part.report, seconds=left, longest=_words(node.path))

    def _frozen_without(self, node: Node) -> str | None:
        """What is said of the same moves under the policy without a progress clock, if the issue freezes there."""
        issue = Issue.new("", self._without, node.issue.calendars)
        for step in node.path:
            issue, _ = advance(issue, [step.command] if step.command else [], step.at)
            issue = _bare(issue)
        if issue.is_closed:
            return None
        fate = Alone(self._states).fate(issue, node.now)
        return fate.said if fate.how == "frozen" else None


_NOTHING: Final = Report(0)


def _bare(issue: Issue) -> Issue:
    """The issue without its receipts, so that one id serves for every command of the search."""
    return copy_with(issue, receipts={})


def _step(now: datetime, actor: c.Actor, move: m.Move, grants: tuple[c.Authority, ...]) -> Step:
    return Step(now, f"{m.WHO[actor]} {move.words}", _Given("move", now, actor, move.body(now), grants=grants))


def _words(path: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.words for step in path)


def _in_words(deadline: Deadline) -> str:
    """The deadline in words. A warning is at the moment of its limit, since the search gives none."""
    match deadline.what:
        case "remind":
            return "the next reminder"
        case "climb":
            return f"the climb of {deadline.clause}"
        case _:
            return f"the limit of {deadline.clause}"


def _roots(policy: Policy) -> Iterator[tuple[int, Node]]:
    """Where the search begins, each with the number of commands that count as given already."""
    node = _reported(policy, "an issue is reported", m.PLACE)
    yield 0, node
    while (deadline := next_deadline(node.issue)) is not None and node.issue.level != node.issue.ladder[-1]:
        before = node.issue.level
        issue, _, now = strike(node.issue, deadline, node.now)
        step = Step(now, f"nobody acts until the {issue.level} leads")
        node = copy_with(node, issue=issue, now=now, path=(node.path[0], step))
        if issue.level != before:
            yield 1, node
    yield 1, _reported(policy, "an urgent issue is reported", m.PLACE, urgent=True)
    if "property" in policy.ladder:
        own = replace(m.PLACE, operator_kind="community")
        yield 1, _reported(policy, "an issue is reported where the community is the operator", own)
        none = replace(m.PLACE, operator=None, operator_kind=None)
        yield 1, _reported(policy, "an issue is reported where no company has a contract", none)


def _reported(policy: Policy, said: str, place: Place, *, urgent: bool = False) -> Node:
    body = c.Report("1", place, m.categories(policy)[-1], "漏水", urgent=urgent)
    command = _Given("report", START, m.RESIDENT, body)
    issue, _ = advance(Issue.new("", policy, m.CALENDARS), [command], START)
    return Node(_bare(issue), START, (Step(START, said, command),))
