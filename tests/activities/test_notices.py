"""Delivery of notices: each at most once as far as its channel allows, and every failure recorded."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import select

from activities.notices import (
    FIRST_WAIT,
    LEASE,
    LONGEST_WAIT,
    MOST_TRIES,
    Deliverer,
    TableChannel,
    UndeliveredError,
    wait,
)
from db.engine import Database
from db.outbox import Entry
from db.tables import AlarmRow, NoticeRow, OutboxRow
from domain.commands import Accept, Adopt
from support.stories import PROPERTY, START, STREET, Story, lit_at_night, store


class Clock:
    def __init__(self) -> None:
        self.now = START + timedelta(hours=1)

    def __call__(self) -> datetime:
        return self.now


class Channel:
    """A channel that counts, and fails as told."""

    def __init__(self, *, repeatable: bool = False, failure: Exception | None = None) -> None:
        self.repeatable = repeatable
        self.failure = failure
        self.got: list[int] = []

    async def deliver(self, notice: Entry) -> None:
        self.got.append(notice.id)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


async def queued(database: Database, number: int = 1) -> None:
    for _ in range(number):
        story = Story()
        await store(database, story, story.reported() + story.give(Accept(), PROPERTY))


async def entries(database: Database) -> list[OutboxRow]:
    async with database.read() as session:
        return list(await session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


async def test_the_table_gateway_writes_one_row_each(database: Database):
    await queued(database, 3)
    deliverer = Deliverer(database, TableChannel(database, clock := Clock()), clock=clock)
    assert await deliverer.deliver_pending() == 6
    assert await deliverer.deliver_pending() == 0
    async with database.read() as session:
        rows = list(await session.scalars(select(NoticeRow).order_by(NoticeRow.id)))
    sent = await entries(database)
    assert [(row.id, row.template, row.to_org, row.payload) for row in rows] == [
        (each.id, each.template, each.to_org, each.payload) for each in sent
    ]
    assert {each.status for each in sent} == {"sent"}


async def test_a_second_delivery_to_the_table_changes_nothing(database: Database):
    await queued(database)
    gateway = TableChannel(database, Clock())
    entry = Entry(1, "i", 1, "notice", "accepted", None, True, {}, 1, START)
    await asyncio.gather(*(gateway.deliver(entry) for _ in range(3)))
    await gateway.deliver(entry)
    async with database.read() as session:
        assert len(list(await session.scalars(select(NoticeRow)))) == 1


async def test_two_deliverers_send_nothing_twice(database: Database):
    await queued(database, 20)
    channel, clock = Channel(), Clock()
    other = Database(database.url)
    deliverers = [Deliverer(each, channel, clock=clock) for each in (database, other, database, other)]

    async def empty(deliverer: Deliverer):
        while await deliverer.deliver_pending():
            pass

    await asyncio.gather(*map(empty, deliverers))
    assert set(Counter(channel.got).values()) == {1}
    assert len(channel.got) == 40
    assert {each.status for each in await entries(database)} == {"sent"}
    await other.close()


async def test_an_undelivered_notice_is_retried_and_fails_after_the_last_try(database: Database):
    await queued(database)
    clock, channel = Clock(), Channel(failure=UndeliveredError("errcode 45009"))
    deliverer = Deliverer(database, channel, clock=clock)
    for attempt in range(1, MOST_TRIES + 1):
        assert await deliverer.deliver_pending() == 2
        assert await deliverer.deliver_pending() == 0
        clock.now += wait(attempt)
    assert {(each.status, each.attempts, each.last_error) for each in await entries(database)} == {
        ("failed", MOST_TRIES, "errcode 45009")
    }
    clock.now += timedelta(days=30)
    assert await deliverer.deliver_pending() == 0
    assert set(Counter(channel.got).values()) == {MOST_TRIES}


async def test_a_channel_that_recovers(database: Database):
    await queued(database)
    clock, channel = Clock(), Channel(failure=UndeliveredError("busy"))
    deliverer = Deliverer(database, channel, clock=clock)
    await deliverer.deliver_pending()
    channel.failure = None
    clock.now += FIRST_WAIT
    await deliverer.deliver_pending()
    assert {(each.status, each.last_error) for each in await entries(database)} == {("sent", None)}


async def test_what_may_have_been_sent_is_not_sent_again(database: Database):
    await queued(database)
    clock, channel = Clock(), Channel(failure=ConnectionResetError("after 200"))
    deliverer = Deliverer(database, channel, clock=clock)
    await deliverer.deliver_pending()
    clock.now += timedelta(days=1)
    assert await deliverer.deliver_pending() == 0
    assert {(each.status, each.last_error) for each in await entries(database)} == {
        ("failed", "outcome unknown: ConnectionResetError")
    }


async def test_a_repeatable_channel_retries_a_notice_of_unknown_outcome(database: Database):
    await queued(database)
    clock, channel = Clock(), Channel(failure=ConnectionResetError(), repeatable=True)
    deliverer = Deliverer(database, channel, clock=clock)
    await deliverer.deliver_pending()
    channel.failure = None
    clock.now += FIRST_WAIT
    assert await deliverer.deliver_pending() == 2
    assert {each.status for each in await entries(database)} == {"sent"}


async def test_a_deliverer_that_died_while_sending_leaves_a_failure_on_record(database: Database):
    await queued(database)
    clock, channel = Clock(), Channel(failure=None)
    dying = asyncio.Event()

    class Hanging(Channel):
        async def deliver(self, notice: Entry) -> None:
            dying.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(Deliverer(database, Hanging(), clock=clock).deliver_pending())
    await dying.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    clock.now += LEASE
    await Deliverer(database, channel, clock=clock).deliver_pending()
    assert channel.got == []
    assert {each.status for each in await entries(database)} == {"failed"}


async def test_a_slow_channel_does_not_outlast_its_lease(database: Database):
    await queued(database)
    clock = Clock()

    class Slow(Channel):
        async def deliver(self, notice: Entry) -> None:
            await super().deliver(notice)
            clock.now += LEASE

    channel = Slow()
    await Deliverer(database, channel, clock=clock).deliver_pending()
    first, second = await entries(database)
    assert (first.status, second.status, second.attempts) == ("sent", "pending", 0)
    assert channel.got == [first.id]


async def test_a_light_of_the_night_is_delivered_at_the_opening_after_a_restart_too(database: Database):
    story, events, opening = lit_at_night()
    await store(database, story, events)
    channel, clock = Channel(), Clock()
    clock.now = story.now
    await Deliverer(database, channel, clock=clock).deliver_pending()
    (light,) = [each for each in await entries(database) if each.template == "overdue"]
    assert light.id not in channel.got
    assert (light.status, light.attempts) == ("pending", 0)
    restarted = Database(database.url)
    deliverer = Deliverer(restarted, channel, clock=clock)
    clock.now = opening - timedelta(seconds=1)
    assert await deliverer.deliver_pending() == 0
    clock.now = opening
    assert await deliverer.deliver_pending() == 1
    assert channel.got.count(light.id) == 1
    await restarted.close()


async def adopted(database: Database) -> Story:
    story = Story()
    await store(database, story, story.reported() + story.give(Adopt("younger"), STREET))
    return story


async def test_a_job_goes_to_its_handler(database: Database):
    story = await adopted(database)
    done: list[Entry] = []

    async def tell(entry: Entry) -> None:
        done.append(entry)

    clock = Clock()
    await Deliverer(database, TableChannel(database, clock), {"tell_merged": tell}, clock).deliver_pending()
    (job,) = done
    assert job.payload["issue"] == "younger"
    assert job.payload["body"]["body"] == {"into": story.id}
    assert {each.status for each in await entries(database)} == {"sent"}


async def test_a_job_that_goes_on_failing_raises_one_alarm_and_is_never_given_up(database: Database):
    story = await adopted(database)
    clock = Clock()
    deliverer = Deliverer(database, TableChannel(database, clock), {}, clock)
    for _ in range(MOST_TRIES + 3):
        await deliverer.deliver_pending()
        clock.now += LONGEST_WAIT
    async with database.read() as session:
        (alarm,) = list(await session.scalars(select(AlarmRow)))
    assert (alarm.kind, alarm.issue) == ("job-failing", story.id)
    (job,) = [each for each in await entries(database) if each.kind == "job"]
    assert (job.status, job.attempts) == ("pending", MOST_TRIES + 3)


async def test_the_loop_runs_until_it_is_told_to_stop(database: Database):
    await queued(database, 2)
    clock, stop = Clock(), asyncio.Event()
    task = asyncio.create_task(Deliverer(database, TableChannel(database, clock), clock=clock).run(stop))
    async with asyncio.timeout(90):
        while {each.status for each in await entries(database)} != {"sent"}:
            await asyncio.sleep(0.02)  # the deliverer announces nothing; its rows are the only sign
        stop.set()
        await task


async def test_the_loop_outlives_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("activities.notices.PAUSE_AFTER_FAILURE_SECONDS", 0)
    missing = Database("sqlite:////nonexistent/folder/jiesu.db")
    stop, asked_again = asyncio.Event(), asyncio.Event()
    clock, asked = Clock(), count(1)

    def ask() -> datetime:
        if next(asked) == 2:
            asked_again.set()
        return clock()

    task = asyncio.create_task(Deliverer(missing, Channel(), clock=ask).run(stop))
    await asyncio.wait_for(asked_again.wait(), 90)
    stop.set()
    await asyncio.wait_for(task, 90)
    await missing.close()


def test_waits_grow_up_to_a_limit():
    waits = [wait(attempt) for attempt in range(1, 40)]
    assert waits[0] == FIRST_WAIT
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT
