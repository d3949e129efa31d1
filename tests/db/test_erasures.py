"""Erasure in the read model: which issues are due, what is forgotten, and that no text stays in the files."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from db import erasures
from db.engine import Database
from db.queries import Filters, list_issues
from db.tables import ErasureRow, EventRow, IssueRow, SearchTerm
from db.upgrade import upgrade
from domain.commands import Adopt, Voice, Withdraw
from domain.vocabulary import CATEGORIES
from support.canary import Canaries
from support.databases import sqlite_url
from support.stories import COMMUNITY, RESIDENT, START, Story, store

LATER = START + timedelta(days=30)


async def closed(database: Database, **options: object) -> Story:
    story = Story(**options)
    await store(database, story, [*story.reported(), *story.until_closed()])
    return story


async def opened(database: Database, **options: object) -> Story:
    story = Story(**options)
    await store(database, story, story.reported())
    return story


async def ask(database: Database, *stories: Story, why: str = "request", at=START) -> None:
    await database.transact(lambda session: erasures.ask(session, [(story.id, why, at) for story in stories]))


async def waiting(database: Database, most: int = 10, only: list[str] | None = None) -> list[tuple[str, str]]:
    async with database.read() as session:
        return [(row.issue, category) for row, category in await erasures.waiting(session, most, only=only)]


async def row_of(database: Database, story: Story) -> ErasureRow:
    async with database.read() as session:
        found = await session.get(ErasureRow, story.id)
    assert found is not None
    return found


async def test_a_second_request_does_not_change_the_first(database: Database):
    story = await closed(database)
    await ask(database, story)
    await ask(database, story, why="retention", at=LATER)
    row = await row_of(database, story)
    assert (row.why, row.asked_at, row.done_at) == ("request", START, None)


async def test_closed_issues_are_erased_in_order_of_request(database: Database):
    first, second = await closed(database), await closed(database, category="drain")
    unfinished = await opened(database)
    await ask(database, second, at=LATER)
    await ask(database, first, unfinished)
    assert await waiting(database) == [(first.id, "leak"), (second.id, "drain")]
    assert await waiting(database, 1) == [(first.id, "leak")]
    async with database.read() as session:
        ((row, _),) = await erasures.waiting(session, 1)
        assert [each.issue for each, _ in await erasures.waiting(session, 10, row)] == [second.id], "where it went on"
    assert await waiting(database, only=[second.id, unfinished.id]) == [(second.id, "drain")]
    await database.transact(lambda session: erasures.note_done(session, [first.id], LATER))
    assert await waiting(database) == [(second.id, "drain")]
    await database.transact(lambda session: erasures.note_done(session, [first.id], LATER + timedelta(days=1)))
    assert (await row_of(database, first)).done_at == LATER, "done once"
    assert (await row_of(database, unfinished)).done_at is None


async def test_an_issue_is_not_found_by_its_words_any_more(database: Database):
    mine, other = await closed(database, description="厨房漏水"), await closed(database, description="厨房漏水")
    for _ in range(2):
        await database.transact(lambda session: erasures.forget(session, mine.id))
    async with database.read() as session:
        page = await list_issues(session, Filters(q="漏水"))
        held = set(await session.scalars(select(SearchTerm.issue)))
        row = await session.get(IssueRow, mine.id)
    assert [row.id for row in page.items] == [other.id]
    assert held == {other.id}
    assert row is not None
    assert (row.words, row.closed_kind, row.satisfaction) == ("", "solved", "satisfied")


async def test_of_an_issue_that_is_not_there_nothing_is_forgotten(database: Database):
    other = await closed(database, description="厨房漏水")
    await database.transact(lambda session: erasures.forget(session, "nowhere"))
    async with database.read() as session:
        assert [row.id for row in (await list_issues(session, Filters(q="漏水"))).items] == [other.id]


async def test_is_asked_tells_requested_issues(database: Database):
    story, other = await closed(database), await closed(database)
    await ask(database, story)
    assert await database.transact(lambda session: erasures.is_asked(session, story.id))
    assert not await database.transact(lambda session: erasures.is_asked(session, other.id))


async def test_kept_long_enough_are_those_closed_before_the_limit_of_their_category(database: Database):
    leak, drain = await closed(database), await closed(database, category="drain")
    late = await closed(database, now=LATER)
    unfinished, asked = await opened(database), await closed(database)
    await ask(database, asked)
    limit = START + timedelta(days=1)

    async def outlived(most: int = 10, **limits) -> set[str]:
        async with database.read() as session:
            found = {**dict.fromkeys(CATEGORIES, START - timedelta(days=1)), **limits}
            return set(await erasures.outlived(session, found, most))

    assert await outlived(leak=limit) == {leak.id}
    assert await outlived(leak=limit, drain=limit) == {leak.id, drain.id}
    assert await outlived(leak=LATER + timedelta(days=1)) == {leak.id, late.id}
    assert await outlived(leak=LATER + timedelta(days=1), most=1) == {leak.id}, "the oldest first"
    assert unfinished.id not in await outlived(leak=LATER + timedelta(days=400))
    assert await outlived() == set()


async def test_all_that_somebody_reported(database: Database):
    first = await closed(database)
    second = await opened(database, now=LATER)
    async with database.read() as session:
        mine = await erasures.reported_by(session, [RESIDENT.person, "r-somebody"])
        assert [row.id for row in mine] == [first.id, second.id]
        assert await erasures.reported_by(session, ["r-somebody"]) == []


async def test_whoever_decides_after_the_reporter_has_not_reported_it(database: Database):
    story = await opened(database)
    heir = Voice("r-neighbour", story.now, "issue-2", reported=True)
    await store(database, story, story.give(Adopt("issue-2", voices=(heir,)), COMMUNITY))
    await store(database, story, story.give(Withdraw(), RESIDENT))
    assert story.issue.reporter == heir.person
    async with database.read() as session:
        assert await erasures.reported_by(session, [heir.person]) == []
        assert [row.id for row in await erasures.reported_by(session, [RESIDENT.person])] == [story.id]


async def test_a_database_that_is_scrubbed_works_on(database: Database):
    story = await closed(database)
    await database.transact(lambda session: erasures.forget(session, story.id))
    assert await database.scrub()
    await closed(database)
    async with database.read() as session:
        assert len((await list_issues(session)).items) == 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    upgrade(sqlite_url(tmp_path))
    return tmp_path / "jiesu.db"


def held(file: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file.parent.iterdir())


async def test_nothing_stays_in_free_pages_and_in_the_log(file: Path):
    database, canaries = Database(f"sqlite:///{file}"), Canaries()
    story = await closed(database, description=canaries.plant("description"))
    await database.transact(lambda session: erasures.forget(session, story.id))
    async with database.write() as session:
        await session.execute(delete(EventRow))  # in them, here, it was not sealed
    assert canaries.found(held(file)), "as SQLite leaves it"
    assert await database.scrub()
    assert canaries.found(held(file)) == []
    await database.close()


async def test_scrub_gives_up_on_a_long_reader(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("db.engine._LOCK_TIMEOUT", 0.1)
    database = Database(f"sqlite:///{file}")
    await closed(database)
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM issues").fetchone()
        assert not await database.scrub()
        reader.execute("COMMIT")
        reader.execute("BEGIN IMMEDIATE")
        assert not await database.scrub()
        reader.execute("COMMIT")
    assert await database.scrub()
    await database.close()


async def test_scrub_gives_up_after_its_time_limit(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("db.engine._LONGEST_SCRUB", -1.0)
    monkeypatch.setattr("db.engine._STEPS", 1)
    database = Database(f"sqlite:///{file}")
    await closed(database)
    assert not await database.scrub()
    await database.close()
