"""One look serves all watchers; each is told the newest, and all end with the hub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from db.engine import Database
from db.upgrade import upgrade
from domain.commands import Comment
from protocol.hub import Hub, Watched
from protocol.read_model import ReadModel
from support.databases import sqlite_url
from support.stories import PROPERTY, Story, store


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    upgrade(sqlite_url(tmp_path))
    found = Database(sqlite_url(tmp_path))
    yield found
    await found.close()


async def reported(database: Database) -> Story:
    story = Story()
    await store(database, story, story.reported())
    return story


@pytest.mark.parametrize("many", [1, 60])
async def test_many_watchers_cost_no_more_looks_than_one(database: Database, many: int) -> None:
    story = await reported(database)
    hub = Hub(ReadModel(database), pause=60)
    async with AsyncExitStack() as stack:
        watching = [hub.watch(Watched("issue", story.id)) for _ in range(many)]
        for each in watching:
            await stack.enter_async_context(aclosing(each))
        told = await asyncio.gather(*(anext(each) for each in watching))
    assert {news.stamp for news in told} == {f"0.{story.issue.version}"}
    assert hub.looks == 1


async def test_a_slow_watcher_is_told_the_newest_only(database: Database) -> None:
    story = await reported(database)
    hub = Hub(ReadModel(database), pause=0.01)
    async with (
        aclosing(hub.watch(Watched("issue", story.id))) as slow,
        aclosing(hub.watch(Watched("issue", story.id))) as other,
    ):
        assert (await anext(slow)).stamp == f"0.{story.issue.version}"
        await anext(other)
        for _ in range(3):
            await store(database, story, story.give(Comment("在路上"), PROPERTY))
            newest = f"0.{story.issue.version}"
        while (await anext(other)).stamp != newest:
            pass
        assert (await anext(slow)).stamp == newest


async def test_where_nothing_changes_a_watcher_hears_so_now_and_then(database: Database) -> None:
    story = await reported(database)
    hub = Hub(ReadModel(database), pause=0.01, tick=0.05)
    async with aclosing(hub.watch(Watched("issue", story.id))) as watching:
        first, second = await anext(watching), await anext(watching)
    assert (first.is_new, second.is_new, second.stamp) == (True, False, first.stamp)


async def test_a_known_stamp_is_no_news(database: Database) -> None:
    story = await reported(database)
    hub = Hub(ReadModel(database), pause=0.01, tick=3600)  # what comes sooner than an hour comes at once
    async with aclosing(hub.watch(Watched("issue", story.id), f"0.{story.issue.version}")) as watching:
        assert not (await anext(watching)).is_new


async def test_nobody_looks_once_nobody_watches(database: Database) -> None:
    story = await reported(database)
    hub = Hub(ReadModel(database), pause=0.01)
    async with aclosing(hub.watch(Watched("issue", story.id))) as watching:
        await anext(watching)
    await asyncio.sleep(0.05)
    looks = hub.looks
    await asyncio.sleep(0.1)
    assert hub.looks == looks
    async with aclosing(hub.watch(Watched("issue", story.id))) as watching:
        assert (await anext(watching)).is_new, "and looks again for who comes later"


async def test_the_end_of_the_hub_ends_all_watching_now_and_later(database: Database) -> None:
    story = await reported(database)
    hub = Hub(ReadModel(database), pause=0.01)
    async with aclosing(hub.watch(Watched("issue", story.id))) as watching:
        await anext(watching)
        hub.close()
        assert [news async for news in watching] == []
    assert [news async for news in hub.watch(Watched("issue", story.id))] == []


async def test_while_the_database_is_away_the_time_of_the_last_look_stands_still(
    database: Database, tmp_path: Path
) -> None:
    story = await reported(database)
    hub = Hub(ReadModel(database, rest=0.01), pause=0.01, tick=0.2)
    async with aclosing(hub.watch(Watched("issue", story.id))) as watching:
        await anext(watching)
        await renamed(database, "issues", "elsewhere")
        first, second = await anext(watching), await anext(watching)
        assert (first.is_new, second.is_new, second.looked_at) == (False, False, first.looked_at)
        await renamed(database, "elsewhere", "issues")
        while (await anext(watching)).looked_at == first.looked_at:
            pass


async def renamed(database: Database, old: str, new: str) -> None:
    async with database.write() as session:
        await session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
