"""An issue that is stuck is told of once, by a real server's own sign of a failing workflow and by an overlooked limit."""

import asyncio
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import select
from temporalio import activity
from temporalio.worker import Worker

from activities.contract import RECORD, TASK_QUEUE, Batch
from activities.watch import BOUND, Watch
from db.alarms import open_alarms
from db.engine import Database
from db.projector import record
from db.tables import AlarmRow
from db.upgrade import upgrade
from support.golden import start_issue
from support.stories import START, Story
from support.temporal import dev_server
from workflows.issue import IssueWorkflow


@activity.defn(name=RECORD)
async def another_digest(batch: Batch) -> str:
    """As if the database held other events than the workflow folded."""
    return "not what was sent"


async def test_stuck_issues_raise_one_alarm_each(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'watch.db'}"
    await asyncio.to_thread(upgrade, url)
    database, registry = Database(url), CollectorRegistry()
    overlooked = Story("overlooked")
    events = overlooked.reported()
    async with database.write() as session:
        await session.run_sync(record, overlooked.id, events, now=START, **overlooked.pins)
    async with dev_server(tmp_path, "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2") as client:
        watch = Watch(client, database, registry)
        assert await watch.look(START) == 0
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[IssueWorkflow], activities=[another_digest]):
            await start_issue(client, "failing")
            async with asyncio.timeout(60):
                while await watch.look(START + BOUND + timedelta(minutes=1)) == 0 or len(await _alarms(database)) < 2:
                    await asyncio.sleep(0.3)
        assert await watch.look(START + BOUND + timedelta(minutes=2)) == 0
    assert sorted(await _alarms(database)) == [("deadline-overlooked", "overlooked"), ("workflow-fails", "failing")]
    assert registry.get_sample_value("jiesu_alarms_open") == 2
    await database.close()


async def _alarms(database: Database) -> list[tuple[str, str | None]]:
    async with database.read() as session:
        assert len(await open_alarms(session)) == len((await session.scalars(select(AlarmRow))).all())
        return [(alarm.kind, alarm.issue) for alarm in await open_alarms(session)]
