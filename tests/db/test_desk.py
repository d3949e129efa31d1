"""The lists of a desk: each from its own index, in order, of the own place only, and read no further than they are long."""

from datetime import timedelta

from sqlalchemy import text, update

from db import desk
from db.engine import Database
from db.tables import IssueRow
from domain.commands import Accept, Escalate, Extend, Schedule
from domain.place import Place
from domain.waiting import rules_by
from policies.loader import load_pack
from support.stories import PROPERTY, START, Story, store

ELSEWHERE = Place("other", "other-community", "other-street", "demo-property", "company", "g1", "别处小区")
PATIENT = load_pack("52022")


async def begun(database: Database, place: Place | None = None) -> Story:
    story = Story(policy=PATIENT, **({} if place is None else {"place": place}))
    await store(database, story, story.reported())
    await store(database, story, story.give(Accept(), PROPERTY))
    return story


def in_order(*stories: Story) -> list[str]:
    due = {story.id: rules_by(story.issue, "community") for story in stories}
    return sorted(due, key=lambda issue: (due[issue] or START, issue))


async def test_each_list_holds_what_is_its_own_in_order(database: Database):
    asked, later, promising, climbed = [await begun(database) for _ in range(4)]
    await begun(database)
    await store(database, later, later.give(Extend("配件未到"), PROPERTY, seconds=600))
    await store(database, asked, asked.give(Extend("配件未到"), PROPERTY))
    await store(database, promising, promising.give(Schedule(promising.now + timedelta(hours=3)), PROPERTY))
    await store(database, climbed, climbed.give(Escalate("人手不足"), PROPERTY))
    foreign = await begun(database, ELSEWHERE)
    await store(database, foreign, foreign.give(Extend("配件未到"), PROPERTY))
    async with database.read() as session:
        assert await desk.awaited(session, "community", "demo-community") == in_order(asked, later)
        assert await desk.awaited(session, "street", "demo-street") == []
        assert await desk.promised(session, "demo-property") == [promising.id]
        assert await desk.climbed(session, "street", "demo-street", START) == [climbed.id]
        assert await desk.climbed(session, "community", "demo-community", climbed.now + timedelta(seconds=1)) == []
        found = await desk.climbs(session, [asked.id, climbed.id], START)
        assert {issue: event.kind for issue, event in found.items()} == {climbed.id: "escalated"}
        assert await desk.climbs(session, [climbed.id], climbed.now + timedelta(hours=1)) == {}


async def test_no_list_is_longer_or_reads_more_than_its_bound(database: Database):
    for _ in range(desk.MOST + 3):
        story = await begun(database)
        await store(database, story, story.give(Extend("配件未到"), PROPERTY))
    async with database.read() as session:
        assert len(await desk.awaited(session, "community", "demo-community")) == desk.MOST + 1


async def test_each_list_walks_along_its_index(database: Database):
    """At a million issues nothing else would do: no list sorts or scans."""
    lines: list[str] = []
    async with database.engine.connect() as connection:
        if not database.is_sqlite:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_sort = off")
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        for whose, when, order in (
            ("community", "community_rules_by", ""), ("street", "street_rules_by", ""), ("handler", "promised_by", ""),
            ("community", "led_at", " DESC"), ("street", "led_at", " DESC"),
        ):  # fmt: skip
            query = f"SELECT id FROM issues WHERE {whose} = 'x' AND {when} IS NOT NULL ORDER BY {when}{order}, id{order} LIMIT 31"
            found = [str(row[-1]) for row in await connection.exec_driver_sql(explain + query)]
            assert any(f"ix_issues_{whose}_{when}" in line for line in found), found
            assert not any("TEMP B-TREE" in line or "Sort" in line for line in found), found
            lines += found
    assert lines


async def test_rows_of_before_are_in_no_list_until_they_are_rebuilt(database: Database):
    story = await begun(database)
    await store(database, story, story.give(Extend("配件未到"), PROPERTY))
    async with database.write() as session:
        await session.execute(update(IssueRow).values(community_rules_by=None))
    async with database.read() as session:
        assert await desk.awaited(session, "community", "demo-community") == []
        assert (await session.execute(text("SELECT count(*) FROM issues"))).scalar_one() == 1
