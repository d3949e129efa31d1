"""What was reported is found by any part of it, however it is typed, and a search costs the same however many issues there are."""

from datetime import timedelta

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from bench import search as copied
from db import projector, queries, search, walks
from db.engine import Database
from db.queries import Filters
from db.tables import IssueRow, OutboxRow, SearchTerm
from db.upgrade import config, make_sync_engine, upgrade
from domain.commands import Actor
from domain.directory import Works
from domain.place import Place
from support.databases import sqlite_url
from support.letters import FILE, letters, table
from support.stories import COMMUNITY, START, STREET, Story, store

LONG = "自从上个月十五号开始,我家厨房的天花板就一直在滴水,楼上住户说不是他家的问题,物业来看过两次也没有修好。" * 60


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("3幢 2單元", "3幢2单元"), ("裡面裏面", "里面里面"), ("⻋库大⻔", "车库大门"), ("⽔⾞", "水车"), ("二○二◯", "二〇二〇"),
        ("ＬＥＡＫ", "leak"), ("1-101", "1 101"), ("11-01", "11 01"), ("１－１０１", "1 101"), ("1 - 101室", "1 101室"),
        ("-101-", "101"), ("A-101", "a101"), ("3.5米,2幢", "3 5米2幢"), ("1--2-3", "1 2 3"), ("，%_", ""), ("١-٢", "١ ٢"),
    ],
)  # fmt: skip
def test_letters_that_mean_the_same_are_one_and_a_sign_parts_digits(typed: str, read: str):
    assert search.fold(typed) == read


def test_the_table_of_letters_is_that_of_opencc_and_unicode():
    assert FILE.read_text("utf-8") == table(), "python -m support.letters, then a migration that indexes anew"
    found = letters()
    assert not set(found) & set(found.values()), "a letter is read in one step"
    assert all(search.fold(old) == search.fold(new) == new for old, new in found.items())


@given(st.text("漏水門⻋①1２-. ,幢", max_size=12), st.integers(0, 11), st.integers(1, 12))
def test_every_part_of_a_text_is_in_its_words(text: str, start: int, length: int):
    part = search.fold(text[start : start + length])
    assert part in search.words("", text) or not part
    assert set(search.terms(part)) <= set(search.terms(search.words("", text))) or len(part) == 1


def test_the_place_stands_first_and_touches_no_text():
    assert search.words("3幢", "来过2") == "3幢 来过2 "
    assert search.words("", "来过2") == "来过2 "
    assert search.words("，", "") == ""


async def kept(database: Database, **options: object) -> str:
    story = Story(**options)
    await store(database, story, story.reported())
    return story.id


async def found(database: Database, q: str, limit: int = 50) -> list[str]:
    async with database.read() as session:
        return [row.id for row in (await queries.list_issues(session, Filters(q=q), limit=limit)).items]


async def test_a_report_is_found_by_any_part_of_it(database: Database):
    long = await kept(database, description=LONG[:3990] + "鼠患在最后", location="17幢2单元1703")
    short = await kept(database, description="物业来过2", location="3幢1-101")
    other = await kept(database, description="车库大门", location="11-01")
    for q, wanted in {
        "17幢2单元1703": [long], "17幢2單元": [long], "鼠患在最后": [long], "鼠": [long], "后": [long], "17幢": [long], "库": [other],
        "门": [other], "⻔": [other], "大門": [other], "1-101": [short], "1－101": [short], "11-01": [other], "23幢": [], "鹿": [],
        "3幢": [short], "水楼": [long],
    }.items():  # fmt: skip
        assert await found(database, q) == wanted, q
        assert await found(database, q, limit=1) == wanted, q


async def test_a_search_looks_at_so_many_issues_for_a_page(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walks, "LOOK", 2)
    names = ["桂花漏水", "漏水", "漏气", "漏水", "漏气漏油", "漏电"]
    stories = [Story(now=START + timedelta(seconds=n), description=name) for n, name in enumerate(names)]
    for story in stories:
        await store(database, story, story.reported())
    newest = {
        name: [each.id for each in stories[::-1] if name in each.description] for name in ("漏水", "漏", "气漏", "油水")
    }
    for viewer in (None, STREET, COMMUNITY):
        for name, wanted in newest.items():
            pages: list[list[str]] = []
            cursor: str | None = ""
            async with database.read() as session:
                while cursor is not None:
                    page = await queries.list_issues(
                        session, Filters(q=name), viewer=viewer, cursor=cursor or None, limit=2
                    )
                    pages.append([row.id for row in page.items])
                    cursor = page.next_cursor
            assert [each for page in pages for each in page] == wanted, name
            if name == "漏水":
                assert [len(page) for page in pages] == [2, 1], "two are looked at for each page"
            if name == "气漏":
                assert [len(page) for page in pages] == [1], "one pair has a single entry, whatever else there is"
            if name == "油水":
                assert pages == [[]]


