"""Who is told what after an event, and which jobs follow from it: rules, so that no activity has to know them."""

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
"""A workflow ends a moment after its last event is on record, and only then its history is whole."""


@dataclass(frozen=True)
class Notice:
    """One message about an event: to an organisation, or to the reporter (`org` is None).

    `template` is the event's kind or a word for it; channels turn it into text. `ring` asks for the duty phone.
    """

    org: str | None
    template: str
    ring: bool = False


@dataclass(frozen=True)
class Job:
    """Work that must follow the record, `wait` after it at the earliest.

    ``tell_merged`` gives `issue` the merge command that `body` holds; ``archive`` puts its history into the archive;
    ``index`` lets it be found by what was reported, where that is sealed.
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
"""Event kinds of which the resident hears, unless they are his own doing."""
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
    """Who hears of the event, each once and nobody of his own doing; `after` is the state that the event led to."""
    ring = after.urgent and event.kind in ("dispatched", "escalated")
    told = dict.fromkeys(org for org in _orgs(event, after) if event.actor is None or org != event.actor.org)
    found = [Notice(org, event.kind, ring) for org in told]
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
        case e.Declined():  # the company does not rule on itself
            yield _above(after) if after.level == "property" else lead_org(after)
        case e.Requested():
            yield _above(after)
        case e.Planned(needs=needs) if needs is not None:
            yield org_of(after, needs)
        case _:
            pass


def _above(issue: Issue) -> str:
    """The organisation of the next rung; at the top it is the street itself that decides."""
    return org_of(issue, next_rung(issue) or issue.ladder[-1])


def jobs(event: e.Event, after: Issue) -> tuple[Job, ...]:
    """What must be done elsewhere because of the event: an adopted issue is told so, a closed one is archived."""
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
