"""Events become rows once and in order, despite repeats, gaps and conflicts."""

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select, update

from db import queries
from db.engine import Database
from db.projector import ClosedError, ConflictError, GapError, rebuild, record
from db.rows import refold
from db.tables import AlarmRow, EventRow, IssueRow, OutboxRow, PolicyRow, ReceiptRow, SearchTerm
from domain.commands import Accept, Actor, CalendarPublished, ChangePolicy, Comment, Complete, Confirm, Withdraw
from domain.events import event_digest, load_event
from domain.worktime import YearCalendar
from policies.loader import load_pack
from support.completions import ANSWER
from support.stories import PROPERTY, RESIDENT, Plain, Story, chained, store


async def all_of(database: Database, table: type[Any]) -> Sequence[Any]:
    async with database.read() as session:
        return (await session.scalars(select(table))).all()


async def number_of(database: Database, table: type[Any]) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def rows(database: Database, story: Story) -> tuple[IssueRow, Plain]:
    async with database.read() as session:
        row = await session.get(IssueRow, story.id)
        query = select(EventRow.body).where(EventRow.issue == story.id).order_by(EventRow.seq)
        assert row is not None
        return row, list(await session.scalars(query))


async def assert_same(database: Database, story: Story) -> None:
    """I3 and I4: SQL == fold of the events == the story's own state."""
    row, bodies = await rows(database, story)
    assert bodies == story.told
    assert [body["seq"] for body in bodies] == list(range(1, row.version + 1))
    async with database.read() as session:
        assert await queries.issue(session, story.id) == story.issue
        assert await session.run_sync(refold, row) == story.issue
        receipts = {row.command_id: row for row in await session.scalars(select(ReceiptRow))}
    assert {command: (row.digest, row.outcome, row.code, row.params, row.seq) for command, row in receipts.items()} == {
        command: (each.digest, each.outcome, each.code, each.params, each.seq)
        for command, each in story.issue.receipts.items()
    }


async def test_an_issue_is_projected_from_report_to_close(database: Database):
    story = Story()
    for events in (story.reported(), story.until_closed()):
        assert await store(database, story, events) == chained(events)
    await assert_same(database, story)
    row, _ = await rows(database, story)
    assert (row.status, row.closed_kind, row.satisfaction, row.handler) == (
        "closed", "solved", "satisfied", "demo-property",
    )  # fmt: skip
    assert row.closed_at == story.now
    assert row.next_milestone is None
    assert row.due is None
    assert await number_of(database, AlarmRow) == 0


async def test_the_row_says_who_must_act_next(database: Database):
    story = Story()
    await store(database, story, story.reported())
    row, _ = await rows(database, story)
    assert (row.next_milestone, row.next_org, row.next_clause, row.level) == (
        "accept", "demo-property", "accept", "property",
    )  # fmt: skip
    assert row.due == row.left_by
    assert not row.overdue
    await store(database, story, story.wait(11.5))
    row, _ = await rows(database, story)
    assert (row.level, row.lead_org) == ("community", "demo-community")
    await assert_same(database, story)


async def test_a_refused_command_has_a_receipt_with_its_reason(database: Database):
    story = Story()
    await store(database, story, story.reported())
    await store(database, story, story.give(Confirm("solved", "satisfied"), RESIDENT, command="too-early"))
    async with database.read() as session:
        receipt = await session.get(ReceiptRow, ("too-early", story.id))
        assert receipt is not None
        assert (receipt.outcome, receipt.issue, receipt.seq) == ("refused", story.id, story.issue.version)
        assert receipt.code
        assert receipt.params


async def test_a_batch_that_comes_again_changes_nothing(database: Database):
    story = Story()
    first, rest = story.reported(), story.until_closed()
    for events in (first, first, rest, rest, first):
        assert await store(database, story, events) == chained(events)
    await assert_same(database, story)
    row, _ = await rows(database, story)
    assert row.fence == 0
    assert await number_of(database, AlarmRow) == 0
    told = await all_of(database, OutboxRow)
    assert len({(each.seq, each.n) for each in told}) == len(told)


async def test_a_repeated_task_may_append_to_the_same_events(database: Database):
    story = Story()
    await store(database, story, story.reported())
    accepted = story.give(Accept(), PROPERTY)
    await store(database, story, accepted)
    longer = accepted + story.give(Comment("到了"), PROPERTY)
    assert await store(database, story, longer) == chained(longer)
    await assert_same(database, story)


async def test_a_gap_is_told_and_stores_nothing(database: Database):
    story = Story()
    first, accepted, commented = story.reported(), story.give(Accept(), PROPERTY), story.give(Comment("x"), PROPERTY)
    with pytest.raises(GapError):
        await store(database, story, accepted)
    await store(database, story, first)
    with pytest.raises(GapError):
        await store(database, story, commented)
    row, _ = await rows(database, story)
    assert row.version == first[-1]["seq"]
    for events in (accepted, commented):
        await store(database, story, events)
    await assert_same(database, story)


