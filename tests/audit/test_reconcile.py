"""Reconciliation: interference from outside raises one alarm; unarchived issues are queued again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete as sql_delete
from sqlalchemy import update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, ResetWorkflowExecutionRequest
from temporalio.client import Client

from audit.reconcile import BOUND, LAG, MARGIN, Reconciler, ReconcileResult
from audit.verify import verify
from db.engine import Database
from db.tables import AlarmRow, IssueRow, OutboxRow, SealRow
from domain.issue import RULES_VERSION
from domain.wire import dump
from policies.loader import load_pack
from runtime.devserver import RETENTION, prepare_namespace
from support.archiving import Archiving, now
from support.golden import play, start_issue
from support.temporal import dev_server
from worker import build
from workflows.contract import PREFIX, TASK_QUEUE, Start

SOON = LAG * 2
"""After it the lists are believed, and nothing is late yet."""


@contextlib.asynccontextmanager
async def archiving(folder: Path, database: Database) -> AsyncIterator[Archiving]:
    async with dev_server(folder) as client, build(client, database):
        await prepare_namespace(client)
        yield Archiving(client, database, folder / "archive")


async def opened(held: Archiving, *issues: str) -> None:
    for issue in issues:
        await start_issue(held.client, issue)
    async with asyncio.timeout(90):
        for issue in issues:
            while not await is_stored(held.database, issue):
                await asyncio.sleep(0.05)


async def is_stored(database: Database, issue: str) -> bool:
    async with database.read() as session:
        return await session.get(IssueRow, issue) is not None


async def put_back(client: Client, issue: str) -> str:
    """Resets the newest run to its first task; the run that was cut off."""
    handle = client.get_workflow_handle(PREFIX + issue)
    run_id = (await handle.describe()).run_id
    done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    first = next(event.event_id for event in (await handle.fetch_history()).events if event.event_type == done)
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=PREFIX + issue, run_id=run_id),
            workflow_task_finish_event_id=first,
            reason="nobody shall see",
            request_id=f"reset-{issue}",
        )
    )
    return run_id


async def delete(client: Client, issue: str) -> None:
    execution = WorkflowExecution(workflow_id=PREFIX + issue)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    )


async def all_seen(database: Database) -> None:
    async with database.write() as session:
        await session.execute(update(AlarmRow).values(seen_at=now()))


async def until_raised(held: Archiving, look: Reconciler, *expected: tuple[str, str | None]) -> None:
    """Looks until these alarms are there: Temporal's lists are true a moment later."""
    async with asyncio.timeout(60):
        while not set(expected) <= set(await held.alarms()):
            await look.look(now() + SOON)
            await asyncio.sleep(0.2)


async def test_terminate_reset_and_delete_raise_one_alarm_each(tmp_path: Path, database: Database) -> None:
    async with archiving(tmp_path, database) as held:
        look = Reconciler(held.client, database)
        await opened(held, "untouched", "ended", "put-back", "deleted")
        assert await look.look(now() + SOON) == ReconcileResult(0, 0)

        await held.client.get_workflow_handle(PREFIX + "ended").terminate(reason="nobody shall see")
        cut_off = await put_back(held.client, "put-back")
        await delete(held.client, "deleted")
        await until_raised(
            held,
            look,
            ("ended-from-outside", "ended"),
            ("reset-from-outside", "put-back"),
            ("gone-from-temporal", "deleted"),
        )
        assert len(await held.alarms()) == 3
        details = {row.kind: row.detail for row in await held.alarm_rows()}
        assert details["ended-from-outside"]["status"] == "terminated"
        assert details["reset-from-outside"]["run"] == cut_off

        # Another process, after somebody has looked at them: it stays so, and is not told again.
        await all_seen(database)
        assert (await Reconciler(held.client, database).look(now() + SOON)).raised == 0

        # Both were asked for. What ended is sealed as it is; what was cut off is kept as well.
        async with asyncio.timeout(60):
            while not await held.runs("put-back") or not await held.seals():
                await held.deliverer.deliver_pending()
                await asyncio.sleep(0.1)
        assert [(row.run, row.n) for row in await held.runs("put-back")] == [(cut_off, -1)]
        (seal,) = await held.seals()
        assert seal.issue == "ended"
        assert await look.look(now() + SOON) == ReconcileResult(0, 0)


