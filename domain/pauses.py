"""Pauses: which clocks they stop, what they take off a clock, and how much a party may take off by itself."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from domain.issue import Clock, Issue, Stop
from domain.values import copy_with
from domain.worktime import Limit, Pause, ServiceHours, Timescale, service_time, whole_days

EARLY: Final = ("accept", "contact", "arrive")
"""Milestones whose clocks a question to the resident does not stop: nothing needs to be known for them."""
_DAY: Final = timedelta(days=1)
_MILLISECOND: Final = timedelta(milliseconds=1)


def stops(stop: Stop, milestone: str) -> bool:
    """Whether the pause stops the clock of a clause with this milestone."""
    if milestone == "rule":  # whoever must rule does not stop with the work
        return stop.stops == "dropped"
    return stop.stops in ("all", "dropped") or (stop.stops == "work" and milestone not in EARLY)


def stopped(issue: Issue, milestone: str) -> Sequence[Pause]:
    """The periods in which the clock of a clause with this milestone stands still; the present one up to its end."""
    if issue.paused is None and not issue.pauses:
        return ()
    return [(stop.begin, stop.end) for stop in _all(issue) if stops(stop, milestone)]


def _all(issue: Issue) -> Iterator[Stop]:
    yield from issue.pauses
    if issue.paused is not None:
        yield issue.paused


def is_granted(stop: Stop) -> bool:
    """Whether clocks stand still by more than the party's own word: reminders do as well."""
    return not stop.own and stop.stops != "nothing"


def granted(issue: Issue) -> Sequence[Pause]:
    """The earlier periods in which reminders stood still as well."""
    return [(stop.begin, stop.end) for stop in issue.pauses if is_granted(stop)]


def may_stop(issue: Issue, org: str, begin: datetime, end: datetime) -> bool:
    """Whether the organisation may stop the clocks by itself for this period.

    It may unless the issue is urgent, as long as it takes off in sum no more than the policy's own pauses, and off no
    clock more than that clock's own limit.
    """
    if issue.urgent:
        return False
    span = taken(issue, begin, end)
    if issue.own.get(org, 0) * _MILLISECOND + span > _measure(issue, issue.policy.pause.own):
        return False
    own = [stop for stop in issue.pauses if stop.own and stop.by == org]
    for clock, limit in _limited(issue):
        before = sum((_off(issue, limit, max(stop.begin, clock.start.at), stop.end) for stop in own), timedelta())
        if before + _off(issue, limit, begin, end) > _measure(issue, limit):
            return False
    return True


def taken(issue: Issue, begin: datetime, end: datetime) -> timedelta:
    """The most that a pause of the whole work in this period takes off a running clock; a day off counts 24 hours."""
    off = [_off(issue, limit, begin, end) for _, limit in _limited(issue)]
    if any(clock.clause in ("plan-step", "plan-update") for clock in issue.clocks):
        off.append(end - begin)  # the dates of a plan move by the whole length
    return max(off, default=timedelta())


def with_taken(issue: Issue, stop: Stop, end: datetime) -> Issue:
    """The issue with what a party's own pause took off, until `end`, added to that party's sum."""
    if not stop.own or stop.by is None:
        return issue
    # Not beyond its planned end: an outage that delays the end is nobody's.
    ms = taken(issue, stop.begin, min(end, stop.end)) // _MILLISECOND
    return copy_with(issue, own={**issue.own, stop.by: issue.own.get(stop.by, 0) + ms}) if ms else issue


def _limited(issue: Issue) -> Iterator[tuple[Clock, Limit]]:
    """The running clocks of clauses, and the progress clock, with their limits."""
    limits = {clause.id: clause.limit for clause in issue.policy.clause}
    progress = issue.policy.progressing
    limits["progress"] = progress.urgent if issue.urgent else progress.within
    return ((clock, limits[clock.clause]) for clock in issue.clocks if clock.clause in limits)


def _off(issue: Issue, limit: Limit, begin: datetime, end: datetime) -> timedelta:
    """What a pause takes off a clock with this limit."""
    if end <= begin:
        return timedelta()
    hours = issue.policy.service_hours
    match _timescale(issue, limit):
        case "wall":
            return end - begin
        case "service":
            return service_time(begin, end, hours) * (_DAY / _service_day(hours))
        case "nd" | "wd":
            since = _joined(issue, begin)
            return (whole_days(since, end, hours) - whole_days(since, begin, hours)) * _DAY


def _joined(issue: Issue, begin: datetime) -> datetime:
    """The begin of the earliest pause that reaches `begin` without a gap: together they may cover a whole day."""
    for stop in reversed(issue.pauses):
        if stop.stops != "nothing" and stop.begin < begin <= stop.end:
            begin = stop.begin
    return begin


def _measure(issue: Issue, limit: Limit) -> timedelta:
    """The length of a limit in the unit of `_off`: a day of service counts as 24 hours."""
    if _timescale(issue, limit) == "service":
        return limit.span * (_DAY / _service_day(issue.policy.service_hours))
    return limit.span


def _timescale(issue: Issue, limit: Limit) -> Timescale:
    return "wall" if issue.urgent and limit.timescale == "service" else limit.timescale


def _service_day(hours: ServiceHours) -> timedelta:
    return timedelta(minutes=hours.closes - hours.opens)
