"""Which clauses run on an issue, and the earliest moment at which one of them acts by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

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
    old = {(clock.clause, clock.start): clock for clock in issue.clocks}
    rested = {(clock.clause, clock.start): clock for clock in issue.resting}
    clocks: list[Clock] = []
    for clause, start in _running(issue):
        key = (clause.id, start)
        known = old.get(key)
        clocks.append(known if known and not afresh else _clock(issue, clause, start, known or rested.get(key)))
    clocks += (clock for clock in issue.clocks if clock.clause in RULE_CLOCKS)
    return tuple(clocks)


def _running(issue: Issue) -> Iterator[tuple[Clause, Mark]]:
    """The clauses whose clock has started and whose milestone is not reached, each with its start."""
    for clause in issue.policy.applying(issue.level, issue.assessment, issue.urgent, issue.category):
        start = _start(issue, clause)
        if start is not None and not _is_met(issue, clause, start) and not _is_idle(issue, clause):
            yield clause, start


def _start(issue: Issue, clause: Clause) -> Mark | None:
    kind = clause.starts
    if kind == "assessed" and issue.assessment is not None:
        kind = f"assessed:{issue.assessment}"  # a reassessment to the same size gives no more time
    if clause.level == "issue":
        return issue.marks.get(kind)
    return issue.term.get(kind)


def _is_met(issue: Issue, clause: Clause, start: Mark) -> bool:
    met = issue.met.get(f"{clause.level}:{clause.milestone}")
    return met is not None and met.seq > start.seq


def _is_idle(issue: Issue, clause: Clause) -> bool:
    if issue.status == "completed":  # only an answer can still be owed
        return clause.level != "issue" or clause.milestone != "answer"
    # The dated steps of a plan take the place of the limit, but only once the place is safe for `handle`.
    safe = clause.milestone == "handle" and "mitigated" in issue.marks
    return issue.plan is not None and (clause.milestone == "complete" or safe)


def _clock(issue: Issue, clause: Clause, start: Mark, known: Clock | None) -> Clock:
    # Work that is done owes nothing while the resident looks at it, but for an answer that was not given.
    pauses = issue.pauses if clause.milestone == "answer" else (*issue.pauses, *issue.looked)
    promise = promised(
        clause, issue.policy, issue.calendars, start.at, pauses=pauses, urgent=issue.urgent,
        extended=issue.extensions.get(clause.id, ()),
    )  # fmt: skip
    by_days = clause.limit.unit in ("nd", "wd")
    clock = Clock(
        clause=clause.id,
        level=clause.level,
        milestone=clause.milestone,
        start=start,
        due=promise.due,
        warn=promise.warn,
        climbs=promise.climbs,
        provisional=promise.provisional,
        round=by_days,
        climbs_round=by_days or any(at_opening(climb, issue.policy.service_hours) for climb in promise.climbs),
    )
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
    return replace(issue, clocks=(*without_clock(issue, clock.clause).clocks, clock))


def without_clock(issue: Issue, *names: str) -> Issue:
    return replace(issue, clocks=tuple(clock for clock in issue.clocks if clock.clause not in names))


def skip_climbs(clock: Clock, moment: datetime) -> Clock:
    """The clock with every climb up to `moment` behind it: a lead that is given back is not taken away at once."""
    return replace(clock, climbed=max(clock.climbed, sum(climb <= moment for climb in clock.climbs)))


def next_deadline(issue: Issue, now: datetime | None = None) -> Deadline | None:
    """The earliest moment at which the policy acts by itself, None if it never will.

    With `now`, warnings are left out whose limit has passed by then: nobody is warned of what is over.
    At one moment limits come before climbs, so that ``overdue`` precedes ``escalated``.
    """
    if issue.is_closed:
        return None
    found = min(_deadlines(issue, now), key=lambda item: (item[0].at, item[1]), default=None)
    return found[0] if found else None


def _deadlines(issue: Issue, now: datetime | None) -> Iterator[tuple[Deadline, int]]:
    for clock in issue.clocks:
        if issue.is_paused and clock.clause not in ("ask", "review"):
            continue
        over = now is not None and clock.due <= now
        if clock.warn is not None and not clock.warned and not clock.overdue and not over:
            yield Deadline(clock.warn, clock.clause, "warn", clock.round), 0
        if not clock.overdue and not _unsettled(clock):
            yield Deadline(clock.due, clock.clause, "limit", clock.round), 1
        if (climb := next_climb(issue, clock)) is not None:
            yield Deadline(clock.climbs[climb[0]], clock.clause, "climb", clock.climbs_round, climb[0]), 2
    if issue.reminder is not None and issue.reminder.at is not None and not issue.is_paused:
        yield Deadline(issue.reminder.at, REMIND, "remind"), 3


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
    if issue.is_closed:
        return None
    if issue.is_paused:
        clocks: Iterable[Clock] = (clock for clock in issue.clocks if clock.clause in ("ask", "review"))
    else:
        clocks = issue.clocks
    clock = min(clocks, key=lambda clock: clock.due, default=None)
    return None if clock is None else NextStep(clock.milestone, clock.due, owner(issue, clock), clock.clause)


def owner(issue: Issue, clock: Clock) -> str | None:
    """The organisation that must act before this clock runs out; None if it is the resident."""
    if clock.clause in ("silence", "ask"):
        return None  # the resident
    if clock.clause == "review":
        return issue.place.street if issue.shelved else lead_org(issue)
    if clock.clause in RULE_CLOCKS or clock.level == "property":
        return issue.handler.code
    return lead_org(issue) if clock.level == "issue" else org_of(issue, clock.level)
