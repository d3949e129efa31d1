"""How an event changes the state of an issue. Nothing else changes it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import domain.events as e
from domain import plans
from domain.access import PROPERTY_SIDE, milestone_scopes
from domain.clocks import ALWAYS, but, next_climb, skip_climbs, with_clock, without_clock
from domain.issue import Clock, Closed, Issue, Mark, Pending
from domain.minutes import seen_at
from domain.place import Handler
from domain.settle import reminder_from, settle, wound
from domain.values import replace
from domain.vocabulary import Milestone, Status
from domain.worktime import YearCalendar
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
"""Event kind -> the milestones it reaches; made safe with a plan in force is seen to in `domain.clocks`."""
PASSIVE: Final = frozenset({"commented", "refused", "rejected_signal", "urged"})
"""Event kinds that are not an act of the lead, whoever gave the command."""
TAKES_BACK: Final = frozenset(
    {
        "accepted", "assigned", "scheduled", "attempted", "contacted", "arrived", "assessed", "mitigated", "planned",
        "step_done", "answered", "suspended", "waited", "completed",
    }
)  # fmt: skip
"""Event kinds with which a handler goes on with what it had declined."""
_ORDER: Final[tuple[Status, ...]] = ("dispatched", "accepted", "arrived", "planned", "answered")


def evolve(issue: Issue, event: e.Event) -> Issue:
    """The state after the event; events must come in order, without gaps (ValueError otherwise)."""
    if event.seq != issue.version + 1:
        raise ValueError(f"event {event.seq} does not follow version {issue.version} of issue {issue.id}")
    mark = Mark(event.at, event.seq)
    marks, term, declined = issue.marks, issue.term, issue.declined
    kind = _counts_as(event)
    if kind not in marks or kind not in term:
        marks, term = {kind: mark, **marks}, {kind: mark, **term}
    if declined and event.kind in TAKES_BACK and _moves(issue, event):
        declined = False
    met = _met(issue, event, mark)
    issue = replace(issue, version=event.seq, since=event.at, marks=marks, term=term, declined=declined, met=met)
    return _with_side(settle(_APPLY[type(event.body)](issue, event, mark), event), event)


def _with_side(issue: Issue, event: e.Event) -> Issue:
    """Who does something on the property side may not decide on it from above later."""
    actor = event.actor
    if actor is None or actor.role not in PROPERTY_SIDE or event.kind == "refused" or actor.person in issue.acted:
        return issue
    return replace(issue, acted={**issue.acted, actor.person: actor.role})


def _counts_as(event: e.Event) -> str:
    """What the event starts clocks as: a plan counts once it is in force, not when it is proposed."""
    match event.body:
        case e.Planned(needs=needs) if needs is not None:
            return "proposed"
        case e.Granted():
            return "planned"
        case _:
            return event.kind


def reached_by(event: e.Event) -> tuple[str, ...]:
    """The milestones that the event reaches, for those levels that its actor, or the plan's maker, speaks for."""
    if event.actor is None or event.actor.role == "resident":
        return ()
    reached = MEETS.get(_counts_as(event), ())
    if isinstance(event.body, e.Completed) and event.body.answer:
        reached = (*reached, "answer")
    return reached if event.kind in PASSIVE else (*reached, "act")


def _met(issue: Issue, event: e.Event, mark: Mark) -> Mapping[str, Mark]:
    """What has been reached when, with the milestones that the event reaches."""
    reached = reached_by(event)
    if event.actor is None or not reached:
        return issue.met
    met = {**issue.met}
    scopes: tuple[str, ...] = (*milestone_scopes(issue, event.actor), "issue")
    for each in reached:
        if each == "plan" and isinstance(event.body, e.Granted) and issue.proposed is not None:
            met |= {f"{scope}:plan": mark for scope in (*issue.proposed.scopes, "issue")}
        else:
            for scope in scopes:
                met[f"{scope}:{each}"] = mark
    return met


