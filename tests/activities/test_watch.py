"""A stuck issue raises one alarm: by Temporal's report of a failing workflow, or by an overlooked deadline."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from prometheus_client import CollectorRegistry
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from structlog.testing import capture_logs
from temporalio import activity
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsResponse
from temporalio.client import Client
from temporalio.worker import Worker

from activities.watch import BOUND, LONGEST_CATCHING_UP, PERIOD_SECONDS, Watch
from db.alarms import mark, open_causes, put_alarm, settle
from db.engine import Database
from db.projector import record
from db.tables import AlarmRow, EventRow, IssueRow
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
        watch, moment = Watch(client, database, registry), START
        assert await watch.look(moment) == 0
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[IssueWorkflow], activities=[another_digest]):
            await start_issue(client, "failing")
            async with asyncio.timeout(60):
                while len(await _alarms(database)) < 2:
                    moment += timedelta(seconds=PERIOD_SECONDS)
                    await watch.look(moment)
        assert await keep_looking(watch, moment, moment + BOUND) == 0
        assert registry.get_sample_value("jiesu_alarms_open") == 2

        async with build(client, database):
            began = await start_issue(client, "terminated")
            async with asyncio.timeout(60):
                while not await _is_stored(database, "terminated"):
                    await asyncio.sleep(0.1)
            await client.get_workflow_handle(PREFIX + "terminated").terminate()
        assert await keep_looking(watch, began, began + 2 * BOUND) == 1
    assert sorted(await _alarms(database)) == [
        ("deadline-overlooked", "overlooked"),
        ("deadline-overlooked", "terminated"),
        ("workflow-fails", "failing"),
    ]
    await database.close()


class Calm:
    """A server on which no workflow fails."""

    namespace = "default"

    @property
    def workflow_service(self) -> "Calm":
        return self

    async def list_workflow_executions(self, *_: object, **__: object) -> ListWorkflowExecutionsResponse:
        return ListWorkflowExecutionsResponse()


def on(database: Database, registry: CollectorRegistry | None = None) -> Watch:
    return Watch(cast("Client", Calm()), database, registry or CollectorRegistry())


async def keep_looking(watch: Watch, since: datetime, until: datetime) -> int:
    """Looks as often as the worker does. Returns the number of alarms raised."""
    raised, moment = 0, since
    while moment <= until:
        raised += await watch.look(moment)
        moment += timedelta(seconds=PERIOD_SECONDS)
    return raised


async def test_a_climb_that_is_missed_after_the_red_light_is_told_of(database: Database) -> None:
    story = Story(policy=load_pack("52022"))
    await store(database, story, story.reported() + story.wait(11 * 60))
    assert story.told[-1]["kind"] == "overdue"
    climb = next_deadline(story.issue)
    assert climb is not None
    assert (climb.what, climb.at) == ("climb", START + timedelta(minutes=30))
    watch = on(database)
    assert await keep_looking(watch, climb.at, climb.at + BOUND) == 0
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
    assert await keep_looking(watch, latest - BOUND, latest + BOUND) == 0
    assert await watch.look(latest + BOUND + timedelta(minutes=1)) == 1


async def test_two_that_look_at_once_raise_one_alarm_each(database: Database) -> None:
    for _ in range(30):
        story = Story()
        await store(database, story, story.reported())
    other = Database(database.url)
    later = START + BOUND + timedelta(minutes=1)
    watches = [on(each) for each in (database, other)]
    for watch in watches:
        assert await keep_looking(watch, START, START + BOUND) == 0
    raised = await asyncio.gather(*(watch.look(later) for watch in watches))
    assert sum(raised) == len(await _alarms(database)) == 30
    await other.close()


async def test_after_a_stop_issues_have_time_to_catch_up_and_alarms_close_by_themselves(database: Database) -> None:
    stories = [Story() for _ in range(4)]
    for story in stories:
        await store(database, story, story.reported())
    registry = CollectorRegistry()
    watch, back = on(database, registry), START + timedelta(hours=2)
    assert await keep_looking(watch, back, back + BOUND / 2) == 0
    *prompt, slow = stories
    for story in prompt:
        await store(database, story, story.wait(7200 + 1200))
    assert await keep_looking(watch, back + BOUND / 2, back + 2 * BOUND) == 1
    assert await _alarms(database) == [("deadline-overlooked", slow.id)]
    assert registry.get_sample_value("jiesu_alarms_open") == 1

    await store(database, slow, slow.wait(7200 + 1200))
    over = back + 2 * BOUND + timedelta(seconds=PERIOD_SECONDS)
    assert await watch.look(over) == 0
    assert await _alarms(database) == []
    assert registry.get_sample_value("jiesu_alarms_open") == 0
    async with database.read() as session:
        (alarm,) = await session.scalars(select(AlarmRow))
        assert (alarm.gone_at, alarm.seen_at) == (over, over)


async def test_a_gap_between_looks_gives_time_again(database: Database) -> None:
    story = Story()
    watch = on(database)
    assert await keep_looking(watch, START, START + 2 * BOUND) == 0
    await store(database, story, story.reported())
    assert await watch.look(START + timedelta(hours=9)) == 0
    assert await keep_looking(watch, START + timedelta(hours=9), START + timedelta(hours=9) + BOUND) == 1


async def test_who_gets_fewer_is_catching_up_but_not_for_ever(database: Database) -> None:
    looks = int(LONGEST_CATCHING_UP.total_seconds() / PERIOD_SECONDS)
    stories = [Story() for _ in range(looks + 20)]
    for story in stories:
        await store(database, story, story.reported())
    watch, back = on(database), START + timedelta(hours=2)
    raised: list[int] = []
    for n, story in enumerate(stories):
        raised.append(await watch.look(back + n * timedelta(seconds=PERIOD_SECONDS)))
        async with database.write() as session:
            later = update(IssueRow).where(IssueRow.id == story.id).values(acts_at=START + timedelta(days=9))
            await session.execute(later)
    first = next(n for n, count in enumerate(raised) if count)
    assert looks <= first <= looks + 2 + BOUND.total_seconds() / PERIOD_SECONDS


async def test_a_marked_alarm_comes_again_only_after_its_cause_was_gone(database: Database) -> None:
    async def settled(*issues: str) -> tuple[int, int]:
        return await database.transact(lambda session: settle(session, "workflow-fails", issues, issues, START))

    assert await settled("a", "b") == (2, 0)
    async with database.read() as session:
        (first,) = await session.scalars(select(AlarmRow.id).where(AlarmRow.issue == "a"))
    assert await database.transact(lambda session: mark(session, START, which=first)) == 1
    assert await database.transact(lambda session: mark(session, START, which=first)) == 0
    assert await settled("a", "b") == (0, 0)
    assert await settled("b") == (0, 0)  # it was not open any more
    assert await settled("a", "b") == (1, 0)
    assert await settled() == (0, 2)
    assert await database.transact(lambda session: mark(session, START, kind="workflow-fails")) == 0


async def test_thousands_of_one_cause_are_told_as_one(database: Database) -> None:
    issues = [f"i{n:04}" for n in range(5000)]
    with capture_logs() as lines:
        await database.transact(lambda session: settle(session, "workflow-fails", issues, issues, START))
    assert [line for line in lines if line["event"] == "alarm"] == [
        {"event": "alarm", "log_level": "error", "kind": "workflow-fails", "alarms": 5000, "some": issues[:3]}
    ]
    async with database.read() as session:
        (cause,) = await session.run_sync(open_causes)
        assert (cause.kind, cause.alarms, cause.first.issue) == ("workflow-fails", 5000, "i0000")
    registry = CollectorRegistry()
    with capture_logs() as lines:
        await on(database, registry).look(START)  # none of them fails
    assert [line["alarms"] for line in lines if line["event"] == "alarm_closed"] == [5000]
    assert registry.get_sample_value("jiesu_alarms_open") == 0


async def test_an_alarm_about_what_is_tried_again_closes_once_that_is_done(database: Database) -> None:
    recorded, stuck = Story(), Story()
    for story in (recorded, stuck):
        await store(database, story, story.reported())

    def fails(session: Session) -> None:
        for story in (recorded, stuck):
            put_alarm(session, "record-fails", story.id, {}, datetime.now(UTC))
        put_alarm(session, "job-failing", stuck.id, {"job": "archive", "id": 0, "error": "x"}, START)

    await database.transact(fails)
    await store(database, recorded, recorded.give(Accept(), PROPERTY))
    async with database.write() as session:
        soon = datetime.now(UTC) + timedelta(seconds=1)
        await session.execute(
            update(EventRow).where(EventRow.issue == recorded.id, EventRow.seq > 2).values(stored_at=soon)
        )
    await on(database).look(START)
    assert await _alarms(database) == [("record-fails", stuck.id)]


async def _is_stored(database: Database, issue: str) -> bool:
    async with database.read() as session:
        return await session.get(IssueRow, issue) is not None


async def _alarms(database: Database) -> list[tuple[str, str | None]]:
    async with database.read() as session:
        query = select(AlarmRow).order_by(AlarmRow.id.desc())
        return [(alarm.kind, alarm.issue) for alarm in await session.scalars(query) if alarm.seen_at is None]
