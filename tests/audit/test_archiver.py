"""A closed issue is archived and sealed once, despite repeats and kills; missing histories raise an alarm."""

import asyncio
import contextlib
import os
import secrets
import signal
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.notices import NotTriedError, UndeliveredError
from audit import log as merkle_log
from audit import replaying
from audit.archive import seal_key
from audit.case import Leaf
from audit.merkle import commitment, leaf_hash
from audit.runs import LostRunError
from audit.verify import verify
from db.engine import Database
from db.tables import IssueRow
from domain.wire import canonical, format_time
from runtime.failpoints import VARIABLE
from support import stalling
from support.archiving import Archiving, files, job, now, warm
from support.derived import runs_of
from support.golden import give, play, start_issue
from support.scenarios import RESIDENT, STAFF
from support.temporal import dev_server
from worker import build
from workflows.contract import PREFIX

ROOT = Path(__file__).resolve().parents[2]
CANARIES = ("厨房漏水", "换了阀门", "马上到", "很快", "anonymous", "demo-property", "第3次")


@contextlib.asynccontextmanager
async def archiving(folder: Path, database: Database) -> AsyncIterator[Archiving]:
    async with dev_server(folder, "limit.historyCount.suggestContinueAsNew=60") as client, build(client, database):
        await warm()
        yield Archiving(client, database, folder / "archive")


async def say(client: Client, issue: str, number: int, command: str, who: dict, **body: object) -> None:
    """A command, folded in a workflow task of its own."""
    plain = {"id": f"{issue}-{number}", "at": format_time(now()), "actor": who, "body": body}
    await give(client, issue, command, plain)
    await client.get_workflow_handle(PREFIX + issue).query("receipt", plain["id"])


async def stored(database: Database, issue: str) -> None:
    async with asyncio.timeout(90):
        while True:
            async with database.read() as session:
                if await session.get(IssueRow, issue) is not None:
                    return
            await asyncio.sleep(0.05)


async def continued(client: Client, database: Database, issue: str) -> None:
    """An open issue in its second run."""
    await start_issue(client, issue)
    await stored(database, issue)
    for number in range(12):
        await say(client, issue, number, "comment", STAFF, text=f"第{number}次")
    async with asyncio.timeout(90):
        while len(await runs_of(client, issue)) < 2:
            await asyncio.sleep(0.1)


async def delete(client: Client, issue: str) -> None:
    """As `temporal workflow delete` does."""
    execution = WorkflowExecution(workflow_id=PREFIX + issue)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    )
    async with asyncio.timeout(90):
        while await is_known(client, issue):
            await asyncio.sleep(0.05)


async def is_known(client: Client, issue: str) -> bool:
    try:
        await client.get_workflow_handle(PREFIX + issue).describe()
    except RPCError as error:
        assert error.status is RPCStatusCode.NOT_FOUND
        return False
    return True


def forget(folder: Path, run_id: str) -> None:
    """As a stopped server does with a run past its retention; to be asked to delete a closed one takes it minutes."""
    with contextlib.closing(sqlite3.connect(folder / "temporal.db")) as connection:
        done = connection.execute("DELETE FROM executions WHERE run_id = ?", (uuid.UUID(run_id).bytes,))
        assert done.rowcount == 1
        connection.commit()