async def test_the_first_batch_needs_its_pins(database: Database):
    story = Story()
    events = story.reported()
    with pytest.raises(ValueError, match="policy and calendars"):
        async with database.write() as session:
            await session.run_sync(record, story.id, events, now=story.now)
    assert await number_of(database, IssueRow) == 0


def fork(story: Story) -> Story:
    return copy.deepcopy(story)


async def test_another_event_under_a_known_number_rewrites_from_there(database: Database):
    story = Story()
    await store(database, story, story.reported())
    lost = fork(story)
    await store(database, lost, lost.give(Accept("不算数"), PROPERTY, command="kept") + lost.give(Comment(), PROPERTY))
    await store(database, lost, lost.give(Complete("explained", ANSWER), PROPERTY, command="lost"))

    true = story.give(Accept("算数"), PROPERTY, command="kept")
    assert await store(database, story, true) == chained(true)
    await assert_same(database, story)
    row, _ = await rows(database, story)
    assert row.fence == 1
    (alarm,) = await all_of(database, AlarmRow)
    assert (alarm.kind, alarm.issue) == ("record-rewritten", story.id)
    assert alarm.detail["from"] == true[0]["seq"]
    assert alarm.detail["came"] == [event_digest(event) for event in true]
    assert alarm.detail["stored"] == [event_digest(event) for event in lost.told[true[0]["seq"] - 1 :]]
    async with database.read() as session:
        assert await session.get(ReceiptRow, ("lost", story.id)) is None
    after = story.give(Complete("explained", ANSWER), PROPERTY)
    await store(database, story, after)
    await assert_same(database, story)


@pytest.mark.parametrize("outcome", ["sent", "sending", "failed"])
async def test_a_rewrite_withdraws_what_was_not_sent_and_does_not_repeat_what_may_have_been(
    database: Database, outcome: str
):
    story = Story()
    await store(database, story, story.reported())
    lost = fork(story)
    false = lost.give(Accept("不算数"), PROPERTY) + lost.give(Complete("explained", ANSWER), PROPERTY)
    await store(database, lost, false)
    first = false[0]["seq"]
    async with database.write() as session:
        sent = {"status": outcome, "ready_at": None}
        await session.execute(update(OutboxRow).where(OutboxRow.seq == first).values(sent))

    true = story.give(Accept("算数"), PROPERTY)
    await store(database, story, true)
    entries = [each for each in await all_of(database, OutboxRow) if each.seq >= first]
    assert {(each.seq, each.template, each.status) for each in entries if each.seq > first} == {
        (each["seq"], "completed", "withdrawn") for each in false if each["kind"] == "completed"
    }
    assert [(each.template, each.status, each.fence) for each in entries if each.seq == first] == [
        ("accepted", outcome, 0)
    ]


async def test_what_is_restored_is_not_told_again(database: Database):
    story = Story()
    events = story.reported() + story.until_closed()
    assert await store(database, story, events, restoring=True) == chained(events)
    await assert_same(database, story)
    assert await number_of(database, OutboxRow) == 0


async def test_a_rewrite_from_the_first_event_on(database: Database):
    false = Story(id="same", description="第一次")
    await store(database, false, false.reported())
    true = Story(id="same", description="第二次", policy=load_pack("52022"))
    await store(database, true, true.reported())
    await assert_same(database, true)
    row, _ = await rows(database, true)
    assert (row.words, row.policy_id, row.first_policy) == ("3幢2单元501 第二次 ", "52022", true.policy.digest)
    terms = {each.term for each in await all_of(database, SearchTerm)}
    assert "二次" in terms
    assert "一次" not in terms


async def test_a_closed_record_survives_a_second_life_of_its_id(database: Database):
    story, second = Story(id="same"), Story(id="same", description="第二次")
    await store(database, story, story.reported() + story.until_closed())
    again = second.reported()
    with pytest.raises(ClosedError):
        await store(database, second, again)
    with pytest.raises(ConflictError):
        await store(database, second, again, may_rewrite=False)
    await assert_same(database, story)
    assert await number_of(database, AlarmRow) == 0

    assert await store(database, second, again, restoring=True) == chained(again)
    await assert_same(database, second)


async def test_restoring_removes_events_not_in_the_history(database: Database):
    story = Story()
    await store(database, story, story.reported() + story.give(Accept(), PROPERTY))
    longer = fork(story)
    await store(database, longer, longer.give(Complete("explained", ANSWER), PROPERTY, command="never"))
    await store(database, story, story.told, restoring=True)
    await assert_same(database, story)
    row, _ = await rows(database, story)
    assert row.fence == 1
    assert [each.kind for each in await all_of(database, AlarmRow)] == ["record-rewritten"]
    assert [each.status for each in await all_of(database, OutboxRow) if each.template == "completed"] == ["withdrawn"]


