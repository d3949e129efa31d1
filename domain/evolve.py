"""How an event changes the state of an issue. Nothing else changes it.

Each kind of event has one function here, named after it, for its own change; `domain.derive` makes the changes that
follow every event.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import domain.events as e
from domain import plans
from domain.access import milestone_scopes
from domain.clocks import (
    ALWAYS,
    next_climb,
    recount_reminder,
    reminder_after,
    silence_from,
    skip_climbs,
    with_clock,
    with_year,
    without,
    without_clock,
)
from domain.derive import derive, update_clocks
from domain.issue import Climb, Clock, Closed, Issue, Mark, Pending
from domain.minutes import seen_at
from domain.place import Handler
from domain.values import copy_with
from domain.vocabulary import Goal, Milestone, Scope, Status
from domain.worktime import Due
from domain.worktime import due as due_after

MEETS: Final[dict[str, tuple[Milestone, ...]]] = {
    "led": ("accept",),
    "accepted": ("accept",),
    "contacted": ("contact",),
    "arrived": ("arrive",),
    "assessed": ("assess",),
    "sat": ("sit",),
    "planned": ("plan",),
    "answered": ("answer",),
    "completed": ("complete", "handle"),
}
"""Event kind -> the milestones it reaches."""
PASSIVE: Final = frozenset({"commented", "refused", "rejected_signal", "urged"})
"""Event kinds that never reach the milestone ``act``."""
TAKES_BACK: Final = frozenset(
    {
        "accepted", "assigned", "scheduled", "attempted", "contacted", "arrived", "assessed", "mitigated", "planned",
        "step_done", "answered", "suspended", "waited", "completed",
    }
)  # fmt: skip
"""Event kinds with which a handler takes back its decline, since it continues the work."""
_ORDER: Final[tuple[Status, ...]] = ("dispatched", "accepted", "arrived", "planned", "answered")


def evolve(issue: Issue, event: e.Event) -> Issue:
    """The state after the event; events must come in order, without gaps (ValueError otherwise)."""
    if event.seq != issue.version + 1:
        raise ValueError(f"event {event.seq} does not follow version {issue.version} of issue {issue.id}")
    mark = Mark(event.at, event.seq)
    marks, term = issue.marks, issue.term
    kind = _counts_as(event)
    if kind not in marks or kind not in term:
        marks, term = {kind: mark, **marks}, {kind: mark, **term}
    declined = issue.declined and not (event.kind in TAKES_BACK and _is_by_handler(issue, event))
    met = _met(issue, event, mark)
    issue = copy_with(issue, version=event.seq, since=event.at, marks=marks, term=term, declined=declined, met=met)
    return derive(CHANGES[type(event.body)](issue, event, event.body), event)


def met_clock(before: Issue, event: e.Event, after: Issue) -> Clock | None:
    """The clock that the event met: the event reached its milestone, and its clause no longer runs afterwards.

    Of several, the one due first. None if there is none, if no actor caused the event (time did), or if the event gave
    the lead to another level, which starts other clocks anyway.
    """
    if event.actor is None or before.clocks is after.clocks or before.term.get("led") != after.term.get("led"):
        return None
    reached: tuple[str, ...] = _reached_by(event)
    if event.kind in ("planned", "mitigated", "granted"):  # making safe and a plan in force count as `handle`
        reached = (*reached, "handle")
    running = [clock.clause for clock in after.clocks]
    met = [clock for clock in before.clocks if clock.milestone in reached and clock.clause not in running]
    return min(met, key=lambda clock: clock.due, default=None)


def meets(event: e.Event, after: Issue, clock: Clock) -> bool:
    """Whether the event met this clock. The what-if counts by it which limits were kept, and when a delay ended.

    `met_clock` finds the one clock to record; `meets` judges any clock. So it also judges further clocks met by the
    same event, clocks that a climb has already removed, and clocks without a clause in the policy (appointment, plan
    step). Always False for `silence`, `ask`, `review`, `plan-update` and `idle`, and for events without an actor.
    """
    if event.actor is None:
        return False
    match clock.clause:
        case "silence" | "ask" | "review" | "plan-update" | "idle":  # met by the resident, or by any update
            return False
        case "appointment":
            return isinstance(event.body, (e.Arrived, e.Attempted))
        case "plan-step" if clock.milestone == "step_done":
            step = next((step for step in after.plan.steps if not step.done), None) if after.plan else None
            return isinstance(event.body, e.StepDone) and (step is None or step.due != clock.due)
        case _:
            met = after.met.get((clock.level, clock.milestone))
            named = event.clause == clock.clause and event.was_due is not None
            return named or met == _mark(event)


def _counts_as(event: e.Event) -> str:
    """The kind as which the event starts clauses: a plan that needs a grant counts as `planned` once it is granted."""
    match event.body:
        case e.Planned(needs=needs) if needs is not None:
            return "proposed"
        case e.Granted():
            return "planned"
        case _:
            return event.kind


def _reached_by(event: e.Event) -> tuple[Milestone, ...]:
    """The milestones that the event reaches."""
    if event.actor is None or event.actor.role == "resident":
        return ()
    reached = MEETS.get(_counts_as(event), ())
    if isinstance(event.body, e.Completed) and event.body.answer:
        reached = (*reached, "answer")
    return reached if event.kind in PASSIVE else (*reached, "act")


def _met(issue: Issue, event: e.Event, mark: Mark) -> Mapping[Goal, Mark]:
    """The new value of `Issue.met`: the old marks, and this event's mark for each milestone that it reaches.

    A milestone is reached for the levels for which the actor's work counts, and for the issue as a whole.
    """
    reached = _reached_by(event)
    if event.actor is None or not reached:
        return issue.met
    met = {**issue.met}
    own: tuple[Scope, ...] = (*milestone_scopes(issue, event.actor), "issue")
    for milestone in reached:
        scopes = own
        if milestone == "plan" and isinstance(event.body, e.Granted) and issue.proposed is not None:
            scopes = (*issue.proposed.scopes, "issue")  # a granted plan counts for its author's levels
        for scope in scopes:
            met[scope, milestone] = mark
    return met


# One function for each kind of event


Change = Callable[[Issue, e.Event, Any], Issue]
B = TypeVar("B", bound=e.EventBody)
CHANGES: Final[dict[type[e.EventBody], Change]] = {}
"""Class of event -> the function that changes the state; a mapping, since matching against fifty classes is slow."""


def on(*kinds: type[B]) -> Callable[[Callable[[Issue, e.Event, B], Issue]], Callable[[Issue, e.Event, B], Issue]]:
    """Registers a function as the change for these kinds of events."""

    def register(change: Callable[[Issue, e.Event, B], Issue]) -> Callable[[Issue, e.Event, B], Issue]:
        CHANGES.update(dict.fromkeys(kinds, change))
        return change

    return register


@on(
    e.Led, e.Commented, e.Urged, e.Withdrawn, e.Confirmed, e.Assigned, e.Contacted, e.Mitigated, e.Referred, e.Sat,
    e.Supervised, e.Instructed, e.Merged, e.Rejected, e.Refused, e.RejectedSignal,
)  # fmt: skip
def noted(issue: Issue, event: e.Event, body: e.EventBody) -> Issue:
    """Changes nothing: for events of these kinds, what `evolve` does for every event is all."""
    return issue


@on(e.Reported)
def reported(issue: Issue, event: e.Event, body: e.Reported) -> Issue:
    assert event.actor is not None
    return _new_term(
        issue, _mark(event), number=body.number, place=body.place, category=body.category, urgent=body.urgent,
        about_operator=body.about_operator, reporter=event.actor.person, follows=body.follows, ladder=body.ladder,
        level=event.level, rules_version=body.rules_version, root=body.root, opened_at=event.at,
    )  # fmt: skip


@on(e.Dispatched)
def dispatched(issue: Issue, event: e.Event, body: e.Dispatched) -> Issue:
    return _new_term(issue, _mark(event), handler=body.handler)


# The work


@on(e.Accepted)
def accepted(issue: Issue, event: e.Event, body: e.Accepted) -> Issue:
    return _with_status(issue, "accepted")


@on(e.Scheduled)
def scheduled(issue: Issue, event: e.Event, body: e.Scheduled) -> Issue:
    return with_clock(issue, Clock("appointment", "issue", "arrive", _mark(event), body.time))


@on(e.Attempted)
def attempted(issue: Issue, event: e.Event, body: e.Attempted) -> Issue:
    return copy_with(without_clock(issue, "appointment"), attempts=body.count)  # kept, by one side


@on(e.Arrived)
def arrived(issue: Issue, event: e.Event, body: e.Arrived) -> Issue:
    return _moved_by_handler(without_clock(issue, "appointment"), event, "arrived")


@on(e.Assessed)
def assessed(issue: Issue, event: e.Event, body: e.Assessed) -> Issue:
    size = {f"assessed:{body.assessment}": _mark(event)}
    return copy_with(issue, assessment=body.assessment, term={**size, **issue.term}, marks={**size, **issue.marks})


@on(e.Answered)
def answered(issue: Issue, event: e.Event, body: e.Answered) -> Issue:
    return _moved_by_handler(issue, event, "answered")


@on(e.Planned)
def planned(issue: Issue, event: e.Event, body: e.Planned) -> Issue:
    before = issue.stands
    issue = _moved_by_handler(issue, event, "planned")
    if body.needs is None:
        return plans.planned(issue, body, _mark(event))
    assert event.actor is not None
    return plans.proposed(issue, body, body.needs, milestone_scopes(issue, event.actor), before)


@on(e.Granted)
def granted(issue: Issue, event: e.Event, body: e.Granted) -> Issue:
    return plans.granted(issue, _mark(event))


@on(e.StepDone)
def step_done(issue: Issue, event: e.Event, body: e.StepDone) -> Issue:
    return plans.step_done(issue, body.step, _mark(event))


@on(e.Completed)
def completed(issue: Issue, event: e.Event, body: e.Completed) -> Issue:
    issue = _unpause(issue, event.at)
    clock = Clock("silence", "issue", "confirm", _mark(event), body.silent_until, provisional=body.provisional)
    return _without_work(
        with_clock(issue, clock), status="completed", interrupted=None, completion=body.kind,
        pending=None, declined=False, reminder=None,
    )  # fmt: skip


@on(e.Reopened)
def reopened(issue: Issue, event: e.Event, body: e.Reopened) -> Issue:
    return _restart_work(copy_with(issue, reopened=issue.reopened + 1), event)


@on(e.CodeRenewed)
def code_renewed(issue: Issue, event: e.Event, body: e.CodeRenewed) -> Issue:
    return copy_with(issue, generation=body.generation)


@on(e.Adopted)
def adopted(issue: Issue, event: e.Event, body: e.Adopted) -> Issue:
    return copy_with(issue, adopted=(*issue.adopted, body.issue))


@on(e.Closed)
def closed(issue: Issue, event: e.Event, body: e.Closed) -> Issue:
    return copy_with(
        issue, status="closed", interrupted=None, closed=Closed(body.kind, body.satisfaction),
        clocks=(), resting=(), reminder=None, pending=None, paused_at=None, shelved=False, declined=False,
    )  # fmt: skip


# Who handles it, and who leads it


@on(e.Redispatched)
def redispatched(issue: Issue, event: e.Event, body: e.Redispatched) -> Issue:
    return _handed_over(copy_with(issue, transfers=issue.transfers + 1), body.handler, event)


@on(e.Declined)
def declined(issue: Issue, event: e.Event, body: e.Declined) -> Issue:
    return copy_with(issue, declined=True, transfers=issue.transfers + 1)


@on(e.Ruled)
def ruled(issue: Issue, event: e.Event, body: e.Ruled) -> Issue:
    if body.upheld and body.handler is not None:
        return _handed_over(issue, body.handler, event)
    return copy_with(issue, declined=False)


@on(e.Escalated)
def escalated(issue: Issue, event: e.Event, body: e.Escalated) -> Issue:
    # The new lead could not see the issue before the climb was recorded, so its clocks start then.
    return _new_term(
        _count_climb(copy_with(issue, last_climb=None), event), Mark.recorded(event), level=event.level, reminder=None
    )


@on(e.Returned)
def returned(issue: Issue, event: e.Event, body: e.Returned) -> Issue:
    issue = _back_to_time(issue, body.undoes) if body.undoes else copy_with(issue, transfers=issue.transfers + 1)
    issue = copy_with(issue, level=event.level, last_climb=None, reminder=None, declined=False, pending=None)
    issue = _restart_work(_unpause(issue, event.at), event)
    return copy_with(
        issue,
        clocks=tuple([skip_climbs(clock, event.at) for clock in issue.clocks]),
        resting=tuple([skip_climbs(clock, event.at) for clock in issue.resting]),
    )


# The clock stops, or runs again


@on(e.Suspended)
def suspended(issue: Issue, event: e.Event, body: e.Suspended) -> Issue:
    clock = Clock("ask", "issue", "supply", _mark(event), body.until, provisional=body.provisional)
    return _pause(copy_with(issue, asked=issue.asked + 1), "suspended", clock)


@on(e.Waited)
def waited(issue: Issue, event: e.Event, body: e.Waited) -> Issue:
    clock = Clock("review", "issue", "resume", _mark(event), body.review)
    return _pause(copy_with(issue, waits_for=body.reason), "waiting", clock)


@on(e.Shelved)
def shelved(issue: Issue, event: e.Event, body: e.Shelved) -> Issue:
    clock = Clock("review", "issue", "resume", _mark(event), body.review)
    return _pause(copy_with(issue, shelved=True), "waiting", clock)


@on(e.Supplied, e.Resumed)
def resumed(issue: Issue, event: e.Event, body: e.EventBody) -> Issue:
    return _unpause(issue, seen_at(event))


# More time, other policy, other calendar: every running clock is computed again from its start


@on(e.Requested)
def requested(issue: Issue, event: e.Event, body: e.Requested) -> Issue:
    return copy_with(issue, pending=Pending(body.clause, body.by, event.level))


@on(e.Extended)
def extended(issue: Issue, event: e.Event, body: e.Extended) -> Issue:
    extensions = {**issue.extensions, body.clause: (*issue.extensions.get(body.clause, ()), body.by)}
    issue = copy_with(issue, extensions=extensions, extended=issue.extended + 1, pending=None)
    return update_clocks(issue, afresh=True)


@on(e.Denied)
def denied(issue: Issue, event: e.Event, body: e.Denied) -> Issue:
    return _deny_plan(issue) if body.what == "plan" else copy_with(issue, pending=None)


@on(e.Corrected)
def corrected(issue: Issue, event: e.Event, body: e.Corrected) -> Issue:
    urgent = issue.urgent if body.urgent is None else body.urgent
    return update_clocks(copy_with(issue, category=body.category or issue.category, urgent=urgent), afresh=True)


@on(e.PolicyChanged)
def policy_changed(issue: Issue, event: e.Event, body: e.PolicyChanged) -> Issue:
    return update_clocks(recount_reminder(copy_with(issue, policy=body.policy)), afresh=True)


@on(e.CalendarPublished)
def calendar_published(issue: Issue, event: e.Event, body: e.CalendarPublished) -> Issue:
    if issue.last_climb is not None:
        issue = copy_with(issue, last_climb=copy_with(issue.last_climb, wrong=body.wrong is not None))
    issue = update_clocks(copy_with(issue, calendars=with_year(issue.calendars, body.calendar)), afresh=True)
    issue = recount_reminder(issue)
    for clock in issue.clocks:
        match clock.clause, clock.milestone:
            case "silence", _:
                issue = with_clock(issue, _due(clock, silence_from(issue, clock.start.at)))
            case "ask", _:
                longest, hours = issue.policy.ask.max, issue.policy.service_hours
                issue = with_clock(issue, _due(clock, due_after(clock.start.at, longest, hours, issue.calendars)))
            case ("plan-update" | "idle", _) | ("plan-step", "complete"):
                issue = with_clock(issue, plans.update_due(issue, clock))
            case _:
                pass
    return issue


def _due(clock: Clock, due: Due) -> Clock:
    return copy_with(clock, due=due.at, provisional=due.provisional)


# Lights and reminders


@on(e.Warned)
def warned(issue: Issue, event: e.Event, body: e.Warned) -> Issue:
    return _with_light(issue, event.clause, warned=True)


@on(e.Overdue)
def overdue(issue: Issue, event: e.Event, body: e.Overdue) -> Issue:
    return _with_light(issue, event.clause, overdue=True)


@on(e.Reminded)
def reminded(issue: Issue, event: e.Event, body: e.Reminded) -> Issue:
    if body.review is not None:
        return copy_with(
            issue, clocks=tuple(copy_with(c, due=body.review) if c.clause == "review" else c for c in issue.clocks)
        )
    reminder = issue.reminder
    assert reminder is not None
    for _ in range(body.count):
        reminder = reminder_after(issue, reminder.at, reminder.count + 1)
    return copy_with(issue, reminder=reminder)


# Shared helpers


def _mark(event: e.Event) -> Mark:
    return Mark(event.at, event.seq)


def _handed_over(issue: Issue, handler: Handler, event: e.Event) -> Issue:
    issue = _without_work(issue, handler=handler, declined=False, pending=None)
    return _new_term(_unpause(_with_status(issue, "dispatched", force=True), event.at), _mark(event), renewed=True)


def _new_term(issue: Issue, led: Mark, renewed: bool = False, **changes: Any) -> Issue:
    """Starts a new term of the lead at `led`, from which the clauses of its level run anew.

    Clauses that start with the report or the dispatch keep counting from there. But with `renewed` (the work starts
    over, or passes to another handler) they count from `led`, in later terms as well, and extensions granted
    to clauses of a level lapse; those of clauses of the whole issue stay. `changes` are further fields to set.
    """
    resting = tuple([clock for clock in issue.resting if clock.level == "issue"])
    if renewed:  # extensions of a level's clauses belonged to the earlier work
        whole = {clause.id for clause in issue.policy.clause if clause.level == "issue"}
        kept = {clause: granted for clause, granted in issue.extensions.items() if clause in whole}
        changes |= {"extensions": kept, "extended": sum(map(len, kept.values()))}
    begun = {kind: led if renewed else issue.term[kind] for kind in ALWAYS if renewed or kind in issue.term}
    return copy_with(issue, term={"led": led, **begun}, resting=resting, **changes)


def _with_status(issue: Issue, status: Status, force: bool = False) -> Issue:
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


def _moved_by_handler(issue: Issue, event: e.Event, status: Status) -> Issue:
    """Moves the status forward if the handler caused the event; events of the lead leave the status as it is."""
    return _with_status(issue, status) if _is_by_handler(issue, event) else issue


def _is_by_handler(issue: Issue, event: e.Event) -> bool:
    return event.actor is not None and event.actor.org == issue.handler.code


def _pause(issue: Issue, status: Status, clock: Clock) -> Issue:
    if issue.is_paused:  # a new review date, or shelved while waiting: one pause continues
        return with_clock(without_clock(copy_with(issue, status=status), "ask", "review"), clock)
    # After an outage the previous pause may have ended, by the record, after this one was requested.
    stopped = max((issue.since, *(end for _, end in issue.pauses)))
    issue = copy_with(issue, interrupted=issue.status, status=status, paused_at=stopped)
    return with_clock(issue, clock)


def _unpause(issue: Issue, at: datetime) -> Issue:
    """Ends the pause; every limit has as much time left as it had when the pause began."""
    if issue.paused_at is None:
        return issue
    status = issue.stands if issue.status in ("suspended", "waiting") else issue.status
    stopped, at = issue.paused_at, max(issue.paused_at, at)
    issue = copy_with(
        issue, pauses=(*issue.pauses, (stopped, at)), paused_at=None, status=status, interrupted=None, shelved=False,
        waits_for=None,
    )  # fmt: skip
    issue = plans.shift_after_pause(without_clock(issue, "ask", "review"), stopped, at - stopped)
    if any(clock.clause == "appointment" and clock.due <= at for clock in issue.clocks):
        issue = without_clock(issue, "appointment")  # it passed during the pause
    return update_clocks(recount_reminder(issue), afresh=True)


def _without_work(issue: Issue, **changes: Any) -> Issue:
    """The issue without plan and appointment, which belong to work that ends here, and with `changes`."""
    clocks = without(issue.clocks, "appointment", *plans.CLOCKS)
    return copy_with(issue, clocks=clocks, plan=None, proposed=None, planned_since=None, **changes)


def _restart_work(issue: Issue, event: e.Event) -> Issue:
    """Starts the work again.

    The time in which the resident reviewed the completed work counts only for clauses about an answer.
    """
    if (done := issue.marks.get("completed")) is not None:
        issue = copy_with(issue, looked=(*issue.looked, (done.at, event.at)))
    met = {goal: mark for goal, mark in issue.met.items() if goal[1] not in ("complete", "handle")}
    marks = {kind: first for kind, first in issue.marks.items() if kind not in ("completed", "mitigated")}
    issue = _without_work(issue, status="dispatched", interrupted=None, completion=None, met=met, marks=marks)
    return update_clocks(_new_term(without_clock(issue, "silence"), _mark(event), renewed=True), afresh=True)


def _deny_plan(issue: Issue) -> Issue:
    """Drops a denied plan. The status returns to that before the plan, unless the work has advanced since."""
    assert issue.proposed is not None
    before = issue.proposed.before
    issue = copy_with(issue, proposed=None)
    if issue.stands != "planned":
        return issue
    return copy_with(issue, interrupted=before) if issue.is_paused else copy_with(issue, status=before)


def _count_climb(issue: Issue, event: e.Event) -> Issue:
    """Counts the climb on the clock that caused it, so that the same climb does not happen again."""
    if event.recorded_at is None:
        return issue
    clock = next(clock for clock in issue.clocks if clock.clause == event.clause)
    climb = next_climb(issue, clock)
    step = climb[0] if climb else len(clock.climbs) - 1
    clocks = tuple(copy_with(each, climbed=step + 1) if each is clock else each for each in issue.clocks)
    last = Climb(clock.clause, clock.start, step, event.at, issue.level)
    return copy_with(issue, clocks=clocks, last_climb=last)


def _back_to_time(issue: Issue, clause: str) -> Issue:
    """The issue with a wrong climb of this clause not counted on its clock, so that it happens when it is due."""
    last = issue.last_climb
    assert last is not None

    def back(clock: Clock) -> Clock:
        is_it = (clock.clause, clock.start) == (clause, last.start)
        return copy_with(clock, climbed=min(clock.climbed, last.step)) if is_it else clock

    return copy_with(issue, clocks=tuple(map(back, issue.clocks)), resting=tuple(map(back, issue.resting)))


def _with_light(issue: Issue, clause: str | None, **lit: bool) -> Issue:
    clocks = tuple(copy_with(clock, **lit) if clock.clause == clause else clock for clock in issue.clocks)
    return copy_with(issue, clocks=clocks)
