"""When a clause's lights go on and its climbs take effect, once its clock has started.

One function for every caller: the clocks of an issue, the simulator and ``jiesu policy explain``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.policy import Clause, Policy
from domain.worktime import Pause, YearCalendar, due, opening, part_way


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
) -> Promise:
    """What `clause` promises when its clock starts at `start` and stands still during `pauses`."""
    red, *rungs = (
        due(start, limit, policy.service_hours, calendars, pauses=pauses, ends=clause.ends, wall=urgent)
        for limit in (clause.limit, *clause.climb)
    )
    return Promise(
        due=red.at,
        warn=part_way(start, red.at, policy.warn_at),
        climbs=tuple(landing(rung.at, policy, urgent=urgent, pauses=pauses) for rung in rungs),
        provisional=red.provisional or any(rung.provisional for rung in rungs),
    )


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
