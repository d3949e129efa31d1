"""The notifications and outbox jobs that follow an event."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import domain.events as e
from domain.clocks import owner
from domain.commands import merge_command_id
from domain.issue import Issue, lead_org, next_rung, org_of
from domain.personal import is_sealed
from domain.wire import dump, format_time

SETTLES: Final = timedelta(seconds=5)
"""How long archiving waits after the close. The workflow ends shortly after its last event is recorded, and only then
is its history complete."""


@dataclass(frozen=True)
class Notice:
    """One message about an event: to an organisation, or to the reporter (`org` is None).

    `template` is the event's kind; channels turn it into text. `ring` calls the duty phone.
    """

    org: str | None
    template: str
    ring: bool = False


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
        "completed", "escalated", "referred", "redispatched", "shelved", "closed",
    }
)  # fmt: skip
"""Event kinds of which the reporter is notified, unless a resident caused them."""
_TO_HANDLER: Final = frozenset(
    {
        "dispatched", "redispatched", "returned", "reopened", "urged", "supplied", "supervised", "instructed", "ruled",
        "extended", "denied", "granted", "overdue", "withdrawn", "escalated", "resumed", "closed",
    }
)  # fmt: skip
_TO_LEAD: Final = frozenset(
    {
        "escalated", "overdue", "reminded", "completed", "urged", "returned", "referred", "reopened", "resumed",
        "rejected_signal",
    }
)  # fmt: skip


def notices(event: e.Event, after: Issue) -> tuple[Notice, ...]:
    """The notices of an event; the organisation that caused it gets none. `after` is the state after the event."""
    ring = after.urgent and event.kind in ("dispatched", "escalated")
    recipients = dict.fromkeys(org for org in _orgs(event, after) if event.actor is None or org != event.actor.org)
    found = [Notice(org, event.kind, ring) for org in recipients]
    if event.kind in _TO_REPORTER and (event.actor is None or event.actor.role != "resident"):
        found.append(Notice(None, event.kind))
    return tuple(found)


def _orgs(event: e.Event, after: Issue) -> Iterator[str]:
    if event.kind in _TO_HANDLER:
        yield after.handler.code
    if event.kind in _TO_LEAD:
        yield after.place.street if after.shelved else lead_org(after)
    match event.body:
        case e.Warned() | e.Overdue():
            clock = next((clock for clock in after.clocks if clock.clause == event.clause), None)
            if clock is not None and (org := owner(after, clock)) is not None:
                yield org
        case e.CalendarPublished(wrong=str()) if after.last_climb is not None:  # the lead may return it
            yield lead_org(after)
            yield org_of(after, after.last_climb.from_level)
        case e.Declined():  # the operator does not rule on its own decline
            yield _above(after) if after.level == "property" else lead_org(after)
        case e.Requested():
            yield _above(after)
        case e.Planned(needs=needs) if needs is not None:
            yield org_of(after, needs)
        case _:
            pass


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
