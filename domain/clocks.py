"""The running clocks of an issue, and its next deadline."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from types import MappingProxyType
from typing import Final, NamedTuple, get_args

from domain.issue import Clock, Issue, Mark, Reminder, lead_org, lowest, org_of, rank, rung
from domain.pauses import granted, is_granted, stopped
from domain.policy import Clause
from domain.promise import latest, promised
from domain.values import copy_with
from domain.vocabulary import Level, Matter, Scope
from domain.worktime import Due, Limit, YearCalendar, at_opening
from domain.worktime import due as due_after

PROGRESS: Final = "progress"
"""The clock that runs wherever no clause with a climb does."""
RULING: Final[Mapping[str, Matter]] = MappingProxyType({f"rule-{what}": what for what in get_args(Matter)})
"""The clock of whoever must rule on an open wish -> the matter."""
RULE_CLOCKS: Final = (
    "silence", "ask", "review", "plan-step", "plan-update", "appointment", PROGRESS, *RULING,
)  # fmt: skip
"""Names of the clocks that the rules start without a clause; a policy may not use these names for its clauses."""
_MOVED: Final = ("plan-step", "plan-update", "appointment")
"""Clocks that do not act in a pause, after which their dates are moved. All others count the pause by themselves."""
REMIND: Final = "top"
"""What the events of reminders carry as their clause; no clause of a policy may have this name."""
ALWAYS: Final = ("reported", "dispatched")
"""Event kinds that happen once in an issue. Each new term of the lead takes over their marks, so that clauses of its
level can start from them."""


class Deadline(NamedTuple):
    """A moment (UTC) at which the rules act without a command; `what` is warn, limit, climb or remind."""

    at: datetime
    order: int
    """Order within one moment: warn 0, limit 1, climb 2, remind 3; so ``overdue`` precedes ``escalated``."""
    clause: str
    what: str
    round: bool = False
    """Whether many issues share this moment, so that their wake-ups are spread over some seconds."""
    step: int = 0
    """Index of the climb, from 0: two climbs of a clause may take effect at the same moment."""


_IN_ORDER: Final = itemgetter(0, 1)


@dataclass(frozen=True)
class NextStep:
    """What must be done next, by when (UTC), and by which organisation; `org` is None for the resident."""

    milestone: str
    due: datetime
    org: str | None
    clause: str


def compute_clocks(issue: Issue, afresh: bool = False) -> tuple[Clock, ...]:
    """The running clocks of the issue in its present state.

    A clock that runs already is kept unchanged. With `afresh` its times are computed again from its start, as is due
    after a pause, an extension, or a change of calendar or policy. Then the climbs that happened stay counted, and a
    light that is on stays on unless its moment has moved into the future.
    """
    clocks: list[Clock] = []
    for clause, start in _started(issue):
        known = find(issue.clocks, clause.id, start)
        if known is None or afresh:
            known = _clock(issue, clause, start, known or find(issue.resting, clause.id, start))
        clocks.append(known)
    for clock in issue.clocks:
        if clock.clause in RULE_CLOCKS:
            again = rule_clause(issue, clock) if afresh else None
            clocks.append(clock if again is None else _clock(issue, again, clock.start, clock))
    return tuple(clocks)


def rule_clause(issue: Issue, clock: Clock) -> Clause | None:
    """The clause by which the rules reckon a progress clock or the clock of a ruling; None for their other clocks."""
    policy, urgent = issue.policy, issue.urgent
    if clock.clause == PROGRESS:
        rule = policy.progressing
        within, climb = (rule.urgent, rule.urgent) if urgent else (rule.within, rule.climb)
        return Clause(PROGRESS, "issue", "act", "led", within, (climb,))
    if clock.clause in RULING:
        return Clause(clock.clause, clock.level, "act", "led", policy.ruled_within(RULING[clock.clause], urgent))
    return None


def rule_clock(issue: Issue, name: str, level: Scope, milestone: str, start: Mark) -> Clock:
    """A progress clock, or the clock of a ruling, that starts at `start`."""
    bare = Clock(name, level, milestone, start, start.at)
    clause = rule_clause(issue, bare)
    assert clause is not None
    return _clock(issue, clause, start, bare)


def find(clocks: Iterable[Clock], clause: str, start: Mark) -> Clock | None:
    """The clock of this clause with this start, or None."""
    for clock in clocks:
        if clock.clause == clause and clock.start == start:
            return clock
    return None


def _started(issue: Issue) -> Iterator[tuple[Clause, Mark]]:
    """The clauses that run, of the lead's level, of the whole issue, and of the level that the lead left by its own act.

    Each comes with the mark of its start.
    """
    yield from _running(issue, issue.level, issue.term)
    if issue.left is not None:
        for clause, start in _running(issue, issue.left.level, issue.left.term):
            if clause.level != "issue":
                yield clause, start


def _running(issue: Issue, level: Level, term: Mapping[str, Mark]) -> Iterator[tuple[Clause, Mark]]:
    """The clauses that have started and whose milestone has not been reached, each with the mark of its start."""
    assessment = issue.assessment
    for clause in issue.policy.applying(level, assessment, issue.urgent, issue.category):
        kind = clause.starts
        if kind == "assessed" and assessment is not None:
            kind = f"assessed:{assessment}"  # a reassessment to the same size gives no more time
        start = (issue.marks if clause.level == "issue" else term).get(kind)
        if start is None or _is_off(issue, clause):
            continue
        met = issue.met.get(clause.goal)
        if met is None or met.seq <= start.seq:
            yield clause, start


def _is_off(issue: Issue, clause: Clause) -> bool:
    """Whether the clause does not run, because the work is completed, the issue dropped, or a plan replaces the limit."""
    if issue.status == "completed":  # only an answer to work that was done can still be due
        return issue.is_dropped or clause.level != "issue" or clause.milestone != "answer"
    # The dated steps of a plan replace the limit of `complete`; that of `handle` only once the place is safe.
    safe = clause.milestone == "handle" and "mitigated" in issue.marks
    return issue.plan is not None and (clause.milestone == "complete" or safe)


def _clock(issue: Issue, clause: Clause, start: Mark, known: Clock | None) -> Clock:
    # While the resident reviews completed work, every clock stands still except that of an answer.
    milestone = clause.milestone if known is None else known.milestone
    pauses = stopped(issue, milestone)
    if issue.looked and clause.milestone != "answer":
        pauses = (*pauses, *issue.looked)
    promise = promised(
        clause, issue.policy, issue.calendars, start.at, day=start.due, pauses=pauses, urgent=issue.urgent,
        extended=issue.extensions.get(clause.id, ()), moves=clause.id not in RULE_CLOCKS,
    )  # fmt: skip
    by_days = clause.limit.in_days
    clock = Clock(
        clause.id, clause.level, milestone, start, promise.due, promise.warn, promise.climbs,
        provisional=promise.provisional, round=by_days,
        climbs_round=by_days or any(at_opening(climb, issue.policy.service_hours) for climb in promise.climbs),
    )  # fmt: skip
    if known is not None:
        # A light that is on goes out only if its moment has moved into the future.
        warned = known.warned and (clock.warn is None or clock.warn <= issue.since)
        overdue = known.overdue and clock.due <= issue.since
        clock = copy_with(clock, overdue=overdue, warned=warned, climbed=known.climbed)
    return clock


def next_climb(issue: Issue, clock: Clock) -> tuple[int, Level] | None:
    """The index of the clock's next climb and the level to which it moves the lead; None if none is left.

    Climbs to the level of the lead or below it are skipped.
    """
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


def accept_clause(issue: Issue) -> Clause | None:
    """The clause by which the lead must accept; None if the policy has none for this level."""
    applying = issue.policy.applying(issue.level, issue.assessment, issue.urgent, issue.category)
    return next((clause for clause in applying if clause.goal == (issue.level, "accept")), None)


def kept_until(issue: Issue, since: datetime) -> datetime:
    """Until when (UTC) the level that got the lead by a deadline keeps it: for as long as it has to accept."""
    clause, policy = accept_clause(issue), issue.policy
    limit = policy.ruled_within("size", issue.urgent) if clause is None else clause.limit
    return due_after(since, limit, policy.service_hours, issue.calendars, wall=issue.urgent).at


def climb_moment(issue: Issue, clock: Clock, step: int) -> datetime:
    """When (UTC) the climb takes effect: not while the level that got the lead by a deadline keeps it, nor before the
    earliest moment after a correction by the handler.
    """
    moments = [clock.climbs[step]]
    if issue.keeps_until is not None:
        moments.append(issue.keeps_until)
    if clock.clause in issue.floors:
        moments.append(issue.floors[clock.clause])
    return max(moments)


def can_climb(issue: Issue) -> bool:
    """Whether a clock other than the progress clock will still move the lead."""
    return any(next_climb(issue, clock) is not None for clock in issue.clocks if clock.clause != PROGRESS)


def silence_from(issue: Issue, completed: datetime) -> Due:
    """When (UTC) an issue whose work was completed at `completed` closes by the resident's silence."""
    policy = issue.policy
    reached = due_after(completed, policy.silence.within, policy.service_hours, issue.calendars)
    return Due(latest(reached, policy, issue.calendars), reached.provisional)