SMALL = Place("small", "small-community", "demo-street", "small-property", "company")
LOST = Actor("worker-1", "property", "demo-property")
"""Works for a company that has left the compound of nearly all of its issues."""
ASKED = {
    "a common word": (STREET, Filters(q="漏水")),
    "a common word, narrow": (Actor("x", "community", SMALL.community), Filters(q="漏水")),
    "one letter": (STREET, Filters(q="水")),
    "one letter, narrow": (Actor("x", "community", SMALL.community), Filters(q="水")),
    "common pairs in no text": (STREET, Filters(q="漏水来过")),
    "common pairs in no text, narrow": (Actor("x", "community", SMALL.community), Filters(q="漏水来过")),
    "common pairs in no text, all": (None, Filters(q="漏水来过")),
    "common pairs in no text, a company": (Actor("x", "property", SMALL.operator), Filters(q="漏水来过")),
    "a rare word": (STREET, Filters(q="桂花")),
    "a rare word, a resident": (Actor("resident-1", "resident"), Filters(q="桂花")),
    "a rare letter": (STREET, Filters(q="鹿")),
    "a rare letter, a resident": (Actor("resident-1", "resident"), Filters(q="鹿")),
    "an absent word": (STREET, Filters(q="犀牛")),
    "a company that may see little of its own": (LOST, Filters(q="漏水")),
    "a few of an organisation": (STREET, Filters(q="漏水", org=SMALL.operator)),
    "an organisation without issues": (STREET, Filters(q="漏水", org="nobody")),
    "a compound": (STREET, Filters(q="漏水来过", compound=SMALL.compound)),
    "a time without issues": (STREET, Filters(q="漏水", since=START)),
}
"""Who asks for what, by what it stands for."""


async def test_of_ten_times_as_many_issues_a_search_touches_as_much(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(walks, "LOOK", 20)
    engine = make_sync_engine(database_url)
    copied._put_real(engine, 40)
    with engine.begin() as connection:
        small = {
            "compound": SMALL.compound, "community": SMALL.community, "operator": SMALL.operator, "handler": SMALL.operator,
            "lead_org": SMALL.operator,
        }  # fmt: skip
        connection.execute(
            update(IssueRow).where(IssueRow.id.in_([f"{at:05}" for at in range(0, 40, 5)])).values(small)
        )
    works = Works(frozenset({SMALL.compound}), frozenset({SMALL.street}))
    found: list[dict[str, tuple[int, int]]] = []
    copies = 0
    for number in (400, 4000):
        copied._copy(engine, copies + 1, number // 40 - 1)
        copies = number // 40 - 1
        found.append({what: await copied.touched(database, *who, works) for what, who in ASKED.items()})
    engine.dispose()
    few, many = found
    assert {what: statements for what, (_, statements) in many.items() if statements > 3} == {}
    # An index of ten times as many entries may be a page deeper.
    grown = {what: (few[what], many[what]) for what in ASKED if many[what][0] > few[what][0] * 1.4 + 20}
    assert grown == {}


async def test_words_that_were_read_otherwise_are_put_in_anew(database: Database):
    issue = await kept(database, description="旧", location="")
    await database.transact(lambda session: projector.index(session, issue, "門 旧 "))
    await database.transact(lambda session: projector.index(session, issue, "门 旧 "))
    async with database.read() as session:
        assert set(await session.scalars(select(SearchTerm.term))) == {"门 ", " 旧", "旧 "}
    assert await found(database, "門") == [issue]


async def test_the_migration_has_every_issue_indexed_anew(tmp_path):
    url = sqlite_url(tmp_path)
    upgrade(url)
    database = Database(url)
    try:
        issues = [await kept(database, now=START + timedelta(seconds=n)) for n in range(3)]
    finally:
        await database.close()
    engine = make_sync_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM outbox"))
        command.downgrade(config(connection), "0002")
    upgrade(url)
    with engine.begin() as connection:
        query = select(OutboxRow.issue, OutboxRow.template, OutboxRow.payload, OutboxRow.ready_at).order_by(
            OutboxRow.id
        )
        jobs = connection.execute(query).all()
    engine.dispose()
    assert [tuple(job[:3]) for job in jobs] == [(each, "index", {"issue": each, "body": {}}) for each in issues[::-1]]
    assert jobs[0].ready_at < jobs[1].ready_at < jobs[2].ready_at, "notices may go out in between"
