"""Pictures of an issue are counted exactly under concurrency."""

import asyncio
from typing import Any

from db import attachments
from db.engine import Database
from domain.limits import MOST_PICTURES
from support.stories import START, Story, store


def row(issue: str, number: int) -> dict[str, Any]:
    return {
        "issue": issue, "digest": f"{number:064x}", "kind": "image/jpeg", "size": 7, "added_by": "sealed:x:y",
        "role": "resident", "org": None, "added_at": START,
    }  # fmt: skip


async def stored(database: Database) -> str:
    story = Story()
    await store(database, story, story.reported())
    return story.issue.id


async def add(database: Database, row: dict[str, Any]) -> attachments.Added:
    return await database.transact(lambda session: attachments.add(session, row))


async def test_concurrent_pictures_do_not_exceed_the_maximum(database: Database):
    issue = await stored(database)
    for number in range(MOST_PICTURES - 2):
        assert await add(database, row(issue, number)) == "added"
    found = await asyncio.gather(*(add(database, row(issue, number)) for number in range(100, 106)))
    assert sorted(found) == ["added", "added", "full", "full", "full", "full"]
    assert await add(database, row(issue, 0)) == "known"
    async with database.read() as session:
        assert len(await attachments.of_issue(session, issue)) == MOST_PICTURES


async def test_the_same_picture_added_concurrently_is_stored_once(database: Database):
    issue = await stored(database)
    found = await asyncio.gather(*(add(database, row(issue, 1)) for _ in range(4)))
    assert sorted(found) == ["added", "known", "known", "known"]


async def test_a_picture_of_an_unknown_issue_is_refused(database: Database):
    assert await add(database, row("nowhere", 1)) == "unknown"


async def test_removed_are_those_of_one_issue(database: Database):
    mine, other = await stored(database), await stored(database)
    for issue in (mine, other):
        await add(database, row(issue, 1))
        await add(database, row(issue, 2))
    await database.transact(lambda session: attachments.remove(session, mine, [f"{1:064x}"]))
    async with database.read() as session:
        assert await attachments.find(session, mine, f"{1:064x}") is None
        assert await attachments.find(session, mine, f"{2:064x}") is not None, "it came in between"
        assert await attachments.find(session, other, f"{1:064x}") is not None
