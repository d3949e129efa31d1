"""How an event changes the state of an issue. Nothing else changes it.

Each kind of event has one function here, named after it, for its own change; `domain.derive` makes the changes that
follow every event.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, TypeVar

import domain.events as e
from domain import completion, plans
from domain.access import above, milestone_scopes
from domain.clocks import (
    ALWAYS,
    RULING,
    climb_moment,
    kept_until,
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
from domain.issue import Climb, Clock, Closed, Issue, Left, Mark, Stop, Wish, lead_org, org_of
from domain.minutes import seen_at
from domain.pauses import with_taken
from domain.place import Handler
from domain.values import copy_with
from domain.vocabulary import Goal, Level, Matter, Milestone, Scope, Status, Stops
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
PASSIVE: Final = frozenset({"commented", "refused", "rejected_signal", "urged", "taken_back"})
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
    if isinstance(event.body, e.Completed):
        issue = completion.kept(issue, event)  # first, since the marks of the completion are no part of it
    mark = Mark(event.at, event.seq)
    marks, term = issue.marks, issue.term
    kind = _counts_as(event)
    if kind not in marks or kind not in term:
        marks, term = {kind: mark, **marks}, {kind: mark, **term}
    before = issue
    if (left := issue.left) is not None and kind not in left.term:  # what runs on may start further clauses
        issue = copy_with(issue, left=Left(left.level, {kind: mark, **left.term}))
    if event.kind in TAKES_BACK and issue.declined and _is_by_handler(issue, event):
        # Taken back without a ruling, so it was no transfer.
        issue = copy_with(issue, wishes=_without_wish(issue, "decline"), transfers=issue.transfers - 1)
    met = _met(issue, event, mark)
    issue = copy_with(issue, version=event.seq, since=event.at, marks=marks, term=term, met=met)
    issue = CHANGES[type(event.body)](issue, event, event.body)
    return derive(_with_progress(before, issue, event, mark), event)


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
    step). Always False for `silence`, `ask`, `review`, `plan-update` and `progress`, and for events without an actor.
    """
    if event.actor is None:
        return False
    match clock.clause:
        case "silence" | "ask" | "review" | "plan-update" | "progress":  # met by the resident, or by any step forward
            return False
        case name if name in RULING:
            return after.wish(RULING[name]) is None
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
        case e.Granted(what="plan"):
            return "planned"
        case e.Answered(interim=True):
            return "interim"
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
    if isinstance(event.body, e.Assessed):  # whoever says how serious it is, nobody need say it again
        met["property", "assess"] = mark
    return met


_FORWARD: Final = ("accept", "arrive", "sit", "answer", "handle", "complete")
"""Milestones that are a step forward when they are reached for the first time."""


def _with_progress(before: Issue, after: Issue, event: e.Event, mark: Mark) -> Issue:
    """The issue with the last step forward noted, if the event was one."""
    led, known = after.term.get("led"), before.term.get("led")
    if led is not None and led != known and (known is None or led.seq > known.seq):  # not where a return undid a climb
        return copy_with(after, progressed=led)
    new = (
        any(goal[1] in _FORWARD and goal not in before.met for goal in after.met)
        if after.met is not before.met
        else False
    )
    return copy_with(after, progressed=mark) if new or isinstance(event.body, e.StepDone) else after


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
    e.Commented, e.Urged, e.Withdrawn, e.Confirmed, e.Assigned, e.Contacted, e.Mitigated, e.Referred, e.Sat,
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
        reachable=body.reachable,
    )  # fmt: skip


@on(e.Led)
def led(issue: Issue, event: e.Event, body: e.Led) -> Issue:
    return copy_with(issue, left=None)  # from now on the lead answers for what its predecessor left


@on(e.Dispatched)
def dispatched(issue: Issue, event: e.Event, body: e.Dispatched) -> Issue:
    return _new_term(issue, _mark(event), handler=body.handler)


