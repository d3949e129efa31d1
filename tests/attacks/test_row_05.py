"""A role is revoked while a command is queued: the role at acceptance decides, and it is recorded."""

from datetime import date, timedelta

import domain.commands as c
from domain.advance import advance
from domain.commands import Authority, Command
from domain.events import Event, Refused
from domain.issue import Issue
from tests.domain.play import COMMUNITY, COMPANY, FRIDAY, STREET, Stage

LAST_DAY = date(2026, 11, 20)
"""On which the command is accepted; a day later the role is gone."""


def queued(*grants: Authority, late: timedelta = timedelta(days=3)) -> tuple[Issue, list[Event]]:
    """What becomes of an acceptance that was taken in on that day and is folded days later."""
    issue = Stage().issue
    at = FRIDAY + timedelta(minutes=1)
    return advance(issue, [Command("queued", at, COMPANY, c.Accept(), grants=grants)], at + late)


def held(start: date | None = None, end: date | None = None) -> Authority:
    return Authority("property", COMPANY.org, compound="garden", start=start, end=end)


def test_row_05_a_role_that_ended_after_acceptance_counts() -> None:
    issue, events = queued(held(end=date(2026, 11, 21)))
    (accepted,) = [event for event in events if event.kind == "accepted"]
    assert accepted.actor == COMPANY
    assert issue.receipts["queued"].outcome == "applied"


def test_row_05_a_role_outside_its_term_at_acceptance_does_not_count() -> None:
    for grant in (held(end=LAST_DAY), held(start=date(2026, 11, 21))):
        issue, events = queued(grant)
        assert "accepted" not in [event.kind for event in events]
        (refused,) = [event.body for event in events if isinstance(event.body, Refused)]
        assert refused.code == "no-authority"
        assert issue.receipts["queued"].outcome == "refused"


def test_row_05_nobody_may_do_without_and_no_other_role_stands_in() -> None:
    for grants in ((), (Authority("street", STREET.org),), (Authority("community", COMMUNITY.org),)):
        issue, _ = queued(*grants)
        assert issue.receipts["queued"].outcome == "refused"
