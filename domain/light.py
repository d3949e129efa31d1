"""The colour of an issue's light: red once a limit has passed, yellow near the next one, else green."""

from datetime import datetime
from typing import Literal

from domain.clocks import next_clock
from domain.issue import Issue

Light = Literal["green", "yellow", "red"]


def light(*, overdue: bool, due: datetime | None, warn_at: datetime | None, now: datetime) -> Light | None:
    """The light at `now` of an issue whose next limit is `due`; None if nothing is due. All times in UTC.

    A limit that passed a moment ago is red although the event `overdue` may not be recorded yet.
    """
    if overdue or (due is not None and due <= now):
        return "red"
    if due is None:
        return None
    return "yellow" if warn_at is not None and warn_at <= now else "green"


def light_of(issue: Issue, now: datetime) -> Light | None:
    """The light of this issue at `now`."""
    clock = next_clock(issue)
    due, warn_at = (None, None) if clock is None else (clock.due, clock.warn)
    return light(overdue=issue.is_overdue, due=due, warn_at=warn_at, now=now)
