"""How an event changes the state of an issue. Nothing else changes it."""

from datetime import datetime, timedelta
from typing import Final

import domain.events as e
from domain.access import milestone_scopes
from domain.clocks import ALWAYS, RULE_CLOCKS, needs_reminder, next_climb, reminder_after, skip_climbs, wind
from domain.issue import (
    Clock,
    Closed,
    Holding,
    Issue,
    Mark,
    Pending,
    PlanState,
    PlanStep,
    Receipt,
    Reminder,
)
from domain.minutes import holder
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
_ORDER: Final[tuple[Status, ...]] = ("dispatched", "accepted", "arrived", "planned", "answered")


def evolve(issue: Issue, event: e.Event) -> Issue:
    """The state after the event; events must come in order, without gaps (ValueError otherwise)."""
    if event.seq != issue.version + 1:
        raise ValueError(f"event {event.seq} does not follow version {issue.version} of issue {issue.id}")
    issue = replace(issue, version=event.seq, since=event.at)
    mark = Mark(event.at, event.seq)
    if event.kind not in issue.marks or event.kind not in issue.term:
        issue = replace(issue, marks={event.kind: mark, **issue.marks}, term={event.kind: mark, **issue.term})
    issue = _meet(issue, event, mark)
    issue = _apply(issue, event, mark)
    return _settle(issue, event)


def reached_by(event: e.Event) -> tuple[str, ...]:
    """The milestones that the event reaches, for those levels that its actor speaks for."""
    if event.actor is None or event.actor.role == "resident":
        return ()
    answers = isinstance(event.body, e.Completed) and bool(event.body.answer)
    acts = event.kind not in PASSIVE
    return (*MEETS.get(event.kind, ()), *(("answer",) if answers else ()), *(("act",) if acts else ()))


