"""The changes of state that follow every event, whatever its kind: clocks, reminders, held time, the receipt."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final

import domain.events as e
from domain import plans
from domain.access import PROPERTY_SIDE
from domain.clocks import (
    ALWAYS,
    PROGRESS,
    RULE_CLOCKS,
    RULING,
    accept_clause,
    can_climb,
    compute_clocks,
    find,
    needs_reminder,
    reminder_after,
    rule_clock,
    with_clock,
    without_clock,
)
from domain.issue import Acted, Holding, Issue, Mark, Receipt, rank
from domain.minutes import holder, seen_at
from domain.values import copy_with
from domain.vocabulary import Level


def derive(issue: Issue, event: e.Event) -> Issue:
    """The state after the changes that follow every event, whatever its kind; `issue` has the event's own change."""
    for step in STEPS if issue.closed is None else STEPS_ONCE_CLOSED:
        issue = step(issue, event)
    return issue


def update_clocks(issue: Issue, afresh: bool = False) -> Issue:
    """The issue with its clocks computed anew.

    A clock that stops after it showed a light or climbed is kept in `resting`. If it runs again from the same start,
    the same light or climb must not happen twice: clauses of the level that leads run again after a pause, and those
    that count from the report or the dispatch whenever the lead comes back to their level.
    """
    running = compute_clocks(issue, afresh)
    if running == issue.clocks:
        return issue
    levels = ("issue", issue.level, issue.left.level if issue.left else issue.level)
    begun = [issue.term[kind] for kind in ALWAYS if kind in issue.term]
    resting = tuple([
        clock
        for clock in (*issue.resting, *issue.clocks)
        if (clock.warned or clock.overdue or clock.climbed)
        and (clock.level in levels or clock.start in begun)
        and clock.clause not in RULE_CLOCKS
        and find(running, clock.clause, clock.start) is None
    ])  # fmt: skip
    return copy_with(issue, clocks=running, resting=resting)


def _clocks(issue: Issue, event: e.Event) -> Issue:
    return update_clocks(issue)


def _request(issue: Issue, event: e.Event) -> Issue:
    """Drops a request for more time if the clock that it is about has stopped.

    If a climb took the clock away, the ruling still decides on whose account the climb is.
    """
    wish = issue.wish("extend")
    if wish is None or any(clock.clause == wish.clause for clock in issue.clocks):
        return issue
    if wish.asked.seq < issue.term["led"].seq:
        return issue
    return copy_with(issue, wishes=tuple([each for each in issue.wishes if each is not wish]))


def _rulings(issue: Issue, event: e.Event) -> Issue:
    """Each open wish has a clock of whoever must rule on it; so has a lead that its predecessor's own act moved up, until
    the new lead accepts, unless the policy has a clause for that.
    """
    due: dict[str, tuple[Level, Mark]] = {}
    for wish in issue.wishes:
        due[f"rule-{wish.what}"] = wish.ruler, wish.asked
        led = issue.term["led"]
        if rank(wish.ruler) < rank(issue.level):  # below the lead nobody rules: the wish has come to the lead with it
            due[f"rule-{wish.what}"] = issue.level, max(wish.asked, led, key=attrgetter("seq"))
    if issue.left is not None and not accept_clause(issue):
        due["rule-size"] = (issue.level, issue.term["led"])
    running = {clock.clause: clock for clock in issue.clocks if clock.clause in RULING}
    for name in running:
        if name not in due:
            issue = without_clock(issue, name)
    for name, (level, start) in due.items():
        known = running.get(name)
        if known is None or known.level != level:
            # A level to which a ruling passes, from below or from above, is not late for what another left undone.
            begun = start if known is None else Mark.recorded(event)
            issue = with_clock(issue, rule_clock(issue, name, level, "rule", begun))
    return issue


def _plan_update(issue: Issue, event: e.Event) -> Issue:
    if issue.plan is None or not _is_update(event):
        return issue
    return plans.restart_update_clock(issue, Mark.of(event))


