"""Open issues are compared with their histories in Temporal on request."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from audit.archive import Archive
from audit.content import Places
from audit.holdings import Holdings
from audit.service import AuditService, NotYetError
from audit.verify_all import AuditReport, closing, compare_open
from db.engine import Database
from db.tables import Base, ErasureRow, EventRow, IssueRow, VoiceRow
from db.upgrade import upgrade_async
from domain.wire import format_time
from policies.loader import load_pack
from security.keystore import KeyStore
from security.master import MasterFile
from support.archiving import Archiving, now
from support.golden import give, start_issue
from support.scenarios import STAFF
from tests.audit.test_reconcile import archiving

ISSUES = ("one", "two")


async def opened(held: Archiving, *issues: str) -> None:
    """Their limits are hours, so nothing happens by itself."""
    for issue in issues:
        await start_issue(held.client, issue, policy=load_pack("12345"))
    async with asyncio.timeout(90):
        for issue in issues:
            await said(held, issue)
            while await version(held.database, issue) < 3:  # reported, dispatched, and what was said
                await asyncio.sleep(0.05)


async def said(held: Archiving, issue: str) -> None:
    plain = {"id": f"{issue}-{now()}", "at": format_time(now()), "actor": STAFF, "body": {"text": "在办"}}
    await give(held.client, issue, "comment", plain)


async def version(database: Database, issue: str) -> int:
    async with database.read() as session:
        row = await session.get(IssueRow, issue)
        return 0 if row is None else row.version


async def compared(held: Archiving, places: Places) -> AuditReport:
    report = AuditReport("verify open", now(), open=len(ISSUES))
    service = AuditService(held.holdings, held.folder, held.client, places)
    await compare_open(service.compare_open(), report)
    return report


def ghost(session: Session) -> None:
    row = session.get(IssueRow, "one")
    assert row is not None
    copied = {each.name: getattr(row, each.name) for each in IssueRow.__table__.columns}
    session.add(IssueRow(**{**copied, "id": "ghost", "closed_at": None}))


def closed(session: Session) -> None:
    session.execute(update(IssueRow).where(IssueRow.id == "one").values(closed_at=now()))


def gone(session: Session) -> None:
    for table in reversed(Base.metadata.sorted_tables):
        if "issue" in table.columns:
            session.execute(table.delete().where(table.columns.issue == "one"))
    session.execute(delete(IssueRow).where(IssueRow.id == "one"))


TAMPERS: dict[str, tuple[Callable[[Session], object], str]] = {
    "its row": (
        lambda session: session.execute(update(IssueRow).where(IssueRow.id == "one").values(category="noise")),
        "one: rows: column category: it is 'noise', not 'leak'",
    ),
    "an event gone": (
        lambda session: session.execute(delete(EventRow).where(EventRow.issue == "one", EventRow.seq == 2)),
        "one: rows: event 2: the row holds another event than the history leads to",
    ),
    "somebody who follows it": (
        lambda session: session.add(VoiceRow(issue="one", person="a-stranger", reported=False)),
        "one: rows: voices: 'a-stranger' follows it, or does not, other than the history says",
    ),
    "its close": (closed, "one: rows: column closed_at: it is "),
    "an issue that never was": (ghost, "ghost: rows: row: SQL holds it as open, and Temporal has lost the workflow"),
    "an erasure": (
        lambda session: session.add(ErasureRow(issue="one", why="request", asked_at=now(), done_at=now())),
        "one: texts: erasure: it is noted as done, and the key store knows of none",
    ),
    "everything in SQL": (gone, "one: rows: row: Temporal holds it, and SQL does not"),
}
"""What is altered, and what is found; each on top of those before it."""


async def test_rows_of_open_issues_are_compared_with_their_histories(tmp_path: Path, database: Database) -> None:
    MasterFile.made(tmp_path / "master.json")
    places = Places(None, f"sqlite:///{tmp_path / 'keys.db'}", tmp_path / "master.json")
    store = KeyStore(places.key_store or "")
    await store.prepare()
    await store.close()
    async with archiving(tmp_path, database) as held:
        await opened(held, *ISSUES)
        report = await compared(held, places)
        assert [str(each) for each in report.findings] == []
        assert closing(report) == "everything holds for 0 closed issues; 2 open were compared"
        for name, (tamper, found) in TAMPERS.items():
            async with database.write() as session:
                await session.run_sync(tamper)
            told = [str(each) for each in (await compared(held, places)).findings]
            assert any(each.startswith(found) for each in told), (name, told)
            assert not any(each.startswith("two: ") for each in told), name


async def test_an_issue_that_is_being_recorded_is_not_said_to_differ(tmp_path: Path) -> None:
    """Its rows are of another moment than its history: the report says that it was not looked at."""
    database = Database(f"sqlite:///{tmp_path / 'jiesu.db'}")
    await upgrade_async(database.url)
    async with archiving(tmp_path, database) as held:
        await opened(held, *ISSUES)
        async with database.write() as session:
            await session.execute(
                text("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'full'); END")
            )
        await said(held, "two")
        async with asyncio.timeout(90):
            while not (
                await held.client.get_workflow_handle("issue-two").describe()
            ).raw_description.pending_activities:
                await asyncio.sleep(0.05)
        report = await compared(held, Places())
        async with database.write() as session:
            await session.execute(text("DROP TRIGGER full"))
    assert [str(each) for each in report.findings] == []
    assert closing(report) == "everything holds for 0 closed issues; 1 open was compared; 1 open was not looked at"


async def test_without_temporal_it_is_refused(tmp_path: Path, database: Database) -> None:
    service = AuditService(Holdings(database, Archive(tmp_path.as_uri())), tmp_path)
    with pytest.raises(NotYetError, match="Temporal does not answer"):
        await compare_open(service.compare_open(), AuditReport("verify open", now()))
