"""The promises of a policy in dates: every clause as if its clock started at a given time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.policy import Clause, Policy
from domain.promise import promised
from domain.vocabulary import ASSESSMENTS, CATEGORIES, Assessment, Category, Milestone, Scope
from domain.wire import truncate
from domain.worktime import SHANGHAI, YearCalendar


@dataclass(frozen=True)
class Line:
    """One clause in dates: the light turns red at `due`, and at the times of `climb` the lead moves up.

    At the k-th time it moves to the k-th level above that of the clause.
    """

    level: Scope
    milestone: Milestone
    clause: str
    when: tuple[str, ...]
    due: datetime
    climb: tuple[datetime, ...]
    provisional: bool


def explain(
    policy: Policy,
    calendars: Sequence[YearCalendar],
    category: Category,
    start: datetime,
    *,
    urgent: bool = False,
    assessment: Assessment | None = None,
) -> tuple[Line, ...]:
    """Every clause that may apply to an issue of `category`, in the order of the pack.

    With `urgent` or `assessment` the result holds only clauses that apply to such an issue. A clause for urgent issues
    always runs in wall time and climbs at once, whether or not `urgent` is given.
    """
    return tuple(
        _line(clause, policy, calendars, start, urgent or "urgent" in clause.when)
        for clause in policy.clause
        if _may_apply(clause, policy, category, urgent, assessment)
    )


def read_moment(text: str) -> datetime:
    """The time in an RFC 3339 text; without a zone it is Shanghai time. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return truncate(moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"not a time: {text!r}; write it like 2026-09-30T16:00 or 2026-09-30T08:00:00Z") from error


def _line(clause: Clause, policy: Policy, calendars: Sequence[YearCalendar], start: datetime, urgent: bool) -> Line:
    promise = promised(clause, policy, calendars, start, urgent=urgent)
    return Line(
        level=clause.level,
        milestone=clause.milestone,
        clause=clause.id,
        when=clause.when,
        due=promise.due,
        climb=promise.climbs,
        provisional=promise.provisional,
    )


def _may_apply(clause: Clause, policy: Policy, category: Category, urgent: bool, assessment: Assessment | None) -> bool:
    if not urgent and assessment is None:  # only the category is given
        return category in clause.when or not any(word in CATEGORIES for word in clause.when)
    sizes = (None, *ASSESSMENTS) if assessment is None else (assessment,)
    return any(clause is _first(clause, policy, size, urgent, category) for size in sizes)


def _first(
    clause: Clause, policy: Policy, assessment: Assessment | None, urgent: bool, category: Category
) -> Clause | None:
    """The first clause of the same level and milestone that applies to an issue of this size, urgency and category."""
    for other in policy.clause:
        same = (other.level, other.milestone) == (clause.level, clause.milestone)
        if same and other.applies(assessment, urgent, category):
            return other
    return None
