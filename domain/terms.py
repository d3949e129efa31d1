"""Terms: how the work and the lead pass on, begin anew, or go back."""

from typing import Any, Final

import domain.events as e
from domain import plans
from domain.clocks import ALWAYS, next_climb, without, without_clock
from domain.derive import update_clocks
from domain.issue import Climb, Clock, Issue, Mark
from domain.pausing import unpause
from domain.place import Handler
from domain.values import copy_with
from domain.vocabulary import DROPS, Status

_ORDER: Final[tuple[Status, ...]] = ("dispatched", "accepted", "arrived", "planned", "answered")


def with_status(issue: Issue, status: Status, force: bool = False) -> Issue:
    """Sets the status if it is further on than the present one.

    During a pause this sets the status to which the issue will return. With `force` it sets the status itself in any
    case, backward too.
    """
    now, waiting = issue.stands, issue.proposed
    if waiting is not None and status != "planned" and _ORDER.index(status) > _ORDER.index(waiting.before):
        issue = copy_with(issue, proposed=copy_with(waiting, before=status))
    if not force and (now not in _ORDER or _ORDER.index(status) <= _ORDER.index(now)):
        return issue
    if issue.is_paused and not force:
        return copy_with(issue, interrupted=status)
    return copy_with(issue, status=status)


def handed_over(issue: Issue, handler: Handler, event: e.Event) -> Issue:
    marks = {kind: mark for kind, mark in issue.marks.items() if kind != "arrived"}  # nobody has come for this handler
    objection = tuple([wish for wish in issue.wishes if wish.what == "objection"])  # it is still to be answered
    issue = without_work(issue, handler=handler, marks=marks, wishes=objection, assigned=None)
    return new_term(unpause(with_status(issue, "dispatched", force=True), event.at), Mark.of(event), renewed=True)


def new_term(issue: Issue, led: Mark, renewed: bool = False, **changes: Any) -> Issue:
    """Starts a new term of the lead at `led`, from which the clauses of its level run anew.

    Clauses that start with the report or the dispatch keep counting from there. But with `renewed` (the work starts
    over, or passes to another handler) they count from `led`, in later terms as well; extensions granted to clauses of a
    level lapse, as does what a correction by the former handler put off; extensions of clauses of the whole issue stay.
    `changes` are further fields to set.
    """
    if renewed:  # extensions of a level's clauses belonged to the earlier work
        whole = {clause.id for clause in issue.policy.clause if clause.level == "issue"}
        kept = {clause: granted for clause, granted in issue.extensions.items() if clause in whole}
        changes |= {"extensions": kept, "extended": sum(map(len, kept.values())), "floors": {}}
    begun = {kind: led if renewed else issue.term[kind] for kind in ALWAYS if renewed or kind in issue.term}
    resting = tuple([clock for clock in issue.resting if clock.level == "issue" or clock.start in begun.values()])
    fresh = {"keeps_until": None, "left": None, **changes}
    return copy_with(issue, term={"led": led, **begun}, resting=resting, **fresh)


def without_work(issue: Issue, **changes: Any) -> Issue:
    """The issue without plan and appointment, which belong to work that ends here, and with `changes`."""
    clocks = without(issue.clocks, "appointment", *plans.CLOCKS)
    return copy_with(issue, clocks=clocks, plan=None, proposed=None, planned_since=None, **changes)


def restart_work(issue: Issue, event: e.Event) -> Issue:
    """Starts the work again.

    The time in which the resident reviewed the completed work counts only for clauses about an answer.
    """
    if (done := issue.marks.get("completed")) is not None:
        issue = copy_with(issue, looked=(*issue.looked, (done.at, event.at)))
    met = {goal: mark for goal, mark in issue.met.items() if goal[1] not in ("complete", "handle")}
    marks = {kind: first for kind, first in issue.marks.items() if kind not in ("completed", *DROPS, "mitigated")}
    issue = without_work(
        issue, status="dispatched", interrupted=None, completion=None, judged=None, work=None, met=met, marks=marks
    )
    return update_clocks(new_term(without_clock(issue, "silence"), Mark.of(event), renewed=True), afresh=True)


def count_climb(issue: Issue, event: e.Event) -> Issue:
    """Counts the climb on the clock that caused it, so that the same climb does not happen again."""
    if event.recorded_at is None:
        return issue
    clock = next(clock for clock in issue.clocks if clock.clause == event.clause)
    climb = next_climb(issue, clock)
    step = climb[0] if climb else len(clock.climbs) - 1
    clocks = tuple(copy_with(each, climbed=step + 1) if each is clock else each for each in issue.clocks)
    last = Climb(clock.clause, clock.start, step, event.at, issue.level)
    return copy_with(issue, clocks=clocks, last_climb=last)


def back_to_time(issue: Issue, clause: str) -> Issue:
    """The issue with a wrong climb of this clause not counted on its clock, so that it happens when it is due."""
    last = issue.last_climb
    assert last is not None

    def back(clock: Clock) -> Clock:
        is_it = (clock.clause, clock.start) == (clause, last.start)
        return copy_with(clock, climbed=min(clock.climbed, last.step)) if is_it else clock

    return copy_with(issue, clocks=tuple(map(back, issue.clocks)), resting=tuple(map(back, issue.resting)))
