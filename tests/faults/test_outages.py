"""Workers or the database are away for a while: commands are accepted, and deadlines keep their times."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

import worker
from activities.records import _BREAKER
from audit.invariants import Acknowledged
from db.engine import Database
from db.tables import EventRow
from db.writer import T, Work
from domain.commands import ANONYMOUS
from domain.events import Escalated, Event, load_event
from security.ids import command_id
from support.again import SECONDS
from support.completions import ANSWER
from support.outage import away
from support.system import Answer, System
from support.verdict import holds, now
from workflows.contract import PREFIX

LIMIT = timedelta(seconds=10)
"""Each step's in compound `demo`."""
GRACE = timedelta(seconds=1)


class Callers:
    """People who use a system and keep what they were told."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.acknowledged: list[Acknowledged] = []
        self._keys = random.Random(7)

    def _key(self) -> str:
        bits = f"{self._keys.getrandbits(128):032x}"
        return "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))

    async def report(self) -> Answer:
        key = self._key()
        said = await _again(lambda: self.system.report(key=key))
        assert said.status == 201, said.body
        self.acknowledged.append(Acknowledged(said["id"], command_id(said["id"], ANONYMOUS, "report", key)))
        return said

    async def recorded(self) -> Answer:
        """An issue that is on record already."""
        said = await self.report()
        await self.system.until(f"/v1/issues/{said['id']}", self.system.staff, lambda body: body["version"] >= 2)
        return said

    async def send(self, issue: str, command: str, headers: dict[str, str], **body: Any) -> int:
        key = self._key()
        said = await _again(lambda: self.system.send(issue, command, headers, key, **body))
        assert said.status in (200, 202), said.body
        self.acknowledged.append(Acknowledged(issue, said["command_id"]))
        return said.status


async def _again(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer, asked for again by the same key after a 503: on a busy machine a second may be too short."""
    until = time.monotonic() + SECONDS
    while (said := await call()).status == 503 and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return said


async def events_of(database: Database, issue: str) -> list[Event]:
    async with database.read() as session:
        bodies = await session.scalars(select(EventRow.body).where(EventRow.issue == issue).order_by(EventRow.seq))
        return [load_event(body) for body in bodies]


async def eventually(database: Database, issue: str, kind: str, count: int = 1) -> list[Event]:
    """The issue's events once so many of this kind are recorded."""
    async with asyncio.timeout(90):
        while True:
            found = await events_of(database, issue)
            if sum(event.kind == kind for event in found) >= count:
                return found
            await asyncio.sleep(0.1)


async def climbed(system: System, issue: str, level: str) -> None:
    """Waits until the workflow has moved the lead there, whether or not that is on record."""
    handle = system.temporal.get_workflow_handle(PREFIX + issue)
    async with asyncio.timeout(90):
        while (await handle.query("snapshot"))["state"].get("level") != level:
            await asyncio.sleep(0.1)


def climbs(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event.body, Escalated)]


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_a_command_given_in_time_counts_though_every_worker_was_stopped(system: System) -> None:
    """Sent before its deadline, folded after it: the handler was in time, the clock moved on from there."""
    callers = Callers(system)
    issue = (await callers.recorded())["id"]
    await system.stop_worker()
    before = now()
    assert await callers.send(issue, "accept", system.staff, note="马上到") == 202
    after = now()
    await asyncio.sleep(13)
    restarted = now()
    await system.start_worker()

    events = await eventually(system.database, issue, "escalated")
    (accepted,) = [event for event in events if event.kind == "accepted"]
    assert before - timedelta(milliseconds=1) <= accepted.at <= after
    climb = climbs(events)[0]
    assert accepted.seq < climb.seq
    assert (climb.clause, climb.at, climb.level) == ("arrive", accepted.at + LIMIT, "community")
    assert climb.recorded_at is not None
    assert climb.recorded_at >= restarted - timedelta(milliseconds=1)
    assert climb.due == climb.recorded_at + LIMIT, "the community is not charged for the outage"
    assert sum(part.ms for part in climb.held if part.holder == "nobody") == ms(climb.recorded_at - climb.at)
    await holds(system.temporal, system.database, callers.acknowledged, timedelta(seconds=30))


async def test_with_sql_away_commands_are_taken_and_deadlines_kept(system: System) -> None:
    await without_sql(system, 13)


@pytest.mark.night
async def test_commands_are_taken_while_sql_is_away_for_a_minute(system: System) -> None:
    await without_sql(system, 60)


async def without_sql(system: System, seconds: float) -> None:
    callers = Callers(system)
    ignored, worked, talked = [(await callers.recorded())["id"] for _ in range(3)]
    await callers.send(worked, "accept", system.staff)
    began = now()
    async with away(system.url):
        await callers.send(worked, "arrive", system.staff, assessment="minor")
        await callers.send(talked, "comment", system.staff, text="在路上")
        await callers.send(worked, "complete", system.staff, answer=ANSWER)
        late = await callers.report()
        code = {"X-Tracking-Code": late["tracking_code"]}
        await callers.send(late["id"], "comment", code, text="在吗")
        await asyncio.sleep(seconds - (now() - began).total_seconds())
        await climbed(system, ignored, "street" if seconds > 30 else "community")
        async with asyncio.timeout(90):  # tasks no longer wait for the database, each for itself
            while not _BREAKER.is_open:
                await asyncio.sleep(0.1)
        ended = now()

    steps = 2 if seconds > 30 else 1
    events = await eventually(system.database, ignored, "escalated", steps)
    due = events[0].at + LIMIT
    for climb in climbs(events)[:steps]:
        # The workflow acted on time; only the record came later.
        assert climb.recorded_at is not None
        assert climb.at == due
        assert due + GRACE <= climb.recorded_at <= ended
        due = climb.recorded_at + LIMIT
        assert climb.due == due
    arrived, completed = [
        next(event for event in await eventually(system.database, worked, "completed") if event.kind == kind)
        for kind in ("arrived", "completed")
    ]
    assert began - timedelta(milliseconds=1) <= arrived.at <= completed.at <= ended
    assert (await eventually(system.database, late["id"], "commented"))[0].at <= ended
    await holds(system.temporal, system.database, callers.acknowledged, timedelta(seconds=seconds + 30))


class Cut(Database):
    """Commits, and then the connection is cut before anybody hears of it, every second time."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.commits = 0
        self.reported_failed = 0

    async def transact(self, work: Work[T]) -> T:
        result = await super().transact(work)
        self.commits += 1
        if self.commits % 2:
            self.reported_failed += 1
            raise OperationalError("COMMIT", {}, ConnectionError("cut after the commit"))
        return result


async def test_what_was_committed_but_reported_failed_is_recorded_once(system: System) -> None:
    callers = Callers(system)
    await system.stop_worker()
    cut = Cut(system.url)
    async with worker.build(system.temporal, cut):
        said = await callers.report()
        issue, code = said["id"], {"X-Tracking-Code": said["tracking_code"]}
        await callers.send(issue, "accept", system.staff)
        await callers.send(issue, "arrive", system.staff, assessment="minor")
        await callers.send(issue, "complete", system.staff, answer=ANSWER)
        await callers.send(issue, "confirm", code, outcome="solved", satisfaction="satisfied")
        await eventually(system.database, issue, "closed")
    assert cut.reported_failed
    await cut.close()
    await system.start_worker()
    await holds(system.temporal, system.database, callers.acknowledged, timedelta(seconds=30))


def ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