async def test_who_may_not_rewrite_is_told_and_changes_nothing(database: Database):
    story = Story()
    await store(database, story, story.reported())
    lost = fork(story)
    await store(database, lost, lost.give(Accept("算数"), PROPERTY))
    with pytest.raises(ConflictError):
        await store(database, story, story.give(Accept("来晚了"), PROPERTY), may_rewrite=False)
    await assert_same(database, lost)
    assert await number_of(database, AlarmRow) == 0


async def test_a_missing_event_row_is_filled_again(database: Database):
    story = Story()
    first, rest = story.reported(), story.until_closed()
    await store(database, story, first + rest)
    async with database.write() as session:
        await session.execute(EventRow.__table__.delete().where(EventRow.seq == rest[0]["seq"]))
    assert await store(database, story, rest) == chained(rest)
    await assert_same(database, story)
    assert await number_of(database, AlarmRow) == 1


async def test_an_altered_stored_event_is_repaired_and_raises_an_alarm(database: Database):
    """The digest that stands beside it was left alone; what counts is worked out from what is stored."""
    story = Story()
    events = story.reported()
    await store(database, story, events)
    async with database.write() as session:
        body = events[0] | {"level": "street"}
        await session.execute(update(EventRow).where(EventRow.seq == 1).values(body=body))
    with pytest.raises(ConflictError):
        await store(database, story, events, may_rewrite=False)
    assert await store(database, story, events) == chained(events)
    await assert_same(database, story)
    assert await number_of(database, AlarmRow) == 1


async def test_two_writers_of_the_same_batch_store_it_once(database: Database):
    other = Database(database.url)
    story = Story()
    first, rest = story.reported(), story.until_closed()
    for events in (first, rest, first + rest):
        found = await asyncio.gather(*(store(each, story, events) for each in (database, other, database, other)))
        assert set(found) == {chained(events)}
    await assert_same(database, story)
    assert await number_of(database, AlarmRow) == 0
    await other.close()


async def test_concurrent_writers_store_many_issues(database: Database):
    stories = [Story() for _ in range(20)]

    async def live(story: Story):
        await store(database, story, story.reported())
        await store(database, story, story.until_closed())

    await asyncio.gather(*map(live, stories))
    async with database.read() as session:
        for story in stories:
            assert await queries.issue(session, story.id) == story.issue
    assert await number_of(database, PolicyRow) == 1


async def test_a_failure_on_the_way_leaves_no_trace(database: Database):
    story = Story()
    await store(database, story, story.reported())
    before = await rows(database, story)
    broken = [*story.give(Accept(), PROPERTY), {**story.give(Comment(), PROPERTY)[0], "seq": 99}]
    with pytest.raises(ValueError, match="does not follow"):
        await store(database, story, broken)
    row, bodies = await rows(database, story)
    assert (row.version, bodies) == (before[0].version, before[1])
    assert await number_of(database, AlarmRow) == 0


async def test_a_change_of_policy_and_a_calendar_are_kept(database: Database):
    admin = Actor("admin-1", "admin", "demo-street")
    story = Story()
    await store(database, story, story.reported())
    new = load_pack("52022")
    await store(database, story, story.give(ChangePolicy(new.id, "试点", new), admin))
    await store(database, story, story.give(CalendarPublished(YearCalendar(2026, 1, (), ())), admin))
    await assert_same(database, story)
    row, _ = await rows(database, story)
    assert row.policy_digest == new.digest
    assert row.first_policy == story.first.policy.digest
    assert row.calendars_digest != row.first_calendars


async def test_the_command_id_of_another_issue_blocks_nothing(database: Database):
    one, two = Story(), Story()
    for story in (one, two):
        await store(database, story, story.reported())
        await store(database, story, story.give(Accept(), PROPERTY, command="same"))
    async with database.read() as session:
        for story in (one, two):
            receipt = await session.get(ReceiptRow, ("same", story.id))
            assert receipt is not None
            assert receipt.issue == story.id


async def test_two_issues_with_one_number_raise_an_alarm(database: Database):
    one, two = Story(number="N1"), Story(number="N1")
    for story in (one, two):
        await store(database, story, story.reported())
    (alarm,) = await all_of(database, AlarmRow)
    assert (alarm.kind, alarm.issue, alarm.detail) == ("number-taken", two.id, {"by": one.id})


async def test_a_row_that_was_tampered_with_is_rebuilt_from_the_events(database: Database):
    story = Story()
    await store(database, story, story.reported() + story.give(Withdraw("好了"), RESIDENT))
    async with database.write() as session:
        assert not await session.run_sync(rebuild, story.id)
        await session.execute(update(IssueRow).values(status="accepted", satisfaction="satisfied"))
        await session.execute(ReceiptRow.__table__.delete())
    async with database.write() as session:
        assert await session.run_sync(rebuild, story.id)
    await assert_same(database, story)


async def test_stored_events_load_as_they_were(database: Database):
    story = Story(description='换行\n引号" 反斜\\ 😀')
    await store(database, story, story.reported() + story.until_closed())
    async with database.read() as session:
        found = await queries.timeline(session, story.id)
        assert found == tuple(load_event(plain) for plain in story.told)
