"""The fold that workflow, auditor and simulator share.

Commands are applied in the order of their arrival, and before each command the deadlines that had passed by its time.
"""

from collections.abc import Iterable
from datetime import datetime

import domain.commands as c
from domain.clocks import next_deadline, passed_deadline
from domain.events import Closed, Event
from domain.issue import Issue
from domain.rules import rules
from domain.values import copy_with


class StuckClock(RuntimeError):
    """A deadline is still due after it was applied, so the fold would never end: a bug in the rules, not the input."""


def advance(issue: Issue, inbox: Iterable[c.Command], now: datetime) -> tuple[Issue, list[Event]]:
    """Folds commands in the order in which they arrived, firing first every deadline that fell due before each.

    Whether something is late depends on when it happened, not on when a worker woke up. Only `recorded_at`, and the
    clocks that start from it, depend on the time of the wake-up. After the last command, every deadline fires that
    passed before `now` by at least the policy's grace. A command whose id the issue knows already has no effect.
    `now` is UTC, in whole milliseconds. Returns the state and the new events. Raises UnknownRulesError.
    """
    happened: list[Event] = []
    for command in inbox:
        if command.id and command.id in issue.receipts:
            continue
        at = max(issue.since, min(command.at, now))
        issue = _fire(issue, at, now, happened)
        at = max(issue.since, at)  # deadlines that fired may have moved `since`
        fold = rules(issue.rules_version).act(issue, command if at is command.at else copy_with(command, at=at))
        happened += fold.events
        issue = fold.issue
    issue = _fire(issue, now - issue.policy.grace.span, now, happened)
    return issue, happened


def _fire(issue: Issue, until: datetime, now: datetime, happened: list[Event]) -> Issue:
    while (deadline := passed_deadline(issue, now, until)) is not None:
        body = c.DeadlinePassed(deadline.clause, deadline.what, recorded_at=now, until=until)
        at = max(issue.since, deadline.at)
        fold = rules(issue.rules_version).act(issue, c.Command("", at, None, body))
        if next_deadline(fold.issue, now) == deadline:
            raise StuckClock(f"{deadline} does not move on issue {issue.id} at version {issue.version}")
        happened += fold.events
        issue = fold.issue
    return issue


def follows_from_commands(inbox: Iterable[c.Command], events: Iterable[Event], now: datetime) -> bool:
    """Whether folding this inbox at any later time would give the same events.

    It would if every signal could be decoded, no command is later than `now`, and no event came from a deadline or
    closed the issue.
    """
    return all(command.at <= now and not isinstance(command.body, c.Undecodable) for command in inbox) and not any(
        event.recorded_at is not None or isinstance(event.body, Closed) for event in events
    )
