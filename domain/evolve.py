"""How an event changes the state of an issue. Nothing else changes it."""

from datetime import datetime
from typing import Final

import domain.events as e
from domain import plans
from domain.access import milestone_scopes
from domain.clocks import (
    ALWAYS,
    RULE_CLOCKS,
    needs_reminder,
    next_climb,
    reminder_after,
    skip_climbs,
    wind,
    with_clock,
    without_clock,
)
from domain.issue import (
    Clock,
    Closed,
    Holding,
    Issue,
    Mark,
    Pending,
    Receipt,
    Reminder,
)
from domain.minutes import holder, seen_at
from domain.place import Handler
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
    issue = replace(issue, version=event.seq, since=event.at)
    mark = Mark(event.at, event.seq)
    kind = _counts_as(event)
    if kind not in issue.marks or kind not in issue.term:
        issue = replace(issue, marks={kind: mark, **issue.marks}, term={kind: mark, **issue.term})
    if issue.declined and event.kind in TAKES_BACK and _moves(issue, event):
        issue = replace(issue, declined=False)
    issue = _meet(issue, event, mark)
    issue = _apply(issue, event, mark)
    return _settle(issue, event)


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
    answers = isinstance(event.body, e.Completed) and bool(event.body.answer)
    acts = event.kind not in PASSIVE
    return (*MEETS.get(_counts_as(event), ()), *(("answer",) if answers else ()), *(("act",) if acts else ()))


