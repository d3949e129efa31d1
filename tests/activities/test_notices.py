"""Delivery of notices: each at most once as far as its channel allows, and every failure recorded."""

import asyncio
import copy
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from itertools import count
from unittest import mock

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from activities.notices import (
    ALARMING_TRIES,
    FIRST_WAIT,
    LEASE,
    LONGEST_WAIT,
    MOST_TRIES,
    TRIED_FOR,
    Deliverer,
    TableChannel,
    UndeliveredError,
    wait,
)
from db.engine import Database
from db.outbox import BEHIND, Entry
from db.tables import AlarmRow, NoticeRow, OutboxRow
from db.undelivered import LATE, LOST, resend, undelivered
from domain.commands import Accept, Adopt, Arrive, Urge
from support.stories import PROPERTY, RESIDENT, START, STREET, Story, lit_at_night, store


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
    for _ in range(ALARMING_TRIES + 3):
        await deliverer.deliver_pending()
        clock.now += LONGEST_WAIT
    async with database.read() as session:
        (alarm,) = list(await session.scalars(select(AlarmRow)))
    assert (alarm.kind, alarm.issue) == ("job-failing", story.id)
    (job,) = [each for each in await entries(database) if each.kind == "job"]
    assert (job.status, job.attempts) == ("pending", ALARMING_TRIES + 3)


async def test_the_loop_runs_until_it_is_told_to_stop(database: Database):
    await queued(database, 2)
    clock, stop = Clock(), asyncio.Event()
    task = asyncio.create_task(Deliverer(database, TableChannel(database, clock), clock=clock).run(stop))
    async with asyncio.timeout(90):
        while {each.status for each in await entries(database)} != {"sent"}:
            await asyncio.sleep(0.02)  # the deliverer announces nothing; its rows are the only sign
        stop.set()
        await task


async def test_a_slow_job_holds_up_no_notice(database: Database):
    """One replay of a long history would keep every resident from being told."""
    slow, ended = await adopted(database), asyncio.Event()
    clock, stop = Clock(), asyncio.Event()

    async def tell(_: Entry) -> None:
        await ended.wait()

    deliverer = Deliverer(database, TableChannel(database, clock), {"tell_merged": tell}, clock)
    task = asyncio.create_task(deliverer.run(stop))

    async def until(held: Callable[[list[OutboxRow]], bool]) -> None:
        async with asyncio.timeout(90):
            while not held(await entries(database)):
                await asyncio.sleep(0.02)

    await until(lambda rows: any(row.kind == "job" and row.status == "sending" for row in rows))
    await queued(database, 2)
    await until(lambda rows: {row.status for row in rows if row.kind == "notice" and row.issue != slow.id} == {"sent"})
    assert {row.status for row in await entries(database) if row.kind == "job"} == {"sending"}
    stop.set()
    ended.set()
    await asyncio.wait_for(task, 90)
    assert {row.status for row in await entries(database) if row.kind == "notice" or row.template == "tell_merged"} == {
        "sent"
    }


async def test_what_was_sent_while_the_database_went_is_not_sent_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    await queued(database, 2)
    channel = Channel()
    deliverer = Deliverer(database, channel, clock=Clock())
    with monkeypatch.context() as away:
        away.setattr("db.outbox.settle", mock.Mock(side_effect=OperationalError("", {}, Exception("away"))))
        with pytest.raises(OperationalError):
            await deliverer.deliver_pending()
    told = list(channel.got)
    assert await deliverer.deliver_pending() == 0
    assert {each.status for each in await entries(database) if each.kind == "notice"} == {"sent"}
    assert channel.got == told != []


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


class Receivers:
    """A channel by which some organisations cannot be told, and which keeps the order in which each was told."""

    repeatable = True

    def __init__(self, *down: str | None) -> None:
        self.down: Collection[str | None] = down
        self.tried: list[int] = []
        self.told: list[tuple[str | None, str]] = []
        self.kept: list[int] = []

    async def deliver(self, notice: Entry) -> None:
        self.tried.append(notice.id)
        if notice.to_org in self.down:
            raise UndeliveredError("webhook: status 503")
        self.told.append((notice.to_org, notice.template))

    async def keep(self, notice: Entry) -> None:
        self.kept.append(notice.id)

    def heard(self, org: str | None) -> list[str]:
        return [template for to, template in self.told if to == org]


async def alarms(database: Database) -> list[tuple[str, str | None, bool]]:
    """Each alarm: kind, organisation, and whether it is still open."""
    async with database.read() as session:
        rows = await session.scalars(select(AlarmRow).order_by(AlarmRow.id))
        return [(row.kind, row.detail["org"], row.seen_at is None) for row in rows]


async def empty(deliverer: Deliverer) -> None:
    while await deliverer.deliver_pending():
        pass


