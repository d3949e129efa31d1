"""The access log keeps who, what, when and the result for half a year at least, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from db.access_log import Entry, LineFilter, listed, purge, put
from db.engine import Database
from db.tables import AccessRow
from runtime.settings import Settings
from support.system import System

NOW = datetime(2027, 7, 1, tzinfo=UTC)


def line(days: int) -> Entry:
    at = NOW - timedelta(days=days)
    return Entry(at, f"p{days}", "property", "demo-property", "demo-street", "phone", "some-issue", "shown")


async def test_row_32_nothing_is_removed_before_half_a_year(database: Database) -> None:
    ages = (0, 100, 182, 184, 400)
    await database.transact(lambda session: put(session, [line(days) for days in ages]))
    for days in (0, 30, 182):
        async with database.write() as session:
            with pytest.raises(ValueError, match="183 days"):
                await purge(session, NOW - timedelta(days=days), NOW)
    async with database.write() as session:
        assert await purge(session, NOW - timedelta(days=183), NOW) == 2
    async with database.read() as session:
        page = await listed(session, LineFilter("demo-street"))
    assert [row.person for row in page.items] == ["p0", "p100", "p182"]


def test_row_32_access_days_cannot_be_set_below_half_a_year() -> None:
    assert Settings().access_days >= 365
    with pytest.raises(ValidationError):
        Settings(access_days=182)


async def test_row_32_a_line_says_who_what_when_and_with_which_result(system: System) -> None:
    taken = await system.report(contact={"name": "住户", "phone": "13800000000"})
    await system.until(f"/v1/issues/{taken['id']}/timeline", system.staff, lambda body: body["events"])
    stranger = system.token("row-32", "community", "other-community")
    started = datetime.now(UTC) - timedelta(seconds=5)
    async with system.api_on(system.temporal) as client:
        path = f"/v1/issues/{taken['id']}/commands/accept"
        key = {"Idempotency-Key": "5b0c4f3e-5a52-4b5e-9d0e-2f6a4c1d7e85"}
        answer = await client.post(path, json={}, headers={**stranger, **key})
    async with system.database.read() as session:
        rows = (await session.scalars(select(AccessRow).where(AccessRow.issue == taken["id"]))).all()
    found = {(row.person, row.role, row.org, row.what, row.result) for row in rows}
    assert ("p1", "property", "demo-property", "phone", "shown") in found
    assert answer.status_code == 404
    assert ("row-32", "community", "other-community", "command.accept", "not-found") in found
    assert all(started - timedelta(minutes=1) < row.at < datetime.now(UTC) + timedelta(seconds=5) for row in rows)
    assert "13800000000" not in str([vars(row) for row in rows])
    assert "住户" not in str([vars(row) for row in rows])