# The work


@on(e.Accepted)
def accepted(issue: Issue, event: e.Event, body: e.Accepted) -> Issue:
    assert event.actor is not None
    if event.actor.org == lead_org(issue):  # a lead that does the work itself accepts both at once
        issue = copy_with(issue, left=None)
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
    size, left = {f"assessed:{body.assessment}": _mark(event)}, issue.left
    return copy_with(
        issue, assessment=body.assessment, term={**size, **issue.term}, marks={**size, **issue.marks},
        left=left and Left(left.level, {**size, **left.term}),
    )  # fmt: skip


@on(e.Answered)
def answered(issue: Issue, event: e.Event, body: e.Answered) -> Issue:
    return issue if body.interim else _moved_by_handler(issue, event, "answered")


@on(e.Planned)
def planned(issue: Issue, event: e.Event, body: e.Planned) -> Issue:
    before = issue.stands
    issue = _moved_by_handler(issue, event, "planned")
    if body.needs is None:  # it takes the place of one that still waits
        return plans.planned(copy_with(issue, wishes=_without_wish(issue, "plan")), body, _mark(event))
    assert event.actor is not None
    waits = issue.wish("plan")  # another plan gives whoever must rule no more time
    asked = _mark(event) if waits is None else waits.asked
    issue = _wished(issue, Wish("plan", asked, event.actor.org or "", body.needs))
    return plans.proposed(issue, body, body.needs, milestone_scopes(issue, event.actor), before)


@on(e.Granted)
def granted(issue: Issue, event: e.Event, body: e.Granted) -> Issue:
    wish = issue.wish(body.what)
    assert wish is not None
    issue = copy_with(issue, wishes=_without_wish(issue, body.what))
    return plans.granted(issue, _mark(event)) if body.what == "plan" else _pause_since(issue, event, wish)


@on(e.StepDone)
def step_done(issue: Issue, event: e.Event, body: e.StepDone) -> Issue:
    return plans.step_done(issue, body.step, _mark(event))


@on(e.Completed)
def completed(issue: Issue, event: e.Event, body: e.Completed) -> Issue:
    issue = _unpause(issue, event.at)
    clock = Clock("silence", "issue", "confirm", _mark(event), body.silent_until, provisional=body.provisional)
    return _without_work(
        with_clock(issue, clock), status="completed", interrupted=None, completion=body.kind,
        wishes=(), left=None, reminder=None,
    )  # fmt: skip


@on(e.Reopened)
def reopened(issue: Issue, event: e.Event, body: e.Reopened) -> Issue:
    return _restart_work(copy_with(issue, reopened=issue.reopened + 1), event)


@on(e.TakenBack)
def taken_back(issue: Issue, event: e.Event, body: e.TakenBack) -> Issue:
    issue = completion.taken_back(issue)
    over = next((clock.due for clock in issue.clocks if clock.clause in ("ask", "review")), None)
    if over is not None and over <= event.at and not issue.shelved:
        issue = _unpause(issue, over)  # without the completion the pause had ended then
    return _recalculated(_without_own_stop(issue, event) if issue.urgent else issue)


@on(e.CodeRenewed)
def code_renewed(issue: Issue, event: e.Event, body: e.CodeRenewed) -> Issue:
    return copy_with(issue, generation=body.generation)


@on(e.Adopted)
def adopted(issue: Issue, event: e.Event, body: e.Adopted) -> Issue:
    return copy_with(issue, adopted=(*issue.adopted, body.issue))


@on(e.Closed)
def closed(issue: Issue, event: e.Event, body: e.Closed) -> Issue:
    return copy_with(
        issue, status="closed", interrupted=None, closed=Closed(body.kind, body.satisfaction), work=None,
        clocks=(), resting=(), reminder=None, wishes=(), paused=None, shelved=False, left=None,
    )  # fmt: skip


# Who handles it, and who leads it


