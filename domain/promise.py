"""When a clause's lights go on and its climbs take effect, once its clock has started.

One function for every caller: the clocks of an issue, the simulator and ``jiesu policy explain``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.policy import Clause, Policy
from domain.wire import truncate
from domain.worktime import Due, Limit, Pause, YearCalendar, due, opening, part_way


@dataclass(frozen=True)
class Promise:
    """The moments (UTC) of one running clause. The k-th of `climbs` moves the lead k rungs up.

    `provisional`: a year on the way has no published calendar, so nothing climbs until it is settled.
    """

    due: datetime
    warn: datetime
    climbs: tuple[datetime, ...] = ()
    provisional: bool = False


def promised(
    clause: Clause,
    policy: Policy,
    calendars: Sequence[YearCalendar],
    start: datetime,
    *,
    pauses: Sequence[Pause] = (),
    urgent: bool = False,
    extended: Sequence[Limit] = (),
) -> Promise:
    """What `clause` promises when its clock starts at `start` and stands still during `pauses`.

    `extended` is what was granted on top; it moves every moment, each before it lands.
    """

    def reach(limit: Limit) -> Due:
        hours, ends = policy.service_hours, clause.ends
        reached = due(start, limit, hours, calendars, pauses=pauses, ends=ends, wall=urgent)
        for each in extended:
            further = due(reached.at, each, hours, calendars, pauses=pauses, ends=ends, wall=urgent)
            reached = Due(further.at, reached.provisional or further.provisional)
        return reached

    red, rungs = reach(clause.limit), [reach(limit) for limit in clause.climb]
    return Promise(
        due=red.at,
        warn=_warning(start, red.at, policy.warn_at, pauses),
        climbs=tuple([landing(rung.at, policy, urgent=urgent, pauses=pauses) for rung in rungs]),
        provisional=red.provisional or any(rung.provisional for rung in rungs),
    )


def _warning(start: datetime, red: datetime, share: float, pauses: Sequence[Pause]) -> datetime:
    """A fixed share of the way before the limit, on the wall clock, not counting the time in which it stood still."""
    if not pauses:
        return part_way(start, red, share)
    stood = sum(
        (min(end, red) - max(begin, start) for begin, end in pauses if end > start and begin < red), timedelta()
    )
    return truncate(red - (red - start - stood) * (1 - share)) if stood else part_way(start, red, share)


def landing(moment: datetime, policy: Policy, *, urgent: bool = False, pauses: Sequence[Pause] = ()) -> datetime:
    """When a climb due at `moment` takes effect: an ordinary one not at night, if the policy says so.

    One that waits for the opening does not take effect inside a pause that has begun meanwhile.
    """
    if urgent or policy.climb_lands != "opening":
        return moment.astimezone(UTC)
    lands = opening(moment, policy.service_hours)
    if lands > moment:
        for begin, end in sorted(pauses):
            if begin <= lands < end:
                lands = opening(end, policy.service_hours)
    return lands
