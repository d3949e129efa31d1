"""A stuck issue raises one alarm: by Temporal's report of a failing workflow, or by an overlooked deadline."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry
from sqlalchemy import select
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.watch import BOUND, Watch
from db.engine import Database
from db.projector import record
from db.tables import AlarmRow, IssueRow
from db.upgrade import upgrade
from domain.clocks import next_deadline
from domain.commands import Accept, Complete
from policies.loader import load_pack
from support.completions import ANSWER
from support.golden import start_issue
from support.stories import PROPERTY, START, Story, store
from support.temporal import dev_server
from worker import build
from workflows.contract import PREFIX, RECORD, TASK_QUEUE, Batch
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
        assert registry.get_sample_value("jiesu_alarms_open") == 2

        async with build(client, database):
            began = await start_issue(client, "terminated")
            async with asyncio.timeout(60):
                while not await _is_stored(database, "terminated"):
                    await asyncio.sleep(0.1)
            await client.get_workflow_handle(PREFIX + "terminated").terminate()
        assert await watch.look(began + BOUND + timedelta(minutes=1)) == 1
    assert sorted(await _alarms(database)) == [
        ("deadline-overlooked", "overlooked"),
        ("deadline-overlooked", "terminated"),
        ("workflow-fails", "failing"),
    ]
    await database.close()


class Calm:
    """A server on which no workflow fails."""

    async def list_workflows(self, _: str) -> AsyncIterator[Any]:
        for nothing in ():
            yield nothing


def on(database: Database) -> Watch:
    return Watch(cast("Client", Calm()), database, CollectorRegistry())


async def test_a_climb_that_is_missed_after_the_red_light_is_told_of(database: Database) -> None:
    story = Story(policy=load_pack("52022"))
    await store(database, story, story.reported() + story.wait(11 * 60))
    assert story.told[-1]["kind"] == "overdue"
    climb = next_deadline(story.issue)
    assert climb is not None
    assert (climb.what, climb.at) == ("climb", START + timedelta(minutes=30))
    watch = on(database)
    assert await watch.look(climb.at + BOUND) == 0
    assert await watch.look(climb.at + BOUND + timedelta(minutes=1)) == 1
    assert await _alarms(database) == [("deadline-overlooked", story.id)]


async def test_a_clock_of_a_year_without_a_calendar_is_overlooked_only_after_its_latest_moment(
    database: Database,
) -> None:
    story = Story(policy=load_pack("52022"), now=datetime(2026, 12, 29, 2, tzinfo=UTC))
    await store(database, story, story.reported() + story.give(Accept(), PROPERTY))
    await store(database, story, story.give(Complete("explained", ANSWER), PROPERTY))
    (clock,) = story.issue.clocks
    latest = datetime(2027, 1, 20, 15, 59, 59, tzinfo=UTC)
    assert (clock.clause, clock.provisional, clock.due) == ("silence", True, latest)
    watch = on(database)
    assert await watch.look(latest) == 0
    assert await watch.look(latest + BOUND + timedelta(minutes=1)) == 1


async def test_two_that_look_at_once_raise_one_alarm_each(database: Database) -> None:
    for _ in range(30):
        story = Story()
        await store(database, story, story.reported())
    other = Database(database.url)
    later = START + BOUND + timedelta(minutes=1)
    raised = await asyncio.gather(*(on(each).look(later) for each in (database, other)))
    assert sum(raised) == len(await _alarms(database)) == 30
    await other.close()


async def _is_stored(database: Database, issue: str) -> bool:
    async with database.read() as session:
        return await session.get(IssueRow, issue) is not None


async def _alarms(database: Database) -> list[tuple[str, str | None]]:
    async with database.read() as session:
        query = select(AlarmRow).order_by(AlarmRow.id.desc())
        return [(alarm.kind, alarm.issue) for alarm in await session.scalars(query) if alarm.seen_at is None]
