"""Who is told what after an event, and which jobs follow from it: rules, so that no activity has to know them."""

from dataclasses import dataclass
from typing import Any, Final

import domain.events as e
from domain.clocks import next_step
from domain.commands import merge_command_id
from domain.issue import Issue, lead_org
from domain.wire import dump, format_time


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
    """Work that must follow the record: ``tell_merged`` gives `issue` the merge command that `body` holds."""

    name: str
    issue: str
    body: dict[str, Any]


_TO_REPORTER: Final = frozenset(
    {
        "accepted", "assigned", "scheduled", "attempted", "arrived", "planned", "answered", "suspended", "waited",
        "completed", "escalated", "referred", "redispatched", "shelved", "closed",
    }
)  # fmt: skip
"""Event kinds of which the resident hears."""
_TO_HANDLER: Final = frozenset(
    {
        "dispatched", "redispatched", "returned", "reopened", "urged", "supplied", "supervised", "instructed", "ruled",
        "extended", "denied", "granted", "overdue", "warned", "withdrawn", "escalated", "closed",
    }
)  # fmt: skip
_TO_LEAD: Final = frozenset(
    {
        "escalated", "overdue", "reminded", "declined", "requested", "completed", "urged", "returned", "referred",
        "rejected_signal",
    }
)  # fmt: skip


def notices(event: e.Event, after: Issue) -> tuple[Notice, ...]:
    """Who hears of the event, each once; `after` is the state that the event led to."""
    ring = after.urgent and event.kind in ("dispatched", "escalated")
    orgs: list[str | None] = []
    if event.kind in _TO_HANDLER:
        orgs.append(after.handler.code)
    if event.kind in _TO_LEAD or (event.kind == "planned" and after.plan is not None and after.plan.needs):
        orgs.append(lead_org(after))
    if event.kind == "warned" and (step := next_step(after)) is not None and step.org is not None:
        orgs.append(step.org)
    if event.kind in _TO_REPORTER:
        orgs.append(None)
    told = dict.fromkeys(org for org in orgs if event.actor is None or org is None or org != event.actor.org)
    return tuple(Notice(org, event.kind, ring and org is not None) for org in told)


def jobs(event: e.Event, after: Issue) -> tuple[Job, ...]:
    """What must be done elsewhere because of the event: the adopted issue is told that it goes on in this one."""
    match event.body:
        case e.Adopted(issue=other):
            head = {"id": merge_command_id(other, after.id), "at": format_time(event.at), "actor": dump(event.actor)}
            return (Job("tell_merged", other, {**head, "body": {"into": after.id}}),)
        case _:
            return ()