def _meet(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    """Notes the milestones that the event reaches."""
    reached = reached_by(event)
    if event.actor is None or not reached:
        return issue
    scopes = (*milestone_scopes(issue, event.actor), "issue")
    return replace(issue, met={**issue.met, **{f"{scope}:{each}": mark for each in reached for scope in scopes}})


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
        case e.Accepted():  # a decline that was not ruled on is taken back by it
            return _with_status(replace(issue, declined=False), "accepted")
        case e.Scheduled(time=time):
            issue = replace(issue, appointment=time)
            return _with_clock(issue, Clock("appointment", "issue", "arrive", mark, time))
        case e.Attempted(count=count):
            return replace(issue, attempts=count)
        case e.Arrived():
            return _with_status(_without_clock(issue, "appointment"), "arrived")
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
            issue = replace(_without_plan(issue), level=event.level, transfers=issue.transfers + 1)
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
    issue = replace(_without_plan(issue), handler=handler, declined=False, pending=None)
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
            issue = replace(issue, shelved=True, reminder=None)
            return _pause(issue, "waiting", Clock("review", "issue", "resume", mark, review))
        case _:
            return _unpause(issue, event.at)


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
    promised again from now on.
    """
    resting = tuple(clock for clock in issue.resting if clock.level == "issue")
    return replace(issue, term={"led": led, **(dict.fromkeys(ALWAYS, led) if renewed else {})}, resting=resting)


def _with_status(issue: Issue, status: Status, force: bool = False) -> Issue:
    """Moves the status forward, or the status that a pause goes back to; never backward unless `force`."""
    now = issue.interrupted or issue.status
    if not force and (now not in _ORDER or _ORDER.index(status) <= _ORDER.index(now)):
        return issue
    if issue.is_paused and not force:
        return replace(issue, interrupted=status)
    return replace(issue, status=status)


def _moves(issue: Issue, event: e.Event) -> bool:
    """Whether the event is the handler's, so that it moves the status."""
    return event.actor is not None and event.actor.org == issue.handler.code


def _with_clock(issue: Issue, clock: Clock) -> Issue:
    return replace(issue, clocks=(*_without_clock(issue, clock.clause).clocks, clock))


def _without_clock(issue: Issue, *names: str) -> Issue:
    return replace(issue, clocks=tuple(clock for clock in issue.clocks if clock.clause not in names))


def _pause(issue: Issue, status: Status, clock: Clock) -> Issue:
    if issue.is_paused:  # a new review date, something shelved while it waits: the pause goes on
        return _with_clock(_without_clock(replace(issue, status=status), "ask", "review"), clock)
    issue = replace(issue, interrupted=issue.status, status=status, paused_at=issue.since)
    return _with_clock(issue, clock)


def _unpause(issue: Issue, at: datetime) -> Issue:
    """The clock goes on; what was left of every limit is left still."""
    if issue.paused_at is None:
        return issue
    status = issue.interrupted or issue.status if issue.status in ("suspended", "waiting") else issue.status
    stopped = issue.paused_at
    issue = replace(issue, pauses=(*issue.pauses, (stopped, at)), paused_at=None)
    issue = replace(issue, status=status, interrupted=None, shelved=False, waits_for=None)
    issue = _plan_goes_on(_without_clock(issue, "ask", "review"), stopped, at - stopped)
    if issue.reminder is not None and issue.reminder.at is not None:
        issue = replace(issue, reminder=replace(issue.reminder, at=issue.reminder.at + (at - stopped)))
    return _wound(issue, afresh=True)


def _planned(issue: Issue, event: e.Event, mark: Mark) -> Issue:
    plan = issue.plan
    match event.body:
        case e.Planned(steps=steps, needs=needs):
            plan = PlanState(tuple(PlanStep(step.due, step.owner) for step in steps), needs)
            issue = _with_status(replace(issue, plan=plan), "planned")
        case e.StepDone(step=number) if plan is not None:
            steps = tuple(replace(s, done=True) if n == number else s for n, s in enumerate(plan.steps, 1))
            issue = replace(issue, plan=replace(plan, steps=steps))
        case e.Granted() if plan is not None:
            issue = replace(issue, plan=replace(plan, needs=None), pending=None)
        case _:
            return issue
    return _wind_plan(issue, mark)


def _wind_plan(issue: Issue, mark: Mark) -> Issue:
    """The next step that is not done is the next deadline, once the plan is in force; each step may climb once."""
    issue = _without_clock(issue, "plan-step", "plan-update")
    plan = issue.plan
    if plan is None or plan.needs is not None:
        return issue
    if (step := next((step for step in plan.steps if not step.done), None)) is not None:
        issue = _with_clock(issue, Clock("plan-step", "issue", "step_done", mark, step.due, climbs=(step.due,)))
    return _wind_update(issue, mark)


def _plan_goes_on(issue: Issue, stopped: datetime, stood: timedelta) -> Issue:
    """After a pause: what is still to be done under the plan has as much time left as when the clock stopped."""
    if issue.plan is None:
        return issue

    def later(moment: datetime) -> datetime:
        return moment + stood if moment > stopped else moment

    steps = tuple(step if step.done else replace(step, due=later(step.due)) for step in issue.plan.steps)
    issue = replace(issue, plan=replace(issue.plan, steps=steps))
    for clock in issue.clocks:
        if clock.clause == "plan-step":
            climbs = tuple(map(later, clock.climbs))
            issue = _with_clock(issue, replace(clock, due=later(clock.due), climbs=climbs))
        elif clock.clause == "plan-update" and not clock.overdue:
            issue = _wind_update(issue, clock.start)
    return issue


def _without_plan(issue: Issue) -> Issue:
    return replace(_without_clock(issue, "plan-step", "plan-update"), plan=None)


def _wind_update(issue: Issue, mark: Mark, clause: str = "plan-update") -> Issue:
    """Word of how it goes is due again, counted from `mark`."""
    policy = issue.policy
    due = due_after(mark.at, policy.plan.update, policy.service_hours, issue.calendars, pauses=issue.pauses)
    clock = Clock(clause, "issue", "update", mark, due.at, provisional=due.provisional)
    return _with_clock(issue, clock)


def _completed(issue: Issue, event: e.Event, body: e.Completed, mark: Mark) -> Issue:
    issue = _unpause(issue, event.at) if issue.is_paused else issue
    issue = replace(_without_plan(issue), status="completed", interrupted=None, completion=body.kind)
    issue = replace(_without_clock(issue, "appointment"), pending=None, declined=False, reminder=None)
    clock = Clock("silence", "issue", "confirm", mark, body.silent_until, provisional=body.provisional)
    return _with_clock(issue, clock)


def _again(issue: Issue, at: datetime, mark: Mark) -> Issue:
    """The handler must act anew; what passed while the resident was looking at finished work is nobody's delay."""
    if (completed := issue.marks.get("completed")) is not None:
        issue = replace(issue, pauses=(*issue.pauses, (completed.at, at)))
    met = {key: mark for key, mark in issue.met.items() if key.split(":")[1] not in ("complete", "handle")}
    marks = {kind: first for kind, first in issue.marks.items() if kind != "completed"}
    issue = replace(issue, status="dispatched", interrupted=None, completion=None, met=met, marks=marks)
    return _wound(_new_term(_without_clock(issue, "silence"), mark, renewed=True), afresh=True)


def _unplanned(issue: Issue) -> Issue:
    """The plan was denied: the work stands where it stood before, and a plan is owed again."""
    met = {key: mark for key, mark in issue.met.items() if not key.endswith(":plan")}
    marks = {kind: mark for kind, mark in issue.marks.items() if kind != "planned"}
    term = {kind: mark for kind, mark in issue.term.items() if kind != "planned"}
    issue = replace(_without_plan(issue), met=met, marks=marks, term=term)
    before: Status = (
        "arrived" if "arrived" in issue.marks else "accepted" if "accepted" in issue.marks else "dispatched"
    )
    if issue.is_paused:
        return replace(issue, interrupted=before)
    return replace(issue, status=before)


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
    silence = next((clock for clock in issue.clocks if clock.clause == "silence"), None)
    if silence is None:
        return issue
    policy = issue.policy
    due = due_after(silence.start.at, policy.silence.within, policy.service_hours, issue.calendars)
    return _with_clock(issue, replace(silence, due=due.at, provisional=due.provisional))


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
        if issue.plan is not None and issue.plan.needs is None and _is_update(event):
            issue = _wind_update(issue, Mark(event.at, event.seq))
        issue = _remembered(issue, event)
        if not needs_reminder(issue):
            issue = replace(issue, reminder=None)
        elif issue.reminder is None:
            issue = replace(issue, reminder=_reminder(issue, event.recorded_at or event.at, 0))
    who, org = holder(issue)
    counted = (event.recorded_at or event.at) if isinstance(event.body, e.Escalated) else event.at
    since = max(counted, issue.holding.since) if issue.holding else counted
    issue = replace(issue, holding=Holding(who, org, since))
    if event.command is not None:
        issue = replace(issue, receipts={**issue.receipts, event.command.id: _receipt(event, event.command)})
    return issue


def _remembered(issue: Issue, event: e.Event) -> Issue:
    """No open issue is forgotten: where no clause runs any more, word of it is due as often as of a plan (assumed)."""
    known = {clock.clause for clock in issue.clocks} - {"appointment"}
    if issue.is_paused or issue.status == "completed" or known - {"idle"}:
        return _without_clock(issue, "idle") if "idle" in known else issue
    if "idle" in known and not _is_update(event) and not isinstance(event.body, e.Escalated):
        return issue
    return _wind_update(issue, Mark(event.recorded_at or event.at, event.seq), "idle")


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
    works = event.actor is not None and event.actor.role != "resident"
    return works and event.kind not in ("planned", "step_done", "granted", "refused", "warned")


def _receipt(event: e.Event, command: e.CommandRef) -> Receipt:
    if isinstance(event.body, e.Refused):
        return Receipt(command.digest, "refused", event.seq, event.body.code, event.body.reason)
    return Receipt(command.digest, "applied", event.seq)