async def urged(database: Database, story: Story, times: int = 1) -> None:
    for _ in range(times):
        await store(database, story, story.give(Urge(), RESIDENT))


async def test_a_receiver_that_is_down_for_a_week_of_holidays_misses_nothing(database: Database):
    await queued(database)
    clock, channel = Clock(), Receivers(PROPERTY.org)
    deliverer, began = Deliverer(database, channel, clock=clock), clock.now
    while clock.now < began + timedelta(days=7):  # tried in the first moment it may be, which makes the most tries
        await deliverer.deliver_pending()
        (clock.now,) = [each.ready_at for each in await entries(database) if each.ready_at is not None]
    assert [each.status for each in await entries(database) if each.to_org == PROPERTY.org] == ["pending"]
    channel.down = ()
    clock.now += LONGEST_WAIT
    await deliverer.deliver_pending()
    assert channel.heard(PROPERTY.org) == ["dispatched"]
    assert {each.status for each in await entries(database)} == {"sent"}


def test_a_notice_is_tried_for_at_least_its_time():
    assert timedelta(days=7) <= TRIED_FOR < timedelta(days=9)
    assert sum(map(wait, range(1, MOST_TRIES)), timedelta()) >= TRIED_FOR
    assert sum(map(wait, range(1, MOST_TRIES - 1)), timedelta()) < TRIED_FOR


async def test_the_first_failure_raises_one_alarm_for_each_receiver_and_it_closes_by_itself(database: Database):
    await queued(database, 5)
    clock, channel = Clock(), Receivers(PROPERTY.org)
    deliverer = Deliverer(database, channel, clock=clock)
    await deliverer.deliver_pending()
    assert await alarms(database) == [(LATE, PROPERTY.org, True)]
    clock.now += LONGEST_WAIT
    channel.down = (PROPERTY.org, None)
    await queued(database)
    await deliverer.deliver_pending()
    assert await alarms(database) == [(LATE, PROPERTY.org, True), (LATE, None, True)]
    channel.down = (None,)
    clock.now += LONGEST_WAIT
    await deliverer.deliver_pending()
    assert await alarms(database) == [(LATE, PROPERTY.org, False), (LATE, None, True)]


async def test_an_alarm_stays_while_anything_that_failed_waits_for_its_receiver(database: Database):
    await queued(database, 2)
    clock = Clock()
    refused = [each.id for each in await entries(database) if each.to_org == PROPERTY.org][:1]

    class Picky(Receivers):
        async def deliver(self, notice: Entry) -> None:
            if notice.id in refused:
                raise UndeliveredError("webhook: status 400")
            await super().deliver(notice)

    deliverer = Deliverer(database, Picky(), clock=clock)
    for _ in range(3):
        await queued(database)
        await deliverer.deliver_pending()
        clock.now += LONGEST_WAIT
    assert await alarms(database) == [(LATE, PROPERTY.org, True)]
    refused.clear()
    await deliverer.deliver_pending()
    assert await alarms(database) == [(LATE, PROPERTY.org, False)]


async def test_no_notice_overtakes_an_earlier_one_of_its_issue_to_its_receiver(database: Database):
    story, other = Story(), Story()
    await store(database, story, story.reported() + story.give(Accept(), PROPERTY))
    clock, channel = Clock(), Receivers(PROPERTY.org)
    deliverer = Deliverer(database, channel, clock=clock)
    await deliverer.deliver_pending()
    assert channel.heard(None) == ["accepted"], "another receiver does not wait"
    await urged(database, story, 2)
    await store(database, story, story.give(Arrive("minor"), PROPERTY))
    await store(database, other, other.reported())
    channel.down = ()
    await empty(deliverer)
    assert channel.heard(None) == ["accepted", "arrived"]
    assert channel.heard(PROPERTY.org) == ["dispatched"], "that of the other issue"
    late = [(each.template, each.attempts, each.last_error) for each in await entries(database) if each.ready_at]
    assert late == [("dispatched", 1, "webhook: status 503"), ("urged", 0, BEHIND), ("urged", 0, BEHIND)]
    assert set(channel.kept) == {each.id for each in await entries(database) if each.last_error == BEHIND}
    clock.now += FIRST_WAIT
    await empty(deliverer)
    assert channel.heard(PROPERTY.org) == ["dispatched", "dispatched", "urged", "urged"]
    assert {each.attempts for each in await entries(database) if each.template == "urged"} == {1}