def with_year(calendars: Iterable[YearCalendar], year: YearCalendar) -> tuple[YearCalendar, ...]:
    """The calendars with this one in place of any other of its year."""
    others = [known for known in calendars if known.year != year.year]
    return tuple(sorted((*others, year), key=lambda known: known.year))


def climbed_too_early(issue: Issue, calendars: tuple[YearCalendar, ...]) -> bool:
    """Whether by these calendars the climb by which the lead got the issue was not due yet when it happened.

    It is compared with the calendars that the issue has, since extensions, corrections and pauses after the climb move
    its moment as well.
    """
    last = issue.last_climb
    clause = next((clause for clause in issue.policy.clause if last is not None and clause.id == last.clause), None)
    if last is None or clause is None or last.step >= len(clause.climb):
        return False
    known, then = (
        _clock(copy_with(issue, calendars=years), clause, last.start, None).climbs[last.step]
        for years in (issue.calendars, calendars)
    )
    return then > last.at and (last.wrong or then > known)


def with_clock(issue: Issue, clock: Clock) -> Issue:
    return copy_with(issue, clocks=(*without(issue.clocks, clock.clause), clock))


def without_clock(issue: Issue, *names: str) -> Issue:
    left = without(issue.clocks, *names)
    return issue if len(left) == len(issue.clocks) else copy_with(issue, clocks=left)