@on(e.Redispatched)
def redispatched(issue: Issue, event: e.Event, body: e.Redispatched) -> Issue:
    return _handed_over(copy_with(issue, transfers=issue.transfers + 1), body.handler, event)


@on(e.Declined)
def declined(issue: Issue, event: e.Event, body: e.Declined) -> Issue:
    assert event.actor is not None
    # Nobody rules on his own decline, as a community might that does the work itself.
    others: list[Level] = [
        level for level in issue.ladder if level != "property" and org_of(issue, level) != event.actor.org
    ]
    ruler = others[0] if others else issue.ladder[-1]
    wish = Wish("decline", _mark(event), event.actor.org or "", ruler)
    return copy_with(_wished(issue, wish), transfers=issue.transfers + 1)


@on(e.Ruled)
def ruled(issue: Issue, event: e.Event, body: e.Ruled) -> Issue:
    if body.upheld and body.handler is not None:
        return _handed_over(issue, body.handler, event)
    return copy_with(issue, wishes=_without_wish(issue, "decline"))


_OWN_ACTS: Final = ("size", "hand", "transfers")
"""Climbs by which a handler or lead may shed the lead by itself."""


@on(e.Escalated)
def escalated(issue: Issue, event: e.Event, body: e.Escalated) -> Issue:
    # The new lead could not see the issue before the climb was recorded, so its clocks start then.
    led = Mark.recorded(event)
    left = issue.left if body.by == "deadline" else None  # still nobody has accepted what was left
    mine = event.actor is not None and event.actor.org in (issue.handler.code, org_of(issue, body.from_level))
    if mine and body.by in _OWN_ACTS:
        left = issue.left or Left(body.from_level, issue.term)  # its own act moved the lead: its clauses run on
    issue = _new_term(_count_climb(copy_with(issue, last_climb=None), event), led, level=event.level, reminder=None)
    # The level keeps the lead from the deadline on, or from the record if that came much later.
    keeps = kept_until(issue, led.due or led.at) if body.by == "deadline" else None
    return copy_with(issue, left=left, keeps_until=keeps)


@on(e.Returned)
def returned(issue: Issue, event: e.Event, body: e.Returned) -> Issue:
    left = issue.left
    issue = _back_to_time(issue, body.undoes) if body.undoes else copy_with(issue, transfers=issue.transfers + 1)
    issue = copy_with(issue, level=event.level, last_climb=None, reminder=None, left=None)
    if left is not None and left.level == event.level:  # what moved the lead is undone: no limit begins anew
        return copy_with(_unpause(issue, event.at) if issue.shelved else issue, term=left.term)
    issue = _restart_work(copy_with(_unpause(issue, event.at), wishes=()), event)
    return copy_with(
        issue,
        clocks=tuple([skip_climbs(clock, event.at) for clock in issue.clocks]),
        resting=tuple([skip_climbs(clock, event.at) for clock in issue.resting]),
    )


# The clock stops, or runs again


@on(e.Suspended)
def suspended(issue: Issue, event: e.Event, body: e.Suspended) -> Issue:
    clock = Clock("ask", "issue", "supply", _mark(event), body.until, provisional=body.provisional)
    return _pause(copy_with(issue, asked=issue.asked + 1), event, "suspended", clock, body.stops)


@on(e.Waited)
def waited(issue: Issue, event: e.Event, body: e.Waited) -> Issue:
    clock = Clock("review", "issue", "resume", _mark(event), body.review)
    return copy_with(_pause(issue, event, "waiting", clock, body.stops, own=True), waits_for=body.reason)


@on(e.Shelved)
def shelved(issue: Issue, event: e.Event, body: e.Shelved) -> Issue:
    clock = Clock("review", "issue", "resume", _mark(event), body.review)
    return copy_with(_pause(issue, event, "waiting", clock), shelved=True)


@on(e.Supplied)
def supplied(issue: Issue, event: e.Event, body: e.Supplied) -> Issue:
    return _unpause(issue, event.at)


