"""Which clauses run on an issue, and the earliest moment at which one of them acts by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import domain.events as e
from domain.issue import Clock, Issue, Mark, lead_org, lowest, org_of, rank, rung
from domain.policy import Clause
from domain.promise import promised
from domain.values import replace
from domain.vocabulary import Level
from domain.worktime import Limit, at_opening
from domain.worktime import due as due_after

RULE_CLOCKS: Final = ("silence", "ask", "review", "plan-step", "plan-update", "appointment", "idle")
"""Clocks that the rules start themselves; no clause of a policy may bear these names."""
REMIND: Final = "top"
"""Under which name reminders stand on the record."""
ALWAYS: Final = ("reported", "dispatched")
"""Event kinds that happen once, so every term holds them: from when the work that is under way was promised."""


@dataclass(frozen=True)
class Deadline:
    """At `at` the clock acts: `what` is warn, limit, climb or remind, of clause `clause`."""

    at: datetime
    clause: str
    what: str
    round: bool = False
    step: int = 0
    """Which climb of the clause, counted from 0: two of them may land at the same moment."""


@dataclass(frozen=True)
class NextStep:
    """Who must do what by when."""

    milestone: str
    due: datetime
    org: str | None
    clause: str


def wind(issue: Issue, afresh: bool = False) -> tuple[Clock, ...]:
    """The clocks that run on the issue as it stands.

    A clock that runs already is kept as it is, unless `afresh`: then its times are worked out again from its
    start (after a pause, an extension, another calendar or policy), and what it has already done stays done.
    """
    clocks: list[Clock] = []
    for clause, start in _running(issue):
        known = find(issue.clocks, clause.id, start)
        if known is None or afresh:
            known = _clock(issue, clause, start, known or find(issue.resting, clause.id, start))
        clocks.append(known)
    clocks += [clock for clock in issue.clocks if clock.clause in RULE_CLOCKS]
    return tuple(clocks)


def find(clocks: Iterable[Clock], clause: str, start: Mark) -> Clock | None:
    """The clock of that clause that runs from that start."""
    for clock in clocks:
        if clock.clause == clause and clock.start == start:
            return clock
    return None


def _running(issue: Issue) -> Iterator[tuple[Clause, Mark]]:
    """The clauses whose clock has started and whose milestone is not reached, each with its start."""
    assessment = issue.assessment
    for clause in issue.policy.applying(issue.level, assessment, issue.urgent, issue.category):
        kind = clause.starts
        if kind == "assessed" and assessment is not None:
            kind = f"assessed:{assessment}"  # a reassessment to the same size gives no more time
        start = (issue.marks if clause.level == "issue" else issue.term).get(kind)
        if start is None or _is_idle(issue, clause):
            continue
        met = issue.met.get(clause.scope)
        if met is None or met.seq <= start.seq:
            yield clause, start


def _is_idle(issue: Issue, clause: Clause) -> bool:
    if issue.status == "completed":  # only an answer can still be owed
        return clause.level != "issue" or clause.milestone != "answer"
    # The dated steps of a plan take the place of the limit, but only once the place is safe for `handle`.
    safe = clause.milestone == "handle" and "mitigated" in issue.marks
    return issue.plan is not None and (clause.milestone == "complete" or safe)


def _clock(issue: Issue, clause: Clause, start: Mark, known: Clock | None) -> Clock:
    # Work that is done owes nothing while the resident looks at it, but for an answer that was not given.
    pauses = issue.pauses if clause.milestone == "answer" or not issue.looked else (*issue.pauses, *issue.looked)
    promise = promised(
        clause, issue.policy, issue.calendars, start.at, pauses=pauses, urgent=issue.urgent,
        extended=issue.extensions.get(clause.id, ()),
    )  # fmt: skip
    by_days = clause.limit.unit in ("nd", "wd")
    clock = Clock(
        clause.id, clause.level, clause.milestone, start, promise.due, promise.warn, promise.climbs,
        provisional=promise.provisional, round=by_days,
        climbs_round=by_days or any(at_opening(climb, issue.policy.service_hours) for climb in promise.climbs),
    )  # fmt: skip
    if known is not None:
        # A light that was on goes out only where its moment has moved beyond the present.
        warned = known.warned and (clock.warn is None or clock.warn <= issue.since)
        clock = replace(clock, overdue=known.overdue and clock.due <= issue.since, warned=warned)
        clock = replace(clock, climbed=known.climbed)
    return clock


def next_climb(issue: Issue, clock: Clock) -> tuple[int, Level] | None:
    """Which of the clock's climbs is next and where it moves the lead; None if it has none left.

    A climb to a level that has the lead already, or that the lead has passed, does nothing: it is passed over.
    """
    if clock.provisional:
        return None
    ladder = issue.policy.ladder
    base = ladder.index(clock.level) if clock.level in ladder else 0
    for step in range(clock.climbed, len(clock.climbs)):
        if clock.clause in RULE_CLOCKS:
            target = rung(issue, "property")
        else:
            target = lowest(issue.ladder, rank(ladder[base + step + 1])) if base + step + 1 < len(ladder) else None
        if target is not None and rank(target) > rank(issue.level):
            return step, target
    return None


def with_clock(issue: Issue, clock: Clock) -> Issue:
    return replace(issue, clocks=(*but(issue.clocks, clock.clause), clock))


def without_clock(issue: Issue, *names: str) -> Issue:
    left = but(issue.clocks, *names)
    return issue if len(left) == len(issue.clocks) else replace(issue, clocks=left)


def but(clocks: tuple[Clock, ...], *names: str) -> tuple[Clock, ...]:
    """The clocks of other clauses."""
    return tuple([clock for clock in clocks if clock.clause not in names])


def skip_climbs(clock: Clock, moment: datetime) -> Clock:
    """The clock with every climb up to `moment` behind it: a lead that is given back is not taken away at once."""
    return replace(clock, climbed=max(clock.climbed, sum(climb <= moment for climb in clock.climbs)))


def next_deadline(issue: Issue, now: datetime | None = None) -> Deadline | None:
    """The earliest moment at which the policy acts by itself, None if it never will.

    With `now`, warnings are left out whose limit has passed by then: nobody is warned of what is over.
    At one moment limits come before climbs, so that ``overdue`` precedes ``escalated``.
    """
    found = _moments(issue, now, _EVER)
    return Deadline(*min(found)[3:]) if found else None


def passed_deadline(issue: Issue, now: datetime, until: datetime) -> Deadline | None:
    """The next deadline, if it has passed by `until`: on time means before it, what happens at the deadline is late."""
    found = _moments(issue, now, until)
    return Deadline(*min(found)[3:]) if found else None


_Moment = tuple[datetime, int, int, datetime, str, str, bool, int]
_EVER: Final = datetime.max.replace(tzinfo=UTC)


def _moments(issue: Issue, now: datetime | None, until: datetime) -> list[_Moment]:
    """The deadlines up to `until`, each behind what orders it: when, what comes first at one moment, a number."""
    found: list[_Moment] = []
    if issue.closed is not None:
        return found
    paused = issue.paused_at is not None
    for clock in issue.clocks:
        if paused and clock.clause not in ("ask", "review"):
            continue
        due, warn = clock.due, clock.warn
        if not clock.overdue:
            over = now is not None and due <= now
            if warn is not None and warn <= until and not clock.warned and not over:
                found.append((warn, 0, len(found), warn, clock.clause, "warn", clock.round, 0))
            if due <= until and not _unsettled(clock):
                found.append((due, 1, len(found), due, clock.clause, "limit", clock.round, 0))
        climbs = clock.climbs
        if climbs and min(climbs) <= until and (climb := next_climb(issue, clock)) and climbs[climb[0]] <= until:
            at, step = climbs[climb[0]], climb[0]
            found.append((at, 2, len(found), at, clock.clause, "climb", clock.climbs_round, step))
    reminder = issue.reminder
    if reminder is not None and reminder.at is not None and not paused and reminder.at <= until:
        found.append((reminder.at, 3, len(found), reminder.at, REMIND, "remind", False, 0))
    return found


def _unsettled(clock: Clock) -> bool:
    """Whether the limit would close the issue on working days that nobody has published yet."""
    return clock.clause == "silence" and clock.provisional


def wake_after(issue: Issue, deadline: Deadline) -> timedelta:
    """How long after the deadline to wake: the grace, and on moments that many issues share a stable spread.

    The spread is below 15 s, from the issue's id; it delays the record, never the deadline itself.
    """
    grace = issue.policy.grace.span
    spread = sum(issue.id.encode()) * 7919 % 15_000 if deadline.round else 0
    return grace + timedelta(milliseconds=spread)


def needs_reminder(issue: Issue) -> bool:
    """Where nothing can climb, a passed deadline does not close the issue: it is brought up again.

    That is so at the top of the ladder, where no clause runs, and where every climb has happened and the lead was
    given back. A climb that waits for a calendar to be published is still to come.
    """
    if issue.status in ("completed", "closed") or not any(clock.overdue for clock in issue.clocks):
        return False
    return all(next_climb(issue, replace(clock, provisional=False)) is None for clock in issue.clocks)


def reminder_after(issue: Issue, moment: datetime, count: int) -> datetime:
    """When the reminder number `count` + 1 is due, counted from `moment`: the interval doubles each time."""
    top = issue.policy.top
    amount = min(top.remind.amount * 2**count, top.doubling_to.amount)
    limit = Limit(amount, top.remind.unit)
    return due_after(moment, limit, issue.policy.service_hours, issue.calendars).at


def next_step(issue: Issue) -> NextStep | None:
    """Who must act next and by when; while the clock stands still, who must set it going."""
    clock = next_clock(issue)
    return None if clock is None else NextStep(clock.milestone, clock.due, owner(issue, clock), clock.clause)


def next_clock(issue: Issue) -> Clock | None:
    """The clock of the next step."""
    if issue.closed is not None:
        return None
    paused = issue.paused_at is not None
    first: Clock | None = None
    for clock in issue.clocks:
        if (not paused or clock.clause in ("ask", "review")) and (first is None or clock.due < first.due):
            first = clock
    return first


def owner(issue: Issue, clock: Clock) -> str | None:
    """The organisation that must act before this clock runs out; None if it is the resident."""
    if clock.clause in ("silence", "ask"):
        return None  # the resident
    if clock.clause == "review":
        return issue.place.street if issue.shelved else lead_org(issue)
    if clock.clause in RULE_CLOCKS or clock.level == "property":
        return issue.handler.code
    return lead_org(issue) if clock.level == "issue" else org_of(issue, clock.level)


def meets(event: e.Event, after: Issue, clock: Clock) -> bool:
    """Whether somebody reached with this event what the clock was waiting for; `after` is the state after the event.

    The clock may be gone long since: a climb takes it away, but not the duty.
    """
    if event.actor is None:
        return False
    match clock.clause:
        case "silence" | "ask" | "review" | "plan-update" | "idle":  # the resident's, or any word will do
            return False
        case "appointment":
            return isinstance(event.body, (e.Arrived, e.Attempted))
        case "plan-step" if clock.milestone == "step_done":
            step = next((step for step in after.plan.steps if not step.done), None) if after.plan else None
            return isinstance(event.body, e.StepDone) and (step is None or step.due != clock.due)
        case _:
            met = after.met.get(f"{clock.level}:{clock.milestone}")
            named = event.clause == clock.clause and event.was_due is not None
            return named or met == Mark(event.at, event.seq)
