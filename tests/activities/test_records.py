"""The activity that records events: a local attempt gives up quickly, an ordinary one retries."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from activities.records import ALERT_FROM_ATTEMPT, Records, make_breaker
from db import queries
from db.alarms import put_alarm
from db.engine import Database
from db.projector import ClosedError, GapError
from db.tables import AlarmRow, EventRow, IssueRow
from domain.commands import Accept, Comment
from support.stories import PROPERTY, Story, chained, store
from workflows.contract import Batch

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


async def ordinarily(records: Records, what: Batch, attempt: int = 1) -> str:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=attempt)
    return await environment.run(records.record, what)


async def alarms(database: Database) -> list[tuple[str, str | None, dict[str, object]]]:
    async with database.read() as session:
        return [(each.kind, each.issue, each.detail) for each in await session.scalars(select(AlarmRow))]


@pytest.mark.parametrize("run", [locally, ordinarily])
async def test_it_stores_and_says_what_is_stored(database: Database, run: Run):
    records, story = Records(database, make_breaker(), PATIENT), Story()
    events = story.reported()
    assert await run(records, batch(story, events)) == chained(events)
    accepted = story.give(Accept(), PROPERTY)
    assert await run(records, batch(story, accepted)) == chained(accepted)
    async with database.read() as session:
        assert await queries.issue(session, story.id) == story.issue


async def test_only_an_ordinary_one_rewrites(database: Database):
    records = Records(database, breaker := make_breaker(), PATIENT)
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
    records, story = Records(database, make_breaker()), Story()
    story.reported()
    with pytest.raises(Exception, match="is at version 0"):
        await ordinarily(records, batch(story, story.give(Comment(), PROPERTY)))


async def test_a_hanging_database_is_given_up_at_once_and_then_not_asked(database: Database):
    clock = [0.0]
    breaker = make_breaker(lambda: clock[0])
    records, story = Records(database, breaker), Story()
    other = Database(database.url)
    await store(other, story, story.reported())
    accepted = batch(story, story.give(Accept(), PROPERTY))
    breaker.close()
    async with other.write() as holder:  # holds what the activity needs
        await holder.scalar(select(IssueRow).with_for_update())
        clock[0] = 0.4  # others came through just now: it may only have much to do
        with pytest.raises(ApplicationError, match="TimeoutError"):
            await locally(records, accepted)
        assert not breaker.is_open
        clock[0] = 0.6
        with pytest.raises(ApplicationError, match="TimeoutError"):
            await locally(records, accepted)
        assert breaker.is_open
        with pytest.raises(ApplicationError, match="away"):
            await locally(records, accepted)
    assert await ordinarily(records, accepted) == chained(accepted.events)
    assert not breaker.is_open
    assert await locally(Records(database, breaker, PATIENT), accepted) == chained(accepted.events)
    await other.close()


async def test_a_local_attempt_that_was_given_up_leaves_nothing_half_done(database: Database):
    records, story = Records(database, make_breaker()), Story()
    other = Database(database.url)
    await store(other, story, story.reported())
    accepted = batch(story, story.give(Accept(), PROPERTY))
    async with other.write() as holder:
        await holder.scalar(select(IssueRow).with_for_update())
        with pytest.raises(ApplicationError, match="TimeoutError"):
            await locally(records, accepted)
    found = await asyncio.gather(*(ordinarily(records, accepted) for _ in range(5)))
    assert set(found) == {chained(accepted.events)}
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(IssueRow)) == 1
        assert await queries.issue(session, story.id) == story.issue
    await other.close()


async def test_a_database_that_is_not_there_trips_the_breaker():
    breaker = make_breaker()
    missing = Database("sqlite:////nonexistent/folder/jiesu.db")
    story = Story()
    with pytest.raises(ApplicationError, match="OperationalError: the database is away"):
        await locally(Records(missing, breaker), batch(story, story.reported()))
    assert breaker.is_open
    await missing.close()


async def test_a_database_outage_is_a_short_retryable_error():
    breaker = make_breaker()
    missing = Database("sqlite:////nonexistent/folder/jiesu.db")
    story = Story()
    with pytest.raises(ApplicationError, match="the database is away") as caught:
        await ordinarily(Records(missing, breaker), batch(story, story.reported()), attempt=ALERT_FROM_ATTEMPT)
    assert (caught.value.type, caught.value.category) == ("OperationalError", ApplicationErrorCategory.BENIGN)
    assert not caught.value.non_retryable
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert breaker.is_open, "a local attempt need not find out by itself"
    await missing.close()


async def test_a_persistent_failure_with_the_database_up_raises_one_alarm(database: Database):
    records, story = Records(database, make_breaker()), Story()
    story.reported()
    late = batch(story, story.give(Comment(), PROPERTY))
    for attempt in range(1, ALERT_FROM_ATTEMPT + 3):
        assert await alarms(database) == (
            [("record-fails", story.id, {"error": "GapError"})] * (attempt > ALERT_FROM_ATTEMPT)
        )
        with pytest.raises(GapError):
            await ordinarily(records, late, attempt)


async def test_a_second_life_of_a_closed_issue_is_told_of_and_changes_nothing(database: Database):
    records, first, second = Records(database, make_breaker()), Story(id="same"), Story(id="same", description="第二次")
    await store(database, first, first.reported() + first.until_closed())
    begins = batch(second, second.reported())
    for attempt in (1, 2):
        with pytest.raises(ClosedError):
            await ordinarily(records, begins, attempt)
    ((kind, issue, _),) = await alarms(database)
    assert (kind, issue) == ("id-taken", "same")
    async with database.read() as session:
        assert await queries.issue(session, "same") == first.issue


async def test_only_a_database_that_is_away_trips_the_breaker(database: Database):
    records, story = Records(database, breaker := make_breaker(), PATIENT), Story()
    await store(database, story, story.reported())
    accepted = batch(story, story.give(Accept(), PROPERTY))
    async with database.write() as session:  # a forged event under the number of the next one
        (copy,) = (await session.scalars(select(EventRow).where(EventRow.seq == 1))).all()
        values = {column.name: getattr(copy, column.name) for column in EventRow.__table__.columns}
        session.add(EventRow(**values | {"seq": accepted.events[0]["seq"]}))
    with pytest.raises(IntegrityError):
        await locally(records, accepted)
    assert not breaker.is_open


async def test_a_database_that_answers_shuts_the_breaker_even_if_it_refuses(database: Database):
    clock = [0.0]
    records, story = Records(database, breaker := make_breaker(lambda: clock[0]), PATIENT), Story()
    story.reported()
    breaker.trip(TimeoutError())
    clock[0] = 60
    with pytest.raises(ApplicationError, match="is at version 0"):
        await locally(records, batch(story, story.give(Comment(), PROPERTY)))
    assert not breaker.is_open


async def test_an_alarm_that_is_not_kept_is_not_logged(database: Database):
    def keeps(session: Session) -> None:
        put_alarm(session, "test", "i", {}, datetime.now(UTC))

    def fails(session: Session) -> None:
        keeps(session)
        raise LookupError

    with capture_logs() as said:
        with pytest.raises(LookupError):
            await database.transact(fails)
        await database.transact(keeps)
    assert [each["kind"] for each in said if each["event"] == "alarm"] == ["test"]
    assert len(await alarms(database)) == 1
