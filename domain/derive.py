"""The changes of state that follow every event, whatever its kind: clocks, reminders, held time, the receipt."""

from collections.abc import Callable
from typing import Final

import domain.events as e
from domain import plans
from domain.access import PROPERTY_SIDE
from domain.clocks import RULE_CLOCKS, compute_clocks, find, needs_reminder, reminder_after, without_clock
from domain.issue import Holding, Issue, Mark, Receipt
from domain.minutes import holder, seen_at
from domain.values import copy_with


def derive(issue: Issue, event: e.Event) -> Issue:
    """The state after the changes that follow every event, whatever its kind; `issue` has the event's own change."""
    for step in STEPS if issue.closed is None else STEPS_ONCE_CLOSED:
        issue = step(issue, event)
    return issue


def update_clocks(issue: Issue, afresh: bool = False) -> Issue:
    """The issue with its clocks computed anew.

    A clock that stops after it showed a light or climbed is kept in `resting`. If it runs again from the same start,
    the same light or climb must not happen twice.
    """
    running = compute_clocks(issue, afresh)
    if running == issue.clocks:
        return issue
    resting = tuple([
        clock
        for clock in (*issue.resting, *issue.clocks)
        if (clock.warned or clock.overdue or clock.climbed)
        and clock.level in ("issue", issue.level)
        and clock.clause not in RULE_CLOCKS
        and find(running, clock.clause, clock.start) is None
    ])  # fmt: skip
    return copy_with(issue, clocks=running, resting=resting)


def _clocks(issue: Issue, event: e.Event) -> Issue:
    return update_clocks(issue)


def _request(issue: Issue, event: e.Event) -> Issue:
    """Drops a request for more time if the clock that it is about has stopped."""
    if issue.pending is None or any(clock.clause == issue.pending.clause for clock in issue.clocks):
        return issue
    return copy_with(issue, pending=None)


def _plan_update(issue: Issue, event: e.Event) -> Issue:
    if issue.plan is None or not _is_update(event):
        return issue
    return plans.restart_update_clock(issue, Mark(event.at, event.seq))


def _idle_update(issue: Issue, event: e.Event) -> Issue:
    """Starts the clock `idle` where no clause runs, so that no open issue is forgotten; an update is due as often as
    under a plan (assumed).
    """
    running = [clock for clock in issue.clocks if clock.clause not in ("appointment", "idle")]
    if running or issue.is_paused or issue.status == "completed":
        return without_clock(issue, "idle")
    runs = any(clock.clause == "idle" for clock in issue.clocks)
    if runs and not _is_update(event) and not isinstance(event.body, e.Escalated):
        return issue
    return plans.restart_update_clock(issue, Mark.recorded(event), "idle")


def _reminder(issue: Issue, event: e.Event) -> Issue:
    if not needs_reminder(issue):
        return issue if issue.reminder is None else copy_with(issue, reminder=None)
    if issue.reminder is not None:
        return issue
    return copy_with(issue, reminder=reminder_after(issue, event.at))


def _minutes(issue: Issue, event: e.Event) -> Issue:
    who, org = holder(issue)
    since = max(seen_at(event), issue.holding.since) if issue.holding else event.at
    return copy_with(issue, holding=Holding(who, org, since))


def _acted(issue: Issue, event: e.Event) -> Issue:
    """Notes in the state who acted on the property side: such a person may not decide on the issue from above later."""
    actor = event.actor
    if actor is None or actor.role not in PROPERTY_SIDE or event.kind == "refused" or actor.person in issue.acted:
        return issue
    return copy_with(issue, acted={**issue.acted, actor.person: actor.role})


def _receipt(issue: Issue, event: e.Event) -> Issue:
    command = event.command
    if command is None:
        return issue
    match event.body:
        case e.Refused(code=code, reason=reason):
            receipt = Receipt(command.digest, "refused", event.seq, code, reason)
        case _:
            receipt = Receipt(command.digest, "applied", event.seq)
    return copy_with(issue, receipts={**issue.receipts, command.id: receipt})


Step = Callable[[Issue, e.Event], Issue]
STEPS_ONCE_CLOSED: Final[tuple[Step, ...]] = (
    _minutes,
    _acted,
    _receipt,
)
STEPS: Final[tuple[Step, ...]] = (
    _clocks,  # first, since the others depend on the running clauses
    _request,
    _plan_update,  # before `idle`, which counts the update clock of a plan as running
    _idle_update,
    _reminder,  # after all clocks, since it depends on whether one can still climb
    *STEPS_ONCE_CLOSED,
)
"""The steps after an event of an open issue, in this order; those about clocks do not concern a closed issue."""


def _is_update(event: e.Event) -> bool:
    """Whether the event counts as a status update: any command of staff that was not refused."""
    return event.actor is not None and event.actor.role != "resident" and event.kind != "refused"
