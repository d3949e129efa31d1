"""Rebuild refills the read model from the histories, row by row, after any loss or change."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue

from audit.rebuild import Rebuilt, RecordedIssue, rebuild
from audit.runs import issues_of
from db import queries
from db.engine import Database
from db.projector import record
from db.tables import (
    AlarmRow,
    Base,
    CalendarsRow,
    EventRow,
    IssueRow,
    NoticeRow,
    OutboxRow,
    PolicyRow,
    ReceiptRow,
    SearchTerm,
)
from domain.commands import Accept
from domain.events import event_digest
from domain.pins import read_policy
from domain.wire import dump, truncate
from policies.loader import load_pack
from runtime.temporal import encrypting
from support.derived import derive, runs_of
from support.golden import play, start_issue
from support.keys import ephemeral_keys
from support.stories import PROPERTY, Story, store
from support.temporal import dev_server
from worker import build
from workflows.contract import TASK_QUEUE, Start

CLOSED = ("standard", "refused", "asked", "again", "big", "sent-round")
"""Scenarios with refusals, poison, climbs by hand, another policy and calendar, and a continue-as-new."""
DERIVED = (EventRow, IssueRow, ReceiptRow, SearchTerm, PolicyRow, CalendarsRow)
Rows = dict[str, list[dict[str, Any]]]


@contextlib.asynccontextmanager
async def server(folder: Path) -> AsyncIterator[Client]:
    async with dev_server(folder, "limit.historyCount.suggestContinueAsNew=60") as client:
        yield client


async def ignored(client: Client) -> None:
    """An issue that nobody acts on, under a policy in a hurry."""
    policy: dict[str, Any] = dump(load_pack("demo"))
    for clause in policy["clause"]:
        clause.update({"limit": "2s"}, **({"climb": ["2s"]} if "climb" in clause else {}))
    await start_issue(client, "ignored", policy=read_policy(policy), category="noise")


async def filled(client: Client, database: Database) -> None:
    """A real run; afterwards no worker is left, so nothing moves."""
    async with build(client, database):
        await ignored(client)
        await asyncio.gather(*(play(client, name, Path()) for name in CLOSED))
        async with asyncio.timeout(60):
            while await number(database, EventRow, EventRow.kind == "escalated", EventRow.issue == "ignored") < 2:
                await asyncio.sleep(0.1)
    # What was begun is recorded before the worker is gone.
    for issue in [each async for each in issues_of(client)]:
        derived = await derive(issue, await runs_of(client, issue))
        assert await number(database, EventRow, EventRow.issue == issue) >= derived.recorded
        assert issue == "ignored" or derived.recorded == len(derived.events)


async def number(database: Database, table: type[Base], *where: Any) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(table).where(*where)) or 0


async def rows(database: Database, tables: Sequence[type[Base]] = DERIVED, *but: str) -> Rows:
    """Everything in these tables, in an order of its own; when an event was stored is not part of the record."""
    found: Rows = {}
    async with database.read() as session:
        for table in tables:
            names = [column.name for column in table.__table__.columns if column.name not in ("stored_at", *but)]
            keys = [getattr(table, column.name) for column in table.__table__.primary_key]
            columns = [getattr(table, name) for name in names]
            result = await session.execute(select(*columns).order_by(*keys))
            found[table.__tablename__] = [dict(zip(names, row, strict=True)) for row in result]
    return found


async def emptied(database: Database) -> None:
    async with database.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.execute(table.delete())


async def rebuilt(client: Client, database: Database) -> Rebuilt:
    return await rebuild(client, database, truncate(datetime.now(UTC)))


async def test_what_was_emptied_altered_or_lost_comes_back_row_by_row(tmp_path: Path, database: Database) -> None:
    async with server(tmp_path) as client:
        await filled(client, database)
        assert len(await runs_of(client, "golden-again")) > 1
        before = await rows(database)
        kinds = {row["kind"] for row in before["events"]}
        assert {"refused", "rejected_signal", "escalated", "policy_changed", "closed"} <= kinds

        assert (await rebuilt(client, database)).differences == []
        assert await rows(database) == before

        await emptied(database)
        report = await rebuilt(client, database)
        assert report.issues == len(CLOSED) + 1
        assert len(report.differences) == len(before["events"])
        assert await rows(database) == before
        for told in (OutboxRow, NoticeRow, AlarmRow):
            assert await number(database, told) == 0, "nobody is told again"

        await damage(database)
        report = await rebuilt(client, database)
        assert {line.split(":")[0] for line in report.differences} == {
            f"issue golden-{name}" for name in ("standard", "asked", "big", "refused", "again")
        } | {"issue ignored"}
        assert [line for line in report.differences if "golden-again" in line] == [
            f"issue golden-again: event {row['version'] + 1} never was"
            for row in before["issues"]
            if row["id"] == "golden-again"
        ]
        assert without_fence(await rows(database)) == without_fence(before)
        assert (await rebuilt(client, database)).differences == []


async def damage(database: Database) -> None:
    """An event in the middle gone, one altered, the last ones gone, one made up, a row altered, receipts gone."""
    async with database.write() as session:
        await make_up(session, "golden-again")
        await session.execute(delete(EventRow).where(EventRow.issue == "golden-standard", EventRow.seq == 3))
        body = (await session.scalars(select(EventRow.body).where(EventRow.issue == "golden-asked"))).first()
        altered = {**(body or {}), "level": "street"}
        here = (EventRow.issue == "golden-asked", EventRow.seq == 1)
        await session.execute(update(EventRow).where(*here).values(body=altered))
        await session.execute(delete(EventRow).where(EventRow.issue == "ignored", EventRow.seq > 4))
        await session.execute(
            update(IssueRow).where(IssueRow.id == "golden-big").values(level="property", overdue=True)
        )
        await session.execute(delete(ReceiptRow).where(ReceiptRow.issue == "golden-refused"))


async def make_up(session: AsyncSession, issue: str) -> None:
    """One more event, beyond the last."""
    query = select(EventRow).where(EventRow.issue == issue).order_by(EventRow.seq.desc()).limit(1)
    last = (await session.scalars(query)).one()
    values = {column.name: getattr(last, column.name) for column in EventRow.__table__.columns}
    body = {**last.body, "seq": last.seq + 1}
    session.add(EventRow(**values | {"seq": last.seq + 1, "body": body, "digest": event_digest(body)}))


def without_fence(found: Rows) -> Rows:
    """How often a record was rewritten is not undone."""
    return {
        table: [{name: value for name, value in row.items() if name != "fence"} for row in content]
        for table, content in found.items()
    }


async def test_rebuild_does_not_undo_events_recorded_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    await store(database, story, story.reported())
    recorded = RecordedIssue(story.id, list(story.told), story.pins, has_ended=False)

    async def issues(*_: object) -> AsyncIterator[str]:
        yield story.id

    async def same(*_: object) -> RecordedIssue:
        return recorded

    for name, stand_in in {"issues_of": issues, "read_recorded": same}.items():
        monkeypatch.setattr(f"audit.rebuild.{name}", stand_in)
    async with database.write() as session:
        await session.execute(update(EventRow).where(EventRow.seq == 1).values(body={"kind": "altered"}))
    accepted, other = story.give(Accept(), PROPERTY), Database(database.url)
    async with other.write() as session:
        await session.run_sync(record, story.id, accepted, now=story.now)
        looking = asyncio.create_task(rebuilt(cast("Client", None), database))
        await asyncio.sleep(0.5)  # by now it looks, or waits for its turn
    report = await looking
    assert "recorded at this moment" in report.differences[-1]
    assert await number(database, EventRow) == len(story.told)

    recorded = RecordedIssue(story.id, list(story.told), story.pins, has_ended=False)
    assert len((await rebuilt(cast("Client", None), database)).differences) == 1
    async with database.read() as session:
        assert await queries.issue(session, story.id) == story.issue
    await other.close()


async def test_events_on_their_way_are_left_to_their_workflow(tmp_path: Path, database: Database) -> None:
    """Restored without a word to anybody, they would never be told of."""
    nowhere = Database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    async with server(tmp_path) as client:
        async with build(client, nowhere):
            await start_issue(client, "waiting")
            async with asyncio.timeout(90):
                while not (await derive("waiting", await runs_of(client, "waiting"))).events:
                    await asyncio.sleep(0.1)
        derived = await derive("waiting", await runs_of(client, "waiting"))
        assert (derived.recorded, len(derived.events)) == (0, 2)
        assert (await rebuilt(client, database)).differences == []
        assert await number(database, EventRow) == 0

        async with build(client, database):
            async with asyncio.timeout(60):
                while await number(database, EventRow) < 2:
                    await asyncio.sleep(0.1)
        assert await number(database, OutboxRow) > 0
    await nowhere.close()


async def test_rebuild_counts_unreadable_issues_and_leaves_them(tmp_path: Path, database: Database) -> None:
    async with server(tmp_path) as client:
        here, elsewhere = (encrypting(client, ephemeral_keys().converter) for _ in range(2))
        await start_issue(here, "ours")
        async with build(elsewhere, database):
            await start_issue(elsewhere, "theirs")
            async with asyncio.timeout(60):
                while not await number(database, EventRow, EventRow.issue == "theirs"):
                    await asyncio.sleep(0.1)
        before = await rows(database)
        report = await rebuilt(here, database)
        assert (report.issues, report.unread) == (2, 1)
        (said,) = report.differences
        assert said.startswith("issue theirs: ")
        assert await rows(database) == before


async def test_a_forged_run_is_one_line_and_counts_as_a_failure(tmp_path: Path, database: Database) -> None:
    """Nobody works here: what becomes of them is not asked, only what the rebuild makes of their histories."""
    foreign = Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\x00" * 40)
    forged: dict[str, list[Any]] = {
        "nothing": [], "words": ["a report\nof two lines"], "another": [{"issue": "ours", "report": "\x1b[2J\n" * 200}],
        "unsigned": [Start("unsigned", dump(load_pack("demo")), [], 1)], "sealed": [RawValue(foreign)],
        "line\nbreak": [{}],
    }  # fmt: skip
    async with server(tmp_path) as client:
        await start_issue(client, "ours")
        for issue, arguments in forged.items():
            await client.start_workflow("Issue", args=arguments, id=f"issue-{issue}", task_queue=TASK_QUEUE)
        async with asyncio.timeout(60):
            while len([each async for each in issues_of(client)]) < len(forged) + 1:
                await asyncio.sleep(0.1)
        report = await rebuilt(encrypting(client, ephemeral_keys().converter), database)
        assert (report.issues, report.unread) == (len(forged) + 1, len(forged))
        told = sorted(report.differences)
        assert len(told) == len(forged)
        for line, issue in zip(told, sorted(forged), strict=True):
            assert line.startswith(f"issue {issue.replace(chr(10), '?')}: ")
            assert line.isprintable()
            assert len(line) < 400
        assert await number(database, EventRow) == 0
