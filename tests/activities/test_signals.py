"""An adopted issue gets its merge command: built from the recorded event, signed for that issue, however late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from activities.notices import UndeliveredError
from activities.signals import SignalJobs
from db.engine import Database
from db.outbox import Entry
from db.tables import IssueRow
from domain.commands import Adopt
from domain.issue import dump_issue
from security.credentials import OwnRoot, Signer
from security.signing import check
from support.databases import database, database_url
from support.stories import STREET, Story, store

__all__ = ["database", "database_url"]

ROOT = Ed25519PrivateKey.generate()
LATE = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""Hours after the stories."""


def job(older: Story, seq: int, **payload: Any) -> Entry:
    return Entry(1, older.id, seq, "job", "tell_merged", None, False, payload, 1, LATE)


def jobs(database: Database) -> SignalJobs:
    return SignalJobs(None, database, Signer(OwnRoot(ROOT, lambda: LATE)), lambda: LATE)  # type: ignore[arg-type]


async def adopted(database: Database) -> tuple[Story, Story]:
    older, younger = Story(), Story(now=datetime(2026, 3, 2, 2, tzinfo=UTC))
    await store(database, older, older.reported())
    await store(database, younger, younger.reported())
    await store(database, older, older.give(Adopt(younger.id, opened=younger.now), STREET))
    async with database.write() as session:
        state = {**dump_issue(younger.issue), "root": Signer(OwnRoot(ROOT)).root}
        await session.execute(update(IssueRow).where(IssueRow.id == younger.id).values(state=state))
    return older, younger


async def test_a_merge_command_is_signed_from_the_record_for_the_younger_issue(database: Database) -> None:
    older, younger = await adopted(database)
    telling = jobs(database)
    issue, plain, state = await telling._command_of(job(older, older.issue.version, issue="forged", body={"into": "x"}))
    assert (issue, plain["body"]) == (younger.id, {"into": older.id}), "never what the outbox says"
    signed = telling._signed(state, plain)
    check(state.root, younger.id, "merge", signed)
    assert signed["grants"] == [{"role": "street", "org": "demo-street", "by": "order"}]
    assert signed["id"] == plain["id"]
    assert datetime.fromisoformat(signed["at"]) == LATE > datetime.fromisoformat(plain["at"]) + timedelta(hours=1)


@pytest.mark.parametrize("seq", [0, 1, 99])
async def test_what_no_event_asks_for_is_not_signed(database: Database, seq: int) -> None:
    older, younger = await adopted(database)
    with pytest.raises(UndeliveredError, match="no event"):
        await jobs(database)._command_of(job(older, seq, issue=younger.id, body={"into": older.id}))


async def test_an_issue_that_is_not_on_record_yet_is_told_later(database: Database) -> None:
    older = Story()
    await store(database, older, older.reported())
    await store(database, older, older.give(Adopt("unknown-yet", opened=older.now), STREET))
    with pytest.raises(UndeliveredError, match="not on record yet"):
        await jobs(database)._command_of(job(older, older.issue.version))
