"""Lists, worklists and searches: the right issues, in order, page by page, and only to those who may see them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession

from db import queries, search, walks
from db.engine import Database
from db.queries import CursorError, Filters, Page, visible
from db.tables import IssueRow
from domain.access import may_see, searches_texts
from domain.commands import (
    Accept,
    Actor,
    Adopt,
    Arrive,
    Authority,
    ChangePolicy,
    Redispatch,
    Report,
    Voice,
    Withdraw,
)
from domain.directory import Community, Compound, Contract, Directory, Operator, Period, Street, Works
from domain.place import Place
from policies.loader import load_pack
from support.stories import COMMUNITY, PLACE, PROPERTY, RESIDENT, START, STREET, Story, store

TOWN = Directory(
    streets=(Street("demo-street", ""), Street("other-street", "")),
    communities=(Community("demo-community", "", "demo-street"), Community("other-community", "", "other-street")),
    compounds=(
        Compound("demo", "", "demo-community"), Compound("loose", "", "demo-community"),
        Compound("near", "", "demo-community"), Compound("other", "", "other-community"),
    ),
    operators=tuple(
        Operator(code, "", "company") for code in ("demo-property", "other-property", "near-property", "gone-property")
    ),
    contracts=(
        Contract("gone-property", "demo", Period(None, START.date())), Contract("demo-property", "demo", Period(START.date())),
        Contract("other-property", "other"), Contract("near-property", "near"),
    ),
)  # fmt: skip
"""The directory of today: the contract of one company is over."""
ELSEWHERE = Place("other", "other-community", "other-street", "other-property", "society", name="别处")
NOBODYS = Place("loose", "demo-community", "demo-street")
AUDITOR = Actor("auditor-1", "auditor", "demo-street")
ADMIN = Actor("admin-1", "admin", "demo-street")


def works(viewer: Actor | None) -> Works:
    return Works() if viewer is None else TOWN.works(viewer.org, START.date())


def sees(viewer: Actor, story: Story) -> bool:
    """Whether the rules let the viewer see the issue today."""
    issue = story.issue
    grants = TOWN.grants_in(issue.place, [Authority(viewer.role, viewer.org)], START.date())
    return may_see(issue, viewer, grants, START)


async def stored(database: Database, story: Story) -> Story:
    await store(database, story, list(story.told) or story.reported())
    return story


async def many(database: Database, number: int, **options: object) -> list[Story]:
    """Issues that were opened a second apart, the newest first."""
    stories = [await stored(database, Story(now=START + timedelta(seconds=n), **options)) for n in range(number)]
    return stories[::-1]


def ids(page: Page) -> list[str]:
    return [row.id for row in page.items]


async def listed(database: Database, filters: Filters | None = None, **options: object) -> list[str]:
    async with database.read() as session:
        return ids(await queries.list_issues(session, filters, **options))


async def pages(fetch: Callable[[str | None], Awaitable[Page]]) -> list[str]:
    """All ids, page after page."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        found += ids(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_lists_run_newest_first_page_by_page(database: Database):
    stories = await many(database, 7)
    wanted = [story.id for story in stories]
    async with database.read() as session:
        for limit in (1, 3, 7, 50):
            assert await pages(lambda at, n=limit: queries.list_issues(session, cursor=at, limit=n)) == wanted
        assert (await queries.list_issues(session, limit=7)).next_cursor is None


async def test_issues_of_one_moment_are_neither_lost_nor_doubled(database: Database):
    stories = [await stored(database, Story()) for _ in range(6)]
    async with database.read() as session:
        found = await pages(lambda at: queries.list_issues(session, cursor=at, limit=2))
    assert found == sorted((story.id for story in stories), reverse=True)


async def test_what_comes_in_meanwhile_does_not_shift_the_pages(database: Database):
    stories = await many(database, 4)
    async with database.read() as session:
        first = await queries.list_issues(session, limit=2)
    await stored(database, Story(now=START + timedelta(days=1)))
    async with database.read() as session:
        rest = await queries.list_issues(session, cursor=first.next_cursor, limit=2)
    assert ids(first) + ids(rest) == [story.id for story in stories]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "bnVsbA",
        "WzEsMl0",
        "WyJ4IiwieSJd",
        "eyJhIjoxfQ",
        "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiJd",
        *(queries._write((START, issue)) for issue in ("", "\ud800", "x\x00", "X", "a" * 65)),
    ],
)
async def test_a_cursor_that_no_list_gave_out_is_refused(database: Database, cursor: str):
    async with database.read() as session:
        with pytest.raises(CursorError):
            await queries.list_issues(session, cursor=cursor)


