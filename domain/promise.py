"""The times of a clause's lights and climbs, counted from the start of its clock.

Shared by the clocks of an issue, the simulator and ``jiesu policy explain``.
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

    `provisional`: the moments depend on a year whose calendar is not published, so nothing climbs until it is.
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
    """The times of `clause` if its clock starts at `start` and stops during `pauses`.

    Each limit of `extended` is added to every time, before `landing` moves a climb to the opening.
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
    """The time at `share` of the way from `start` to the limit, in wall time without the pauses."""
    if not pauses:
        return part_way(start, red, share)
    stood = sum(
        (min(end, red) - max(begin, start) for begin, end in pauses if end > start and begin < red), timedelta()
    )
    return truncate(red - (red - start - stood) * (1 - share)) if stood else part_way(start, red, share)


def landing(moment: datetime, policy: Policy, *, urgent: bool = False, pauses: Sequence[Pause] = ()) -> datetime:
    """When (UTC) a climb due at `moment` takes effect: at once, or at the next opening of service hours.

    Climbs of issues that are not urgent wait for the opening if the policy says so. If the opening falls into a pause,
    such a climb waits for the first opening after the pause.
    """
    if urgent or policy.climb_lands != "opening":
        return moment.astimezone(UTC)
    lands = opening(moment, policy.service_hours)
    if lands > moment:
        for begin, end in sorted(pauses):
            if begin <= lands < end:
                lands = opening(end, policy.service_hours)
    return lands