def without(clocks: tuple[Clock, ...], *names: str) -> tuple[Clock, ...]:
    """The clocks without those of the named clauses."""
    return tuple([clock for clock in clocks if clock.clause not in names])


def skip_climbs(clock: Clock, moment: datetime) -> Clock:
    """The clock with its climbs up to `moment` counted as done, so that a returned issue does not climb at once."""
    return copy_with(clock, climbed=max(clock.climbed, sum(climb <= moment for climb in clock.climbs)))


def next_deadline(issue: Issue, now: datetime | None = None) -> Deadline | None:
    """The earliest deadline, or None if there is none.

    With `now`, a warning is left out if the limit of its clock has passed by `now`.
    """
    return min(_deadlines(issue, now, _EVER), key=_IN_ORDER, default=None)


def passed_deadline(issue: Issue, now: datetime, until: datetime) -> Deadline | None:
    """The earliest deadline at or before `until`, or None if there is none.

    A deadline at `until` itself has passed, so a command at the very moment of a deadline is late.
    """
    return min(_deadlines(issue, now, until), key=_IN_ORDER, default=None)


_EVER: Final = datetime.max.replace(tzinfo=UTC)


def _deadlines(issue: Issue, now: datetime | None, until: datetime) -> list[Deadline]:
    """The deadlines up to `until`; those of equal moment and kind stand in the order of `Issue.clocks`."""
    found: list[Deadline] = []
    if issue.closed is not None:
        return found
    paused = issue.paused is not None and issue.paused.stops != "nothing"
    for clock in issue.clocks:
        if paused and clock.clause in _MOVED:
            continue
        due, warn = clock.due, clock.warn
        if not clock.overdue:
            over = now is not None and due <= now
            if warn is not None and warn <= until and not clock.warned and not over:
                found.append(Deadline(warn, 0, clock.clause, "warn", clock.round))
            if due <= until:
                found.append(Deadline(due, 1, clock.clause, "limit", clock.round))
        climbs = clock.climbs
        if climbs and min(climbs) <= until and (climb := next_climb(issue, clock)):
            step, _ = climb
            if (moment := climb_moment(issue, clock, step)) <= until:
                found.append(Deadline(moment, 2, clock.clause, "climb", clock.climbs_round, step))
    reminder = issue.reminder
    stands = issue.paused is not None and is_granted(issue.paused)
    if reminder is not None and not stands and reminder.at <= until:
        found.append(Deadline(reminder.at, 3, REMIND, "remind"))
    return found


