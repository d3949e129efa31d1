"""What follows from every event, whatever it is: which clocks run on, reminders, whose minutes, the receipt."""

from datetime import datetime

import domain.events as e
from domain import plans
from domain.clocks import RULE_CLOCKS, find, needs_reminder, reminder_after, wind, without_clock
from domain.issue import Holding, Issue, Mark, Receipt, Reminder
from domain.minutes import holder, seen_at
from domain.values import replace


def settle(issue: Issue, event: e.Event) -> Issue:
    """What follows from every event: running clocks, reminders, whose minutes, the receipt."""
    reminder = issue.reminder
    if issue.closed is None:
        issue = wound(issue)
        if issue.pending is not None and all(clock.clause != issue.pending.clause for clock in issue.clocks):
            issue = replace(issue, pending=None)  # a wish for more time lapses with its clock
        if issue.plan is not None and _is_update(event):
            issue = plans.word(issue, Mark(event.at, event.seq))
        issue = _remembered(issue, event)
        if not needs_reminder(issue):
            reminder = None
        elif reminder is None:
            reminder = reminder_from(issue, event.recorded_at or event.at, 0)
    who, org = holder(issue)
    since = max(seen_at(event), issue.holding.since) if issue.holding else event.at
    receipts, command = issue.receipts, event.command
    if command is not None:
        receipts = {**receipts, command.id: _receipt(event, command)}
    return replace(issue, reminder=reminder, holding=Holding(who, org, since), receipts=receipts)


def _remembered(issue: Issue, event: e.Event) -> Issue:
    """No open issue is forgotten: where no clause runs any more, word of it is due as often as of a plan (assumed)."""
    running = [clock for clock in issue.clocks if clock.clause not in ("appointment", "idle")]
    if running or issue.is_paused or issue.status == "completed":
        return without_clock(issue, "idle")
    if (
        any(clock.clause == "idle" for clock in issue.clocks)
        and not _is_update(event)
        and not isinstance(event.body, e.Escalated)
    ):
        return issue
    return plans.word(issue, Mark(event.recorded_at or event.at, event.seq), "idle")


def wound(issue: Issue, afresh: bool = False) -> Issue:
    """The clocks as they run now. One that has shown a light or climbed is kept at rest when it stops, in case it
    runs again from the same start: what it has done, it has done once.
    """
    running = wind(issue, afresh)
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
    return replace(issue, clocks=running, resting=resting)


def _is_update(event: e.Event) -> bool:
    """Whether the event keeps the resident informed about a plan: any word or act of those who do the work."""
    return event.actor is not None and event.actor.role != "resident" and event.kind != "refused"


def _receipt(event: e.Event, command: e.CommandRef) -> Receipt:
    if isinstance(event.body, e.Refused):
        return Receipt(command.digest, "refused", event.seq, event.body.code, event.body.reason)
    return Receipt(command.digest, "applied", event.seq)


def reminder_from(issue: Issue, moment: datetime, count: int) -> Reminder:
    """Reminders that are used up stay in the state, so that they do not begin again."""
    if count >= issue.policy.top.times:
        return Reminder(None, count)
    return Reminder(reminder_after(issue, moment, count), count)
