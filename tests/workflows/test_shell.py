"""The workflow itself: its one lazy timer, its mailbox, its state across runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from calendars import load_all
from db.engine import Database
from db.upgrade import upgrade
from domain.events import chain, event_digest
from domain.wire import dump, format_time, truncate
from policies.loader import load_pack
from support.completions import ANSWER
from support.derived import derive, runs_of
from support.golden import give, start_issue
from support.scenarios import ADMIN, RESIDENT, STAFF
from support.skipping import SkippedTime, skipped_time
from support.temporal import dev_server
from worker import build
from workflows.contract import PREFIX, RECORD, TASK_QUEUE, Batch
from workflows.issue import IssueWorkflow

LEAK = {"category": "leak", "description": "漏水"}
DONE = {"kind": "explained", "answer": ANSWER}
CONFIRM = {"outcome": "solved", "satisfaction": "satisfied"}


@pytest_asyncio.fixture
async def skipping(tmp_path: Path) -> AsyncIterator[SkippedTime]:
    async with skipped_time(tmp_path) as time:
        yield time
        await time.clear()


async def timers(time: SkippedTime, issue: str) -> list[timedelta]:
    """The durations of the timers that the workflow started."""
    (history,) = await runs_of(time.environment.client, issue)
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
    ]


async def report(time: SkippedTime) -> tuple[str, datetime]:
    now = await time.now()
    return await time.report(now, "demo", LEAK, load_all()), now


async def test_deadlines_that_move_later_start_no_timer(skipping: SkippedTime) -> None:
    issue, now = await report(skipping)
    await skipping.give(issue, now, "accept", STAFF)
    await skipping.give(issue, now, "arrive", STAFF, {"assessment": "minor"})
    await skipping.give(issue, now, "complete", STAFF, DONE)
    (only,) = await timers(skipping, issue)
    assert only <= timedelta(seconds=9)  # the yellow light of the first step, and the grace


async def test_an_overtaken_timer_does_nothing_and_sleeps_on(skipping: SkippedTime) -> None:
    issue, now = await report(skipping)
    await skipping.give(issue, now, "accept", STAFF)
    await skipping.give(issue, now, "complete", STAFF, DONE)
    before = len(await skipping.events(issue))
    await skipping.until(now + timedelta(seconds=30))
    assert len(await skipping.events(issue)) == before
    assert len(await timers(skipping, issue)) == 2
    await skipping.until(now + timedelta(seconds=62))
    assert [event.kind for event in await skipping.events(issue)][-1] == "closed"


async def test_a_deadline_that_moves_earlier_arms_a_second_timer_at_once(skipping: SkippedTime) -> None:
    issue, now = await report(skipping)
    await skipping.give(issue, now, "accept", STAFF)
    await skipping.give(issue, now, "complete", STAFF, DONE)
    await skipping.until(now + timedelta(seconds=20))  # asleep until the resident's minute is over
    later = now + timedelta(seconds=20)
    await skipping.give(issue, later, "reopen", RESIDENT | {"person": f"reporter-{issue}"}, {"reason": "还在漏"})
    await skipping.until(later + timedelta(seconds=12))
    events = await skipping.events(issue)
    climbs = [event for event in events if event.kind == "escalated"]
    assert [(event.clause, event.level) for event in climbs] == [("accept", "community")]
    assert climbs[0].at == later + timedelta(seconds=10)


class Gate:
    """Records nothing and says that it did; what is held up waits until it is opened."""

    def __init__(self, *, away: bool = False) -> None:
        self._away = away
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    @activity.defn(name=RECORD)
    async def record(self, batch: Batch) -> str:
        if self._away and activity.info().is_local:
            raise ApplicationError("the database is away", non_retryable=True)
        if self._away or any(event["kind"] == "closed" for event in batch.events):
            self.asked.set()
            await self.open.wait()
        return chain(map(event_digest, batch.events))


@contextlib.asynccontextmanager
async def gated(folder: Path, gate: Gate, *dynamic: str) -> AsyncIterator[Client]:
    async with (
        dev_server(folder, *dynamic) as client,
        Worker(client, task_queue=TASK_QUEUE, workflows=[IssueWorkflow], activities=[gate.record]),
    ):
        yield client


async def say(client: Client, issue: str, number: str) -> None:
    at = format_time(truncate(datetime.now(UTC)))
    await give(client, issue, "comment", {"id": number, "at": at, "actor": STAFF, "body": {"text": number}})


async def test_what_arrives_while_the_close_is_recorded_is_answered(tmp_path: Path) -> None:
    gate = Gate()
    async with gated(tmp_path, gate) as client:
        at = format_time(await start_issue(client, "late"))
        await give(client, "late", "withdraw", {"id": "w", "at": at, "actor": RESIDENT, "body": {}})
        await asyncio.wait_for(gate.asked.wait(), 90)
        await say(client, "late", "too-late")
        handle = client.get_workflow_handle(PREFIX + "late")
        receipt = await handle.query("receipt", "too-late")
        gate.open.set()
        await asyncio.wait_for(handle.result(), 90)
        derived = await derive("late", await runs_of(client, "late"))
    assert [event["kind"] for event in derived.events][-2:] == ["closed", "refused"]
    assert (receipt["outcome"], receipt["seq"]) == ("refused", len(derived.events))
    assert derived.recorded == len(derived.events)


async def test_while_a_next_run_waits_for_the_record_the_issue_goes_on(tmp_path: Path) -> None:
    """With the database away, a run that should be continued anew folds commands and keeps its deadlines."""
    gate = Gate(away=True)
    async with gated(tmp_path, gate, "limit.historyCount.suggestContinueAsNew=10") as client:
        await start_issue(client, "on")
        handle = client.get_workflow_handle(PREFIX + "on")
        await asyncio.wait_for(gate.asked.wait(), 90)
        for number in range(4):  # from some of them on, the server suggests it
            await say(client, "on", f"c{number}")
            assert await handle.query("receipt", f"c{number}") is not None
        async with asyncio.timeout(90):
            while (await handle.query("snapshot"))["state"].get("level") != "community":
                await asyncio.sleep(0.2)
        assert len(await runs_of(client, "on")) == 1
        gate.open.set()
        async with asyncio.timeout(90):
            while len(await runs_of(client, "on")) == 1:
                await asyncio.sleep(0.2)
        shown = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        await say(client, "on", "after")
        assert await handle.query("receipt", "after") is not None
        runs = await runs_of(client, "on")
    signals = [
        event.workflow_execution_signaled_event_attributes
        for event in runs[0].events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert [each.request_id.partition(":")[0] for each in signals] == [f"c{number}" for number in range(4)]
    assert (await derive("on", runs)).recorded > 6
    assert "JS\\-on" in shown.current_details, "what and where"
    assert "lead: community" in shown.current_details.replace("\\", "")


async def test_a_closed_issue_answers_late_commands_with_a_refusal(skipping: SkippedTime) -> None:
    issue, now = await report(skipping)
    reporter = RESIDENT | {"person": f"reporter-{issue}"}
    await asyncio.gather(
        skipping.send(issue, now, "withdraw", reporter),
        skipping.send(issue, now, "comment", reporter, {"text": "谢谢"}),
        return_exceptions=True,
    )
    await skipping.settle()
    kinds = [event.kind for event in await skipping.events(issue)]
    assert kinds in (
        ["reported", "dispatched", "withdrawn", "closed"],  # the second came too late even to be heard
        ["reported", "dispatched", "withdrawn", "closed", "refused"],
        ["reported", "dispatched", "commented", "withdrawn", "closed"],
    )


async def test_a_repeat_has_no_effect_even_in_the_next_run(tmp_path: Path) -> None:
    """The server forgets request ids with the run; the issue's own receipts do not. Nothing is cached meanwhile."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'shell.db'}"
    await asyncio.to_thread(upgrade, url)
    database = Database(url)
    async with (
        dev_server(tmp_path, "limit.historyCount.suggestContinueAsNew=25") as client,
        build(client, database, max_cached_workflows=0),
    ):
        await start_issue(client, "repeat")
        at = format_time(truncate(datetime.now(UTC)))

        async def told(number: str, name: str, actor: dict[str, Any], body: dict[str, Any]) -> None:
            await give(client, "repeat", name, {"id": number, "at": at, "actor": actor, "body": body})

        await told("accept", "accept", STAFF, {})
        comments = 0
        while len(await runs_of(client, "repeat")) == 1 and comments < 200:
            await told(f"comment-{comments}", "comment", STAFF, {"text": str(comments)})
            comments += 1
            await asyncio.sleep(0.1)
        await told("accept", "accept", STAFF, {})
        await told("comment-0", "comment", STAFF, {"text": "0"})
        await told("complete", "complete", STAFF, DONE)
        await told("confirm", "confirm", RESIDENT, CONFIRM)
        await asyncio.wait_for(client.get_workflow_handle("issue-repeat").result(), 90)
        runs = await runs_of(client, "repeat")
        derived = await derive("repeat", runs)
    await database.close()
    assert len(runs) > 1
    kinds = [event["kind"] for event in derived.events]
    assert kinds.count("accepted") == 1
    assert kinds.count("commented") == comments
    assert "refused" not in kinds
    assert kinds[-1] == "closed"


