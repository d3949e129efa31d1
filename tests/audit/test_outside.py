"""What is done to workflows from outside is named by a quick look; a paused one hides nothing and nobody from the others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest
from temporalio.client import Client

from audit.outside import PERIOD_SECONDS, Outside
from audit.rebuild import rebuild
from audit.reconcile import LAG, Reconciler, ReconcileResult
from audit.runs import issues_of
from db.engine import Database
from db.tables import AlarmRow
from runtime.devserver import prepare_namespace
from runtime.executions import OPEN, described, listed
from support.archiving import Archiving, now
from support.golden import play, start_issue
from support.temporal import dev_server
from tests.audit.test_reconcile import SOON, delete, opened
from worker import build
from workflows.contract import PREFIX

PAUSABLE = "frontend.WorkflowPauseEnabled=true"


@asynccontextmanager
async def archiving(folder: Path, database: Database, *settings: str) -> AsyncIterator[Archiving]:
    async with dev_server(folder, *settings) as client, build(client, database):
        await prepare_namespace(client)
        yield Archiving(client, database, folder / "archive")


async def pause(client: Client, issue: str) -> None:
    await client.workflow_service.pause_workflow_execution(
        PauseWorkflowExecutionRequest(
            namespace=client.namespace, workflow_id=PREFIX + issue, identity="x", reason="x", request_id=issue
        )
    )


async def unpause(client: Client, issue: str) -> None:
    await client.workflow_service.unpause_workflow_execution(
        UnpauseWorkflowExecutionRequest(
            namespace=client.namespace, workflow_id=PREFIX + issue, identity="x", reason="x", request_id=f"{issue}-2"
        )
    )


async def open_alarms(database: Database) -> set[tuple[str, str | None]]:
    async with database.read() as session:
        rows = await session.scalars(select(AlarmRow).where(AlarmRow.seen_at.is_(None)))
        return {(row.kind, row.issue) for row in rows}


async def until(look: Callable[[], Awaitable[Any]], database: Database, expected: set[tuple[str, str | None]]) -> None:
    """Looks until these alarms are open, and no others: Temporal's lists are true a moment later."""
    async with asyncio.timeout(90):
        while await open_alarms(database) != expected:
            await look()
            await asyncio.sleep(0.1)


async def test_terminate_cancel_and_delete_are_named_by_the_quick_look(tmp_path: Path, database: Database) -> None:
    assert PERIOD_SECONDS + LAG.total_seconds() / 2 < 60
    async with archiving(tmp_path, database) as held:
        await opened(held, "untouched", "terminated", "cancelled", "deleted")
        outside = Outside(held.client, database, Reconciler(held.client, database))
        assert await outside.look(now() + SOON) == 0
        await held.client.get_workflow_handle(PREFIX + "terminated").terminate()
        await held.client.get_workflow_handle(PREFIX + "cancelled").cancel()
        await delete(held.client, "deleted")
        expected: set[tuple[str, str | None]] = {
            ("ended-from-outside", "terminated"), ("ended-from-outside", "cancelled"), ("gone-from-temporal", "deleted"),
        }  # fmt: skip
        await until(lambda: outside.look(now() + SOON), database, expected)
        assert await outside.look(now() + SOON) == 0
        reconciler = Reconciler(held.client, database)
        assert (await reconciler.look(now() + SOON)).raised == 0, "it is told once"

        # Temporal knows it again, as after a restore; what was ended stays so until somebody marks it.
        await start_issue(held.client, "deleted")
        async with asyncio.timeout(90):
            while ("gone-from-temporal", "deleted") in await open_alarms(database):
                await outside.look(now() + SOON)
                await asyncio.sleep(0.1)
        assert ("ended-from-outside", "terminated") in await open_alarms(database)


async def test_a_paused_workflow_is_told_and_blinds_nobody(tmp_path: Path, database: Database) -> None:
    async with archiving(tmp_path, database, PAUSABLE) as held:
        await opened(held, "paused", "untouched")
        await play(held.client, "refused", Path())
        await pause(held.client, "paused")
        outside = Outside(held.client, database, Reconciler(held.client, database))
        await until(lambda: outside.look(now() + SOON), database, {("workflow-paused", "paused")})
        found = await described(held.client, PREFIX + "paused")
        assert found is not None
        assert (found.status, found.is_open, found.closed_at) == ("paused", True, None)

        # Everybody who lists or describes workflows sees the others as well.
        assert {each async for each in issues_of(held.client, OPEN)} == {"paused", "untouched"}
        assert {each.id async for each in listed(held.client, "WorkflowType='Issue'")} >= {PREFIX + "golden-refused"}
        assert (await Reconciler(held.client, database).look(now() + SOON)).raised == 0
        report = await rebuild(held.client, database, now())
        assert (report.issues, report.unread, report.differences) == (3, 0, [])
        await held.until_sealed("golden-refused")
        assert await held.ask("paused") is True
        assert await Reconciler(held.client, database).look(now() + SOON) == ReconcileResult(0, 0)

        await unpause(held.client, "paused")
        await until(lambda: outside.look(now() + SOON), database, set())
        async with database.read() as session:
            (alarm,) = await session.scalars(select(AlarmRow).where(AlarmRow.kind == "workflow-paused"))
            assert alarm.gone_at is not None
