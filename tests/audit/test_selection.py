"""The selection language finds the same issues on both databases, page by page, and names unknown words."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from audit import selection
from audit.selection import NAMES, Selection, SelectionError, moment_of
from db.engine import Database
from db.tables import IssueRow, SealRow
from domain.place import Place
from support.stories import START, Story, store

ELSEWHERE = Place("other", "other-community", "other-street", "other-property", "company", "", "邻近小区")


async def told(database: Database, number: int, *, closed: bool = False, **more) -> Story:
    """An issue on record; each a minute after the one before."""
    story = Story(f"i{number:02}", now=START + timedelta(minutes=number), number=f"JS-{number}", **more)
    events = story.reported()
    if closed:
        events += story.until_closed()
    await store(database, story, events)
    return story


async def seal(database: Database, issue: str, position: int, record: Mapping | None = None) -> None:
    async with database.write() as session:
        session.add(
            SealRow(position=position, issue=issue, leaf="00" * 32, salt=None, record=record, sealed_at=START)
        )  # fmt: skip


async def found(database: Database, words: str, *args) -> list[str]:
    return [issue async for issue in Selection.parse(words).issues(database, *args)]


async def first(database: Database, most: int) -> list[tuple[str, int]]:
    """The first ones with their number in order; a selection that never ended would not end here either."""
    numbered: list[tuple[str, int]] = []
    async for issue in Selection.parse("").issues(database):
        numbered.append((issue, len(numbered)))
        if len(numbered) == most:
            break
    return numbered


async def test_each_name_selects(database: Database) -> None:
    await told(database, 1, closed=True)
    await told(database, 2, category="noise")
    await told(database, 3, place=ELSEWHERE)
    async with database.read() as session:
        row = await session.get(IssueRow, "i01")
    assert row is not None
    value = {
        "issue": row.id, "number": row.number, "compound": row.compound, "community": row.community,
        "street": row.street, "operator": row.operator, "handler": row.handler, "category": row.category,
        "level": row.level, "status": row.status, "policy": row.policy_id, "closed": row.closed_kind,
    }  # fmt: skip
    assert set(NAMES) == {*value, "since", "until"}
    for name, only in (("issue", "i01"), ("number", "JS-1"), ("status", "closed"), ("closed", "solved")):
        assert value[name] == only
        assert await found(database, f"{name}={only}") == ["i01"]
    for name, both in (
        ("compound", "demo"), ("community", "demo-community"), ("street", "demo-street"), ("handler", "demo-property"),
        ("operator", "demo-property"),
    ):  # fmt: skip
        assert value[name] == both
        assert await found(database, f"{name}={both}") == ["i01", "i02"]
    assert await found(database, "category=leak") == ["i01", "i03"]
    for all_three in ("level=property", "policy=demo", ""):
        assert await found(database, all_three) == ["i01", "i02", "i03"]
        assert [issue async for issue in Selection.parse(all_three).within("other-street").issues(database)] == ["i03"]


async def test_several_values_and_several_words(database: Database) -> None:
    await told(database, 1)
    await told(database, 2, category="noise")
    await told(database, 3, category="drain", place=ELSEWHERE)
    assert await found(database, "category=noise,drain") == ["i02", "i03"]
    assert await found(database, "category=noise,drain  compound=other") == ["i03"]
    assert await found(database, "category=noise category=drain") == []
    assert await found(database, "category=noise'OR'1'='1") == []
    assert Selection.parse("  category=noise   level=street ").text == "category=noise level=street"


async def test_since_and_until_are_when_it_was_opened(database: Database) -> None:
    for number in (1, 2, 3):
        await told(database, number)
    assert await found(database, "since=2026-03-02T01:02:00Z") == ["i02", "i03"]
    assert await found(database, "until=2026-03-02T09:02:00.000+08:00") == ["i01"]
    assert await found(database, "since=2026-03-02 until=2026-03-03") == ["i01", "i02", "i03"]
    assert await found(database, "since=2026-03-03") == []
    assert await found(database, "until=2026-03-02") == []


async def test_sealed_are_those_with_their_content(database: Database) -> None:
    for number in (1, 2, 3):
        await told(database, number)
    await seal(database, "i01", 0, {"issue": "i01"})
    await seal(database, "i02", 1, None)
    whole = Selection.parse("")
    assert [issue async for issue in whole.sealed.issues(database)] == ["i01"]
    assert [issue async for issue in whole.sealed.within("other-street").issues(database)] == []


async def test_pages_neither_miss_nor_repeat(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_PAGE", 3)
    ids = [f"i{number:02}" for number in range(8)]
    for number in range(8):
        # Some at the very same moment, where the id alone decides.
        await told(database, number, **({} if number % 4 else {"place": ELSEWHERE}))
    async with database.write() as session:
        for issue in ids[2:6]:
            row = await session.get(IssueRow, issue)
            assert row is not None
            row.opened_at = START + timedelta(minutes=3)
    assert [issue for issue, _ in await first(database, 9)] == ids
    for most in range(1, 10):
        pages: list[str] = []
        for _ in range(len(ids)):
            page = await found(database, "", pages[-1] if pages else None, most)
            assert len(page) <= most
            pages += page
        assert pages == ids
    assert await found(database, "street=demo-street", "i04") == ["i05", "i06", "i07"]
    assert await found(database, "", None, 0) == []
    with pytest.raises(SelectionError, match="there is no issue 'nobody' to go on from"):
        await found(database, "", "nobody")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("leak", "'leak': a condition looks like name=value, name one of issue, number, compound, "),
        ("category=", "'category=': a condition looks like"),
        ("=leak", "'' is no name: one of issue"),
        ("compound=demo colour=red", "'colour' is no name: one of issue, number"),
        ("Category=leak", "'Category' is no name"),
        ("since=yesterday", "'yesterday' is neither a day such as 2026-11-24 nor a time"),
        ("since=2026-11-24T08:00:00", "'2026-11-24T08:00:00' is neither"),
        ("until=0001-01-01", "'0001-01-01' is neither"),
        ("until=9999-12-31T23:00:00-05:00", "'9999-12-31T23:00:00-05:00' is neither"),
        ("until=2026-02-30", "'2026-02-30' is neither"),
    ],
)
def test_a_word_that_means_nothing_is_named(words: str, said: str) -> None:
    with pytest.raises(SelectionError) as caught:
        Selection.parse(words)
    assert str(caught.value).startswith(said)


def test_a_day_is_one_in_shanghai() -> None:
    assert moment_of("2026-11-24") == datetime(2026, 11, 23, 16, tzinfo=UTC)
    assert moment_of("2026-11-24T08:00:00Z") == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert moment_of("2026-11-24T08:00:00+08:00") == datetime(2026, 11, 24, tzinfo=UTC)
    with pytest.raises(SelectionError):
        moment_of("2026-11-24 08:00:00Z")
