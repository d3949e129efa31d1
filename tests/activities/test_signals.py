"""An adopted issue gets its merge command, and the older one is told of a split: built from the recorded event, signed for that issue, however late."""

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
from domain.commands import Adopt, Merge, Split
from domain.issue import dump_issue
from security.credentials import OwnRoot, Signer
from security.signing import check
from support.databases import database, database_url
from support.stories import STREET, Story, store

__all__ = ["database", "database_url"]

ROOT = Ed25519PrivateKey.generate()
LATE = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""Hours after the stories."""


def job(older: Story, seq: int, template: str = "tell_merged", **payload: Any) -> Entry:
    return Entry(1, older.id, seq, "job", template, None, False, payload, 1, LATE)


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
    told, name, plain = await telling._command_of(job(older, older.issue.version, issue="forged", body={"into": "x"}))
    assert (told.id, name, plain["body"]) == (younger.id, "merge", {"into": older.id}), "never what the outbox says"
    signed = telling._signed(told, name, plain)
    check(told.root, younger.id, "merge", signed)
    assert signed["grants"] == [{"role": "street", "org": "demo-street", "by": "order"}]
    assert signed["id"] == plain["id"]
    assert datetime.fromisoformat(signed["at"]) == LATE > datetime.fromisoformat(plain["at"]) + timedelta(hours=1)


async def test_the_older_issue_is_told_of_a_split_from_the_record(database: Database) -> None:
    older, younger = await adopted(database)
    await store(database, younger, younger.give(Merge(older.id, opened=older.now), STREET))
    await store(database, younger, younger.give(Split("不是一件事"), STREET))
    async with database.write() as session:
        state = {**dump_issue(older.issue), "root": Signer(OwnRoot(ROOT)).root}
        await session.execute(update(IssueRow).where(IssueRow.id == older.id).values(state=state))
    telling = jobs(database)
    told, name, plain = await telling._command_of(job(younger, younger.issue.version, "tell_split"))
    assert (told.id, name, plain["body"]) == (older.id, "split", {"issue": younger.id, "persons": ["resident-1"]})
    check(told.root, older.id, "split", telling._signed(told, name, plain))
    assert plain["grants"] == [{"role": "admin", "org": "demo-street", "by": "order"}]


async def test_where_the_older_issue_has_closed_the_one_that_took_it_in_is_told(database: Database) -> None:
    """Its residents went on with it, and those of the youngest leave now."""
    oldest = Story(now=datetime(2026, 3, 1, 1, tzinfo=UTC))
    await store(database, oldest, oldest.reported())
    older, younger = await adopted(database)
    await store(database, younger, younger.give(Merge(older.id, opened=older.now), STREET))
    await store(database, older, older.give(Merge(oldest.id), STREET))
    await store(database, older, older.wait(30 * 86_400))
    assert older.issue.is_closed
    await store(database, younger, younger.give(Split("不是一件事"), STREET))
    told, _, plain = await jobs(database)._command_of(job(younger, younger.issue.version, "tell_split"))
    assert told.id == oldest.id
    assert plain["body"] == {"issue": younger.id, "through": older.id, "persons": ["resident-1"]}


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