def wake_after(issue: Issue, deadline: Deadline) -> timedelta:
    """How long after the deadline the workflow wakes: the grace, and a spread for moments that many issues share.

    The spread is below 15 s and derived from the issue's id. It delays when the deadline is recorded; the deadline
    itself stays.
    """
    grace = issue.policy.grace.span
    spread = sum(issue.id.encode()) * 7919 % 15_000 if deadline.round else 0
    return grace + timedelta(milliseconds=spread)


def needs_reminder(issue: Issue) -> bool:
    """Whether a limit has passed and no clock can climb any more, so that reminders are sent.

    So it is at the top of the ladder, and where every climb has happened before the lead was moved down again.
    """
    if issue.status in ("completed", "closed") or not any(clock.overdue for clock in issue.clocks):
        return False
    return all(next_climb(issue, clock) is None for clock in issue.clocks)


def reminder_after(issue: Issue, moment: datetime, count: int = 0) -> Reminder:
    """The next reminder after `count` earlier ones, the last of which was due at `moment` (UTC).

    Intervals count from deadline to deadline, whenever a reminder is recorded, and stand still in granted pauses. Each is twice
    the last one, up to the longest that the policy names; after its number of reminders all are the same, and they
    never end.
    """
    top = issue.policy.top
    limit = top.then
    if count < top.times:
        limit = Limit(min(top.remind.amount * 2**count, top.doubling_to.amount), top.remind.unit)
    due = due_after(moment, limit, issue.policy.service_hours, issue.calendars, pauses=granted(issue))
    return Reminder(due.at, moment, count)


def recount_reminder(issue: Issue) -> Issue:
    """The issue with its next reminder reckoned anew, by the present pauses, calendars and policy."""
    reminder = issue.reminder
    if reminder is None:
        return issue
    return copy_with(issue, reminder=reminder_after(issue, reminder.since, reminder.count))


def reminders_until(issue: Issue, reminder: Reminder, until: datetime) -> int:
    """How many reminders are due up to `until` (UTC), `reminder` included."""
    count = 1
    while (reminder := reminder_after(issue, reminder.at, reminder.count + 1)).at <= until:
        count += 1
    return count


def ruling_level(clock: Clock) -> Level:
    """The level that must rule, of the clock of a ruling."""
    assert clock.level != "issue"
    return clock.level


def next_step(issue: Issue) -> NextStep | None:
    """Who must act next and by when; during a pause, who must end the pause. None if closed, or if no clock runs."""
    clock = next_clock(issue)
    return None if clock is None else NextStep(clock.milestone, clock.due, owner(issue, clock), clock.clause)


def next_clock(issue: Issue) -> Clock | None:
    """The running clock that is due first; during a pause those do not count whose dates are moved after it."""
    if issue.closed is not None:
        return None
    paused = issue.paused is not None and issue.paused.stops != "nothing"
    first: Clock | None = None
    for clock in issue.clocks:
        if not (paused and clock.clause in _MOVED) and (first is None or clock.due < first.due):
            first = clock
    return first


def owner(issue: Issue, clock: Clock) -> str | None:
    """The code of the organisation that must act before this clock runs out; None if the resident must act."""
    if clock.clause in ("silence", "ask"):
        return None
    if clock.clause == "review":
        return issue.place.street if issue.shelved else lead_org(issue)
    if clock.clause in RULING:
        return org_of(issue, ruling_level(clock))
    if clock.clause == PROGRESS:
        return issue.handler.code if issue.level == "property" else lead_org(issue)
    if clock.clause in RULE_CLOCKS or clock.level == "property":
        return issue.handler.code
    return lead_org(issue) if clock.level == "issue" else org_of(issue, clock.level)