async def test_each_filter_lists_its_issues(database: Database):
    open_, elsewhere = await stored(database, Story()), await stored(database, Story(place=ELSEWHERE))
    closed = Story(category="noise")
    closed.reported()
    closed.until_closed()
    late = Story(now=START)
    late.reported()
    late.wait(11.5)
    for story in (closed, late):
        await stored(database, story)
    expected = {
        Filters(): {open_, elsewhere, closed, late},
        Filters(level="community"): {late},
        Filters(status="closed"): {closed},
        Filters(status="dispatched"): {open_, elsewhere, late},
        Filters(compound="other"): {elsewhere},
        Filters(category="noise"): {closed},
        Filters(org="demo-community"): {late},
        Filters(org="demo-property"): {open_, closed, late},
        Filters(org="demo-property", status="closed", category="noise", compound="demo", level="property"): {closed},
        Filters(org="nobody"): set[Story](),
        Filters(overdue=False, compound="demo"): {open_, closed, late},
    }
    for filters, stories in expected.items():
        assert set(await listed(database, filters)) == {story.id for story in stories}, filters


async def test_the_red_light_can_be_asked_for(database: Database):
    story = Story()
    story.reported()
    story.give(Accept(), PROPERTY)
    story.give(Arrive("big"), PROPERTY)
    for _ in range(3):  # up to the top, where a passed limit stays
        story.wait(11.5)
    await stored(database, story)
    await stored(database, Story())
    async with database.read() as session:
        row = await session.get(IssueRow, story.id)
    assert row is not None
    assert row.overdue
    assert row.level == "street"
    assert await listed(database, Filters(overdue=True)) == [story.id]


async def test_a_resident_lists_what_he_follows_and_does_not_search_it(database: Database):
    story = await stored(database, Story(description="厨房漏水"))
    neighbour = Voice("r-neighbour", story.now, "issue-2", reported=True)
    await store(database, story, story.give(Adopt("issue-2", voices=(neighbour,)), COMMUNITY))
    viewer = Actor(neighbour.person, "resident")
    for decides in (False, True):
        assert sees(viewer, story)
        assert await listed(database, viewer=viewer) == [story.id]
        assert await listed(database, Filters(q="漏水"), viewer=viewer) == [], "it is not for him to read"
        if not decides:
            assert await listed(database, Filters(q="漏水"), viewer=RESIDENT) == [story.id]
            await store(database, story, story.give(Withdraw(), RESIDENT))
    assert await listed(database, viewer=RESIDENT) == [story.id], "who withdrew still reads what became of it"
    assert await listed(database, viewer=Actor("r-stranger", "resident")) == []


async def test_candidates_are_open_shared_and_of_one_building(database: Database):
    async def kept(number: int, **details: Any) -> Story:
        story = Story(category="facility", now=START + timedelta(days=number))
        report = Report(
            f"JS-{number}",
            details.pop("place", PLACE),
            "facility",
            "灯坏了",
            **{"common": True, "building": "6", **details},
        )
        await store(database, story, story.give(report, RESIDENT, seconds=0))
        return story

    old, first, second, _, _, _ = [
        await kept(0), await kept(5), await kept(6), await kept(7, common=False), await kept(8, building="7"),
        await kept(9, place=ELSEWHERE),
    ]  # fmt: skip
    closed = await kept(10)
    await store(database, closed, closed.give(Withdraw(), RESIDENT))
    async with database.read() as session:

        async def found(category: Any = "facility", building: str = "6", days: int = 1) -> list[str]:
            since = START + timedelta(days=days)
            return [row.id for row in await queries.candidates(session, PLACE.compound, category, building, since)]

        assert await found() == [first.id, second.id]
        assert await found(days=0) == [old.id, first.id, second.id]
        assert await found("leak") == []
        assert await found(building="") == []


