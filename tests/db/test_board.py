"""The public board reads few rows by an index of its own, and leaves out what nobody but the parties may know of."""

import pytest
from sqlalchemy import event, update

from db import board
from db.board import open_issues
from db.engine import Database
from db.tables import IssueRow
from support.stories import Story, store


async def reported(database: Database) -> Story:
    story = Story()
    await store(database, story, story.reported())
    return story


async def changed(database: Database, story: Story, **values: object) -> None:
    async with database.write() as session:
        await session.execute(update(IssueRow).where(IssueRow.id == story.id).values(**values))


async def shown(database: Database, story: Story) -> list[board.BoardRow]:
    async with database.read() as session:
        return list(await open_issues(session, story.issue.place.compound))


@pytest.mark.parametrize(
    "hidden", [{"category": "dispute"}, {"category": "care"}, {"about_operator": True}, {"compound": "elsewhere"}]
)
async def test_what_nobody_else_may_know_of_is_not_on_the_board(database: Database, hidden: dict[str, object]) -> None:
    story = await reported(database)
    assert len(await shown(database, story)) == 1
    await changed(database, story, **hidden)
    assert await shown(database, story) == []


@pytest.mark.parametrize(("joinable", "building"), [(True, "3"), (False, None), (None, None)])
async def test_the_house_is_told_only_where_neighbours_may_join(
    database: Database, joinable: bool | None, building: str | None
) -> None:
    story = await reported(database)
    await changed(database, story, joinable=joinable, building="3")
    assert [row.building for row in await shown(database, story)] == [building]


async def test_a_board_is_bounded_and_the_most_pressing_come_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "MOST", 2)
    stories = [await reported(database) for _ in range(3)]
    for n, story in enumerate(stories):
        await changed(database, story, left_by=story.now.replace(year=2030 - n), category=("leak", "noise", "drain")[n])
    assert [row.category for row in await shown(database, stories[0])] == ["drain", "noise"]


async def test_the_board_is_read_by_its_index(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL reads a table of three rows as a whole")
    story = await reported(database)
    asked: list[tuple[str, object]] = []

    def listen(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    await shown(database, story)
    event.remove(engine, "before_cursor_execute", listen)
    statement, parameters = next(each for each in asked if "FROM issues" in each[0])
    async with database.read() as session:
        connection = await session.connection()
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
        assert "ix_issues_compound_board" in str(plan.all())
