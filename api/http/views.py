"""What readers get to see: issues, what comes next, receipts and timelines, with personal data masked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

from db.tables import IssueRow
from domain.access import Sight
from domain.clocks import next_step
from domain.commands import Actor, ContactDetails
from domain.events import Event
from domain.issue import Issue, lead_org
from domain.minutes import totals
from domain.personal import Personal, Sealed
from domain.wire import dump, format_time

MASK: Final = "***"


def etag(version: int) -> str:
    return f'"{version}"'


def issue_view(issue: Issue) -> dict[str, Any]:
    """The issue as the contract shows it; no personal data in it."""
    return {
        "id": issue.id,
        "number": issue.number,
        "status": issue.status,
        "level": issue.level,
        "handler": issue.handler.code,
        "version": issue.version,
        "policy": {"id": issue.policy.id, "version": issue.policy.version, "digest": issue.policy.digest},
        "next": next_view(issue),
        "closed": {"kind": issue.closed.kind, "satisfaction": issue.closed.satisfaction} if issue.closed else None,
        "lead": lead_org(issue),
        "compound": issue.place.compound,
        "category": issue.category,
        "urgent": issue.urgent,
        "assessment": issue.assessment,
        "overdue": issue.is_overdue,
        "opened_at": format_time(issue.opened_at),
    }


def next_view(issue: Issue) -> dict[str, Any] | None:
    """Who must do what by when; None when nothing is due."""
    step = next_step(issue)
    if step is None:
        return None
    return {"milestone": step.milestone, "due": format_time(step.due), "org": step.org, "clause": step.clause}


def row_view(row: IssueRow) -> dict[str, Any]:
    """The same as `issue_view`, from the columns of a list."""
    following = None
    if row.due is not None:
        due = format_time(row.due)
        following = {"milestone": row.next_milestone, "due": due, "org": row.next_org, "clause": row.next_clause}
    return {
        "id": row.id,
        "number": row.number,
        "status": row.status,
        "level": row.level,
        "handler": row.handler,
        "version": row.version,
        "policy": {"id": row.policy_id, "version": row.policy_version, "digest": row.policy_digest},
        "next": following,
        "closed": {"kind": row.closed_kind, "satisfaction": row.satisfaction} if row.closed_kind else None,
        "lead": row.lead_org,
        "compound": row.compound,
        "category": row.category,
        "urgent": row.urgent,
        "assessment": row.assessment,
        "overdue": row.overdue,
        "opened_at": format_time(row.opened_at),
    }


def timeline_view(events: Sequence[Event], seen: Sight) -> dict[str, Any]:
    """Every event, and whose minutes they were."""
    return {"events": [event_view(event, seen) for event in events], "minutes": minutes_view(events)}


def event_view(event: Event, seen: Sight) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "kind": event.kind,
        "at": format_time(event.at),
        "recorded_at": format_time(event.recorded_at) if event.recorded_at else None,
        "actor": _actor(event.actor, seen),
        "level": event.level,
        "clause": event.clause,
        "due": format_time(event.due) if event.due else None,
        "was_due": format_time(event.was_due) if event.was_due else None,
        "held": [{"holder": part.holder, "org": part.org, "ms": part.ms} for part in event.held],
        "command_id": event.command.id if event.command else None,
        "data": shown(event.body, seen),
    }


def _actor(actor: Actor | None, seen: Sight) -> dict[str, Any] | None:
    """Staff answer for what they do by name; a resident is a private person."""
    if actor is None:
        return None
    person = actor.person if seen.text or actor.role != "resident" else MASK
    return {"person": person, "role": actor.role, "org": actor.org}


def minutes_view(events: Iterable[Event]) -> list[dict[str, Any]]:
    """How long each held the issue, the longest first."""
    found = sorted(totals(events).items(), key=lambda item: -item[1])
    return [{"holder": who, "org": org, "ms": ms, "minutes": round(ms / 60_000, 2)} for (who, org), ms in found]


def receipt_view(command: str, issue: Issue) -> dict[str, Any]:
    """What became of a command that is on the record of this issue."""
    receipt = issue.receipts[command]
    plain: dict[str, Any] = {"outcome": receipt.outcome, "command_id": command, "issue_id": issue.id}
    if receipt.outcome == "refused":
        return {**plain, "version": receipt.seq, "code": receipt.code, "reason": receipt.reason}
    return {**plain, "version": receipt.seq}


def shown(value: Any, seen: Sight) -> Any:
    """The plain value of a dataclass with all its fields, those marked personal as far as the viewer may see them."""
    if isinstance(value, ContactDetails):
        return {"name": mask(value.name, seen), "phone": mask_phone(value.phone, seen)}
    if is_dataclass(value) and hasattr(type(value), "parse"):  # a `Text`: its wire form is one string
        return dump(value)
    if is_dataclass(value):
        return {
            field.name: _personal(getattr(value, field.name), seen)
            if field.metadata.get("personal")
            else shown(getattr(value, field.name), seen)
            for field in fields(value)
        }
    if isinstance(value, (tuple, list)):
        return [shown(each, seen) for each in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {key: shown(each, seen) for key, each in cast("Mapping[str, Any]", value).items()}
    return dump(value)


def _personal(value: Any, seen: Sight) -> Any:
    if isinstance(value, ContactDetails):
        return shown(value, seen)
    if isinstance(value, (tuple, list)):
        return [_personal(each, seen) for each in cast("Sequence[Any]", value)]
    return mask(value, seen) if isinstance(value, (str, Sealed)) else shown(value, seen)


def mask(text: Personal, seen: Sight) -> str:
    """Whether there is something stays visible; what it is, only to those who may read it."""
    return MASK if isinstance(text, Sealed) or (text and not seen.text) else text


def mask_phone(phone: Personal, seen: Sight) -> str:
    """138****8000 for those who may read but need not call."""
    if isinstance(phone, Sealed):
        return MASK
    if seen.phone or not phone:
        return phone
    if not seen.text or len(phone) < 8:
        return MASK
    return phone[:3] + "*" * max(4, len(phone) - 7) + phone[-4:]