async def test_those_behind_a_notice_that_fails_again_and_again_are_not_tried(database: Database):
    story = Story()
    await store(database, story, story.reported())
    await urged(database, story, 3)
    clock, channel = Clock(), Receivers(PROPERTY.org)
    deliverer = Deliverer(database, channel, clock=clock)
    for _ in range(20):
        await empty(deliverer)
        clock.now += LONGEST_WAIT
    mine = [each for each in await entries(database) if each.to_org == PROPERTY.org]
    assert [(each.template, each.attempts) for each in mine] == [("dispatched", 20), *[("urged", 0)] * 3]
    assert set(channel.tried) == {mine[0].id}
    assert channel.kept == [each.id for each in mine[1:]], "each once"
    channel.down = ()
    await empty(deliverer)
    assert channel.heard(PROPERTY.org) == ["dispatched", "urged", "urged", "urged"]


async def test_what_another_deliverer_is_sending_is_not_overtaken(database: Database):
    story = Story()
    await store(database, story, story.reported())
    clock, channel = Clock(), Receivers()
    sending, done = asyncio.Event(), asyncio.Event()

    class Slow(Receivers):
        async def deliver(self, notice: Entry) -> None:
            sending.set()
            await done.wait()
            channel.told.append((notice.to_org, notice.template))

    first = asyncio.create_task(Deliverer(database, Slow(), clock=clock).deliver_pending())
    await sending.wait()
    await urged(database, story)
    second = Deliverer(database, channel, clock=clock)
    await empty(second)
    assert channel.told == []
    done.set()
    await first
    clock.now += timedelta(seconds=1)
    await empty(second)
    assert channel.heard(PROPERTY.org) == ["dispatched", "urged"]


async def test_a_light_of_the_night_goes_along_with_what_is_told_after_it(database: Database):
    story, events, opening = lit_at_night()
    await store(database, story, events)
    clock, channel = Clock(), Receivers()
    clock.now = story.now
    deliverer = Deliverer(database, channel, clock=clock)
    await empty(deliverer)
    assert channel.heard(PROPERTY.org)[-1] == "warned"
    await urged(database, story)
    clock.now = story.now
    assert clock.now < opening
    await empty(deliverer)
    assert channel.heard(PROPERTY.org)[-2:] == ["overdue", "urged"]


async def test_what_was_given_up_is_listed_and_sent_again(database: Database):
    story = Story()
    await store(database, story, story.reported())
    await urged(database, story)
    clock, channel = Clock(), Receivers(PROPERTY.org)
    deliverer = Deliverer(database, channel, clock=clock)
    for _ in range(MOST_TRIES + 1):
        await empty(deliverer)
        clock.now += LONGEST_WAIT
    async with database.read() as session:
        (failed,) = await undelivered(session, failed=True)
        assert [each.template for each in await undelivered(session)] == ["dispatched", "urged"]
        assert await undelivered(session, org="nobody") == []
    assert (failed.template, failed.receiver, failed.tries) == ("dispatched", PROPERTY.org, MOST_TRIES)
    assert (failed.number, failed.next, failed.error) == (story.issue.number, None, "webhook: status 503")
    assert await alarms(database) == [(LATE, PROPERTY.org, True), (LOST, PROPERTY.org, True)]
    assert await database.transact(lambda session: resend(session, clock.now, org="nobody")) == 0
    assert await database.transact(lambda session: resend(session, clock.now)) == 2
    channel.down = ()
    await empty(deliverer)
    assert channel.heard(PROPERTY.org) == ["dispatched", "urged"]
    assert [is_open for *_, is_open in await alarms(database)] == [False, False]
    assert await database.transact(lambda session: resend(session, clock.now)) == 0


async def test_what_no_event_causes_any_more_is_not_sent_again(database: Database):
    story = Story()
    await store(database, story, story.reported())
    lost = copy.deepcopy(story)
    await store(database, lost, lost.give(Urge(), RESIDENT))
    clock, channel = Clock(), Channel(failure=ConnectionResetError())
    await empty(Deliverer(database, channel, clock=clock))
    await store(database, story, story.give(Accept(), PROPERTY))
    assert await database.transact(lambda session: resend(session, clock.now)) == 1
    assert {each.template: each.status for each in await entries(database)} == {
        "dispatched": "pending", "urged": "withdrawn", "accepted": "pending"
    }  # fmt: skip


async def test_what_could_not_be_kept_here_is_kept_with_the_next_try(database: Database):
    story = Story()
    await store(database, story, story.reported())
    await urged(database, story)

    class Full(Receivers):
        async def keep(self, notice: Entry) -> None:
            if not self.kept:
                self.kept.append(0)
                raise OSError("disk full")
            await super().keep(notice)

    clock, channel = Clock(), Full(PROPERTY.org)
    deliverer = Deliverer(database, channel, clock=clock)
    for _ in range(4):
        await empty(deliverer)
        clock.now += LONGEST_WAIT
    (late,) = [each.id for each in await entries(database) if each.template == "urged"]
    assert channel.kept == [0, late]