@on(e.Resumed)
def resumed(issue: Issue, event: e.Event, body: e.Resumed) -> Issue:
    return _unpause(issue, seen_at(event), needless=body.needless)


@on(e.Objected)
def objected(issue: Issue, event: e.Event, body: e.Objected) -> Issue:
    return _unpause(issue, event.at, needless=True) if issue.status == "suspended" else issue


# More time, other policy, other calendar: every running clock is computed again from its start


@on(e.Requested)
def requested(issue: Issue, event: e.Event, body: e.Requested) -> Issue:
    assert event.actor is not None
    ruler = above(issue, event.actor)
    assert ruler is not None
    wish = Wish(
        body.what, _mark(event), event.actor.org or "", ruler, body.clause, body.by, body.waits_for, body.review
    )
    return _wished(issue, wish)


@on(e.Extended)
def extended(issue: Issue, event: e.Event, body: e.Extended) -> Issue:
    extensions = {**issue.extensions, body.clause: (*issue.extensions.get(body.clause, ()), body.by)}
    issue = copy_with(issue, extensions=extensions, extended=issue.extended + 1, wishes=_without_wish(issue, "extend"))
    return update_clocks(issue, afresh=True)


@on(e.Denied)
def denied(issue: Issue, event: e.Event, body: e.Denied) -> Issue:
    issue = copy_with(issue, wishes=_without_wish(issue, body.what))
    return _deny_plan(issue) if body.what == "plan" else issue


@on(e.Corrected)
def corrected(issue: Issue, event: e.Event, body: e.Corrected) -> Issue:
    urgent = issue.urgent if body.urgent is None else body.urgent
    before = issue
    issue = _without_own_stop(issue, event) if urgent else issue  # first, since the pause was taken as ordinary
    issue = copy_with(issue, category=body.category or issue.category, urgent=urgent)
    issue = plans.landed_anew(update_clocks(issue, afresh=True))
    return _with_floors(before, issue, event) if _is_by_handler(issue, event) else issue


@on(e.PolicyChanged)
def policy_changed(issue: Issue, event: e.Event, body: e.PolicyChanged) -> Issue:
    return update_clocks(recount_reminder(copy_with(issue, policy=body.policy, floors={})), afresh=True)


@on(e.CalendarPublished)
def calendar_published(issue: Issue, event: e.Event, body: e.CalendarPublished) -> Issue:
    if issue.last_climb is not None:
        issue = copy_with(issue, last_climb=copy_with(issue.last_climb, wrong=body.wrong is not None))
    return _recalculated(copy_with(issue, calendars=with_year(issue.calendars, body.calendar)))


def _recalculated(issue: Issue) -> Issue:
    """The issue with every clock computed again from its start, by the present policy, calendars and pauses."""
    issue = recount_reminder(update_clocks(issue, afresh=True))
    for clock in issue.clocks:
        match clock.clause, clock.milestone:
            case "silence", _:
                issue = with_clock(issue, _due(clock, silence_from(issue, clock.start.at)))
            case "ask", _:
                longest, hours = issue.policy.ask.max, issue.policy.service_hours
                until = _due(clock, due_after(clock.start.at, longest, hours, issue.calendars))
                if issue.paused is not None:
                    issue = copy_with(issue, paused=copy_with(issue.paused, end=until.due))
                issue = update_clocks(with_clock(issue, until), afresh=True)
            case ("plan-update", _) | ("plan-step", "complete"):
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
        assert issue.paused is not None  # it is shelved, and stays so until the next review
        clocks = tuple(copy_with(c, due=body.review) if c.clause == "review" else c for c in issue.clocks)
        stop = copy_with(issue.paused, end=max(issue.paused.begin, body.review))
        return update_clocks(copy_with(issue, clocks=clocks, paused=stop), afresh=True)
    reminder = issue.reminder
    assert reminder is not None
    for _ in range(body.count):
        reminder = reminder_after(issue, reminder.at, reminder.count + 1)
    return copy_with(issue, reminder=reminder)


