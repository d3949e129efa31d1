"""Folds one real issue again: its recorded commands, at their times, under other rules and without outages.

Pure: no clock, no I/O. `texts.whatif` states its assumptions, which every report prints.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from audit.refold import DeliveredCommand, Refolded
from domain.advance import advance
from domain.clocks import next_deadline, wake_after
from domain.commands import CalendarPublished, ChangePolicy, Command, Undecodable
from domain.events import Event, Refused
from domain.issue import EPOCH, Issue
from domain.policy import Policy
from domain.values import replace
from domain.wire import truncate
from domain.worktime import YearCalendar

STALE: Final = "stale"
"""The code of a refusal of a command that was given without knowledge of the latest version."""


class WhatIfError(RuntimeError):
    """An issue cannot be folded under these rules; the message names the issue and the reason."""


@dataclass
class Course:
    """The course of one issue under certain rules: from `start`, by `events`, to `state` at the moment `now`.

    `left_out` counts the recorded commands that were not given again: ``change_policy`` and ``calendar_published`` if
    the policy or the calendars are replaced, and ``stale`` ones.
    """

    start: Issue
    state: Issue
    now: datetime = EPOCH
    events: list[Event] = field(default_factory=list[Event])
    left_out: Counter[str] = field(default_factory=Counter[str])

    def fold(self, inbox: Sequence[Command], now: datetime) -> None:
        self.now = max(self.now, now)
        self.state, events = advance(self.state, inbox, self.now)
        self.events += events

    def let_pass(self, until: datetime) -> None:
        """Wakes as the workflow does without delays: after each deadline, its grace and the issue's spread."""
        while (deadline := next_deadline(self.state, self.now)) is not None:
            wake = deadline.at + wake_after(self.state, deadline)
            if wake > until:
                return
            self.fold((), wake)


def refold_under(
    case: Refolded,
    policy: Policy | None = None,
    calendars: Sequence[YearCalendar] | None = None,
    end: datetime | None = None,
) -> Course:
    """The issue under `policy` and `calendars`, each by default (None) the case's own. Raises WhatIfError.

    With neither it is the control: the same rules without outages. Time goes on until `end`, by default the last moment
    at which the real issue was folded.
    """
    end = end or ended(case)
    own = case.calendars if calendars is None else calendars
    start = Issue.new(case.issue, policy or case.policy, own, case.rules_version)
    replayed = Course(start, start)
    try:
        for delivered, command in _given(case, policy is not None, calendars is not None, replayed.left_out):
            replayed.let_pass(delivered)
            replayed.fold((command,), delivered)
        replayed.let_pass(end)
        replayed.fold((), end)  # the real worker folded once more when it last woke
    except Exception as error:
        raise WhatIfError(f"issue {case.issue}: {type(error).__name__}: {error}") from error
    return replayed


def ended(case: Refolded, as_of: datetime | None = None) -> datetime:
    """The time until which the case is judged: its close, or `as_of`, when its history was read, if it is open.

    Without `as_of` an open issue ends with its last fold, and later effects of another policy are not seen. Raises
    WhatIfError if it was never folded.
    """
    if not case.turns:
        raise WhatIfError(f"issue {case.issue}: nothing of it was ever folded")
    last = case.turns[-1].now
    return last if case.state.is_closed or as_of is None else max(last, truncate(as_of))


def _given(
    case: Refolded, other_policy: bool, other_calendars: bool, left_out: Counter[str]
) -> Iterator[tuple[datetime, Command]]:
    """Each command once, in the order in which it was folded, with the time at which the server received it.

    Without outages the workflow would have folded it at that time, not at that of the task that took it.
    """
    stale = {event.command.id for event in case.events if event.command is not None and refused_as(event) == STALE}
    seen: set[str] = set()
    delivered: datetime | None = None
    for turn in case.turns:
        for taken in turn.inbox:
            command = taken.command
            if command.id and command.id in seen:
                continue
            seen.add(command.id)
            if (reason := _left_out(command, stale, other_policy, other_calendars)) is not None:
                left_out[reason] += 1
                continue
            reached = _reached(taken, turn.now)
            delivered = reached if delivered is None else max(delivered, reached)
            yield delivered, _as_given(command, delivered)


def _left_out(command: Command, stale: set[str], other_policy: bool, other_calendars: bool) -> str | None:
    """Why the command is not given again, None if it is.

    A stale command had no effect because its giver had not seen the latest version; what was done afterwards instead is
    on record too, and would otherwise count twice.
    """
    if command.id in stale:
        return STALE
    if other_policy and isinstance(command.body, ChangePolicy):
        return command.name
    if other_calendars and isinstance(command.body, CalendarPublished):
        return command.name
    return None


def _reached(taken: DeliveredCommand, folded: datetime) -> datetime:
    """When the server received the command; a time ahead of the server's counts as far as it counted then."""
    reached = truncate(taken.at)
    if isinstance(taken.command.body, Undecodable):  # it has no time of its own
        return reached
    return max(reached, min(taken.command.at, folded))


def _as_given(command: Command, delivered: datetime) -> Command:
    """The command without the version that its giver had seen: under other rules events have other numbers."""
    if isinstance(command.body, Undecodable):
        return replace(command, at=delivered)
    return replace(command, expected_version=None)


def refused_as(event: Event) -> str | None:
    """The code of the refusal that this event is, None if it is none."""
    return event.body.code if isinstance(event.body, Refused) else None


def same_course(real: Iterable[Event], control: Iterable[Event]) -> bool:
    """Whether the control matches what happened: the same events, in the same order, by the same people at the same
    times.

    Effects of deadlines may differ in time by as much as the worker woke late, since the clocks of the next level start
    when they are recorded. Stale refusals are not in the control.
    """
    happened = [_gist(event) for event in real if refused_as(event) != STALE]
    return happened == [_gist(event) for event in control]


def _gist(event: Event) -> tuple[object, ...]:
    at = None if event.actor is None else event.at
    return event.kind, at, event.actor, event.level, event.clause, event.body, event.command
