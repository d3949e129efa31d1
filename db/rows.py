"""Between an issue's state and its row: what the columns say, and the state that the row holds."""

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import pinned, search
from db.tables import EventRow, IssueRow
from db.types import FAR
from domain.clocks import next_deadline, next_step, wake_after
from domain.events import Event, Reported, load_event
from domain.issue import Issue, calendars_digest, dump_issue, lead_org, load_issue
from domain.personal import Sealed
from domain.pins import Calendars
from domain.policy import Policy
from domain.rules import evolve

UNSEEN: Final[dict[str, str]] = {"words": ""}
"""Of a report that is sealed."""


def columns(issue: Issue) -> dict[str, Any]:
    """All columns that follow from the state; the rest say what was pinned at the start and what was reported."""
    return _who(issue) | _how_it_stands(issue) | _what_is_next(issue) | {"state": dump_issue(issue)}


def first_columns(policy: Policy, calendars: Calendars) -> dict[str, str]:
    """With what a refold has to begin."""
    return {"first_policy": policy.digest, "first_calendars": calendars_digest(calendars)}


def words(event: Event) -> dict[str, str]:
    """The column that is filled from the report, none for any other event; what is sealed is looked at by a job later."""
    body = event.body
    if not isinstance(body, Reported):
        return {}
    description, location = body.description, body.location
    if isinstance(description, Sealed) or isinstance(location, Sealed):
        return UNSEEN
    return {"words": search.fold(description + location)}


def state_of(session: Session, row: IssueRow) -> Issue:
    """The issue whose row this is; the row must have been read with its state."""
    policy = pinned.policy_of(session, row.policy_digest)
    return load_issue(row.state, policy, pinned.calendars_of(session, row.calendars_digest))


def refold(session: Session, row: IssueRow, before: int | None = None) -> Issue:
    """The issue folded again from its stored events, all of them or those up to `before`, exclusive."""
    query = select(EventRow.body).where(EventRow.issue == row.id).order_by(EventRow.seq)
    if before is not None:
        query = query.where(EventRow.seq < before)
    policy = pinned.policy_of(session, row.first_policy)
    state = Issue.new(row.id, policy, pinned.calendars_of(session, row.first_calendars))
    for body in session.scalars(query).all():
        state = evolve(state, load_event(body))
    return state


def _who(issue: Issue) -> dict[str, Any]:
    return {
        "number": issue.number,
        "street": issue.place.street,
        "community": issue.place.community,
        "compound": issue.place.compound,
        "operator": issue.place.operator,
        "about_operator": issue.about_operator,
        "reporter": issue.reporter,
        "handler": issue.handler.code,
        "handler_kind": issue.handler.kind,
        "lead_org": lead_org(issue),
    }


def _how_it_stands(issue: Issue) -> dict[str, Any]:
    closed = issue.closed
    return {
        "level": issue.level,
        "status": issue.status,
        "category": issue.category,
        "urgent": issue.urgent,
        "assessment": issue.assessment,
        "version": issue.version,
        "policy_id": issue.policy.id,
        "policy_version": issue.policy.version,
        "policy_digest": issue.policy.digest,
        "calendars_digest": calendars_digest(issue.calendars),
        "opened_at": issue.opened_at,
        "changed_at": issue.since,
        "closed_kind": closed.kind if closed else None,
        "satisfaction": closed.satisfaction if closed else None,
        "closed_at": issue.marks["closed"].at if closed else None,
    }


def _what_is_next(issue: Issue) -> dict[str, Any]:
    step, deadline = next_step(issue), next_deadline(issue)
    return {
        "overdue": issue.is_overdue,
        "due": step.due if step else None,
        "left_by": step.due if step else FAR,
        "acts_at": deadline.at + wake_after(issue, deadline) if deadline else FAR,
        "next_milestone": step.milestone if step else None,
        "next_clause": step.clause if step else None,
        "next_org": step.org if step else None,
    }
