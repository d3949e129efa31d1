"""New issues pin what was published, without a restart and while SQL is away, and auditors find it by its digest."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import delete

from audit.holdings import Holdings
from audit.service import AuditService
from cli.publish import Publication, _tell
from db.published import publish
from db.tables import PublishedCalendarRow
from domain.wire import dump
from domain.worktime import SHANGHAI, YearCalendar
from protocol.clock import now
from support.system import System
from workflows.contract import PREFIX

CALENDAR = YearCalendar(datetime.now(SHANGHAI).year, 99, (), (), "a test")
OTHER = YearCalendar(CALENDAR.year + 1, 99, (), (), "a test")
"""Of which no process of the API has heard."""


@pytest.fixture
async def published(system: System) -> AsyncIterator[None]:
    """Published in the database of the running API, which uses it by now."""
    await system.database.transact(lambda session: publish(session, [CALENDAR], (), now(), None))
    async with asyncio.timeout(system.patience):
        while dump(CALENDAR) not in (await pins(system, (await system.report())["id"])):
            await asyncio.sleep(0.1)
    yield
    async with system.database.write() as session:
        await session.execute(delete(PublishedCalendarRow))


async def pins(system: System, issue: str) -> list[dict[str, Any]]:
    """The calendars in the state of its workflow."""
    return (await system.temporal.get_workflow_handle(PREFIX + issue).query("snapshot"))["calendars"]


@pytest.mark.usefixtures("published")
async def test_auditors_find_a_published_calendar_from_the_first_event_on(system: System) -> None:
    taken = await system.report()
    await system.until(f"/v1/issues/{taken['id']}/timeline", system.staff, lambda body: body["events"])
    service = AuditService(Holdings(system.database, system.archive), system.heads, system.temporal)
    async with asyncio.timeout(system.patience):
        states = await service.states(taken["id"])
    assert states[0][0].kind == "reported"
    assert all(CALENDAR in issue.calendars for _, issue in states)


@pytest.mark.usefixtures("published")
async def test_without_sql_reports_get_it_all_the_same(system: System) -> None:
    async with system.without_sql():
        taken = await system.report()
        assert taken.status == 201
        assert dump(CALENDAR) in await pins(system, taken["id"])


async def test_an_issue_that_is_not_on_record_yet_is_counted_and_told_by_the_next_run(system: System) -> None:
    async def tell() -> tuple[int, int]:
        done = Publication((), is_new=True)
        await _tell(system.temporal, system.database, system.keys.signer, taken["id"], [OTHER], done)
        return done.told, done.unreached

    await system.stop_worker()
    try:
        taken = await system.report()
        assert await tell() == (0, 1)
    finally:
        await system.start_worker()
    async with asyncio.timeout(system.patience):
        while (found := await tell()) == (0, 1):
            await asyncio.sleep(0.1)
    assert found == (1, 0)
    kinds = await system.until(
        f"/v1/issues/{taken['id']}/timeline", system.staff,
        lambda body: "calendar_published" in [event["kind"] for event in body["events"]],
    )  # fmt: skip
    assert await tell() == (0, 0)
    assert dump(OTHER) in await pins(system, taken["id"])
    assert [event["kind"] for event in kinds["events"]].count("calendar_published") == 1