def _progress(issue: Issue, event: e.Event) -> Issue:
    """The progress clock runs wherever no clause with a climb does, so that no open issue is forgotten.

    It counts from the last step forward. Where its climb would have passed already when it begins to run, it counts
    from then.
    """
    since = issue.progressed
    if since is None or issue.status == "completed" or can_climb(issue):
        return without_clock(issue, PROGRESS)
    known = next((clock for clock in issue.clocks if clock.clause == PROGRESS), None)
    if known is not None and known.start.seq >= since.seq:
        return issue
    begun = Mark.recorded(event)
    clock = rule_clock(issue, PROGRESS, "issue", "progress", since)
    if clock.climbs[0] <= begun.at:
        clock = rule_clock(issue, PROGRESS, "issue", "progress", begun)
    return with_clock(issue, clock)


def _reminder(issue: Issue, event: e.Event) -> Issue:
    if not needs_reminder(issue):
        return issue if issue.reminder is None else copy_with(issue, reminder=None)
    if issue.reminder is not None:
        return issue
    return copy_with(issue, reminder=reminder_after(issue, event.at))


def _minutes(issue: Issue, event: e.Event) -> Issue:
    if issue.status == "completed" and not isinstance(event.body, e.Completed | e.Rejected | e.Merged | e.Objected):
        return issue  # whose time it is shows in the answer to the completion
    who, org = holder(issue)
    asked = issue.status == "suspended" and not isinstance(event.body, e.TakenBack)  # what was completed held its time
    if asked and issue.holding is not None and who == issue.holding.holder == "resident":
        return issue  # whether it was the resident's time shows at the end of the question
    since = max(seen_at(event), issue.holding.since) if issue.holding else event.at
    return copy_with(issue, holding=Holding(who, org, since))


_NO_ACTS: Final = ("refused", "calendar_published", "directory_changed")
"""Event kinds that make nobody a party: what had no effect, and what is sent to all open issues."""


def _acted(issue: Issue, event: e.Event) -> Issue:
    """Notes in the state who acted as staff: such a person does not rate the issue later, nor, if he acted on the
    property side, decide on it from above.
    """
    actor = event.actor
    if actor is None or actor.org is None or event.kind in _NO_ACTS:
        return issue
    known = issue.acted.get(actor.person, Acted())
    orgs = known.orgs if actor.org in known.orgs else (*known.orgs, actor.org)
    acted = Acted(orgs, known.side or (actor.role if actor.role in PROPERTY_SIDE else None))
    return issue if acted == known else copy_with(issue, acted={**issue.acted, actor.person: acted})


def _receipt(issue: Issue, event: e.Event) -> Issue:
    command = event.command
    if command is None:
        return issue
    match event.body:
        case e.Refused(code=code, params=params):
            receipt = Receipt(command.digest, "refused", event.seq, code, params)
        case e.Urged(counted_only=True):
            receipt = Receipt(command.digest, "applied", event.seq, "counted")
        case _:
            receipt = Receipt(command.digest, "applied", event.seq)
    given = issue.given
    if event.actor is not None and command.id not in issue.receipts:  # a command may lead to several events
        given = {**given, event.actor.party: given.get(event.actor.party, 0) + 1}
    return copy_with(issue, receipts={**issue.receipts, command.id: receipt}, given=given)


Step = Callable[[Issue, e.Event], Issue]
STEPS_ONCE_CLOSED: Final[tuple[Step, ...]] = (
    _minutes,
    _acted,
    _receipt,
)
STEPS: Final[tuple[Step, ...]] = (
    _clocks,  # first, since the others depend on the running clauses
    _request,
    _plan_update,
    _rulings,
    _progress,  # after all clocks that can climb
    _reminder,  # after all clocks, since it depends on whether one can still climb
    *STEPS_ONCE_CLOSED,
)
"""The steps after an event of an open issue, in this order; those about clocks do not concern a closed issue."""


def _is_update(event: e.Event) -> bool:
    """Whether the event counts as a status update: any command of staff but those that had no effect, took something
    back, gave the word of a resident, or told that other people are responsible, which is no word about the work.
    """
    return event.actor is not None and event.actor.role != "resident" and event.kind not in _NO_UPDATES


_NO_UPDATES: Final = ("refused", "attached", "taken_back", "urged", "objected", "reopened", "directory_changed")
