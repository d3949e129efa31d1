"""A real worker creates the Temporal schedules and runs their jobs."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from temporalio.client import Client, ScheduleOverlapPolicy
from temporalio.service import RPCError

from audit.log_keys import LogKeys
from audit.schedules import RECONCILE, RETAIN, SCHEDULES, SEAL_DAY
from db import erasures
from db.engine import Database
from db.tables import AlarmRow, HeadRow
from db.upgrade import upgrade_async
from domain.personal import Sealed
from runtime.settings import Settings, SettingsError
from runtime.temporal import encrypting
from security.opening import open_converter, prepare_keys
from support.stories import Story, store
from support.temporal import dev_server
from worker import open_archive
from workflows.contract import TASK_QUEUE

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def worker(home: Path, client: Client) -> AsyncIterator[None]:
    """`jiesu worker` as a deployment runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JIESU_")}
    address = client.service_client.config.target_host
    env = {**kept, "JIESU_HOME": str(home), "JIESU_TEMPORAL_ADDRESS": address, "PYTHONPATH": str(ROOT)}
    child = await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", "cli", "worker", env=env)
    try:
        yield
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 60) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()


async def described(client: Client, name: str) -> Any:
    """What the server says of a schedule, once there is one."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(RPCError):
                return await client.get_schedule_handle(name).describe()
            await asyncio.sleep(0.1)


async def until_done(client: Client, name: str) -> Any:
    """Lets a schedule act now; the result of what it started."""
    handle = client.get_schedule_handle(name)
    await handle.trigger()
    async with asyncio.timeout(60):
        while not (found := (await handle.describe()).info.recent_actions):
            await asyncio.sleep(0.1)
        started = found[-1].action
        return await client.get_workflow_handle(started.workflow_id, run_id=started.first_execution_run_id).result()


async def number(database: Database, row: type[HeadRow] | type[AlarmRow]) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(row)) or 0


async def test_a_worker_keeps_the_schedules_and_does_what_they_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    database = Database(f"sqlite:///{home / 'jiesu.db'}")
    home.mkdir()
    await upgrade_async(str(database.url))
    await prepare_keys(Settings(home=home), has_issues=False)
    LogKeys.create(home / "keys" / "seal", "city.example/jiesu")
    async with dev_server(tmp_path) as plain:
        client = encrypting(plain, open_converter(Settings(home=home)))
        async with worker(home, client):
            for name in SCHEDULES:
                schedule = (await described(client, name)).schedule
                assert schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
                assert schedule.action.task_queue == TASK_QUEUE
            assert (await described(client, SEAL_DAY)).schedule.spec.time_zone_name == "Asia/Shanghai"
            assert [f"{each:%H:%M}" for each in (await described(client, SEAL_DAY)).info.next_action_times][:1] == [
                "16:05"
            ]
            await until_done(client, RECONCILE)
            await until_done(client, SEAL_DAY)
            assert await number(database, HeadRow) == 1
            assert len(list((home / "heads").glob("0-*.txt"))) == 1
            assert await alarms(database) == []
            assert [f"{each:%H:%M}" for each in (await described(client, RETAIN)).info.next_action_times][:1] == [
                "19:30"
            ]
            story = Story()
            story.description = Sealed(story.id, "bm9ib2R5")  # type: ignore[assignment]
            await store(database, story, [*story.reported(), *story.until_closed()])
            await database.transact(lambda session: erasures.ask(session, [(story.id, "request", story.now)]))
            done = await until_done(client, RETAIN)
            assert done == {"erased": 1, "by_category": {"leak": 1}, "failed": 0, "accesses": 0}

        await client.get_schedule_handle(RECONCILE).delete()
        await client.get_schedule_handle(SEAL_DAY).pause(note="of this place")
        async with worker(home, client):
            await described(client, RECONCILE)
            await until_done(client, RECONCILE)
            assert (await described(client, SEAL_DAY)).schedule.state.paused, "that is for people to undo"
    await database.close()


async def alarms(database: Database) -> list[str]:
    """Kinds of alarms; not that of the next year's calendar, which is missing each December until it is published."""
    async with database.read() as session:
        return [kind for kind in await session.scalars(select(AlarmRow.kind)) if kind != "calendar-missing"]


def test_an_archive_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.raises(SettingsError, match=r"^JIESU_ARCHIVE cannot be opened: \w+$"):
        open_archive(Settings(archive=str(tmp_path / "file" / "archive")))


async def test_a_worker_without_a_key_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    database = Database(f"sqlite:///{home / 'jiesu.db'}")
    home.mkdir()
    await upgrade_async(str(database.url))
    await prepare_keys(Settings(home=home), has_issues=False)
    async with dev_server(tmp_path) as client, worker(home, client):
        async with asyncio.timeout(60):
            while not (found := await alarms(database)):
                await asyncio.sleep(0.1)
        assert found == ["no-seal-key"]
    await database.close()
