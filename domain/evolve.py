"""How an event changes the state of an issue. Nothing else changes it.

Each kind of event has one function here, named after it, for its own change; `domain.derive` makes the changes that
follow every event.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import domain.events as e
from domain import completion, followers, plans, resolving
from domain.access import above, milestone_scopes
from domain.clocks import (
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
from domain.commands import Voice
from domain.derive import derive, update_clocks
from domain.issue import (
    Clock,
    Closed,
    Issue,
    Left,
    Mark,
    Stop,
    Wish,
    lead_org,
    lowest,
    next_rung,
    org_of,
    rank,
    urges,
)
from domain.milestones import counts_as, met_after, with_progress
from domain.minutes import seen_at
from domain.pauses import with_taken
from domain.pausing import pause, pause_since, unpause, without_own_stop
from domain.terms import back_to_time, count_climb, handed_over, new_term, restart_work, with_status, without_work
from domain.values import copy_with
from domain.vocabulary import CompletionKind, Drop, Level, Matter, Status
from domain.worktime import Due
from domain.worktime import due as due_after

TAKES_BACK: Final = frozenset(
    {
        "accepted", "assigned", "scheduled", "attempted", "contacted", "arrived", "assessed", "mitigated", "planned",
        "step_done", "answered", "suspended", "waited", "completed",
    }
)  # fmt: skip
"""Event kinds with which a handler takes back its decline, since it continues the work."""


def evolve(issue: Issue, event: e.Event) -> Issue:
    """The state after the event; events must come in order, without gaps (ValueError otherwise)."""
    if event.seq != issue.version + 1:
        raise ValueError(f"event {event.seq} does not follow version {issue.version} of issue {issue.id}")
    if isinstance(event.body, e.Completed | e.Rejected | e.Merged):
        issue = completion.kept(issue, event)  # first, since the marks of the completion are no part of it
    mark = Mark.of(event)
    marks, term = issue.marks, issue.term
    kind = counts_as(event)
    if kind not in marks or kind not in term:
        marks, term = {kind: mark, **marks}, {kind: mark, **term}
    before = issue
    if (left := issue.left) is not None and kind not in left.term:  # what runs on may start further clauses
        issue = copy_with(issue, left=Left(left.level, {kind: mark, **left.term}))
    if event.kind in TAKES_BACK and issue.declined and _is_by_handler(issue, event):
        # Taken back without a ruling, so it was no transfer.
        issue = copy_with(issue, wishes=_without_wish(issue, "decline"), transfers=issue.transfers - 1)
    met = met_after(issue, event, mark)
    issue = copy_with(issue, version=event.seq, since=event.at, marks=marks, term=term, met=met)
    issue = CHANGES[type(event.body)](issue, event, event.body)
    return derive(with_progress(before, issue, event, mark), event)


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
    e.Commented, e.Attached, e.Contacted, e.Mitigated, e.Referred, e.Sat, e.Supervised, e.Instructed,
    e.Refused, e.RejectedSignal,
)  # fmt: skip
def noted(issue: Issue, event: e.Event, body: e.EventBody) -> Issue:
    """Changes nothing: for events of these kinds, what `evolve` does for every event is all."""
    return issue


@on(e.Urged)
def urged(issue: Issue, event: e.Event, body: e.Urged) -> Issue:
    if body.counted_only:  # else whoever urges all day would never be heard again
        return issue
    assert event.actor is not None
    recent, person = urges(issue, event.at), event.actor.person
    return copy_with(issue, urged={**recent, person: (*recent.get(person, ()), event.at)})


@on(e.Reported)
def reported(issue: Issue, event: e.Event, body: e.Reported) -> Issue:
    assert event.actor is not None
    return new_term(
        issue, Mark.of(event), taken_by=body.taken_by, number=body.number, place=body.place, category=body.category, urgent=body.urgent,
        about_operator=body.about_operator, reporter=body.reporter if body.taken_by else event.actor.person, follows=body.follows, ladder=body.ladder,
        level=event.level, rules_version=body.rules_version, root=body.root, opened_at=event.at,
        reachable=body.reachable, reopened=body.reopened, building=body.building, common=body.common,
    )  # fmt: skip


@on(e.Led)
def led(issue: Issue, event: e.Event, body: e.Led) -> Issue:
    return copy_with(issue, left=None)  # from now on the lead answers for what its predecessor left


@on(e.Dispatched)
def dispatched(issue: Issue, event: e.Event, body: e.Dispatched) -> Issue:
    return new_term(issue, Mark.of(event), handler=body.handler)


# The work


@on(e.Accepted)
def accepted(issue: Issue, event: e.Event, body: e.Accepted) -> Issue:
    assert event.actor is not None
    if event.actor.org == lead_org(issue):  # a lead that does the work itself accepts both at once
        issue = copy_with(issue, left=None)
    return with_status(issue, "accepted")


@on(e.Assigned)
def assigned(issue: Issue, event: e.Event, body: e.Assigned) -> Issue:
    return copy_with(issue, assigned=body.appointed)


@on(e.Scheduled)
def scheduled(issue: Issue, event: e.Event, body: e.Scheduled) -> Issue:
    return with_clock(issue, Clock("appointment", "issue", "arrive", Mark.of(event), body.time))


@on(e.Attempted)
def attempted(issue: Issue, event: e.Event, body: e.Attempted) -> Issue:
    return copy_with(without_clock(issue, "appointment"), attempts=body.count)  # kept, by one side


@on(e.Arrived)
def arrived(issue: Issue, event: e.Event, body: e.Arrived) -> Issue:
    return _moved_by_handler(without_clock(issue, "appointment"), event, "arrived")


@on(e.Assessed)
def assessed(issue: Issue, event: e.Event, body: e.Assessed) -> Issue:
    size, left = {f"assessed:{body.assessment}": Mark.of(event)}, issue.left
    return copy_with(
        issue, assessment=body.assessment, term={**size, **issue.term}, marks={**size, **issue.marks},
        left=left and Left(left.level, {**size, **left.term}),
    )  # fmt: skip


@on(e.Answered)
def answered(issue: Issue, event: e.Event, body: e.Answered) -> Issue:
    return copy_with(issue, said=True) if body.interim else _moved_by_handler(issue, event, "answered")


@on(e.Planned)
def planned(issue: Issue, event: e.Event, body: e.Planned) -> Issue:
    before = issue.stands
    issue = copy_with(_moved_by_handler(issue, event, "planned"), said=True)
    if body.needs is None:  # it takes the place of one that still waits
        return plans.planned(copy_with(issue, wishes=_without_wish(issue, "plan")), body, Mark.of(event))
    assert event.actor is not None
    waits = issue.wish("plan")
    asked = Mark.of(event) if waits is None else waits.asked  # another plan gives whoever must rule no more time
    issue = _wished(issue, Wish("plan", asked, event.actor.org or "", body.needs))
    return plans.proposed(issue, body, body.needs, milestone_scopes(issue, event.actor), before)


@on(e.Granted)
def granted(issue: Issue, event: e.Event, body: e.Granted) -> Issue:
    wish = issue.wish(body.what)
    assert wish is not None
    issue = _ruled_on(issue, body.what)
    match body.what:
        case "plan":
            return plans.granted(issue, Mark.of(event))
        case "pause":
            return pause_since(issue, event, wish)
        case _:
            return issue


def _ruled_on(issue: Issue, what: Matter) -> Issue:
    """The issue without this wish. An objection to what dropped the issue stays until the event that follows closes it or
    undoes that, so that there is no state in which no clock runs.
    """
    if what == "objection" and issue.is_dropped:
        return issue
    return copy_with(issue, wishes=_without_wish(issue, what))


@on(e.StepDone)
def step_done(issue: Issue, event: e.Event, body: e.StepDone) -> Issue:
    return plans.step_done(issue, body.step, Mark.of(event))


@on(e.Completed)
def completed(issue: Issue, event: e.Event, body: e.Completed) -> Issue:
    return _ended(issue, event, body, body.kind)


@on(e.Rejected)
def rejected(issue: Issue, event: e.Event, body: e.Rejected) -> Issue:
    return _ended(issue, event, body, "rejected")


@on(e.Merged)
def merged(issue: Issue, event: e.Event, body: e.Merged) -> Issue:
    return copy_with(_ended(issue, event, body, "merged"), merged_into=body.into)


def _ended(
    issue: Issue, event: e.Event, body: e.Completed | e.Rejected | e.Merged, kind: CompletionKind | Drop
) -> Issue:
    """The issue without work, until the resident answers; silence closes it."""
    clock = Clock("silence", "issue", "confirm", Mark.of(event), body.silent_until, provisional=body.provisional)
    return without_work(
        with_clock(unpause(issue, event.at), clock), status="completed", interrupted=None, completion=kind,
        wishes=(), left=None, reminder=None, objected=(),
    )  # fmt: skip


@on(e.Reopened)
def reopened(issue: Issue, event: e.Event, body: e.Reopened) -> Issue:
    actor = event.actor
    if actor is not None and actor.role == "resident" and actor.person != issue.reporter:
        # A follower's takes none of the reporter's.
        once = {"asked_by_side": True} if body.own_side else {"asked_again": True}
        return restart_work(copy_with(issue, **once), event)
    return restart_work(copy_with(issue, reopened=issue.reopened + 1), event)


@on(e.TakenBack)
def taken_back(issue: Issue, event: e.Event, body: e.TakenBack) -> Issue:
    if issue.is_dropped:
        return _undone(issue, event)
    issue = completion.taken_back(issue)
    over = next((clock.due for clock in issue.clocks if clock.clause in ("ask", "review")), None)
    if over is not None and over <= event.at and not issue.shelved:
        issue = unpause(issue, over)  # without the completion the pause had ended then
    return _recalculated(without_own_stop(issue, event) if issue.urgent else issue)


def _undone(issue: Issue, event: e.Event) -> Issue:
    """The issue as it stood before it was dropped: for nobody did a clock run since."""
    work, drop = issue.work, issue.completion
    assert work is not None
    assert drop is not None
    since, until, ruled = issue.marks[drop].at, seen_at(event), issue.wish("objection") is not None
    issue = completion.taken_back(issue)
    # Only a level above, or the same at the top, drops again what was taken up.
    persons = issue.overruled_persons if work.level == issue.overruled else ()
    issue = copy_with(issue, merged_into=None, overruled=work.level, overruled_persons=(*persons, work.person))
    if ruled:  # what was objected to before is answered by this, too
        clocks = without(issue.clocks, "rule-objection")
        issue = copy_with(issue, wishes=_without_wish(issue, "objection"), clocks=clocks)
    issue = _stood_still(issue, since, max(since, until), work.by)
    return _recalculated(without_own_stop(issue, event) if issue.urgent else issue)


def _stood_still(issue: Issue, since: datetime, until: datetime, by: str | None) -> Issue:
    """The issue after a time in which nobody worked on it: no clock ran, nor did one for whoever must rule."""
    stop = issue.paused
    if stop is not None and stop.end <= until and not issue.shelved:  # that pause had ended meanwhile
        issue = unpause(issue, stop.end)
        since = max(since, stop.end)
    elif stop is not None:  # it goes on afterwards
        begun = copy_with(stop, end=max(stop.begin, since))
        if stop.stops != "nothing":
            issue = copy_with(with_taken(issue, stop, begun.end), pauses=(*issue.pauses, begun))
            issue = plans.shift_after_pause(issue, stop.begin, begun.end - stop.begin)
        issue = copy_with(issue, paused=copy_with(stop, begin=until, end=max(until, stop.end)))
    issue = copy_with(issue, pauses=(*issue.pauses, Stop(since, until, "dropped", by)))
    return plans.shift_after_pause(issue, since, until - since)


@on(e.CodeRenewed)
def code_renewed(issue: Issue, event: e.Event, body: e.CodeRenewed) -> Issue:
    assert event.actor is not None
    return followers.renewed(issue, event.actor.person, body.generation, event.seq)


# Who speaks in it


@on(e.Adopted)
def adopted(issue: Issue, event: e.Event, body: e.Adopted) -> Issue:
    return followers.taken_in(issue, body.issue, body.voices, unheard=body.unheard)


@on(e.Split)
def split(issue: Issue, event: e.Event, body: e.Split) -> Issue:
    return followers.let_go(issue, body.issue, body.persons, body.through)


@on(e.Followed)
def followed(issue: Issue, event: e.Event, body: e.Followed) -> Issue:
    assert event.actor is not None
    voice = Voice(event.actor.person, event.at, issue.id, rates=body.rates)
    return copy_with(issue, followers=followers.followed(issue, voice))


@on(e.Unfollowed)
def unfollowed(issue: Issue, event: e.Event, body: e.Unfollowed) -> Issue:
    assert event.actor is not None
    return copy_with(issue, followers=followers.parted(issue, event.actor.person))


@on(e.Withdrawn)
def withdrawn(issue: Issue, event: e.Event, body: e.Withdrawn) -> Issue:
    heir = followers.heir(issue)
    if heir is None:
        return issue
    return followers.handed_on(issue, heir)


@on(e.Confirmed)
def confirmed(issue: Issue, event: e.Event, body: e.Confirmed) -> Issue:
    assert event.actor is not None
    if event.actor.person == issue.reporter:
        issue = copy_with(issue, heard=event.seq)
        if body.counted and body.outcome != "not":
            issue = copy_with(issue, judged=Closed(body.outcome, body.satisfaction))
    known = issue.followers.get(event.actor.person)
    if known is None:
        return issue
    rated = copy_with(known, rating=body.satisfaction if body.counted else "not_rated", rated=event.seq)
    return copy_with(issue, followers={**issue.followers, event.actor.person: rated})


# How it ends


@on(e.Closed)
def closed(issue: Issue, event: e.Event, body: e.Closed) -> Issue:
    return copy_with(
        issue, status="closed", interrupted=None, closed=Closed(body.kind, body.satisfaction, body.until), work=None,
        clocks=(), resting=(), reminder=None, wishes=(), paused=None, shelved=False, left=None,
    )  # fmt: skip


# Who handles it, and who leads it


@on(e.Redispatched)
def redispatched(issue: Issue, event: e.Event, body: e.Redispatched) -> Issue:
    return handed_over(copy_with(issue, transfers=issue.transfers + 1), body.handler, event)


@on(e.Declined)
def declined(issue: Issue, event: e.Event, body: e.Declined) -> Issue:
    assert event.actor is not None
    # Nobody rules on his own decline, as a community might that does the work itself.
    others: list[Level] = [
        level for level in issue.ladder if level != "property" and org_of(issue, level) != event.actor.org
    ]
    ruler = others[0] if others else issue.ladder[-1]
    wish = Wish("decline", Mark.of(event), event.actor.org or "", ruler)
    return copy_with(_wished(issue, wish), transfers=issue.transfers + 1)


@on(e.Ruled)
def ruled(issue: Issue, event: e.Event, body: e.Ruled) -> Issue:
    if body.upheld and body.handler is not None:
        return handed_over(issue, body.handler, event)
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
    issue = new_term(count_climb(copy_with(issue, last_climb=None), event), led, level=event.level, reminder=None)
    # The level keeps the lead from the deadline on, or from the record if that came much later.
    keeps = kept_until(issue, led.due or led.at) if body.by == "deadline" else None
    return copy_with(issue, left=left, keeps_until=keeps)


@on(e.Returned)
def returned(issue: Issue, event: e.Event, body: e.Returned) -> Issue:
    left = issue.left
    issue = back_to_time(issue, body.undoes) if body.undoes else copy_with(issue, transfers=issue.transfers + 1)
    issue = copy_with(issue, level=event.level, last_climb=None, reminder=None, left=None)
    if left is not None and left.level == event.level:  # what moved the lead is undone: no limit begins anew
        return copy_with(unpause(issue, event.at) if issue.shelved else issue, term=left.term)
    issue = restart_work(copy_with(unpause(issue, event.at), wishes=()), event)
    return copy_with(
        issue,
        clocks=tuple([skip_climbs(clock, event.at) for clock in issue.clocks]),
        resting=tuple([skip_climbs(clock, event.at) for clock in issue.resting]),
    )


# The clock stops, or runs again


@on(e.Suspended)
def suspended(issue: Issue, event: e.Event, body: e.Suspended) -> Issue:
    clock = Clock("ask", "issue", "supply", Mark.of(event), body.until, provisional=body.provisional)
    return pause(copy_with(issue, asked=issue.asked + 1), event, "suspended", clock, body.stops)


@on(e.Waited)
def waited(issue: Issue, event: e.Event, body: e.Waited) -> Issue:
    clock = Clock("review", "issue", "resume", Mark.of(event), body.review)
    return copy_with(pause(issue, event, "waiting", clock, body.stops, own=True), waits_for=body.reason)


@on(e.Shelved)
def shelved(issue: Issue, event: e.Event, body: e.Shelved) -> Issue:
    clock = Clock("review", "issue", "resume", Mark.of(event), body.review)
    return copy_with(pause(issue, event, "waiting", clock), shelved=True)


@on(e.Supplied)
def supplied(issue: Issue, event: e.Event, body: e.Supplied) -> Issue:
    return unpause(issue, event.at)


@on(e.Resumed)
def resumed(issue: Issue, event: e.Event, body: e.Resumed) -> Issue:
    return unpause(issue, seen_at(event), needless=body.needless)


@on(e.Objected)
def objected(issue: Issue, event: e.Event, body: e.Objected) -> Issue:
    if issue.status == "suspended":
        return unpause(issue, event.at, needless=True)
    assert event.actor is not None
    wish = Wish("objection", Mark.of(event), "", _judge(issue), person=event.actor.person)
    return _wished(copy_with(without_clock(issue, "silence"), said=False), wish)


def _judge(issue: Issue) -> Level:
    """The level that rules on an objection: above whoever dropped the issue, or above the lead; at the top, the top."""
    if not issue.is_dropped:
        return next_rung(issue) or issue.ladder[-1]
    assert issue.work is not None
    return lowest(issue.ladder, rank(issue.work.level) + 1) or issue.ladder[-1]


# More time, other policy, other calendar: every running clock is computed again from its start


@on(e.Requested)
def requested(issue: Issue, event: e.Event, body: e.Requested) -> Issue:
    assert event.actor is not None
    ruler = above(issue, event.actor)
    assert ruler is not None
    wish = Wish(
        body.what, Mark.of(event), event.actor.org or "", ruler, body.clause, body.by, body.waits_for, body.review
    )
    return _wished(issue, wish)


@on(e.Extended)
def extended(issue: Issue, event: e.Event, body: e.Extended) -> Issue:
    extensions = {**issue.extensions, body.clause: (*issue.extensions.get(body.clause, ()), body.by)}
    issue = copy_with(issue, extensions=extensions, extended=issue.extended + 1, wishes=_without_wish(issue, "extend"))
    return update_clocks(issue, afresh=True)


@on(e.Denied)
def denied(issue: Issue, event: e.Event, body: e.Denied) -> Issue:
    wish = issue.wish(body.what)
    if issue.is_dropped and wish is not None and not followers.denial_closes(issue, event.at):
        assert issue.completion is not None
        due = followers.dropped_until(issue)
        clock = Clock("silence", "issue", "confirm", issue.marks[issue.completion], due.at, provisional=due.provisional)
        issue = copy_with(issue, wishes=_without_wish(issue, body.what), objected=(*issue.objected, wish.person))
        return with_clock(issue, clock)
    issue = _ruled_on(issue, body.what)
    return _deny_plan(issue) if body.what == "plan" else issue


@on(e.Corrected)
def corrected(issue: Issue, event: e.Event, body: e.Corrected) -> Issue:
    urgent = issue.urgent if body.urgent is None else body.urgent
    before = issue
    issue = without_own_stop(issue, event) if urgent else issue  # first, since the pause was taken as ordinary
    issue = copy_with(issue, category=body.category or issue.category, urgent=urgent)
    issue = plans.landed_anew(update_clocks(issue, afresh=True))
    return _with_floors(before, issue, event) if _is_by_handler(issue, event) else issue


@on(e.PolicyChanged)
def policy_changed(issue: Issue, event: e.Event, body: e.PolicyChanged) -> Issue:
    return _asked_anew(update_clocks(recount_reminder(copy_with(issue, policy=body.policy, floors={})), afresh=True))


@on(e.CalendarPublished)
def calendar_published(issue: Issue, event: e.Event, body: e.CalendarPublished) -> Issue:
    if issue.last_climb is not None:
        issue = copy_with(issue, last_climb=copy_with(issue.last_climb, wrong=body.wrong is not None))
    return _recalculated(copy_with(issue, calendars=with_year(issue.calendars, body.calendar)))


@on(e.DirectoryChanged)
def directory_changed(issue: Issue, event: e.Event, body: e.DirectoryChanged) -> Issue:
    return resolving.passed_on(issue, event, body)


def _recalculated(issue: Issue) -> Issue:
    """The issue with every clock computed again from its start, by the present policy, calendars and pauses."""
    issue = recount_reminder(update_clocks(issue, afresh=True))
    for clock in issue.clocks:
        match clock.clause, clock.milestone:
            case "silence", _:
                issue = with_clock(issue, _due(clock, silence_from(issue, clock.start.at)))
            case "ask", _:
                issue = _asked_anew(issue)
            case ("plan-update", _) | ("plan-step", "complete"):
                issue = with_clock(issue, plans.update_due(issue, clock))
            case _:
                pass
    return issue


def _asked_anew(issue: Issue) -> Issue:
    """The issue whose open question, if there is one, ends by the present policy and calendars."""
    clock = next((each for each in issue.clocks if each.clause == "ask"), None)
    if clock is None:
        return issue
    longest, hours = issue.policy.ask.max, issue.policy.service_hours
    until = _due(clock, due_after(clock.start.at, longest, hours, issue.calendars))
    if issue.paused is not None:
        issue = copy_with(issue, paused=copy_with(issue.paused, end=until.due))
    return update_clocks(with_clock(issue, until), afresh=True)


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


def _moved_by_handler(issue: Issue, event: e.Event, status: Status) -> Issue:
    """Moves the status forward if the handler caused the event; events of the lead leave the status as it is."""
    return with_status(issue, status) if _is_by_handler(issue, event) else issue


def _is_by_handler(issue: Issue, event: e.Event) -> bool:
    return event.actor is not None and event.actor.org == issue.handler.code


def _wished(issue: Issue, wish: Wish) -> Issue:
    return copy_with(issue, wishes=(*_without_wish(issue, wish.what), wish))


def _without_wish(issue: Issue, what: Matter) -> tuple[Wish, ...]:
    return tuple([wish for wish in issue.wishes if wish.what != what])


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


def _deny_plan(issue: Issue) -> Issue:
    """Drops a denied plan. The status returns to that before the plan, unless the work has advanced since."""
    assert issue.proposed is not None
    before = issue.proposed.before
    issue = copy_with(issue, proposed=None)
    if issue.stands != "planned":
        return issue
    return copy_with(issue, interrupted=before) if issue.is_paused else copy_with(issue, status=before)


def _with_light(issue: Issue, clause: str | None, **lit: bool) -> Issue:
    clocks = tuple(copy_with(clock, **lit) if clock.clause == clause else clock for clock in issue.clocks)
    return copy_with(issue, clocks=clocks)
