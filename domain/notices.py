"""The notifications and outbox jobs that follow an event."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import domain.events as e
from domain.clocks import RULING, owner, ruling_level
from domain.commands import merge_command_id
from domain.issue import Issue, lead_org, lowest, next_rung, org_of, rank
from domain.personal import is_sealed
from domain.wire import dump, format_time
from domain.worktime import opening

SETTLES: Final = timedelta(seconds=5)
"""How long archiving waits after the close. The workflow ends shortly after its last event is recorded, and only then
is its history complete."""


@dataclass(frozen=True)
class Notice:
    """One message about an event: to an organisation, or to the reporter (`org` is None).

    `template` is the event's kind; channels turn it into text. `ring` calls the duty phone. `earliest` is the moment
    (UTC) from which the notice may be delivered; None: at once.
    """

    org: str | None
    template: str
    ring: bool = False
    earliest: datetime | None = None


@dataclass(frozen=True)
class Job:
    """An outbox job, done once its event is stored and `wait` has passed.

    ``tell_merged`` sends `issue` the merge command in `body`; ``archive`` copies the history of `issue` into the
    archive; ``index`` makes the sealed text of the report of `issue` searchable.
    """

    name: str
    issue: str
    body: dict[str, Any]
    wait: timedelta = timedelta()


_TO_REPORTER: Final = frozenset(
    {
        "accepted", "assigned", "scheduled", "attempted", "arrived", "planned", "answered", "suspended", "waited",
        "granted", "completed", "escalated", "referred", "redispatched", "shelved", "taken_back", "closed",
    }
)  # fmt: skip
"""Event kinds of which the reporter is notified, unless a resident caused them."""
_TO_HANDLER: Final = frozenset(
    {
        "dispatched", "redispatched", "returned", "reopened", "urged", "objected", "supplied", "supervised",
        "instructed", "ruled", "extended", "denied", "granted", "overdue", "withdrawn", "escalated", "resumed",
        "taken_back", "closed",
    }
)  # fmt: skip
_TO_LEAD: Final = frozenset(
    {
        "escalated", "overdue", "reminded", "completed", "urged", "returned", "referred", "reopened", "resumed",
        "rejected_signal", "taken_back", "ruled", "extended", "granted", "denied",
    }
)  # fmt: skip
_TO_LEAD_AND_ABOVE: Final = frozenset({"suspended", "waited", "requested", "declined", "objected", "policy_changed"})
"""Event kinds by which a party that is judged stops its clocks, or wishes for more time or another handler, by which the
resident objects, or by which an administrator changes all limits: the lead and the level above it hear of each.
`_is_told_above` tells which events of other kinds they hear of, too."""
_AT_OPENING: Final = frozenset({"warned", "overdue", "reminded"})
"""Event kinds of which people hear at the next opening, unless the issue is urgent."""


def notices(event: e.Event, after: Issue) -> tuple[Notice, ...]:
    """The notices of an event; the organisation that caused it gets none. `after` is the state after the event."""
    ring = after.urgent and event.kind in ("dispatched", "escalated")
    earliest = _earliest(event, after)
    recipients = dict.fromkeys(org for org in _orgs(event, after) if event.actor is None or org != event.actor.org)
    found = [Notice(org, event.kind, ring, earliest) for org in recipients]
    if event.kind in _TO_REPORTER and (event.actor is None or event.actor.role != "resident"):
        found.append(Notice(None, event.kind))
    return tuple(found)


def _earliest(event: e.Event, after: Issue) -> datetime | None:
    """The next opening of service hours for what is recorded outside them and can wait; else None."""
    if after.urgent or event.kind not in _AT_OPENING:
        return None
    recorded = event.recorded_at or event.at
    opens = opening(recorded, after.policy.service_hours)
    return opens if opens > recorded else None


def _orgs(event: e.Event, after: Issue) -> Iterator[str]:
    if event.kind in _TO_HANDLER:
        yield after.handler.code
    if event.kind in _TO_LEAD:
        yield _lead(after)
    if event.kind in _TO_LEAD_AND_ABOVE or _is_told_above(event, after):
        yield _lead(after)
        yield _above(after)
    match event.body:
        case e.Warned() | e.Overdue():
            clock = next((clock for clock in after.clocks if clock.clause == event.clause), None)
            if clock is not None and (org := owner(after, clock)) is not None:
                yield org
                if event.kind == "overdue" and clock.clause in RULING:  # not ruled on in time: the next above as well
                    yield org_of(after, lowest(after.ladder, rank(ruling_level(clock)) + 1) or after.ladder[-1])
        case e.Reminded(review=None):  # at the top: also whoever does the work, and the street, which supervises
            yield after.handler.code
            yield after.place.street
        case e.Rejected() | e.Merged():  # closed from above: whoever answered for it, and the street, which supervises
            yield _lead(after)
            yield after.place.street
        case e.CalendarPublished(wrong=str()) if after.last_climb is not None:  # the lead may return it
            yield lead_org(after)
            yield org_of(after, after.last_climb.from_level)
        case e.Planned(needs=needs) if needs is not None:
            yield org_of(after, needs)
        case _:
            pass


def _is_told_above(event: e.Event, after: Issue) -> bool:
    """Whether lead and level above hear of this event, though not of each of its kind: a plan that needs a grant, an
    interim answer, a size that replaces another, another category or urgency.
    """
    match event.body:
        case e.Planned(needs=needs):
            return needs is not None
        case e.Answered(interim=interim):
            return interim
        case e.Corrected(category=category, urgent=urgent):
            return category is not None or urgent is not None
        case e.Assessed(assessment=size):
            return any(kind.startswith("assessed:") and kind != f"assessed:{size}" for kind in after.marks)
        case _:
            return False


def _lead(issue: Issue) -> str:
    """The organisation that answers for the issue; the street for one that it has shelved."""
    return issue.place.street if issue.shelved else lead_org(issue)


def _above(issue: Issue) -> str:
    """The organisation of the level above the lead; for a lead at the top of the ladder, the lead's own."""
    return org_of(issue, next_rung(issue) or issue.ladder[-1])


def jobs(event: e.Event, after: Issue) -> tuple[Job, ...]:
    """The outbox jobs of an event: an adopted issue is merged, a closed one archived, a sealed report indexed."""
    match event.body:
        case e.Adopted(issue=other):
            head = {"id": merge_command_id(other, after.id), "at": format_time(event.at), "actor": dump(event.actor)}
            return (Job("tell_merged", other, {**head, "body": {"into": after.id}}),)
        case e.Closed():
            return (Job("archive", after.id, {}, SETTLES),)
        case e.Reported() if is_sealed(event.body):
            return (Job("index", after.id, {}),)
        case _:
            return ()
