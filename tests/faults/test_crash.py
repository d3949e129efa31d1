"""`jiesu up` under load, killed at any moment and at named places, and restarted: nothing acknowledged is lost.

Each run prints its seed and commit; `JIESU_TEST_SEED` runs it again.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import select

from db.engine import Database
from db.tables import CalendarsRow, EventRow, IssueRow, NoticeRow, OutboxRow, PolicyRow, ReceiptRow
from domain.events import Escalated, Event, load_event
from domain.issue import Issue
from domain.pins import read_calendars, read_policy
from domain.rules import evolve
from runtime.failpoints import Failpoint
from support.crash import CHECKOUT, Jiesu, Outage, opened, say, until
from support.load import Load
from support.verdict import holds, now

EVERYTHING = ("up", "worker", "api", "temporal")
OF_THE_API = ("before-start", "after-start", "before-signal", "after-signal")
SEED = int(os.environ.get("JIESU_TEST_SEED") or random.SystemRandom().randrange(10**6))
LINUX_ONLY = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills by /proc and PR_SET_PDEATHSIG")


@dataclass(frozen=True)
class Chapter:
    """One life of `jiesu up`: a process dies at a failpoint, another is killed (if any), and in the end `up` with `ender`.

    `ender` is ``all`` (at one moment), ``up`` (the kernel ends its children) or ``orphan`` (the dev server survives).
    """

    failpoint: Failpoint
    between: str
    ender: str


CHAPTERS: Sequence[Chapter] = (
    Chapter("local-after-commit", "worker", "all"),
    Chapter("after-signal", "temporal", "all"),
    Chapter("before-commit", "api", "up"),
    Chapter("after-commit", "", "all"),
    Chapter("before-signal", "", "orphan"),
    Chapter("after-start", "", "all"),
    Chapter("local-before-commit", "", ""),
)
"""Sixteen kills; between the record and its workflow task is the first."""


@dataclass
class Story:
    """What happened to a system that was killed again and again."""

    jiesu: Jiesu
    rng: random.Random
    outages: list[Outage] = field(default_factory=list)

    def over(self, what: str, began: datetime) -> None:
        self.outages.append(Outage(what, began, now()))
        say(self.outages[-1])

    async def play(self, chapters: Sequence[Chapter]) -> None:
        """All chapters in turn; afterwards it runs, whole."""
        began: datetime | None = None
        survivor: int | None = None
        for number, chapter in enumerate(chapters):
            nth = self.rng.randint(2, 8)
            await self.jiesu.start(chapter.failpoint, nth, guarded=chapter.ender != "orphan")
            if began is not None:
                self.over(chapters[number - 1].ender, began)
            if survivor is not None:
                await self.jiesu.gone([survivor])
            await self._failpoint(chapter.failpoint)
            await self._between(chapter.between)
            began = await self._end(chapter.ender)
            survivor = self.jiesu.pids().get("temporal") if chapter.ender == "orphan" else None

    async def _failpoint(self, name: Failpoint) -> None:
        await until(self.jiesu.has_fired, f"somebody comes to {name}")
        began = now()
        await self.jiesu.whole(None if name in OF_THE_API else began)
        self.over(name, began)

    async def _between(self, name: str) -> None:
        if not name:
            return
        await self._a_while()
        pid = self.jiesu.pids()[name]
        began = now()
        self.jiesu.kill([name])
        await self.jiesu.gone([pid])
        await self.jiesu.whole(None if name == "api" else began)
        self.over(name, began)

    async def _end(self, ender: str) -> datetime | None:
        if not ender:
            return None
        await self._a_while()
        running = self.jiesu.pids()
        victims = {"all": EVERYTHING, "up": ("up",), "orphan": ("up", "worker", "api")}[ender]
        began = now()
        self.jiesu.kill(victims)
        if ender != "orphan":
            await self.jiesu.gone(running.values())
            return began
        await self.jiesu.gone(running[name] for name in victims)
        assert self.jiesu.pids() == {"temporal": running["temporal"]}, "the dev server is to survive"
        return began

    async def _a_while(self) -> None:
        await asyncio.sleep(self.rng.uniform(0.2, 2.5))


@LINUX_ONLY
async def test_issues_survive_sixteen_kills(tmp_path: Path) -> None:
    await crash(tmp_path, CHAPTERS)


@LINUX_ONLY
@pytest.mark.night
async def test_issues_survive_a_hundred_kills(tmp_path: Path) -> None:
    rng = random.Random(f"{SEED}-chapters")
    names: tuple[Failpoint, ...] = get_args(Failpoint)
    chapters = [
        Chapter(names[n % len(names)], rng.choice(EVERYTHING[1:]), rng.choice(("all", "all", "up", "orphan")))
        for n in range(34)
    ]
    await crash(tmp_path, [*chapters, Chapter("local-after-commit", "worker", "")])


async def crash(folder: Path, chapters: Sequence[Chapter]) -> None:
    """The whole story: load and kills, then quiet, then everything that must hold."""
    say(f"JIESU_TEST_SEED={SEED} at commit {commit()}")
    jiesu = Jiesu(folder / "home")
    story = Story(jiesu, random.Random(f"{SEED}-kills"))
    load = Load(jiesu.url, jiesu.home, SEED)
    try:
        async with load.going():
            await story.play(chapters)
        await load.settle()
        say(f"{len(load.issues)} issues, {len(load.acknowledged)} acknowledged, {dict(load.answers)}")
        await judge(jiesu, load, story.outages)
        assert await jiesu.stop() == 0
        assert not jiesu.leftovers()
    finally:
        await clear(jiesu)


async def judge(jiesu: Jiesu, load: Load, outages: Sequence[Outage]) -> None:
    """The one checker, and what it does not look at."""
    # One outage may follow before the work of the one before it is made up for.
    bound = outages[-1].ended - outages[0].began + timedelta(seconds=30)
    async with opened(jiesu) as (client, database):
        await holds(client, database, load.acknowledged, bound)
        await check_receipts(database, load)
        await check_notices(database)
        climbs = await check_climbs(database)
    missed = [at for at in climbs if any(each.began < at < each.ended for each in outages)]
    assert missed, "no deadline fell into any outage: this run shows nothing"
    say(f"{len(climbs)} climbs, {len(missed)} of them due while something was away")


async def check_receipts(database: Database, load: Load) -> None:
    """Each acknowledged command has its receipt, in one issue."""
    async with database.read() as session:
        known = {(row.issue, row.command_id) for row in (await session.scalars(select(ReceiptRow))).all()}
    assert not {(each.issue, each.command) for each in load.acknowledged} - known


async def check_notices(database: Database) -> None:
    """Every notice that was asked for has gone out once, a lease later at the latest."""

    async def pending() -> int:
        async with database.read() as session:
            return len((await session.scalars(select(OutboxRow.id).where(OutboxRow.ready_at.is_not(None)))).all())

    deadline = now() + timedelta(seconds=90)
    while await pending() and now() < deadline:
        await asyncio.sleep(0.5)
    async with database.read() as session:
        asked = (await session.scalars(select(OutboxRow).where(OutboxRow.kind == "notice"))).all()
        delivered = set((await session.scalars(select(NoticeRow.id))).all())
    assert {row.status for row in asked} == {"sent"}
    assert {row.id for row in asked} == delivered


async def check_climbs(database: Database) -> list[datetime]:
    """When the climbs by deadline were due. Whoever was led to is not charged for what he could not see."""
    climbs: list[datetime] = []
    async with database.read() as session:
        policies = {row.digest: read_policy(row.body) for row in await session.scalars(select(PolicyRow))}
        calendars = {row.digest: read_calendars(row.body) for row in await session.scalars(select(CalendarsRow))}
        for row in (await session.scalars(select(IssueRow))).all():
            state = Issue.new(row.id, policies[row.first_policy], calendars[row.first_calendars])
            bodies = await session.scalars(select(EventRow.body).where(EventRow.issue == row.id).order_by(EventRow.seq))
            for event in map(load_event, bodies):
                state = evolve(state, event)
                if isinstance(event.body, Escalated) and event.recorded_at is not None:
                    climbs.append(event.at)
                    check_climb(event, state)
    return climbs


def check_climb(event: Event, after: Issue) -> None:
    assert event.recorded_at is not None
    # Before the grace is over only where a later command made the workflow look.
    assert event.recorded_at >= event.at, f"{after.id}: climbed before it was due"
    nobody = sum(part.ms for part in event.held if part.holder == "nobody")
    assert nobody == (event.recorded_at - event.at) // timedelta(milliseconds=1), f"{after.id}: {event.held}"
    led = [clock for clock in after.clocks if clock.level == event.level and clock.start.seq == event.seq]
    assert led, f"{after.id}: {event.level} has no clock"
    for clock in led:
        limit = next(clause.limit for clause in after.policy.clause if clause.id == clock.clause)
        assert clock.due == event.recorded_at + limit.span, f"{after.id}: {clock.clause} is charged for the outage"
    assert event.due is not None
    assert event.due >= event.recorded_at


async def clear(jiesu: Jiesu) -> None:
    """Leaves no process, whatever has gone wrong."""
    pids = jiesu.pids()
    jiesu.kill(EVERYTHING)
    await jiesu.gone(pids.values())
    jiesu.disarm()


def commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