async def test_a_forged_start_raises_one_alarm_and_is_not_awaited(tmp_path: Path, database: Database) -> None:
    async with archiving(tmp_path, database) as held:
        start = Start("invented", dump(load_pack("demo")), [], RULES_VERSION, {"id": "x"})
        handle = await held.client.start_workflow("Issue", start, id=PREFIX + "invented", task_queue=TASK_QUEUE)
        assert "forged" in await asyncio.wait_for(handle.result(), 90)
        look = Reconciler(held.client, database)
        await until_raised(held, look, ("forged-start", "invented"))
        assert await look.look(now() + timedelta(days=2)) == ReconcileResult(0, 0)


async def test_a_closed_issue_that_is_put_back_is_told(tmp_path: Path, database: Database) -> None:
    async with archiving(tmp_path, database) as held:
        look = Reconciler(held.client, database)
        await play(held.client, "refused", Path())
        await held.until_sealed("golden-refused")
        before = await held.runs("golden-refused")
        await put_back(held.client, "golden-refused")
        await until_raised(held, look, ("reset-from-outside", "golden-refused"))
        # The signals are given to it again, so it ends as before: it is kept beside what was sealed.
        async with asyncio.timeout(60):
            while len(await held.runs("golden-refused")) == len(before):
                await look.look(now() + SOON)
                await held.deliverer.deliver_pending()
                await asyncio.sleep(0.1)
        assert [row.n for row in await held.runs("golden-refused")] == [-1, 0]
        assert len(await held.seals()) == 1
        assert (await look.look(now() + SOON)).asked == 0


async def test_unarchived_issues_are_queued_again_and_late_ones_raise_an_alarm(
    tmp_path: Path, database: Database
) -> None:
    async with archiving(tmp_path, database) as held:
        await asyncio.gather(*(play(held.client, name, Path()) for name in ("standard", "refused")))
        await opened(held, "untouched")
        # The jobs are lost, as after a restore of the read model by `jiesu rebuild`.
        async with database.write() as session:
            await session.execute(sql_delete(OutboxRow))
        look = Reconciler(held.client, database)
        async with asyncio.timeout(60):
            while (await look.look(now() + SOON)).asked == 0:
                await asyncio.sleep(0.2)
        await look.look(now() + SOON)
        assert await held.alarms() == []

        late = now() + BOUND + timedelta(minutes=5)
        assert await look.look(late) == ReconcileResult(0, 1)
        assert await held.alarms() == [("not-archived", None)]
        assert (await held.alarm_rows())[0].detail["issues"] == 2
        assert await look.look(late) == ReconcileResult(0, 0)
        near = now() + RETENTION - MARGIN + timedelta(hours=1)
        assert await look.look(near) == ReconcileResult(0, 1)
        assert (await held.alarms())[-1] == ("retention-near", None)

        await held.until_sealed("golden-standard", "golden-refused")
        assert await Reconciler(held.client, database).look(late) == ReconcileResult(0, 0)
        assert [row.gone_at for row in await held.alarm_rows()] == [late, late]
        verdicts = await verify(await held.holdings.cases(["golden-standard", "golden-refused"]))
        assert [verdict.findings for verdict in verdicts] == [(), ()]


async def test_a_closed_issue_without_a_seal_is_asked_for(tmp_path: Path, database: Database) -> None:
    async with archiving(tmp_path, database) as held:
        await play(held.client, "refused", Path())
        await held.until_sealed("golden-refused")
        async with database.write() as session:
            await session.execute(sql_delete(SealRow))
        look = Reconciler(held.client, database)
        assert await look.look(now() + SOON) == ReconcileResult(0, 0)
        assert (await look.look(now() + BOUND + timedelta(minutes=5))).asked == 1