# Shared helpers


def _mark(event: e.Event) -> Mark:
    return Mark(event.at, event.seq)


def _handed_over(issue: Issue, handler: Handler, event: e.Event) -> Issue:
    marks = {kind: mark for kind, mark in issue.marks.items() if kind != "arrived"}  # nobody has come for this handler
    issue = _without_work(issue, handler=handler, marks=marks, wishes=())
    return _new_term(_unpause(_with_status(issue, "dispatched", force=True), event.at), _mark(event), renewed=True)


def _new_term(issue: Issue, led: Mark, renewed: bool = False, **changes: Any) -> Issue:
    """Starts a new term of the lead at `led`, from which the clauses of its level run anew.

    Clauses that start with the report or the dispatch keep counting from there. But with `renewed` (the work starts
    over, or passes to another handler) they count from `led`, in later terms as well; extensions granted to clauses of a
    level lapse, as does what a correction by the former handler put off; extensions of clauses of the whole issue stay.
    `changes` are further fields to set.
    """
    resting = tuple([clock for clock in issue.resting if clock.level == "issue"])
    if renewed:  # extensions of a level's clauses belonged to the earlier work
        whole = {clause.id for clause in issue.policy.clause if clause.level == "issue"}
        kept = {clause: granted for clause, granted in issue.extensions.items() if clause in whole}
        changes |= {"extensions": kept, "extended": sum(map(len, kept.values())), "floors": {}}
    begun = {kind: led if renewed else issue.term[kind] for kind in ALWAYS if renewed or kind in issue.term}
    fresh = {"keeps_until": None, "left": None, **changes}
    return copy_with(issue, term={"led": led, **begun}, resting=resting, **fresh)


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


def _wished(issue: Issue, wish: Wish) -> Issue:
    return copy_with(issue, wishes=(*_without_wish(issue, wish.what), wish))


def _without_wish(issue: Issue, what: Matter) -> tuple[Wish, ...]:
    return tuple([wish for wish in issue.wishes if wish.what != what])


def _pause(
    issue: Issue, event: e.Event, status: Status, clock: Clock, stops: Stops = "all", *, own: bool = False,
    since: datetime | None = None,
) -> Issue:  # fmt: skip
    """Pauses the work from `since`, or from the event, until the limit of `clock`, which ends the pause."""
    by = event.actor.org if event.actor is not None else None
    stop = issue.paused
    if stop is not None and stop.own and own and stop.by == by and stop.stops == stops:  # a new review date
        issue = copy_with(issue, paused=copy_with(stop, end=clock.due))
        return update_clocks(with_clock(without_clock(issue, "review"), clock), afresh=True)
    issue = _unpause(issue, event.at)
    # After an outage the previous pause may have ended, by the record, after this one was requested.
    begin = max((since or issue.since, *(stop.end for stop in issue.pauses)))
    issue = copy_with(
        issue, interrupted=issue.status, status=status,
        paused=Stop(begin, max(begin, clock.due), stops, by, own),
    )  # fmt: skip
    return update_clocks(with_clock(issue, clock), afresh=True)


def _pause_since(issue: Issue, event: e.Event, wish: Wish) -> Issue:
    """The pause that was granted, which counts from the request; it may be over already."""
    assert wish.review is not None
    if wish.review > event.at:
        issue = _unpause(issue, event.at)
    issue = _with_gaps_paused(issue, wish.asked.at, wish.review, wish.org)
    if wish.review <= event.at:
        begin = max((wish.asked.at, *(stop.end for stop in issue.pauses)))
        until = wish.review
        if issue.paused is not None and issue.paused.stops != "nothing":  # that one counts at its own end
            until = min(until, issue.paused.begin)
        over = Stop(begin, max(begin, until), "all", wish.org)
        issue = plans.shift_after_pause(copy_with(issue, pauses=(*issue.pauses, over)), begin, over.end - begin)
        return update_clocks(issue, afresh=True)
    clock = Clock("review", "issue", "resume", _mark(event), wish.review)
    issue = _pause(issue, event, "waiting", clock, since=wish.asked.at)
    return copy_with(issue, waits_for=wish.waits_for)