async def test_the_first_event_is_recorded_with_what_was_pinned_at_the_start(tmp_path: Path) -> None:
    """Though the same fold pins another policy: whoever folds anew begins with the first."""
    batches: list[Batch] = []

    @activity.defn(name=RECORD)
    async def record(batch: Batch) -> str:
        batches.append(batch)
        return chain(map(event_digest, batch.events))

    async with dev_server(tmp_path) as client:
        at = format_time(await start_issue(client, "pinned"))
        other = {"policy": "12345", "reason": "换规则", "body": dump(load_pack("12345"))}
        await give(client, "pinned", "change_policy", {"id": "other", "at": at, "actor": ADMIN, "body": other})
        await give(client, "pinned", "withdraw", {"id": "w", "at": at, "actor": RESIDENT, "body": {}})
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[IssueWorkflow], activities=[record]):
            await asyncio.wait_for(client.get_workflow_handle(PREFIX + "pinned").result(), 90)
    first, *others = batches
    assert [event["kind"] for event in first.events][:1] == ["reported"]
    assert "policy_changed" in [event["kind"] for batch in batches for event in batch.events]
    assert first.policy is not None
    assert (first.policy["id"], [year["year"] for year in first.calendars or []]) == ("demo", [datetime.now(UTC).year])
    assert [(batch.policy, batch.calendars) for batch in others if batch.events[0]["seq"] > 1] == [(None, None)] * len(
        others
    )
