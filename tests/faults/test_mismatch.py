"""Code or database contradict the record: an alarm is raised, nothing is lost, and the repair heals the issues."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update
from temporalio.client import Client, WorkflowExecutionStatus

import domain.milestones
import worker
from activities.watch import Watch
from audit.invariants import Acknowledged, check
from db.engine import Database
from db.tables import AlarmRow, EventRow
from db.upgrade import upgrade_async
from domain.wire import format_time, truncate
from runtime.observability import metrics_registry
from support.databases import sqlite_url
from support.golden import give, start_issue
from support.scenarios import STAFF
from support.temporal import dev_server
from support.verdict import holds, now
from workflows.contract import PREFIX

SOON = "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2"
"""Failed tasks in a row after which the server says that a workflow has problems; 5 otherwise, and half a minute."""
FAILING = 'WorkflowType="Issue" AND TemporalReportedProblems IS NOT NULL'
SPOIL = """
CREATE TRIGGER spoil AFTER INSERT ON events BEGIN
    UPDATE events SET body = json_set(body, '$.level', 'street') WHERE issue = NEW.issue AND seq = NEW.seq;
END
"""


class Shell:
    """A dev server and a database; whoever works on them is up to the test."""

    def __init__(self, client: Client, database: Database) -> None:
        self.client = client
        self.database = database
        self.promised: list[Acknowledged] = []

    async def start(self, issue: str) -> None:
        await start_issue(self.client, issue, f"{issue}-report")
        self.promised.append(Acknowledged(issue, f"{issue}-report"))

    async def give(self, issue: str, name: str) -> None:
        plain = {"id": f"{issue}-{name}", "at": format_time(truncate(now())), "actor": STAFF, "body": {}}
        await give(self.client, issue, name, plain)
        self.promised.append(Acknowledged(issue, f"{issue}-{name}"))

    async def holds(self, patience: float = 90) -> None:
        await holds(self.client, self.database, self.promised, timedelta(seconds=120), patience)

    async def failing(self) -> set[str]:
        return {each.id.removeprefix(PREFIX) async for each in self.client.list_workflows(FAILING)}

    async def alarms(self) -> list[tuple[str, str | None]]:
        async with self.database.read() as session:
            return [(row.kind, row.issue) for row in (await session.scalars(select(AlarmRow))).all()]

    async def numbers(self) -> list[int]:
        async with self.database.read() as session:
            return list(await session.scalars(select(EventRow.seq)))


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    url = sqlite_url(tmp_path)
    await upgrade_async(url)
    database = Database(url)
    async with dev_server(tmp_path, SOON) as client:
        yield Shell(client, database)
    await database.close()


async def test_a_release_with_other_rules_fails_tasks_aloud_and_the_one_before_heals(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await other_rules(shell, monkeypatch, 5)


@pytest.mark.night
async def test_a_release_with_other_rules_under_many_open_issues(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    await other_rules(shell, monkeypatch, 1000)


async def other_rules(shell: Shell, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    issues = {f"open-{n}" for n in range(many)}
    async with worker.build(shell.client, shell.database):
        for issue in issues:
            await shell.start(issue)
            await shell.give(issue, "accept")
        await shell.holds()

    with monkeypatch.context() as released:
        meets: dict[str, Any] = {**domain.milestones.MEETS, "accepted": ()}
        released.setattr(domain.milestones, "MEETS", meets)
        async with worker.build(shell.client, shell.database):
            for issue in issues:
                await shell.give(issue, "comment")
            async with asyncio.timeout(60 + many):
                while await shell.failing() != issues:
                    await asyncio.sleep(0.2)
            watch = Watch(shell.client, shell.database, metrics_registry())
            assert await watch.look(now()) == many
            assert sorted(await shell.alarms()) == sorted(("workflow-fails", issue) for issue in issues)
            found = await check(
                shell.client, shell.database, shell.promised, now=now(), bound=timedelta(seconds=120), workflow=False
            )
            assert {each.issue for each in found if each.invariant == "I9"} == issues
        for issue in issues:
            description = await shell.client.get_workflow_handle(PREFIX + issue).describe()
            assert description.status is WorkflowExecutionStatus.RUNNING, "a task fails, never the workflow"

    async with worker.build(shell.client, shell.database):
        for issue in issues:
            await shell.give(issue, "arrive")
        await shell.holds(90 + many)
    assert not await shell.failing()


async def test_a_database_that_returns_altered_events_raises_an_alarm_and_the_issue_goes_on(shell: Shell) -> None:
    async with worker.build(shell.client, shell.database):
        await shell.start("odd")
        await shell.holds()
        async with shell.database.write() as session:
            await session.execute(text(SPOIL))
        await shell.give("odd", "accept")
        async with asyncio.timeout(60):
            while ("stored-differs", "odd") not in await shell.alarms():
                await asyncio.sleep(0.2)
        assert len(await shell.numbers()) == 2, "nothing wrong is kept"
        async with shell.database.write() as session:
            await session.execute(text("DROP TRIGGER spoil"))
        async with asyncio.timeout(60):
            while len(await shell.numbers()) < 3:
                await asyncio.sleep(0.2)
        async with shell.database.write() as session:
            await session.execute(update(AlarmRow).values(seen_at=now()))
        await shell.give("odd", "arrive")
        await shell.holds()