def _with_gaps_paused(issue: Issue, since: datetime, until: datetime, by: str) -> Issue:
    """The issue with the time between earlier pauses paused as well, from `since` on and up to `until`."""
    begin, gaps = since, list[Stop]()
    for stop in issue.pauses:
        if stop.end <= begin:
            continue
        if begin < (end := min(stop.begin, until)):
            gaps.append(Stop(begin, end, "all", by))
            issue = plans.shift_after_pause(issue, begin, end - begin)
        begin = stop.end
    return copy_with(issue, pauses=tuple(sorted((*issue.pauses, *gaps), key=attrgetter("begin")))) if gaps else issue


def _unpause(issue: Issue, at: datetime, *, needless: bool = False) -> Issue:
    """Ends the pause; every limit that it stopped has as much time left as it had. A needless one stopped none."""
    if issue.paused is None:
        return issue
    status = issue.stands if issue.status in ("suspended", "waiting") else issue.status
    stop, at = issue.paused, max(issue.paused.begin, at)
    if stop.own:  # whoever paused it knew the end, so a late record takes nothing more off
        at = min(at, stop.end)
    counts = stop.stops != "nothing" and not needless
    pauses = (*issue.pauses, copy_with(stop, end=at)) if counts else issue.pauses
    issue = copy_with(
        with_taken(issue, stop, at) if counts else issue, pauses=pauses, paused=None, status=status, interrupted=None,
        shelved=False, waits_for=None,
    )  # fmt: skip
    issue = without_clock(issue, "ask", "review")
    if counts:
        issue = plans.shift_after_pause(issue, stop.begin, at - stop.begin)
    if any(clock.clause == "appointment" and clock.due <= at for clock in issue.clocks):
        issue = without_clock(issue, "appointment")  # it passed during the pause
    return update_clocks(recount_reminder(issue), afresh=True)


def _without_own_stop(issue: Issue, event: e.Event) -> Issue:
    """The issue in a pause that stops nothing from the event on, unless somebody above granted it: it is urgent now."""
    stop = issue.paused
    if stop is None or stop.stops == "nothing" or not (stop.own or issue.status == "suspended"):
        return issue
    at = max(stop.begin, event.at)
    issue = copy_with(with_taken(issue, stop, at), pauses=(*issue.pauses, copy_with(stop, end=at)))
    issue = copy_with(issue, paused=copy_with(stop, begin=at, end=max(at, stop.end), stops="nothing"))
    return plans.shift_after_pause(issue, stop.begin, at - stop.begin)


def _with_floors(before: Issue, after: Issue, event: e.Event) -> Issue:
    """The issue after a correction by its handler: no climb lands sooner than one whole limit after it.

    A climb that was due sooner before the correction keeps its moment.
    """
    limits = {clause.id: clause.limit for clause in after.policy.clause}
    floors = dict(after.floors)
    for clock in after.clocks:
        if not clock.climbs or clock.clause not in limits:
            continue
        whole = due_after(
            event.at, limits[clock.clause], after.policy.service_hours, after.calendars, wall=after.urgent
        ).at
        known = [old for old in before.clocks if (old.level, old.milestone) == (clock.level, clock.milestone)]
        moments = [climb_moment(before, old, climb[0]) for old in known if (climb := next_climb(before, old))]
        floors[clock.clause] = min([whole, *moments])
    return copy_with(after, floors=floors)


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
    issue = _without_work(
        issue, status="dispatched", interrupted=None, completion=None, work=None, met=met, marks=marks
    )
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
