"""Checks the times in a history: the times of commands against the server's times, and the server's times against each
other.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from audit.case import Finding, Runs
from audit.refold import Refolded, moment
from domain.commands import Command, Merge, Report, Split, Undecodable

SKEW: Final = timedelta(seconds=1)
"""By how much the system time of an API process may differ from the server's; if it differs more, the API refuses to
serve.
"""
_TASKS: Final = frozenset({
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
})  # fmt: skip
_STARTED: Final = EventType.EVENT_TYPE_TIMER_STARTED
_FIRED: Final = EventType.EVENT_TYPE_TIMER_FIRED
_WATCHED: Final = _TASKS | {_STARTED, _FIRED}
_FROM_ANOTHER: Final = (Merge, Split)
"""Commands that one issue orders another one to apply. Such a command carries the time of its cause, and may arrive much
later."""
_TO_BEGIN: Final = timedelta(seconds=3)
"""How long an API process waits for the server to start an issue; the server may start it as late as that."""
_LONGEST_GRACE: Final = timedelta(minutes=1)
_UNSTAMPED: Final = (Undecodable,)


def check_times(folded: Refolded, runs: Runs) -> Iterator[Finding]:
    """Findings about times: commands that are older than a delivery may take or later than the server's time, timers
    that fired early, and a server whose time went back.
    """
    # An issue that is started around the API brings its own policy, whose grace must not excuse any time.
    issue, grace = folded.issue, min(folded.policy.grace.span, _LONGEST_GRACE)
    for taken in folded.commands:
        command = taken.command
        if isinstance(command.body, _UNSTAMPED):
            continue
        delivery = max(grace, _TO_BEGIN) if isinstance(command.body, Report) else grace
        if taken.at - delivery - SKEW <= command.at <= taken.at + SKEW:
            continue
        where = f"run {taken.run}, event {taken.event_id}"
        if command.at > taken.at + SKEW:
            yield Finding("time", issue, where, f"a command of {command.at}, taken at {taken.at}: before it was given")
        if command.at < taken.at - delivery - SKEW and not _is_order(command):
            yield Finding("time", issue, where, f"a command of {command.at}, taken at {taken.at}: too late to count so")
    for run, events in enumerate(runs):
        yield from _check_clock(issue, run, events)


def _is_order(command: Command) -> bool:
    return isinstance(command.body, _FROM_ANOTHER) and any(grant.by == "order" for grant in command.grants)


def _check_clock(issue: str, run: int, events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    before: datetime | None = None  # of the last workflow task: signals that arrive meanwhile are written after it
    armed: dict[int, datetime] = {}
    for event in events:
        kind = event.event_type
        if kind not in _WATCHED:
            continue
        now = moment(event)
        if kind in _TASKS:
            if before is not None and now < before:
                yield Finding("time", issue, _where(run, event), f"the server's time went back from {before} to {now}")
            before = now
        elif kind == _STARTED:
            armed[event.event_id] = now + event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        else:
            due = armed.get(event.timer_fired_event_attributes.started_event_id)
            if due is None:
                yield Finding("time", issue, _where(run, event), "a timer fired that was never started")
            elif now < due:
                yield Finding("time", issue, _where(run, event), f"a timer fired at {now}, before {due}")


def _where(run: int, event: HistoryEvent) -> str:
    return f"run {run}, event {event.event_id}"
