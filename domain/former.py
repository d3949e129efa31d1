"""What is left to an organisation that has lost an issue, or the contract by which it had it: its own record, for a year."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import Final

from domain.access import Sight, handles
from domain.commands import Actor
from domain.events import DirectoryChanged, Event
from domain.issue import Issue
from domain.worktime import SHANGHAI

_LOOK_ON: Final = ("resident", "auditor", "admin")
"""Roles that are nobody's who has lost an issue."""
RULINGS: Final = frozenset(
    {"ruled", "granted", "denied", "extended", "returned", "redispatched", "supervised", "instructed", "directory_changed"}
)  # fmt: skip
"""Event kinds by which somebody above judged or moved the work."""
_ALWAYS: Final = frozenset({"reported", "dispatched"})
"""Event kinds that say what the issue was: number, category, and who was to do it."""


def former_sight(issue: Issue, viewer: Actor, ended: date | None, at: datetime) -> Sight | None:
    """The sight of somebody who sees the record of his organisation only; None if that is not his to see at `at`.

    `ended`: when the last contract of the organisation for the place ended, if one did.
    """
    if viewer.role in _LOOK_ON or viewer.org is None:
        return None
    lost = issue.former.get(viewer.org) or _lapsed(issue, viewer, ended)
    if lost is None or at >= _a_year_after(lost):
        return None
    return Sight(text=False, phone=False, record_of=viewer.org)


def _lapsed(issue: Issue, viewer: Actor, ended: date | None) -> datetime | None:
    """When property staff lost an issue that still names their organisation; None if it does not.

    Without a date in the directory the contract lasted at least until the last event.
    """
    runs = viewer.org == issue.place.operator and not issue.about_operator
    if viewer.role != "property" or not (runs or handles(issue, viewer)):
        return None
    return issue.since if ended is None else datetime.combine(ended, time(), SHANGHAI)


def _a_year_after(moment: datetime) -> datetime:
    try:
        return moment.replace(year=moment.year + 1)
    except ValueError:  # 29 February
        return moment.replace(year=moment.year + 1, day=28)


def own_record(events: Iterable[Event], org: str) -> Sequence[Event]:
    """The events of an organisation's own record: what it did, what the clock and those above said of it meanwhile.

    Nothing that others did before it got the issue or after it lost it is part of it, nor what residents said.
    """
    events = tuple(events)
    passes = [event.body for event in events if isinstance(event.body, DirectoryChanged)]
    has = next((org in body.lost for body in passes if org in (*body.lost, *body.got)), True)
    kept: list[Event] = []
    for event in events:
        body = event.body
        had = has
        if isinstance(body, DirectoryChanged):
            has = org in body.got or (has and org not in body.lost)
        own = event.actor is None or event.actor.org == org or event.kind in RULINGS
        if event.kind in _ALWAYS or ((had or has) and own):
            kept.append(event)
    return kept
