"""What waits for a level that must rule, what whoever does the work has promised, and since when a level has the lead.

All of it is read off the clocks and the marks of an issue; lists are sorted by it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from domain.clocks import RULING
from domain.issue import Clock, Issue
from domain.vocabulary import LEVELS, Level

PROMISED: Final = ("plan-step", "plan-update", "appointment")
"""The clocks of what the handler named a time for, or tells of as long as it works by a plan."""


def rulings(issue: Issue, level: Level) -> Sequence[Clock]:
    """The clocks of the matters on which this level must rule, the first due first."""
    found = (each for each in issue.clocks if each.clause in RULING and each.level == level)
    return () if issue.is_closed else sorted(found, key=lambda clock: clock.due)


def rules_by(issue: Issue, level: Level) -> datetime | None:
    """By when (UTC) this level must rule on the first of what waits for it; None if nothing does."""
    return next((each.due for each in rulings(issue, level)), None)


def promises(issue: Issue) -> Sequence[Clock]:
    """The clocks of what the handler promised, the first due first; none in a pause, after which the dates are moved."""
    is_paused = issue.paused is not None and issue.paused.stops != "nothing"
    found = (each for each in issue.clocks if each.clause in PROMISED)
    return () if issue.is_closed or is_paused else sorted(found, key=lambda clock: clock.due)


def promised_by(issue: Issue) -> datetime | None:
    """By when (UTC) the handler must keep the first of its promises; None if there is none."""
    return next((each.due for each in promises(issue)), None)


def led_at(issue: Issue) -> datetime | None:
    """Since when (UTC) a level above the property has had the lead of this open issue; None if none has."""
    led = issue.term.get("led")
    return None if issue.is_closed or issue.level == LEVELS[0] or led is None else led.at
