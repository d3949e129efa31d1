"""The stamp of an issue or a worklist changes with each event, and with nothing else."""

from dataclasses import replace

from db import stamps
from db.engine import Database
from domain.commands import Accept, Arrive, Withdraw
from support.stories import PLACE, PROPERTY, RESIDENT, Story, store

HANDLER = "demo-property"


async def both(database: Database, *issues: str) -> tuple[dict[str, str], dict[str, str]]:
    async with database.read() as session:
        return await stamps.of_issues(session, issues), await stamps.of_worklists(session, [HANDLER, "nobody"])


async def test_each_event_changes_both_stamps_and_nothing_else_does(database: Database) -> None:
    story, other = Story(), Story(place=replace(PLACE, operator="other-property", community="x", street="y"))
    assert await both(database, story.id) == ({}, {HANDLER: "-/-", "nobody": "-/-"})
    seen = [await both(database, story.id)]
    for events in (story.reported(), story.give(Accept(), PROPERTY), story.give(Arrive("minor"), PROPERTY)):
        await store(database, story, events)
        assert await both(database, story.id) == await both(database, story.id)
        seen.append(await both(database, story.id))
    assert len({str(issues) for issues, _ in seen}) == len({str(orgs[HANDLER]) for _, orgs in seen}) == len(seen)
    await store(database, other, other.reported())
    assert await both(database, story.id) == seen[-1]


async def test_one_that_goes_as_another_of_the_same_version_comes_is_a_change(database: Database) -> None:
    gone, come = Story(), Story()
    await store(database, gone, gone.reported())
    _, before = await both(database)
    await store(database, gone, gone.give(Withdraw("自己修了"), RESIDENT))
    come.now = gone.now
    await store(database, come, come.reported())
    _, after = await both(database)
    assert before[HANDLER] != after[HANDLER]


async def test_more_than_the_database_takes_in_one_statement(database: Database) -> None:
    story = Story()
    await store(database, story, story.reported())
    found, _ = await both(database, *(f"issue-{n}" for n in range(1100)), story.id)
    assert list(found) == [story.id]