async def test_a_search_for_words_finds_their_issues(database: Database):
    kitchen = await stored(database, Story(description="厨房漏水，已经三天。"))
    roof = await stored(database, Story(description="屋顶 漏 水 LEAK"))
    lift = await stored(database, Story(description="电梯停了", location=""))
    for q, stories in {
        "漏水": {kitchen, roof}, "厨房漏水": {kitchen}, "三天": {kitchen}, "leak": {roof}, "501": {kitchen, roof},
        "ＬＥＡＫ": {roof}, "漏 水": {kitchen, roof}, "水漏": set[Story](), "没有": set[Story](), "，": set[Story](),
        "%": set[Story](), "' OR 1=1 --": set[Story](), "漏": {kitchen, roof}, "鼠": set[Story](), " ": {kitchen, roof, lift},
    }.items():  # fmt: skip
        found = await listed(database, Filters(q=q))
        assert set(found) == {story.id for story in stories}, q
        assert len(found) == len(set(found))


@pytest.mark.parametrize("look", [1, 3, 1000])
async def test_a_search_finds_all_and_in_order_however_little_it_looks_at_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, look: int
):
    monkeypatch.setattr(walks, "LOOK", look)
    texts = ("漏水", "厨房漏水", "漏电", "电梯停了")
    stories = [
        await stored(database, replace(story, description=texts[n % 4]) if not story.told else story)
        for n, story in enumerate([*all_kinds(), *(Story(now=START - timedelta(seconds=n // 3)) for n in range(12))])
    ]
    async with database.read() as session:
        rows = {row.id: row for row in (await session.scalars(select(IssueRow))).all()}

        def meets(row: IssueRow, filters: Filters) -> bool:
            return (
                search.fold(filters.q or "") in row.words
                and filters.org in (None, row.lead_org, row.handler)
                and filters.compound in (None, row.compound)
                and filters.status in (None, row.status)
                and (filters.since is None or row.opened_at >= filters.since)
                and (filters.until is None or row.opened_at < filters.until)
            )

        since, until = START - timedelta(seconds=2), START
        narrowed = (
            Filters(org="demo-property"), Filters(org="demo-community"), Filters(compound="demo"), Filters(status="closed"),
            Filters(since=since), Filters(until=until), Filters(since=since, until=until),
        )  # fmt: skip
        asked = [(who, Filters(q=q)) for who in (None, *VIEWERS[:4], *VIEWERS[9:13]) for q in ("漏水", "漏")]
        asked += [(who, replace(each, q="漏水")) for who in (PROPERTY, STREET) for each in narrowed]
        asked += [(STREET, Filters(q=q)) for q in ("水漏", "电", "厨房漏水", "3幢2单元")]
        for viewer, filters in asked:
            reads = viewer is None or searches_texts(viewer.role)
            seen = [rows[each.id] for each in stories if reads and (viewer is None or sees(viewer, each))]
            wanted = [row for row in seen if meets(row, filters)]
            wanted.sort(key=lambda row: (row.opened_at, row.id), reverse=True)
            found = await pages(
                lambda at, who=viewer, what=filters: queries.list_issues(
                    session, what, viewer=who, works=works(who), cursor=at, limit=2
                )
            )
            assert found == [row.id for row in wanted], (viewer, filters)


async def test_a_search_for_a_number_finds_its_issue(database: Database):
    one = await stored(database, Story(number="JS-AB0C1-00001"))
    two = await stored(database, Story(number="JS-AB0C1-00002"))
    for q, stories in {
        "JS-AB0C1-00001": {one}, "js-ab0c1-00001": {one}, "jsaboci00001": {one}, "JS-AB": {one, two},
        "JS-ZZ": set[Story](), " JS-AB0C1 ": {one, two}, "ＪＳ－ＡＢ０Ｃ１－００００２": {two}, "JS—AB0C1－00002。": {two},
        "\u202dJS\u00a0AB0C1\u200b\u201100002.\u202c": {two},
    }.items():  # fmt: skip
        assert set(await listed(database, Filters(q=q))) == {story.id for story in stories}, q


async def test_the_worklist_runs_by_time_left_and_holds_open_issues_only(database: Database):
    late = Story(now=START + timedelta(seconds=5))
    late.reported()
    soon, later = Story(now=START), Story(now=START + timedelta(seconds=8))
    for story in (soon, later):
        story.reported()
    climbed = Story(now=START - timedelta(seconds=11.5))
    climbed.reported()
    climbed.wait(11.5)
    closed = Story()
    closed.reported()
    closed.until_closed()
    elsewhere = Story(place=ELSEWHERE)
    for story in (late, later, soon, climbed, closed, elsewhere):
        await stored(database, story)
    async with database.read() as session:
        for limit in (1, 2, 50):
            found = await pages(lambda at, n=limit: queries.worklist(session, "demo-property", cursor=at, limit=n))
            assert sorted(found) == sorted(story.id for story in (soon, late, later, climbed))
            rows = {row.id: row.left_by for row in (await queries.worklist(session, "demo-property")).items}
            assert [rows[each] for each in found] == sorted(rows.values())
        assert ids(await queries.worklist(session, "demo-community")) == [climbed.id]
        assert ids(await queries.worklist(session, "nobody")) == []


VIEWERS = [
    RESIDENT, PROPERTY, COMMUNITY, STREET, AUDITOR,
    Actor("resident-2", "resident"), Actor("admin-1", "admin", "demo-street"), Actor("x", "admin", "other-street"),
    Actor("x", "property", "other-property"), Actor("x", "community", "other-community"),
    Actor("x", "property", "near-property"), Actor("x", "property", "gone-property"),
    Actor("x", "street", "other-street"), Actor("x", "department", "demo-enforcement"),
    Actor("x", "volunteer", "demo-volunteers"), Actor("x", "property", "demo-community"),
    Actor("x", "community", "demo-property"), Actor("x", "street", "demo-community"),
    Actor("x", "department", "demo-property"), Actor("x", "volunteer", "demo-property"),
    Actor("x", "auditor", "other-street"), Actor("demo-property", "resident", "demo-property"),
]  # fmt: skip


def all_kinds() -> list[Story]:
    stories = [
        Story(), Story(place=ELSEWHERE), Story(place=NOBODYS), Story(about_operator=True),
        Story(reporter=Actor("resident-2", "resident")),
        Story(place=replace(PLACE, operator_kind="community")), Story(place=replace(PLACE, operator_kind="society")),
    ]  # fmt: skip
    stories.append(Story(place=replace(PLACE, operator="gone-property")))
    given = (
        ("department", "demo-enforcement"), ("volunteers", "demo-volunteers"), ("company", "near-property"),
        ("company", "other-property"),
    )  # fmt: skip
    for kind, code in given:
        story = Story()
        story.reported()
        streets = None if kind == "volunteers" else (PLACE.street,)
        story.give(Redispatch(code, "归他们管", kind, streets), COMMUNITY)
        stories.append(story)
    closed = Story()
    closed.reported()
    closed.until_closed()
    return [*stories, closed]


async def test_a_list_shows_exactly_what_the_rules_let_see(database: Database):
    stories = [await stored(database, story) for story in all_kinds()]
    for viewer in VIEWERS:
        wanted = {story.id for story in stories if sees(viewer, story)}
        assert set(await listed(database, viewer=viewer, works=works(viewer))) == wanted, viewer
        async with database.read() as session:
            paged = await pages(
                lambda at, who=viewer: queries.list_issues(session, viewer=who, works=works(who), cursor=at, limit=2)
            )
        assert sorted(paged) == sorted(wanted)


async def test_a_worklist_shows_what_its_viewer_may_see_in_full_pages(database: Database):
    stories = [await stored(database, story) for story in all_kinds()]
    stories.append(await stored(database, Story(place=replace(PLACE, community="other-community"))))
    orgs = ("demo-property", "demo-community", "demo-street", "other-property", "demo-enforcement")
    for viewer in VIEWERS:
        for org in orgs:
            async with database.read() as session:
                everything = await queries.worklist(session, org)
                wanted = [row.id for row in everything.items if sees(viewer, by_id(stories, row.id))]
                found: list[str] = []
                cursor: str | None = None
                while len(found) < len(wanted) or cursor is not None:
                    page = await queries.worklist(
                        session, org, viewer=viewer, works=works(viewer), cursor=cursor, limit=1
                    )
                    assert len(page.items) == 1, (viewer, org)
                    found += ids(page)
                    cursor = page.next_cursor
                assert found == wanted
                assert ids(await queries.worklist(session, org, viewer=viewer, works=works(viewer))) == wanted


def by_id(stories: list[Story], issue: str) -> Story:
    return next(story for story in stories if story.id == issue)


async def test_who_may_not_read_texts_searches_numbers_only(database: Database):
    story = await stored(database, Story(number="JS-AB0C1-00001"))
    for viewer in (AUDITOR, Actor("admin-1", "admin", "demo-street")):
        for q in ("漏水", "厨房漏水", "501"):
            assert await listed(database, Filters(q=q), viewer=viewer) == []
        assert await listed(database, Filters(q="JS-AB0C1"), viewer=viewer) == [story.id]
    assert await listed(database, Filters(q="漏水"), viewer=STREET) == [story.id]


async def test_filters_never_widen_what_a_viewer_sees(database: Database):
    stories = {story.id: story for story in [await stored(database, story) for story in all_kinds()]}
    for viewer in VIEWERS:
        for filters in (Filters(org="demo-property"), Filters(q="漏水"), Filters(status="closed"), Filters(q="JS")):
            found = await listed(database, filters, viewer=viewer, works=works(viewer))
            assert all(sees(viewer, stories[each]) for each in found)


def test_staff_without_an_organisation_see_nothing():
    assert visible(Actor("x", "property"), Works()) == ()


async def plans(database: Database, ask: Callable[[AsyncSession], Awaitable[object]]) -> list[str]:
    """What the database would do for each query that `ask` makes, line by line."""
    asked: list[tuple[str, Any]] = []

    def listen(_connection, _cursor, statement, parameters, _context, _many):
        asked.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    async with database.read() as session:
        await ask(session)
    event.remove(engine, "before_cursor_execute", listen)
    lines: list[str] = []
    async with database.read() as session:
        connection = await session.connection()
        if not database.is_sqlite:  # it rightly scans a table of three rows
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, values in asked:
            if statement.startswith("SELECT"):
                explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
                lines += [str(row[-1]) for row in await connection.exec_driver_sql(explain + statement, values)]
    return lines


async def test_no_page_reads_the_whole_table(database: Database):
    """Every list is served by an index: at a million issues nothing else would do."""
    await many(database, 3)
    cursor = queries._write((START, "x"))
    words = ("漏水", "厨房漏水", "JS-AA")
    everything = [
        Filters(), Filters(org="demo-property"), Filters(compound="demo"), Filters(overdue=True),
        Filters(status="waiting"), *(Filters(q=q) for q in words),
    ]  # fmt: skip

    async def ask(session: AsyncSession):
        for viewer in (None, RESIDENT, PROPERTY, COMMUNITY, STREET):
            for filters in everything:
                await queries.list_issues(session, filters, viewer=viewer, works=works(viewer), cursor=cursor)
            await queries.worklist(session, "demo-property", viewer=viewer, works=works(viewer), cursor=cursor)

    for line in await plans(database, ask):
        assert "Seq Scan" not in line
        # The keys of one page may be scanned.
        assert not line.startswith("SCAN") or "USING" in line or "anon" in line, line


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(status="waiting"), "ix_issues_street_status"), (Filters(overdue=True), "ix_issues_street_overdue"),
        (Filters(overdue=True, now=START), "ix_issues_street_overdue"),
    ],
)  # fmt: skip
async def test_what_is_rare_has_an_index_of_its_own(database: Database, filters: Filters, index: str):
    if not database.is_sqlite:
        pytest.skip("PostgreSQL decides by statistics")
    found = await plans(database, lambda session: queries.list_issues(session, filters, viewer=STREET))
    assert any(index in line for line in found), found
    found = await plans(database, lambda session: queries.worklist(session, "demo-property", viewer=COMMUNITY))
    assert any("ix_issues_lead_work" in line for line in found), found
    assert any("ix_issues_handler_work" in line for line in found), found


async def test_the_database_clock_is_read_in_utc(database: Database):
    async with database.read() as session:
        found = await queries.server_time(session)
    assert found.tzinfo is UTC
    assert abs(found - datetime.now(UTC)) < timedelta(minutes=1)


async def test_an_unknown_issue_has_no_row_and_no_timeline(database: Database):
    async with database.read() as session:
        assert await queries.issue(session, "none") is None
        assert await queries.timeline(session, "none") == ()
        with pytest.raises(NoResultFound):
            await queries.pins(session, "none")


async def test_the_pins_of_the_start_stay_when_the_policy_is_changed(database: Database):
    story = Story()
    changed = ChangePolicy("52022", "转为夜间不派", load_pack("52022"))
    await store(database, story, story.reported() + story.give(changed, ADMIN))
    assert story.issue.policy.id == "52022"
    async with database.read() as session:
        policy, calendars = await queries.pins(session, story.id)
    assert (policy, calendars) == (story.first.policy, story.first.calendars)
