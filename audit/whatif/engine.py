"""Folds one real issue again: its recorded commands, at their times, under other rules and without outages.

The fold is pure: it reads no system time and does no I/O. `texts.whatif` states its assumptions, which every report
prints.
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
from domain.values import copy_with
from domain.wire import truncate
from domain.worktime import YearCalendar

STALE: Final = "stale"
"""The code with which a command is refused because its giver did not know the issue's latest version."""


class WhatIfError(RuntimeError):
    """An issue cannot be folded under the given rules; the message names the issue and the reason."""


@dataclass
class Course:
    """The course of one issue under certain rules: from the state `start`, by `events`, to `state` at the moment `now`.

    `left_out` counts the recorded commands that were not given again, by reason: ``change_policy`` and
    ``calendar_published`` if the policy or the calendars are replaced, and ``stale`` for commands that were refused
    with this code.
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
        """Folds what time brings about up to `until`, at the moments at which the workflow would wake without delays:
        after each deadline, the policy's grace and the issue's spread.
        """
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
    """The course of the issue under `policy` and `calendars`; None stands for the case's own. Raises WhatIfError.

    With neither of them the course is the control: the same rules without outages. The course lasts until `end`, by
    default the last moment at which the real issue was folded.
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
    """The time until which the case is judged: the close of a closed issue; for an open issue `as_of`, the time when
    its history was read.

    Without `as_of` an open issue is judged until its last fold, so what another policy would cause after that is not
    seen. Raises WhatIfError if the issue was never folded.
    """
    if not case.turns:
        raise WhatIfError(f"issue {case.issue}: nothing of it was ever folded")
    last = case.turns[-1].now
    return last if case.state.is_closed or as_of is None else max(last, truncate(as_of))


def _given(
    case: Refolded, other_policy: bool, other_calendars: bool, left_out: Counter[str]
) -> Iterator[tuple[datetime, Command]]:
    """The commands to give again, each once and in the order in which they were folded, with the time at which the
    server received each.

    Without outages the workflow would have folded a command at that time, not at the later time of the workflow task
    that took it.
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
    """The reason why the command is not given again, None if it is given again.

    A stale command had no effect because its giver had not seen the latest version. What the giver did afterwards
    instead is in the history too, and would otherwise count twice.
    """
    if command.id in stale:
        return STALE
    if other_policy and isinstance(command.body, ChangePolicy):
        return command.name
    if other_calendars and isinstance(command.body, CalendarPublished):
        return command.name
    return None


def _reached(taken: DeliveredCommand, folded: datetime) -> datetime:
    """The time at which to fold the command: when the server received it, or the command's own time if that is later,
    but not after the real fold.
    """
    reached = truncate(taken.at)
    if isinstance(taken.command.body, Undecodable):  # it has no time of its own
        return reached
    return max(reached, min(taken.command.at, folded))


def _as_given(command: Command, delivered: datetime) -> Command:
    """The command without the version that its giver had seen: under other rules, events have other numbers."""
    if isinstance(command.body, Undecodable):
        return copy_with(command, at=delivered)
    return copy_with(command, expected_version=None)


def refused_as(event: Event) -> str | None:
    """The code of the refusal if this event is one, otherwise None."""
    return event.body.code if isinstance(event.body, Refused) else None


def same_course(real: Iterable[Event], control: Iterable[Event]) -> bool:
    """Whether the control matches what happened: the same events, in the same order, by the same people at the same
    times.

    Events that a deadline caused may differ in time by as much as the worker woke late, since the clocks of the next
    level start when a climb is recorded. Commands refused as stale are ignored, since the control does not give them
    again.
    """
    happened = [_gist(event) for event in real if refused_as(event) != STALE]
    return happened == [_gist(event) for event in control]


def _gist(event: Event) -> tuple[object, ...]:
    at = None if event.actor is None else event.at
    return event.kind, at, event.actor, event.level, event.clause, event.body, event.command
