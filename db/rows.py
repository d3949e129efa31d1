"""Maps an issue's state to the columns of its row, and a row to the state."""

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import pinned, search
from db.tables import EventRow, IssueRow
from db.types import FAR
from domain.clocks import next_clock, next_deadline, next_step, wake_after
from domain.events import Event, Reported, load_event
from domain.followers import joinable
from domain.issue import Issue, calendars_digest, dump_issue, lead_org, load_issue
from domain.personal import is_sealed
from domain.pins import Calendars
from domain.policy import Policy
from domain.rules import evolve
from domain.waiting import led_at, promised_by, rules_by

UNSEEN: Final[dict[str, str]] = {"words": ""}
"""What `words` returns for a sealed report, whose text is not readable here."""


def columns(issue: Issue) -> dict[str, Any]:
    """The columns of the row that follow from the issue's state. `first_columns` and `words` give the other columns."""
    return _parties(issue) | _current(issue) | _next(issue) | {"state": dump_issue(issue)}


def first_columns(policy: Policy, calendars: Calendars) -> dict[str, str]:
    """The columns for the policy and calendars that the issue pinned at its start, with which a refold begins."""
    return {"first_policy": policy.digest, "first_calendars": calendars_digest(calendars)}


def voices(issue: Issue) -> dict[str, bool]:
    """Everybody who follows the issue, or did, and whether he reported it: what the table `voices` holds."""
    return {
        person: follower.voice.reported and follower.voice.issue == issue.id
        for person, follower in issue.followers.items()
    }


def words(event: Event) -> dict[str, str]:
    """The column with the search words, from the event of a report; no column for any other event.

    The words of a sealed report are empty at first; a job adds them later.
    """
    body = event.body
    if not isinstance(body, Reported):
        return {}
    if is_sealed(body):
        return UNSEEN
    return {"words": search.words(str(body.location), str(body.description))}


def state_of(session: Session, row: IssueRow) -> Issue:
    """The issue that a row describes. The row must have been loaded with its column `state`."""
    policy = pinned.policy_of(session, row.policy_digest)
    return load_issue(row.state, policy, pinned.calendars_of(session, row.calendars_digest))


def nested(row: IssueRow) -> dict[str, Any]:
    """Policy, next step and close of a row, each as ``{field: value}``; None where nothing is due, or the issue is open."""
    step = {"milestone": row.next_milestone, "due": row.due, "org": row.next_org, "clause": row.next_clause}
    return {
        "policy": {"id": row.policy_id, "version": row.policy_version, "digest": row.policy_digest},
        "next": step if row.due is not None else None,
        "closed": {"kind": row.closed_kind, "satisfaction": row.satisfaction} if row.closed_kind is not None else None,
    }


def refold(session: Session, row: IssueRow, before: int | None = None) -> Issue:
    """The issue, folded from its stored events: from all, or from those with a number below `before`."""
    query = select(EventRow.body).where(EventRow.issue == row.id).order_by(EventRow.seq)
    if before is not None:
        query = query.where(EventRow.seq < before)
    policy = pinned.policy_of(session, row.first_policy)
    state = Issue.new(row.id, policy, pinned.calendars_of(session, row.first_calendars))
    for body in session.scalars(query).all():
        state = evolve(state, load_event(body))
    return state


def _parties(issue: Issue) -> dict[str, Any]:
    return {
        "number": issue.number,
        "street": issue.place.street,
        "community": issue.place.community,
        "compound": issue.place.compound,
        "operator": issue.place.operator,
        "about_operator": issue.about_operator,
        "building": issue.building,
        "joinable": joinable(issue),
        "merged_into": issue.merged_into,
        "assigned": issue.assigned,
        "taken_by": issue.taken_by and issue.taken_by.org,
        "reporter": issue.reporter,
        "handler": issue.handler.code,
        "handler_kind": issue.handler.kind,
        "lead_org": lead_org(issue),
    }


def _current(issue: Issue) -> dict[str, Any]:
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


def _next(issue: Issue) -> dict[str, Any]:
    step, clock, deadline = next_step(issue), next_clock(issue), next_deadline(issue)
    return {
        "overdue": issue.is_overdue,
        "due": step.due if step else None,
        "left_by": step.due if step else FAR,
        "warn_at": clock.warn if clock else None,
        "acts_at": deadline.at + wake_after(issue, deadline) if deadline else FAR,
        "next_milestone": step.milestone if step else None,
        "next_clause": step.clause if step else None,
        "next_org": step.org if step else None,
        "community_rules_by": rules_by(issue, "community"),
        "street_rules_by": rules_by(issue, "street"),
        "promised_by": promised_by(issue),
        "led_at": led_at(issue),
    }
