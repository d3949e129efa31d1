"""Column types mean the same on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import StatementError

from db.engine import Database
from db.tables import AlarmRow, PolicyRow
from db.types import FAR

CHINA = timezone(timedelta(hours=8))


async def kept(database: Database, at: datetime) -> datetime:
    async with database.write() as session:
        await session.execute(insert(AlarmRow).values(at=at, kind="test", detail={}))
    async with database.read() as session:
        found = await session.scalar(select(AlarmRow.at).where(AlarmRow.at == at))
    assert found is not None
    return found


async def test_a_moment_comes_back_in_utc_cut_to_milliseconds(database: Database):
    moment = datetime(2026, 3, 2, 9, 0, 0, 123999, tzinfo=CHINA)
    found = await kept(database, moment)
    assert found == datetime(2026, 3, 2, 1, 0, 0, 123000, tzinfo=UTC)
    assert found.tzinfo is UTC


async def test_the_far_future_survives_any_session_zone(database: Database):
    assert await kept(database, FAR) == FAR


async def test_a_time_without_a_zone_is_refused(database: Database):
    with pytest.raises(StatementError, match="zone"):
        await kept(database, datetime(2026, 3, 2))  # noqa: DTZ001 - meant


async def test_moments_sort_by_time(database: Database):
    moments = [datetime(2026, 3, 2, 1, tzinfo=UTC) + timedelta(milliseconds=n) for n in (5, 0, 1000, 999)]
    for moment in moments:
        await kept(database, moment)
    async with database.read() as session:
        assert list(await session.scalars(select(AlarmRow.at).order_by(AlarmRow.at))) == sorted(moments)


async def test_plain_values_come_back_exactly(database: Database):
    body = {"text": '引号" 反斜\\ 空\x00 😀', "float": 1.0, "int": 1, "none": None, "list": [True, {}]}
    async with database.write() as session:
        await session.execute(insert(PolicyRow).values(digest="d", id="p", version=1, body=body))
    async with database.read() as session:
        found = await session.scalar(select(PolicyRow.body))
    assert found == body
    assert found is not None
    assert isinstance(found["float"], float)


async def test_words_survive_a_nul(database: Database):
    async with database.write() as session:
        await session.execute(insert(PolicyRow).values(digest="d", id="a\x00b", version=1, body={}))
    async with database.read() as session:
        assert await session.scalar(select(PolicyRow.id)) == "a\ufffdb"