def _worked(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    """The steps of those who do the work, and of the resident."""
    match event.body:
        case e.Accepted():
            return _with_status(issue, "accepted")
        case e.Scheduled(time=time):
            return with_clock(issue, Clock("appointment", "issue", "arrive", mark, time))
        case e.Attempted(count=count):
            return replace(without_clock(issue, "appointment"), attempts=count)  # it was kept, by one side
        case e.Arrived():
            issue = without_clock(issue, "appointment")
            return _with_status(issue, "arrived") if _moves(issue, event) else issue
        case e.Assessed(assessment=assessment):
            term = {f"assessed:{assessment}": mark, **issue.term}
            marks = {f"assessed:{assessment}": mark, **issue.marks}
            return replace(issue, assessment=assessment, term=term, marks=marks)
        case e.Answered():
            return _with_status(issue, "answered") if _moves(issue, event) else issue
        case e.Completed():
            return _completed(issue, event, event.body, mark)
        case e.Reopened():
            return _again(replace(issue, reopened=issue.reopened + 1), event.at, mark)
        case e.CodeRenewed(generation=generation):
            return replace(issue, generation=generation)
        case e.Adopted(issue=adopted):
            return replace(issue, adopted=(*issue.adopted, adopted))
        case _:
            raise TypeError(f"{event.kind} is no work")


def _noted(issue: Issue, _event: e.Event, _mark: Mark) -> Issue:
    """It leaves its mark only."""
    return issue


def _closed(issue: Issue, event: e.Event, _mark: Mark) -> Issue:
    assert isinstance(event.body, e.Closed)
    return replace(
        issue, status="closed", interrupted=None, closed=Closed(event.body.kind, event.body.satisfaction),
        clocks=(), resting=(), reminder=None, pending=None, paused_at=None, shelved=False, declined=False,
    )  # fmt: skip


def _moved(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    """Who handles it, or who leads it, has changed or is disputed."""
    match event.body:
        case e.Dispatched(handler=handler):
            return _new_term(issue, mark, handler=handler)
        case e.Redispatched(handler=handler):
            return _handed_over(replace(issue, transfers=issue.transfers + 1), handler, event.at, mark)
        case e.Declined():
            return replace(issue, declined=True, transfers=issue.transfers + 1)
        case e.Ruled(upheld=upheld, handler=handler):
            if upheld and handler is not None:
                return _handed_over(issue, handler, event.at, mark)
            return replace(issue, declined=False)
        case e.Escalated():
            # Nobody is late for hours in which they could not see the issue: their clock starts at the record.
            led = Mark(event.recorded_at or event.at, event.seq)
            return _new_term(_count_climb(issue, event), led, level=event.level, reminder=None)
        case e.Returned():
            issue = replace(issue, level=event.level, transfers=issue.transfers + 1)
            issue = replace(issue, reminder=None, declined=False, pending=None)
            issue = _again(_unpause(issue, event.at), event.at, mark)
            return replace(
                issue,
                clocks=tuple([skip_climbs(clock, event.at) for clock in issue.clocks]),
                resting=tuple([skip_climbs(clock, event.at) for clock in issue.resting]),
            )
        case _:
            raise TypeError(f"{event.kind} moves nothing")


def _handed_over(issue: Issue, handler: Handler, at: datetime, mark: Mark) -> Issue:
    issue = _anew(issue, handler=handler, declined=False, pending=None)
    return _new_term(_unpause(_with_status(issue, "dispatched", force=True), at), mark, renewed=True)


def _stopped(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    """The clock stands still, or goes on."""
    match event.body:
        case e.Suspended(until=until, provisional=provisional):
            issue = replace(issue, asked=issue.asked + 1)
            return _pause(issue, "suspended", Clock("ask", "issue", "supply", mark, until, provisional=provisional))
        case e.Waited(reason=reason, review=review):
            issue = replace(issue, waits_for=reason)
            return _pause(issue, "waiting", Clock("review", "issue", "resume", mark, review))
        case e.Shelved(review=review):
            issue = replace(issue, shelved=True)
            return _pause(issue, "waiting", Clock("review", "issue", "resume", mark, review))
        case _:
            return _unpause(issue, seen_at(event))


def _rescheduled(issue: Issue, event: e.Event, _mark: Mark) -> Issue:
    """More time, other numbers, other days: every running clock is worked out again from its start."""
    match event.body:
        case e.Requested(clause=clause, by=by):
            return replace(issue, pending=Pending(clause, by, event.level))
        case e.Denied(what=what):
            return _unplanned(issue) if what == "plan" else replace(issue, pending=None)
        case e.Extended(clause=clause, by=by):
            extensions = {**issue.extensions, clause: (*issue.extensions.get(clause, ()), by)}
            issue = replace(issue, extensions=extensions, extended=issue.extended + 1, pending=None)
        case e.Corrected(category=category, urgent=urgent):
            issue = replace(issue, category=category or issue.category)
            issue = replace(issue, urgent=issue.urgent if urgent is None else urgent)
        case e.PolicyChanged(policy=policy):
            issue = replace(issue, policy=policy)
        case e.CalendarPublished(calendar=calendar):
            return _with_calendar(issue, calendar)
        case _:
            raise TypeError(f"{event.kind} changes no time")
    return wound(issue, afresh=True)


def _reported(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    body = event.body
    assert isinstance(body, e.Reported)
    assert event.actor is not None
    return _new_term(
        issue, mark, number=body.number, place=body.place, category=body.category, urgent=body.urgent,
        about_operator=body.about_operator, reporter=event.actor.person, follows=body.follows, ladder=body.ladder,
        level=event.level, rules_version=body.rules_version, root=body.root, opened_at=event.at,
    )  # fmt: skip


def _new_term(issue: Issue, led: Mark, renewed: bool = False, **changes: Any) -> Issue:
    """The level has the lead from `led` on: its own clauses begin anew.

    `renewed`: the work is to be done again or by somebody else, so what was promised from the report on is
    promised again from now on, whoever leads later. `changes` are what else becomes of the issue.
    """
    resting = tuple([clock for clock in issue.resting if clock.level == "issue"])
    if renewed:  # what was granted on top was granted to those who did the work then
        whole = {clause.id for clause in issue.policy.clause if clause.level == "issue"}
        kept = {clause: granted for clause, granted in issue.extensions.items() if clause in whole}
        changes |= {"extensions": kept, "extended": sum(map(len, kept.values()))}
    begun = {kind: led if renewed else issue.term[kind] for kind in ALWAYS if renewed or kind in issue.term}
    return replace(issue, term={"led": led, **begun}, resting=resting, **changes)


def _with_status(issue: Issue, status: Status, force: bool = False) -> Issue:
    """Moves the status forward, or the status that a pause goes back to; never backward unless `force`."""
    now, waiting = issue.stands, issue.proposed
    if waiting is not None and status != "planned" and _ORDER.index(status) > _ORDER.index(waiting.before):
        issue = replace(issue, proposed=replace(waiting, before=status))
    if not force and (now not in _ORDER or _ORDER.index(status) <= _ORDER.index(now)):
        return issue
    if issue.is_paused and not force:
        return replace(issue, interrupted=status)
    return replace(issue, status=status)


def _moves(issue: Issue, event: e.Event) -> bool:
    """Whether the event is the handler's, so that it moves the status."""
    return event.actor is not None and event.actor.org == issue.handler.code


def _pause(issue: Issue, status: Status, clock: Clock) -> Issue:
    if issue.is_paused:  # a new review date, something shelved while it waits: the pause goes on
        return with_clock(without_clock(replace(issue, status=status), "ask", "review"), clock)
    # After an outage the pause before may have ended, on record, later than this one was asked for.
    stopped = max((issue.since, *(end for _, end in issue.pauses)))
    issue = replace(issue, interrupted=issue.status, status=status, paused_at=stopped)
    return with_clock(issue, clock)


def _unpause(issue: Issue, at: datetime) -> Issue:
    """The clock goes on; what was left of every limit is left still."""
    if issue.paused_at is None:
        return issue
    status = issue.stands if issue.status in ("suspended", "waiting") else issue.status
    stopped, at = issue.paused_at, max(issue.paused_at, at)
    issue = replace(issue, pauses=(*issue.pauses, (stopped, at)), paused_at=None)
    issue = replace(issue, status=status, interrupted=None, shelved=False, waits_for=None)
    issue = plans.goes_on(without_clock(issue, "ask", "review"), stopped, at - stopped)
    if any(clock.clause == "appointment" and clock.due <= at for clock in issue.clocks):
        issue = without_clock(issue, "appointment")  # it passed while nobody had to act
    if issue.reminder is not None and issue.reminder.at is not None:
        issue = replace(issue, reminder=replace(issue.reminder, at=issue.reminder.at + (at - stopped)))
    return wound(issue, afresh=True)


def _planned(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    match event.body:
        case e.Planned(needs=needs) as body:
            before = issue.stands
            issue = _with_status(issue, "planned") if _moves(issue, event) else issue
            if needs is None:
                return plans.planned(issue, body, mark)
            assert event.actor is not None
            return plans.proposed(issue, body, needs, milestone_scopes(issue, event.actor), before)
        case e.StepDone(step=number):
            return plans.step_done(issue, number, mark)
        case _:
            return plans.granted(issue, mark)


def _completed(issue: Issue, event: e.Event, body: e.Completed, mark: Mark) -> Issue:
    issue = _unpause(issue, event.at) if issue.is_paused else issue
    clock = Clock("silence", "issue", "confirm", mark, body.silent_until, provisional=body.provisional)
    return _anew(
        with_clock(issue, clock), status="completed", interrupted=None, completion=body.kind,
        pending=None, declined=False, reminder=None,
    )  # fmt: skip


def _anew(issue: Issue, **changes: Any) -> Issue:
    """Without what was agreed on for the work that ends here: plan and appointment; with these changes."""
    clocks = but(issue.clocks, "appointment", *plans.CLOCKS)
    return replace(issue, clocks=clocks, plan=None, proposed=None, planned_since=None, **changes)


def _again(issue: Issue, at: datetime, mark: Mark) -> Issue:
    """The handler must act anew; what passed while the resident was looking at finished work is nobody's delay."""
    if (completed := issue.marks.get("completed")) is not None:
        issue = replace(issue, looked=(*issue.looked, (completed.at, at)))
    met = {key: mark for key, mark in issue.met.items() if key.split(":")[1] not in ("complete", "handle")}
    marks = {kind: first for kind, first in issue.marks.items() if kind not in ("completed", "mitigated")}
    issue = _anew(issue, status="dispatched", interrupted=None, completion=None, met=met, marks=marks)
    return wound(_new_term(without_clock(issue, "silence"), mark, renewed=True), afresh=True)


def _unplanned(issue: Issue) -> Issue:
    """The plan was denied: the work stands where it stood before, unless it went on meanwhile."""
    assert issue.proposed is not None
    before = issue.proposed.before
    issue = replace(issue, proposed=None)
    if issue.stands != "planned":
        return issue
    return replace(issue, interrupted=before) if issue.is_paused else replace(issue, status=before)


def _count_climb(issue: Issue, event: e.Event) -> Issue:
    """Notes on the clock that caused it that its climb happened, so that it happens once."""
    if event.recorded_at is None:
        return issue
    clock = next(clock for clock in issue.clocks if clock.clause == event.clause)
    climb = next_climb(issue, clock)
    climbed = climb[0] + 1 if climb else len(clock.climbs)
    clocks = tuple(replace(each, climbed=climbed) if each is clock else each for each in issue.clocks)
    return replace(issue, clocks=clocks)


def _with_calendar(issue: Issue, calendar: YearCalendar) -> Issue:
    others = tuple(known for known in issue.calendars if known.year != calendar.year)
    issue = replace(issue, calendars=tuple(sorted((*others, calendar), key=lambda known: known.year)))
    issue = wound(issue, afresh=True)
    policy = issue.policy
    limits = {"silence": policy.silence.within, "ask": policy.ask.max}
    for clock in issue.clocks:
        if clock.clause in limits:
            due = due_after(clock.start.at, limits[clock.clause], policy.service_hours, issue.calendars)
            issue = with_clock(issue, replace(clock, due=due.at, provisional=due.provisional))
        elif clock.clause in ("plan-update", "idle") or (clock.clause, clock.milestone) == ("plan-step", "complete"):
            issue = with_clock(issue, plans.reckoned(issue, clock))
    return issue


def _lit(issue: Issue, event: e.Event, _mark: Mark) -> Issue:
    """A light went on, or a reminder went out."""
    match event.body:
        case e.Warned():
            return _mark_clock(issue, event.clause, warned=True)
        case e.Overdue():
            return _mark_clock(issue, event.clause, overdue=True)
        case e.Reminded(count=count, review=review):
            if review is not None:
                clocks = (replace(c, due=review) if c.clause == "review" else c for c in issue.clocks)
                return replace(issue, clocks=tuple(clocks))
            sent = count + (issue.reminder.count if issue.reminder else 0)
            return replace(issue, reminder=reminder_from(issue, event.recorded_at or event.at, sent))
        case _:
            return issue


def _mark_clock(issue: Issue, clause: str | None, **lit: bool) -> Issue:
    clocks = tuple(replace(clock, **lit) if clock.clause == clause else clock for clock in issue.clocks)
    return replace(issue, clocks=clocks)


_Rule = Callable[[Issue, e.Event, Mark], Issue]
_RULES: Final[tuple[tuple[_Rule, tuple[type[e.EventBody], ...]], ...]] = (
    (_reported, (e.Reported,)),
    (
        _worked,
        (
            e.Accepted, e.Scheduled, e.Attempted, e.Arrived, e.Assessed, e.Answered, e.Completed, e.Reopened,
            e.Adopted, e.CodeRenewed,
        ),
    ),
    (_moved, (e.Dispatched, e.Redispatched, e.Ruled, e.Declined, e.Escalated, e.Returned)),
    (_stopped, (e.Suspended, e.Waited, e.Shelved, e.Supplied, e.Resumed)),
    (_rescheduled, (e.Requested, e.Extended, e.Denied, e.Corrected, e.PolicyChanged, e.CalendarPublished)),
    (_planned, (e.Planned, e.StepDone, e.Granted)),
    (_lit, (e.Warned, e.Overdue, e.Reminded)),
    (_closed, (e.Closed,)),
    (
        _noted,
        (
            e.Led, e.Commented, e.Urged, e.Withdrawn, e.Confirmed, e.Assigned, e.Contacted, e.Mitigated, e.Referred,
            e.Sat, e.Supervised, e.Instructed, e.Merged, e.Rejected, e.Refused, e.RejectedSignal,
        ),
    ),
)  # fmt: skip
_APPLY: Final[Mapping[type[e.EventBody], _Rule]] = MappingProxyType(
    {kind: rule for rule, kinds in _RULES for kind in kinds}
)
"""What is special to each kind of event: looked up, since matching it against fifty classes takes its time."""
