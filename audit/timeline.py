"""The past of an issue: its state at an earlier moment, with the organisations that were responsible and the next
deadline.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.accounts import accounts
from domain.clocks import next_deadline, next_step
from domain.events import Event, dump_event
from domain.issue import Issue, lead_org
from domain.minutes import holder
from domain.rules import evolve
from domain.wire import dump, format_time
from texts.catalogue import Wrong


class MomentError(Wrong):
    """The issue has no event of this number, or nothing was known of it yet at that time; the message says which."""


@dataclass(frozen=True)
class PastState:
    """The state of an issue after `event`, which is the last event up to the moment that was asked for."""

    event: Event
    state: Issue


def states(start: Issue, events: Iterable[Event]) -> Iterator[tuple[Event, Issue]]:
    """Each event with the state after it; `start` is the issue before its first event. Raises UnknownRulesError."""
    state = start
    for event in events:
        state = evolve(state, event)
        yield event, state


def at_event(states: Iterable[tuple[Event, Issue]], seq: int) -> PastState:
    """The issue after event number `seq`. Raises MomentError."""
    last = 0
    for event, state in states:
        if event.seq == seq:
            return PastState(event, state)
        last = event.seq
    raise MomentError("no-such-event", seq=seq, last=last)


def at_time(states: Iterable[tuple[Event, Issue]], moment: datetime) -> PastState:
    """The issue as it was known at the moment. What a deadline brought about, such as a climb, is known only from when
    it was recorded.

    Raises MomentError if nothing was known of the issue yet.
    """
    found: PastState | None = None
    for event, state in states:
        if (event.recorded_at or event.at) > moment:
            break
        found = PastState(event, state)
    if found is None:
        raise MomentError("nothing-known-yet", at=format_time(moment))
    return found


def accounted(states: Sequence[tuple[Event, Issue]], view: PastState) -> list[dict[str, Any]]:
    """The climbs that stood on the accounts of handlers at that moment, as plain values (`domain.accounts.Climb`)."""
    first = states[0][1]
    past = (event for event, _ in states if event.seq <= view.event.seq)
    return dump(accounts(past, first.policy, first.calendars))


def shown(view: PastState) -> dict[str, Any]:
    """The past state as plain values ``{event, status, level, responsible, due, acts, running, closed}``.

    `due` says who must act next and by when, `acts` is the next deadline at which the workflow itself acts, `running`
    are the clocks.
    """
    issue = view.state
    step, deadline, held = next_step(issue), next_deadline(issue), holder(issue)
    return {
        "event": dump_event(view.event),
        "status": issue.status,
        "level": issue.level,
        "responsible": {"lead": lead_org(issue), "handler": issue.handler.code, "clock": list(held)},
        "due": None if step is None else dump(step),
        "acts": None if deadline is None else dump(deadline),
        "running": [dump(clock) for clock in issue.clocks],
        "closed": dump(issue.closed) if issue.closed else None,
    }
