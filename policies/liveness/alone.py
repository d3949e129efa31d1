"""How an issue ends if nobody acts any more: closed by silence, or at the top of its ladder, where reminders go on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from domain.advance import advance
from domain.clocks import PROGRESS, Deadline, next_deadline, wake_after
from domain.events import Event
from domain.issue import Issue
from domain.values import copy_with
from policies.liveness.states import Key, States

HORIZON: Final = timedelta(days=5 * 366)
"""Beyond this no promise is kept: it is far longer than any date that a move of the search sets."""
_FEW: Final = 3
"""After so many more deadlines reminders are taken to go on for ever."""
_SAMPLED: Final = 500
"""One of so many states is run although one that counts as alike was run before, to see that both end alike."""

How = Literal["closed", "top", "frozen"]


@dataclass(frozen=True)
class Fate:
    """How an issue that nobody touches ends.

    `end` is when (UTC) it closes or its lead reaches the top; None if it never does, or if the lead is there already.
    `caught` is when the progress clock first moves the lead; None if it never does.
    """

    how: How
    end: datetime | None = None
    caught: datetime | None = None
    said: str = ""
    """Why it is frozen, in words."""


class Alone:
    """Runs issues with nobody acting, and remembers how states that are alike end."""

    def __init__(self, states: States) -> None:
        self._states = states
        self.known: dict[Key, Fate] = {}
        self._rests: dict[Key, Fate] = {}
        self._rough: dict[Key, Fate] = {}
        self.asked: set[Key] = set()
        """The states that were left alone, without those in which they were on the way to their end."""
        self.clauses: set[str] = set()
        """Clauses of which a clock was seen running."""

    def fate(self, issue: Issue, now: datetime) -> Fate:
        """How the open issue, in its state at `now`, ends if nobody acts any more.

        Raises AssertionError if two states that count as alike end differently, of which it tries a few.
        """
        key = self._states.fate(issue, now)
        self.asked.add(key)
        if (known := self.known.get(key)) is None:
            return self._run(issue, now)
        if key % _SAMPLED == 0:
            again = Alone(self._states)._run(issue, now)  # noqa: SLF001
            assert again == known, f"states that count as alike end as {again} and as {known}"
        return known

    def forget(self) -> None:
        """Forgets what `roughly` found, so that each part of a round finds the same wherever it runs."""
        self._rough.clear()

    def roughly(self, issue: Issue, now: datetime) -> tuple[Fate, bool]:
        """How the issue ends, and whether this was found for this very state.

        Else it was found for one whose deadlines come in the same order, and only whether and how it ends holds.
        """
        key = self._states.rest(issue, now)
        self.asked.add(key)
        if (known := self._rough.get(key)) is not None:
            return known, False
        self._rough[key] = fate = self._run(issue, now)
        return fate, True

    def _run(self, issue: Issue, now: datetime) -> Fate:
        trail: list[tuple[Key, datetime | None]] = []
        begun = now
        while True:
            self.clauses.update(clock.clause for clock in issue.clocks)
            key = self._states.fate(issue, now)
            if (fate := self.known.get(key)) is None and issue.level == issue.ladder[-1]:
                self.known[key] = fate = self._rest(issue, now)
            if fate is not None:
                if fate.how == "top" and fate.end is None and trail:
                    fate = replace(fate, end=now)
                break
            deadline = next_deadline(issue)
            if deadline is None or deadline.at > begun + HORIZON:
                self.known[key] = fate = Fate("frozen", said=_stays(issue))
                break
            issue, events, now = strike(issue, deadline, now)
            trail.append((key, now if _by_progress(events) else None))
            if issue.is_closed:
                fate = Fate("closed", now)
                break
        for key, caught in reversed(trail):
            if caught is not None:
                fate = replace(fate, caught=caught)
            self.known[key] = fate
        return fate

    def _rest(self, issue: Issue, now: datetime) -> Fate:
        """The fate of an issue whose lead is at the top: it is closed by silence, or reminders never end.

        Since it is at its end there, whatever time is left, states with deadlines in the same order count as alike.
        """
        if issue.status == "completed":
            return self._at_top(issue, now)
        key = self._states.rest(issue, now)
        if key not in self._rests:
            self._rests[key] = self._at_top(issue, now)
        return self._rests[key]

    def _at_top(self, issue: Issue, now: datetime) -> Fate:
        begun = now
        while True:
            deadline = next_deadline(issue)
            if deadline is None or deadline.at > begun + HORIZON:
                return Fate("frozen", said=f"{_stays(issue)}: nobody is reminded")
            issue, events, now = strike(issue, deadline, now)
            if issue.is_closed:
                return Fate("closed", now)
            if any(event.kind == "reminded" for event in events):
                return _remind_on(issue, now)


def _remind_on(issue: Issue, now: datetime) -> Fate:
    """Whether reminders go on when the policy's number of them is used up, to which the count is set forward."""
    if issue.reminder is not None:
        issue = copy_with(issue, reminder=copy_with(issue.reminder, count=issue.policy.top.times))
    for _ in range(_FEW):
        if (deadline := next_deadline(issue)) is None:
            return Fate("frozen", said=f"{_stays(issue)}: reminders end")
        issue, _, now = strike(issue, deadline, now)
        if issue.is_closed:
            return Fate("closed")
    return Fate("top")


def strike(issue: Issue, deadline: Deadline, now: datetime) -> tuple[Issue, Sequence[Event], datetime]:
    """Lets time run to just past the deadline: state, events, and when they were recorded."""
    wake = max(now, deadline.at + wake_after(issue, deadline))
    issue, events = advance(issue, [], wake)
    return issue, events, wake


def _by_progress(events: Sequence[Event]) -> bool:
    return any(event.kind == "escalated" and event.clause == PROGRESS for event in events)


def _stays(issue: Issue) -> str:
    return f"the issue stays with the {issue.level} ({issue.status}) for ever"
