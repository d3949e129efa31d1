"""The times of a clause's lights and climbs, counted from the start of its clock.

Shared by the clocks of an issue, the simulator and ``jiesu policy explain``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.policy import Clause, Policy
from domain.worktime import Due, Limit, Pause, YearCalendar, due, opening


@dataclass(frozen=True)
class Promise:
    """The moments (UTC) of one running clause. The k-th of `climbs` moves the lead k rungs up.

    `provisional`: a moment depends on a year whose calendar is not published. The light goes on at the moment that
    weekdays give; a climb that depends on it comes as late as any calendar could make it.
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
    day: datetime | None = None,
    pauses: Sequence[Pause] = (),
    urgent: bool = False,
    extended: Sequence[Limit] = (),
    moves: bool = True,
) -> Promise:
    """The times of `clause` if its clock starts at `start` and stops during `pauses`.

    Limits in days count from the day of `day`, where that differs from `start`. Each limit of `extended` is added to
    every time, before `landing` moves a climb to the opening; the yellow light warns of the last one. The limit
    itself, and a climb that stands at it, end on a working day where the policy says so (`Policy.day_off`), unless the
    clause is one of those that the rules make and that never move (not `moves`).
    """

    def reach(since: datetime, limit: Limit, day_off: str = "keep", share: float = 1.0) -> Due:
        return due(
            since, limit, policy.service_hours, calendars,
            pauses=pauses, ends=clause.ends, wall=urgent, day_off=day_off, share=share,
        )  # fmt: skip

    def begin(limit: Limit) -> datetime:
        return day if day is not None and limit.in_days else start

    def legs(limit: Limit) -> list[Due]:
        """Where the limit and each extension end."""
        ends = [reach(begin(limit), limit, policy.day_off if moves and limit == clause.limit else "keep")]
        for each in extended:
            further = reach(ends[-1].at, each)
            ends.append(Due(further.at, ends[-1].provisional or further.provisional))
        return ends

    reds, rungs = legs(clause.limit), [legs(limit)[-1] for limit in clause.climb]
    warned_from, leg = (reds[-2].at, extended[-1]) if extended else (begin(clause.limit), clause.limit)
    return Promise(
        due=reds[-1].at,
        warn=reach(warned_from, leg, share=policy.warn_at).at,
        climbs=tuple([
            landing(latest(rung, policy, calendars, pauses=pauses), policy, urgent=urgent, pauses=pauses)
            for rung in rungs
        ]),
        provisional=reds[-1].provisional or any(rung.provisional for rung in rungs),
    )  # fmt: skip


def latest(
    reached: Due, policy: Policy, calendars: Sequence[YearCalendar], *, pauses: Sequence[Pause] = ()
) -> datetime:
    """When (UTC) a climb, or the silence that closes, acts: at the moment that was reached, but at the latest one that
    any calendar could give where the moment is provisional. So it never acts early, and never waits for ever.
    """
    if not reached.provisional:
        return reached.at
    return due(reached.at, policy.provisional, policy.service_hours, calendars, pauses=pauses).at


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
