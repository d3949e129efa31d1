"""The activity that records: quick to give up as a local one, stubborn as an ordinary one."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.contract import Batch
from activities.records import Breaker, Records
from db import queries
from db.engine import Database
from db.tables import IssueRow
from domain.commands import Accept, Comment
from support.stories import PROPERTY, Story, chained, store

PATIENT = 60.0
"""Seconds for a local attempt on a busy machine."""
Run = Callable[[Records, Batch], Awaitable[str]]


def batch(story: Story, events: list[dict[str, object]]) -> Batch:
    if events[0]["seq"] != 1:
        return Batch(story.id, events)
    return Batch(story.id, events, **story.pins)


async def locally(records: Records, what: Batch) -> str:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, is_local=True)
    return await environment.run(records.record, what)


async def ordinarily(records: Records, what: Batch) -> str:
    return await ActivityEnvironment().run(records.record, what)


@pytest.mark.parametrize("run", [locally, ordinarily])
async def test_it_stores_and_says_what_is_stored(database: Database, run: Run):
    records, story = Records(database, Breaker(), PATIENT), Story()
    events = story.reported()
    assert await run(records, batch(story, events)) == chained(events)
    accepted = story.give(Accept(), PROPERTY)
    assert await run(records, batch(story, accepted)) == chained(accepted)
    async with database.read() as session:
        assert await queries.issue(session, story.id) == story.issue


async def test_only_an_ordinary_one_rewrites(database: Database):
    records = Records(database, breaker := Breaker(), PATIENT)
    story, lost = Story(id="same"), Story(id="same")
    await store(database, story, story.reported())
    lost.reported()
    await store(database, lost, lost.give(Accept("不算数"), PROPERTY))
    true = batch(story, story.give(Accept("算数"), PROPERTY))
    with pytest.raises(ApplicationError) as caught:
        await locally(records, true)
    assert caught.value.non_retryable
    assert not breaker.is_open  # the database is well
    assert await ordinarily(records, true) == chained(true.events)


async def test_a_gap_is_tried_again_by_an_ordinary_one(database: Database):
    records, story = Records(database, Breaker()), Story()
    story.reported()
    with pytest.raises(Exception, match="is at version 0"):
        await ordinarily(records, batch(story, story.give(Comment(), PROPERTY)))


async def test_a_hanging_database_is_given_up_at_once_and_then_not_asked(database: Database):
    clock = [0.0]
    breaker = Breaker(cool=5, clock=lambda: clock[0])
    records, story = Records(database, breaker), Story()
    other = Database(database.url)
    await store(other, story, story.reported())
    accepted = batch(story, story.give(Accept(), PROPERTY))
    async with other.write() as holder:  # holds what the activity needs
        await holder.scalar(select(IssueRow).with_for_update())
        with pytest.raises(TimeoutError):
            await locally(records, accepted)
        assert breaker.is_open
        with pytest.raises(ApplicationError, match="away"):
            await locally(records, accepted)
    assert await ordinarily(records, accepted) == chained(accepted.events)
    assert not breaker.is_open
    assert await locally(Records(database, breaker, PATIENT), accepted) == chained(accepted.events)
    await other.close()


async def test_a_local_attempt_that_was_given_up_leaves_nothing_half_done(database: Database):
    records, story = Records(database, Breaker()), Story()
    other = Database(database.url)
    await store(other, story, story.reported())
    accepted = batch(story, story.give(Accept(), PROPERTY))
    async with other.write() as holder:
        await holder.scalar(select(IssueRow).with_for_update())
        with pytest.raises(TimeoutError):
            await locally(records, accepted)
    found = await asyncio.gather(*(ordinarily(records, accepted) for _ in range(5)))
    assert set(found) == {chained(accepted.events)}
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(IssueRow)) == 1
        assert await queries.issue(session, story.id) == story.issue
    await other.close()


async def test_a_database_that_is_not_there_trips_the_breaker():
    breaker = Breaker()
    missing = Database("sqlite:////nonexistent/folder/jiesu.db")
    story = Story()
    with pytest.raises(Exception, match="unable to open"):
        await locally(Records(missing, breaker), batch(story, story.reported()))
    assert breaker.is_open
    await missing.close()


def test_of_many_who_ask_while_it_is_open_one_may_try_now_and_then():
    clock = [0.0]
    breaker = Breaker(cool=5, clock=lambda: clock[0])
    assert breaker.allows()
    breaker.trip(TimeoutError())
    assert not breaker.allows()
    clock[0] = 5
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    clock[0] = 10
    assert breaker.allows()
    breaker.close()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]
