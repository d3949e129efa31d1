"""The outbox: an entry is claimed once, settled by its claimer, and never left undecided."""

import asyncio
import copy
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select

from db import outbox
from db.engine import Database
from db.outbox import UNKNOWN, Entry
from db.tables import OutboxRow
from domain.commands import Accept, Adopt, Complete
from domain.events import load_event
from domain.notices import jobs
from support.completions import ANSWER
from support.stories import COMMUNITY, PROPERTY, START, STREET, Story, lit_at_night, store

SOON = timedelta(seconds=1)
LEASE = timedelta(minutes=1)
NOW = START + timedelta(minutes=5)


async def entries(database: Database) -> list[OutboxRow]:
    async with database.read() as session:
        return list(await session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


async def claim(database: Database, after: timedelta = timedelta(), **options: object) -> tuple[Entry, ...]:
    return await database.transact(lambda session: outbox.claim(session, NOW + after, NOW + after + LEASE, **options))


async def queued(database: Database, number: int = 1) -> list[Story]:
    stories = [Story() for _ in range(number)]
    for story in stories:
        await store(database, story, story.reported() + story.give(Accept(), PROPERTY))
    return stories


async def test_what_an_event_asks_for_is_queued_with_it(database: Database):
    (story,) = await queued(database)
    told = [(each.template, each.to_org, each.to_reporter, each.kind, each.status) for each in await entries(database)]
    assert told == [
        ("dispatched", "demo-property", False, "notice", "pending"),
        ("accepted", None, True, "notice", "pending"),
    ]
    facts = (await entries(database))[0].payload
    assert facts["number"] == story.issue.number
    assert facts["place"] == "体验小区"
    assert "漏水" not in str(facts)


async def test_a_light_of_the_night_is_queued_for_the_opening(database: Database):
    story, events, opening = lit_at_night()
    assert events[-1]["kind"] == "overdue"
    await store(database, story, events)
    ready = {each.template: each.ready_at for each in await entries(database)}
    assert ready["overdue"] == opening
    assert ready["accepted"] == story.now
    before = await claim(database, opening - NOW - SOON)
    assert "overdue" not in {each.template for each in before}
    assert {each.template for each in await claim(database, opening - NOW)} == {"overdue"}


async def test_a_light_that_is_stored_after_the_opening_is_due_at_once(database: Database):
    story, events, opening = lit_at_night()
    story.now = opening + timedelta(hours=1)  # storing had to wait for the database
    await store(database, story, events)
    assert {each.ready_at for each in await entries(database)} == {story.now}


async def test_a_light_that_was_withdrawn_in_the_night_is_not_told(database: Database):
    story, events, opening = lit_at_night()
    await store(database, story, events)
    async with database.write() as session:
        await session.run_sync(outbox.withdraw, story.id, story.issue.version, story.now)
    assert "overdue" not in {each.template for each in await claim(database, opening - NOW)}


async def test_a_job_is_queued_beside_the_notices(database: Database):
    story = Story()
    await store(database, story, story.reported() + story.give(Adopt("younger"), STREET))
    (job,) = [each for each in await entries(database) if each.kind == "job"]
    (asked,) = jobs(load_event(story.told[-1]), story.issue)
    assert (job.template, job.payload) == ("tell_merged", {"issue": "younger", "body": asked.body})


@pytest.mark.parametrize("begun", [True, False])
async def test_a_notice_in_flight_at_a_rewrite_returns_only_if_still_due(database: Database, begun: bool):
    story = Story()
    await store(database, story, story.reported())
    lost = copy.deepcopy(story)
    await store(
        database, lost, lost.give(Accept("不算数"), PROPERTY) + lost.give(Complete("explained", ANSWER), PROPERTY)
    )
    taken = await claim(database)
    await store(database, story, story.give(Accept("算数"), PROPERTY))
    async with database.write() as session:
        if begun:
            for entry in taken:
                await session.run_sync(outbox.postpone, entry, NOW, NOW + SOON, "busy")
        else:
            await session.run_sync(outbox.release, taken, NOW)
    told = {each.template: (each.status, each.ready_at is None, each.finished_at) for each in await entries(database)}
    assert told == {
        "dispatched": ("pending", False, None),  # before the rewrite
        "accepted": ("pending", False, None),  # asked for again, in the same words
        "completed": ("withdrawn", True, NOW),
    }
    assert len(await claim(database, SOON)) == 2


async def test_what_is_claimed_is_claimed_once(database: Database):
    await queued(database)
    async with database.read() as session:
        assert not await outbox.is_due(session, START - SOON)
        assert await outbox.is_due(session, NOW)
    first = await claim(database)
    assert [entry.attempt for entry in first] == [1, 1]
    assert await claim(database) == ()
    async with database.read() as session:
        assert not await outbox.is_due(session, NOW)


async def test_the_oldest_go_first(database: Database):
    await queued(database, 3)
    found = [entry.id for _ in range(3) for entry in await claim(database, most=2)]
    assert found == sorted(found)
    assert len(found) == 6


async def test_many_claim_at_once_and_nothing_is_taken_twice(database: Database):
    await queued(database, 20)
    other = Database(database.url)

    async def take(which: Database) -> list[int]:
        found: list[int] = []
        while taken := await claim(which, most=3):
            found += [entry.id for entry in taken]
        return found

    found = await asyncio.gather(*(take(which) for which in (database, other, database, other)))
    counted = Counter(entry for each in found for entry in each)
    assert len(counted) == 40
    assert set(counted.values()) == {1}
    await other.close()


async def test_a_settled_entry_stays_settled(database: Database):
    await queued(database)
    one, two = await claim(database)
    async with database.write() as session:
        await session.run_sync(outbox.settle, one, NOW + SOON)
        await session.run_sync(outbox.settle, two, NOW + SOON, "no such number")
    sent, failed = await entries(database)
    assert (sent.status, sent.last_error, sent.ready_at, sent.finished_at) == ("sent", None, None, NOW + SOON)
    assert (failed.status, failed.last_error, failed.attempts) == ("failed", "no such number", 1)
    assert await claim(database, timedelta(days=9)) == ()


async def test_a_postponed_entry_returns_at_its_time(database: Database):
    await queued(database)
    one, two = await claim(database)
    async with database.write() as session:
        await session.run_sync(outbox.postpone, one, NOW, NOW + timedelta(seconds=30), "busy")
        await session.run_sync(outbox.settle, two, NOW)
    assert await claim(database, timedelta(seconds=29)) == ()
    (again,) = await claim(database, timedelta(seconds=30))
    assert (again.id, again.attempt) == (one.id, 2)


async def test_a_released_entry_does_not_count_as_an_attempt(database: Database):
    await queued(database)
    taken = await claim(database)
    async with database.write() as session:
        await session.run_sync(outbox.release, taken, NOW)
    assert [entry.attempt for entry in await claim(database)] == [1, 1]


async def test_an_expired_lease_of_unknown_outcome_fails_the_entry(database: Database):
    await queued(database)
    await claim(database)
    assert await claim(database, LEASE) == ()
    assert {(each.status, each.last_error) for each in await entries(database)} == {("failed", UNKNOWN)}


async def test_a_lost_lease_is_taken_over_where_a_repeat_does_no_harm(database: Database):
    story = Story()
    await store(database, story, story.reported() + story.give(Adopt("younger"), COMMUNITY))
    await claim(database)
    jobs = await claim(database, LEASE)
    assert {entry.kind for entry in jobs} == {"job"}
    await queued(database)
    before = await claim(database, repeatable=True)
    again = await claim(database, LEASE + SOON, repeatable=True)
    assert {entry.id for entry in before} <= {entry.id for entry in again}


async def test_a_deliverer_that_lost_its_claim_cannot_settle(database: Database):
    await queued(database)
    late = await claim(database)
    again = await claim(database, LEASE, repeatable=True)
    async with database.write() as session:
        for entry in late:
            await session.run_sync(outbox.settle, entry, NOW, "too late")
    assert {each.status for each in await entries(database)} == {"sending"}
    async with database.write() as session:
        for entry in again:
            await session.run_sync(outbox.settle, entry, NOW)
        assert await outbox.tally(session) == {("notice", "sent"): 2}