async def test_what_is_closed_is_sealed_once(tmp_path: Path, database: Database) -> None:
    async with archiving(tmp_path, database) as held:
        names = ("standard", "again", "big", "refused")
        await asyncio.gather(*(play(held.client, name, Path()) for name in names))
        issues = [f"golden-{name}" for name in names]
        await held.until_sealed(*issues)

        seals = await held.seals()
        assert [row.position for row in seals] == [0, 1, 2, 3]
        verdicts = await verify(await held.holdings.cases(issues))
        assert [verdict.findings for verdict in verdicts] == [()] * 4
        assert await held.alarms() == []

        (standard,) = (row.record for row in seals if row.issue == "golden-standard")
        (run,) = await held.runs("golden-standard")
        assert standard["number"] == "JS-golden-standard"
        assert standard["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
        assert standard["runs"] == [{"run": run.run, "sha256": run.sha256, "events": run.events}]
        assert standard["replay"]["holds"]
        assert standard["replay"]["commands"] > 0
        assert standard["code"]["lock"]
        (again,) = (row.record for row in seals if row.issue == "golden-again")
        assert [each["run"] for each in again["runs"]] == [row.run for row in await held.runs("golden-again")]
        assert [row.n for row in await held.runs("golden-again")] == [0, 1]
        (big,) = (row.record for row in seals if row.issue == "golden-big")
        assert [policy["id"] for policy in big["policies"]] == ["demo", "12345"]
        assert len(big["calendars"]) == 2
        for row in seals:
            assert not [word for word in CANARIES if word in canonical(row.record).decode()]

        before = await held.everything()
        for issue in issues:
            assert await held.ask(issue)
            await held.archivist.archive(job(issue))
        assert await held.everything() == before


@pytest.mark.parametrize("point", ["archive-after-run", "archive-after-rows", "archive-after-leaf"])
async def test_a_job_that_is_killed_between_two_steps_is_made_up_for(
    tmp_path: Path, database: Database, point: str
) -> None:
    async with archiving(tmp_path, database) as held:
        await play(held.client, "standard", Path())
        env = {**os.environ, VARIABLE: point, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        url = database.url.render_as_string(hide_password=False)
        argv = (
            "-m",
            "support.archiving",
            held.client.service_client.config.target_host,
            url,
            str(held.folder),
            "golden-standard",
        )
        child = await asyncio.create_subprocess_exec(sys.executable, *argv, env=env)
        assert await child.wait() == -signal.SIGKILL
        left = {row.leaf for row in await held.seals()}
        assert bool(left) == (point == "archive-after-leaf")
        assert await held.archive.get_seal("golden-standard") is None

        await held.archivist.archive(job("golden-standard"))
        (seal,) = await held.seals()
        assert not left or {seal.leaf} == left
        (leaf,) = [case.leaf for case in await held.holdings.cases(["golden-standard"])]
        assert leaf is not None
        assert await held.archive.get_seal("golden-standard") == leaf.seal()
        assert [verdict.findings for verdict in await verify(await held.holdings.cases(["golden-standard"]))] == [()]


async def test_a_run_is_archived_while_its_issue_goes_on_and_may_be_forgotten_then(
    tmp_path: Path, database: Database
) -> None:
    async with archiving(tmp_path, database) as held:
        await continued(held.client, database, "long")
        assert await held.ask("long")
        (first,) = await held.runs("long")
        assert first.n == 0
        assert await held.seals() == []
        assert await held.alarms() == []

    forget(tmp_path, first.run)
    async with archiving(tmp_path, database) as held:
        with pytest.raises(LostRunError, match=first.run):
            await runs_of(held.client, "long")
        await say(held.client, "long", 99, "withdraw", RESIDENT, reason="自己修了")
        await held.client.get_workflow_handle(PREFIX + "long").result()
        await held.until_sealed("long")
        assert [row.n for row in await held.runs("long")] == [0, 1]
        assert [verdict.findings for verdict in await verify(await held.holdings.cases(["long"]))] == [()]


async def test_archiving_retries_a_running_workflow_and_raises_an_alarm_for_a_deleted_one(
    tmp_path: Path, database: Database
) -> None:
    async with archiving(tmp_path, database) as held:
        await start_issue(held.client, "ending")
        await stored(database, "ending")
        await held.archivist.archive(job("ending"))  # it is open: that is all for now
        async with database.write() as session:
            await session.execute(update(IssueRow).where(IssueRow.id == "ending").values(closed_at=now()))
        with pytest.raises(UndeliveredError, match="not ended"):
            await held.archivist.archive(job("ending"))

        await delete(held.client, "ending")
        for _ in range(2):
            with pytest.raises(UndeliveredError, match="gone"):
                await held.archivist.archive(job("ending"))
        assert await held.alarms() == [("gone-from-temporal", "ending")]


async def test_an_issue_ended_from_outside_is_sealed_with_what_does_not_hold(
    tmp_path: Path, database: Database
) -> None:
    async with archiving(tmp_path, database) as held:
        await start_issue(held.client, "ended")
        await stored(database, "ended")
        await held.client.get_workflow_handle(PREFIX + "ended").terminate()
        await held.ask("ended")
        (seal,) = await held.seals()
        assert seal.record is not None
        assert seal.record["closed"] is None
        assert not seal.record["replay"]["holds"]
        assert any(found.startswith("archive: run 0, event") for found in seal.record["replay"]["findings"])
        assert await held.alarms() == [("replay-fails", "ended")]


async def test_a_replay_that_is_broken_off_is_never_sealed_but_alarms_and_is_tried_again(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with archiving(tmp_path, database) as held:
        await play(held.client, "refused", Path())
        await held.client.get_workflow_handle(PREFIX + "golden-refused").result()
        monkeypatch.setattr("audit.archiver.PATIENCE", 120.0)
        with monkeypatch.context() as stalled:
            while replaying._idle:
                replaying._idle.pop().end()
            stalled.setattr(replaying, "serve", stalling.serve_stalling)
            stalled.setattr(replaying, "LIMIT", 2)
            for _ in range(2):
                with pytest.raises(UndeliveredError, match="broken off"):
                    await held.archivist.archive(job("golden-refused"))
        assert await held.seals() == []
        (alarm,) = await held.alarm_rows()
        assert (alarm.kind, alarm.issue) == ("replay-unended", "golden-refused")
        assert alarm.detail == {"error": "golden-refused: commands: run 0: the replay did not end within 2 s"}
        assert alarm.gone_at is None

        await held.archivist.archive(job("golden-refused"))
        (seal,) = await held.seals()
        assert seal.record is not None
        assert seal.record["replay"]["holds"]
        (alarm,) = await held.alarm_rows()
        assert alarm.gone_at is not None, "its cause is gone"


async def test_a_replay_that_is_longer_than_a_job_goes_on_and_is_sealed_by_a_later_one(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is only slow makes no finding."""
    async with archiving(tmp_path, database) as held:
        await play(held.client, "refused", Path())
        await held.client.get_workflow_handle(PREFIX + "golden-refused").result()
        monkeypatch.setattr("audit.archiver.PATIENCE", 0.0)
        with pytest.raises(UndeliveredError, match="has not ended yet"):
            await held.archivist.archive(job("golden-refused"))
        monkeypatch.setattr("audit.archiver.PATIENCE", 120.0)
        (replaying_now,) = held.archivist._verdicts.values()
        await held.archivist.archive(job("golden-refused"))
        (seal,) = await held.seals()
        assert seal.record is not None
        assert seal.record["replay"]["commands"] == replaying_now.result().commands
        assert (held.archivist._verdicts, await held.alarms()) == ({}, [])


async def test_a_replay_that_waits_for_others_is_no_failed_try(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a street whose issues close in one moment waits an hour for its seals, and the operators are told of a fault."""
    async with archiving(tmp_path, database) as held:
        for name in ("refused", "again"):
            await play(held.client, name, Path())
            await held.client.get_workflow_handle(PREFIX + f"golden-{name}").result()
        monkeypatch.setattr("audit.archiver.QUEUE", 1)
        async with held.archivist._turn:
            held.archivist._replaying = "another"
            with pytest.raises(NotTriedError, match="others are replayed first"):
                await held.archivist.archive(job("golden-refused"))
            with pytest.raises(NotTriedError, match="many others"):
                await held.archivist.archive(job("golden-again"))
            held.archivist._replaying = None
        await asyncio.wait(held.archivist._verdicts.values())
        monkeypatch.setattr("audit.archiver.PATIENCE", 120.0)
        # Its verdict is there and nobody took it, as where another worker has sealed the issue: it is in nobody's way.
        await held.archivist.archive(job("golden-again"))
        assert held.archivist._verdicts == {}
        await held.archivist.archive(job("golden-refused"))
        assert len(await held.seals()) == 2
        assert (held.archivist._verdicts, await held.alarms()) == ({}, [])


async def test_other_bytes_in_the_archive_are_told_of_and_kept(tmp_path: Path, database: Database) -> None:
    async with archiving(tmp_path, database) as held:
        await play(held.client, "refused", Path())
        await held.until_sealed("golden-refused")
        (run,) = await held.runs("golden-refused")
        before = files(held.folder)
        other = b"no history at all"
        (held.folder / seal_key("golden-refused")).write_bytes(other)
        for _ in range(2):
            with pytest.raises(UndeliveredError):
                await held.archivist.archive(job("golden-refused"))
        assert await held.alarms() == [("archive-differs", "golden-refused")]
        assert files(held.folder)[seal_key("golden-refused")][0] == other
        assert files(held.folder)[run.key] == before[run.key]


async def test_positions_have_no_gap_however_many_append(database: Database) -> None:
    others = [Database(database.url) for _ in range(3)]

    async def append(where: Database, issue: str) -> Leaf:
        salt = secrets.token_bytes(32)
        return await where.transact(lambda session: merkle_log.append(session, issue, {"issue": issue}, salt, now()))

    issues = [f"i{number % 30}" for number in range(60)]
    leaves = await asyncio.gather(
        *(append((database, *others)[number % 4], issue) for number, issue in enumerate(issues))
    )
    assert sorted({leaf.position for leaf in leaves}) == list(range(30))
    by_issue: dict[str, set[bytes]] = {}
    for issue, leaf in zip(issues, leaves, strict=True):
        assert leaf.salt is not None
        assert leaf.leaf == leaf_hash(commitment(leaf.salt, canonical(leaf.record)))
        by_issue.setdefault(issue, set()).add(leaf.leaf)
    assert all(len(found) == 1 for found in by_issue.values())
    async with database.read() as session:
        assert await session.run_sync(merkle_log.size) == 30
        assert [each.leaf for each in await session.run_sync(merkle_log.bare_leaves)] == [
            leaf.leaf
            for leaf in sorted({each.position: each for each in leaves}.values(), key=lambda each: each.position)
        ]
    for other in others:
        await other.close()
