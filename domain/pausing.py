"""How a pause begins and ends: what that does to the status, the clocks and the plan."""

from datetime import datetime
from operator import attrgetter

import domain.events as e
from domain import plans
from domain.clocks import recount_reminder, with_clock, without_clock
from domain.derive import update_clocks
from domain.issue import Clock, Issue, Mark, Stop, Wish
from domain.pauses import with_taken
from domain.values import copy_with
from domain.vocabulary import Status, Stops


def pause(
    issue: Issue, event: e.Event, status: Status, clock: Clock, stops: Stops = "all", *, own: bool = False,
    since: datetime | None = None,
) -> Issue:  # fmt: skip
    """Pauses the work from `since`, or from the event, until the limit of `clock`, which ends the pause."""
    by = event.actor.org if event.actor is not None else None
    stop = issue.paused
    if stop is not None and stop.own and own and stop.by == by and stop.stops == stops:  # a new review date
        issue = copy_with(issue, paused=copy_with(stop, end=clock.due))
        return update_clocks(with_clock(without_clock(issue, "review"), clock), afresh=True)
    issue = unpause(issue, event.at)
    # After an outage the previous pause may have ended, by the record, after this one was requested.
    begin = max((since or issue.since, *(stop.end for stop in issue.pauses)))
    issue = copy_with(
        issue, interrupted=issue.status, status=status,
        paused=Stop(begin, max(begin, clock.due), stops, by, own),
    )  # fmt: skip
    return update_clocks(with_clock(issue, clock), afresh=True)


def pause_since(issue: Issue, event: e.Event, wish: Wish) -> Issue:
    """The pause that was granted, which counts from the request; it may be over already."""
    assert wish.review is not None
    if wish.review > event.at:
        issue = unpause(issue, event.at)
    issue = _with_gaps_paused(issue, wish.asked.at, wish.review, wish.org)
    if wish.review <= event.at:
        begin = max((wish.asked.at, *(stop.end for stop in issue.pauses)))
        until = wish.review
        if issue.paused is not None and issue.paused.stops != "nothing":  # that one counts at its own end
            until = min(until, issue.paused.begin)
        over = Stop(begin, max(begin, until), "all", wish.org)
        issue = plans.shift_after_pause(copy_with(issue, pauses=(*issue.pauses, over)), begin, over.end - begin)
        return update_clocks(issue, afresh=True)
    clock = Clock("review", "issue", "resume", Mark.of(event), wish.review)
    issue = pause(issue, event, "waiting", clock, since=wish.asked.at)
    return copy_with(issue, waits_for=wish.waits_for)


def _with_gaps_paused(issue: Issue, since: datetime, until: datetime, by: str) -> Issue:
    """The issue with the time between earlier pauses paused as well, from `since` on and up to `until`."""
    begin, gaps = since, list[Stop]()
    for stop in issue.pauses:
        if stop.end <= begin:
            continue
        if begin < (end := min(stop.begin, until)):
            gaps.append(Stop(begin, end, "all", by))
            issue = plans.shift_after_pause(issue, begin, end - begin)
        begin = stop.end
    return copy_with(issue, pauses=tuple(sorted((*issue.pauses, *gaps), key=attrgetter("begin")))) if gaps else issue


def unpause(issue: Issue, at: datetime, *, needless: bool = False) -> Issue:
    """Ends the pause; every limit that it stopped has as much time left as it had. A needless one stopped none."""
    if issue.paused is None:
        return issue
    status = issue.stands if issue.status in ("suspended", "waiting") else issue.status
    stop, at = issue.paused, max(issue.paused.begin, at)
    if stop.own:  # whoever paused it knew the end, so a late record takes nothing more off
        at = min(at, stop.end)
    counts = stop.stops != "nothing" and not needless
    pauses = (*issue.pauses, copy_with(stop, end=at)) if counts else issue.pauses
    issue = copy_with(
        with_taken(issue, stop, at) if counts else issue, pauses=pauses, paused=None, status=status, interrupted=None,
        shelved=False, waits_for=None,
    )  # fmt: skip
    issue = without_clock(issue, "ask", "review")
    if counts:
        issue = plans.shift_after_pause(issue, stop.begin, at - stop.begin)
    if any(clock.clause == "appointment" and clock.due <= at for clock in issue.clocks):
        issue = without_clock(issue, "appointment")  # it passed during the pause
    return update_clocks(recount_reminder(issue), afresh=True)


def without_own_stop(issue: Issue, event: e.Event) -> Issue:
    """The issue in a pause that stops nothing from the event on, unless somebody above granted it: it is urgent now."""
    stop = issue.paused
    if stop is None or stop.stops == "nothing" or not (stop.own or issue.status == "suspended"):
        return issue
    at = max(stop.begin, event.at)
    issue = copy_with(with_taken(issue, stop, at), pauses=(*issue.pauses, copy_with(stop, end=at)))
    issue = copy_with(issue, paused=copy_with(stop, begin=at, end=max(at, stop.end), stops="nothing"))
    return plans.shift_after_pause(issue, stop.begin, at - stop.begin)
