"""`jiesu calendar publish` on a running home: open and new issues get the calendars, and their record stays whole."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import calendars
from db import queries
from db.engine import Database
from domain.wire import dump
from domain.worktime import SHANGHAI, YearCalendar
from support.again import client_of
from support.crash import CHECKOUT, PATIENCE, Jiesu, opened
from support.ports import free_port
from support.verdict import holds

TODAY = datetime.now(SHANGHAI)
REPORT = {"compound": "other", "category": "facility", "description": "路灯坏了", "location": "3幢"}
BOUND = timedelta(minutes=10)


@pytest.fixture
async def jiesu(tmp_path: Path) -> AsyncIterator[Jiesu]:
    found = Jiesu(tmp_path / "home")
    await found.start()
    yield found
    await found.stop()


async def command(jiesu: Jiesu, *arguments: str, temporal_port: int | None = None) -> str:
    """What it prints as people run it; with another port, which nothing listens on, what it fails with."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JIESU_")}
    environment |= {"JIESU_HOME": str(jiesu.home), "PYTHONPATH": str(CHECKOUT)}
    environment |= {f"JIESU_{name}_PORT": str(port) for name, port in jiesu.ports.items()}
    if temporal_port is not None:
        environment["JIESU_TEMPORAL_PORT"] = str(temporal_port)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "cli", "calendar", *arguments, cwd=jiesu.home.parent, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = (stream.decode() for stream in await process.communicate())
    assert process.returncode == (0 if temporal_port is None else 1), out + err
    return out or err


async def pinned(database: Database, issue: str, versions: int = 0) -> dict[int, YearCalendar]:
    """The calendars of the issue by year, once it is on record with at least so many of version 99."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with database.read() as session:
                found = await queries.issue(session, issue)
            if found is not None and sum(each.version == 99 for each in found.calendars) >= versions:
                return {calendar.year: calendar for calendar in found.calendars}
            await asyncio.sleep(0.1)


async def test_open_and_new_issues_get_both_years_of_a_notice(jiesu: Jiesu) -> None:
    known = {calendar.year: calendar for calendar in calendars.load_all()}
    this = known.get(TODAY.year, YearCalendar(TODAY.year, 1, (), ()))
    eve, new_year = date(TODAY.year, 12, 31), date(TODAY.year + 1, 1, 1)
    notice = (
        YearCalendar(TODAY.year, 99, tuple(sorted({*this.off, eve})), this.on, "a notice"),
        YearCalendar(TODAY.year + 1, 99, (new_year,), (), "a notice"),
    )
    file = jiesu.home.parent / "notice.json"
    file.write_text(json.dumps({"calendars": dump(notice)}), encoding="utf-8")
    wanted = {calendar.year: calendar for calendar in notice}

    async with opened(jiesu) as (temporal, database), client_of(jiesu.url) as client:

        async def report() -> Any:
            return (await client.post("/v1/issues", json=REPORT, headers={"Idempotency-Key": str(uuid.uuid4())})).json()

        before = (await report())["id"]
        assert set(await pinned(database, before)) <= set(known)
        broke_off = await command(jiesu, "publish", str(file), "--by", "duty desk", temporal_port=free_port())
        assert "run the same again" in broke_off
        assert set(await pinned(database, before)) <= set(known)
        said = await command(jiesu, "publish", str(file))
        assert said.endswith("new issues get it, as before; sent to 1 open issues\n")
        assert f"{TODAY.year} version 99" in said
        after = (await report())["id"]
        assert await pinned(database, before, 2) == wanted
        assert await pinned(database, after, 2) == wanted
        async with database.read() as session:
            kinds = {
                issue: [event.kind for event in await queries.timeline(session, issue)] for issue in (before, after)
            }
        assert [kinds[issue].count("calendar_published") for issue in (before, after)] == [2, 0]

        assert (await command(jiesu, "publish", str(file))).endswith("as before; sent to 0 open issues\n")
        listed = json.loads(await command(jiesu, "list", "--json"))
        assert [each["published_by"] for each in listed if each["version"] == 99] == ["duty desk", "duty desk"]
        await holds(temporal, database, (), BOUND)