def _meet(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    """Notes the milestones that the event reaches."""
    reached = reached_by(event)
    if event.actor is None or not reached:
        return issue
    met = {**issue.met}
    scopes: tuple[str, ...] = (*milestone_scopes(issue, event.actor), "issue")
    for each in reached:
        if each == "plan" and isinstance(event.body, e.Granted) and issue.proposed is not None:
            met |= {f"{scope}:plan": mark for scope in (*issue.proposed.scopes, "issue")}
        else:
            met |= {f"{scope}:{each}": mark for scope in scopes}
    return replace(issue, met=met)


def _apply(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    """What is special to each kind of event; one that changes nothing more leaves its mark only."""
    match event.body:
        case e.Reported():
            return _reported(issue, event, event.body)
        case e.Dispatched() | e.Redispatched() | e.Ruled() | e.Declined() | e.Escalated() | e.Returned():
            return _moved(issue, event, mark)
        case e.Suspended() | e.Waited() | e.Shelved() | e.Supplied() | e.Resumed():
            return _stopped(issue, event, mark)
        case e.Requested() | e.Extended() | e.Denied() | e.Corrected() | e.PolicyChanged() | e.CalendarPublished():
            return _rescheduled(issue, event)
        case e.Planned() | e.StepDone() | e.Granted():
            return _planned(issue, event, mark)
        case e.Warned() | e.Overdue() | e.Reminded():
            return _lit(issue, event)
        case e.Closed(kind=kind, satisfaction=satisfaction):
            issue = replace(issue, status="closed", interrupted=None, closed=Closed(kind, satisfaction))
            issue = replace(issue, clocks=(), resting=(), reminder=None, pending=None)
            return replace(issue, paused_at=None, shelved=False, declined=False)
        case _:
            return _worked(issue, event, mark)


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
        case e.Adopted(issue=adopted):
            return replace(issue, adopted=(*issue.adopted, adopted))
        case (
            e.Led() | e.Commented() | e.Urged() | e.Withdrawn() | e.Confirmed() | e.Assigned() | e.Contacted()
            | e.Mitigated() | e.Referred() | e.Sat() | e.Supervised() | e.Instructed() | e.Merged() | e.Rejected()
            | e.Refused() | e.RejectedSignal()
        ):  # fmt: skip
            return issue
        case _:
            raise TypeError(f"unknown event {event.kind}")


def _moved(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    """Who handles it, or who leads it, has changed or is disputed."""
    match event.body:
        case e.Dispatched(handler=handler):
            return _new_term(replace(issue, handler=handler), mark)
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
            return _new_term(replace(_count_climb(issue, event), level=event.level, reminder=None), led)
        case e.Returned():
            issue = replace(issue, level=event.level, transfers=issue.transfers + 1)
            issue = replace(issue, reminder=None, declined=False, pending=None)
            issue = _again(_unpause(issue, event.at), event.at, mark)
            return replace(
                issue,
                clocks=tuple(skip_climbs(clock, event.at) for clock in issue.clocks),
                resting=tuple(skip_climbs(clock, event.at) for clock in issue.resting),
            )
        case _:
            raise TypeError(f"{event.kind} moves nothing")


def _handed_over(issue: Issue, handler: Handler, at: datetime, mark: Mark) -> Issue:
    issue = replace(_anew(issue), handler=handler, declined=False, pending=None)
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


def _rescheduled(issue: Issue, event: e.Event) -> Issue:
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
    return _wound(issue, afresh=True)


def _reported(issue: Issue, event: e.Event, body: e.Reported) -> Issue:
    assert event.actor is not None
    issue = replace(
        issue,
        number=body.number,
        place=body.place,
        category=body.category,
        urgent=body.urgent,
        about_operator=body.about_operator,
        reporter=event.actor.person,
        follows=body.follows,
        ladder=body.ladder,
        level=event.level,
        rules_version=body.rules_version,
        opened_at=event.at,
    )
    return _new_term(issue, Mark(event.at, event.seq))


def _new_term(issue: Issue, led: Mark, renewed: bool = False) -> Issue:
    """The level has the lead from `led` on: its own clauses begin anew.

    `renewed`: the work is to be done again or by somebody else, so what was promised from the report on is
    promised again from now on, whoever leads later.
    """
    resting = tuple(clock for clock in issue.resting if clock.level == "issue")
    if renewed:  # what was granted on top was granted to those who did the work then
        whole = {clause.id for clause in issue.policy.clause if clause.level == "issue"}
        kept = {clause: granted for clause, granted in issue.extensions.items() if clause in whole}
        issue = replace(issue, extensions=kept, extended=sum(map(len, kept.values())))
    begun = {kind: led if renewed else issue.term[kind] for kind in ALWAYS if renewed or kind in issue.term}
    return replace(issue, term={"led": led, **begun}, resting=resting)


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
    return _wound(issue, afresh=True)


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
    issue = replace(_anew(issue), status="completed", interrupted=None, completion=body.kind)
    issue = replace(issue, pending=None, declined=False, reminder=None)
    clock = Clock("silence", "issue", "confirm", mark, body.silent_until, provisional=body.provisional)
    return with_clock(issue, clock)


def _anew(issue: Issue) -> Issue:
    """Without what was agreed on for the work that ends here: plan and appointment."""
    return replace(plans.dropped(without_clock(issue, "appointment")), planned_since=None)


def _again(issue: Issue, at: datetime, mark: Mark) -> Issue:
    """The handler must act anew; what passed while the resident was looking at finished work is nobody's delay."""
    if (completed := issue.marks.get("completed")) is not None:
        issue = replace(issue, looked=(*issue.looked, (completed.at, at)))
    met = {key: mark for key, mark in issue.met.items() if key.split(":")[1] not in ("complete", "handle")}
    marks = {kind: first for kind, first in issue.marks.items() if kind not in ("completed", "mitigated")}
    issue = replace(_anew(issue), status="dispatched", interrupted=None, completion=None, met=met, marks=marks)
    return _wound(_new_term(without_clock(issue, "silence"), mark, renewed=True), afresh=True)


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
    issue = _wound(issue, afresh=True)
    policy = issue.policy
    limits = {"silence": policy.silence.within, "ask": policy.ask.max}
    for clock in issue.clocks:
        if clock.clause in limits:
            due = due_after(clock.start.at, limits[clock.clause], policy.service_hours, issue.calendars)
            issue = with_clock(issue, replace(clock, due=due.at, provisional=due.provisional))
        elif clock.clause in ("plan-update", "idle") or (clock.clause, clock.milestone) == ("plan-step", "complete"):
            issue = with_clock(issue, plans.reckoned(issue, clock))
    return issue


def _lit(issue: Issue, event: e.Event) -> Issue:
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
            return replace(issue, reminder=_reminder(issue, event.recorded_at or event.at, sent))
        case _:
            return issue


def _reminder(issue: Issue, moment: datetime, count: int) -> Reminder:
    """Reminders that are used up stay in the state, so that they do not begin again."""
    if count >= issue.policy.top.times:
        return Reminder(None, count)
    return Reminder(reminder_after(issue, moment, count), count)


def _mark_clock(issue: Issue, clause: str | None, **lit: bool) -> Issue:
    clocks = tuple(replace(clock, **lit) if clock.clause == clause else clock for clock in issue.clocks)
    return replace(issue, clocks=clocks)


def _settle(issue: Issue, event: e.Event) -> Issue:
    """What follows from every event: running clocks, reminders, whose minutes, the receipt."""
    if not issue.is_closed:
        issue = _wound(issue)
        if issue.pending is not None and all(clock.clause != issue.pending.clause for clock in issue.clocks):
            issue = replace(issue, pending=None)  # a wish for more time lapses with its clock
        if issue.plan is not None and _is_update(event):
            issue = plans.word(issue, Mark(event.at, event.seq))
        issue = _remembered(issue, event)
        if not needs_reminder(issue):
            issue = replace(issue, reminder=None)
        elif issue.reminder is None:
            issue = replace(issue, reminder=_reminder(issue, event.recorded_at or event.at, 0))
    who, org = holder(issue)
    since = max(seen_at(event), issue.holding.since) if issue.holding else event.at
    issue = replace(issue, holding=Holding(who, org, since))
    if event.command is not None:
        issue = replace(issue, receipts={**issue.receipts, event.command.id: _receipt(event, event.command)})
    return issue


def _remembered(issue: Issue, event: e.Event) -> Issue:
    """No open issue is forgotten: where no clause runs any more, word of it is due as often as of a plan (assumed)."""
    known = {clock.clause for clock in issue.clocks} - {"appointment"}
    if issue.is_paused or issue.status == "completed" or known - {"idle"}:
        return without_clock(issue, "idle") if "idle" in known else issue
    if "idle" in known and not _is_update(event) and not isinstance(event.body, e.Escalated):
        return issue
    return plans.word(issue, Mark(event.recorded_at or event.at, event.seq), "idle")


def _wound(issue: Issue, afresh: bool = False) -> Issue:
    """The clocks as they run now. One that has shown a light or climbed is kept at rest when it stops, in case it
    runs again from the same start: what it has done, it has done once.
    """
    running = wind(issue, afresh)
    if running == issue.clocks:
        return issue
    known = {(clock.clause, clock.start) for clock in running}
    resting = tuple(
        clock
        for clock in (*issue.resting, *issue.clocks)
        if clock.level in ("issue", issue.level)
        and clock.clause not in RULE_CLOCKS
        and (clock.warned or clock.overdue or clock.climbed)
        and (clock.clause, clock.start) not in known
    )
    return replace(issue, clocks=running, resting=resting)


def _is_update(event: e.Event) -> bool:
    """Whether the event keeps the resident informed about a plan: any word or act of those who do the work."""
    return event.actor is not None and event.actor.role != "resident" and event.kind != "refused"


def _receipt(event: e.Event, command: e.CommandRef) -> Receipt:
    if isinstance(event.body, e.Refused):
        return Receipt(command.digest, "refused", event.seq, event.body.code, event.body.reason)
    return Receipt(command.digest, "applied", event.seq)
