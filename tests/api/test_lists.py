"""Lists show the issues that the caller's organisation may see, page by page, and no others."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest

from db.tables import IssueRow
from support.stories import PLACE, Story, store
from support.system import Answer, System

LONE = base64.urlsafe_b64encode(b'["2026-01-01T00:00:00.000Z","\\ud800"]').decode().rstrip("=")
"""A cursor of half a character, which no database can be asked for."""


async def recorded(system: System, headers: dict[str, str] | None = None, **body: Any) -> Answer:
    """An issue that lists know of; on a busy machine the answer may come before its row."""
    taken = await system.report(headers, **body)
    assert taken.status == 201
    await in_lists(system, taken, 2)
    return taken


async def in_lists(system: System, taken: Answer, version: int) -> None:
    async with asyncio.timeout(system.patience):
        while True:
            async with system.database.read() as session:
                row = await session.get(IssueRow, taken["id"])
            if row is not None and row.version >= version:
                return
            await asyncio.sleep(0.05)


async def everything(system: System, headers: dict[str, str], **query: object) -> list[dict[str, object]]:
    items: list[dict[str, object]] = []
    cursor: dict[str, object] = {}
    while True:
        page = await system.get("/v1/issues", headers, **query, **cursor)
        assert page.status == 200
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def test_each_organisation_sees_its_own_places(system: System) -> None:
    here = (await recorded(system))["id"]
    there = (await recorded(system, compound="other"))["id"]
    for headers, sees in (
        (system.staff, {here}),
        (system.community, {here}),
        (system.street, {here}),
        (system.token("op1", "property", "other-property"), {there}),
        (system.token("oc1", "community", "other-community"), {there}),
        (system.token("a1", "auditor", "demo-street"), {here}),
        (system.token("e1", "department", "demo-enforcement"), set()),
    ):
        found = {item["id"] for item in await everything(system, headers, limit=200)}
        assert found & {here, there} == sees


async def test_a_resident_lists_what_he_reported(system: System) -> None:
    mine = await recorded(system, system.token("r7", "resident"))
    await recorded(system)
    assert [item["id"] for item in await everything(system, system.token("r7", "resident"))] == [mine["id"]]


async def test_pages_neither_miss_nor_repeat(system: System) -> None:
    made = [(await recorded(system, compound="demo-society"))["id"] for _ in range(5)]
    found = [item["id"] for item in await everything(system, system.street, compound="demo-society", limit=2)]
    assert len(found) == len(set(found))
    assert set(made) <= set(found)


async def indexed(system: System, headers: dict[str, str], taken: Answer, q: str) -> None:
    """Once the issue can be found by what was reported: a job sees to it."""
    await system.until("/v1/issues", headers, lambda page: taken["id"] in {each["id"] for each in page["items"]}, q=q)


async def test_filters_narrow_down(system: System) -> None:
    taken = await recorded(system, category="noise", description="半夜装修扰民")
    given = await system.give(taken["id"], "accept", system.staff)
    await in_lists(system, taken, given["issue"]["version"])
    await indexed(system, system.staff, taken, "半夜装修")
    for query, there in (
        ({"category": "noise"}, True), ({"category": "leak"}, False), ({"status": "accepted"}, True),
        ({"level": "street"}, False), ({"q": "半夜装修"}, True), ({"q": taken["number"][:8]}, True),
        ({"q": "电梯"}, False), ({"compound": "demo"}, True), ({"compound": "other"}, False),
        ({"org": "demo-property"}, True), ({"org": "demo-community"}, False),
    ):  # fmt: skip
        found = {item["id"] for item in await everything(system, system.staff, limit=200, **query)}
        assert (taken["id"] in found) is there, query


async def test_an_item_is_shown_as_the_issue_is(system: System) -> None:
    taken = await recorded(system, system.token("r8", "resident"))
    (item,) = (await system.get("/v1/issues", system.token("r8", "resident")))["items"]
    assert item == (await system.get(f"/v1/issues/{taken['id']}", system.token("r8", "resident"))).body


@pytest.mark.parametrize(
    ("person", "role", "org", "wanted", "status"),
    [
        ("p1", "property", "demo-property", "demo-property", 200),
        ("p1", "property", "demo-property", "demo-community", 404),
        ("p1", "property", "demo-property", "demo-service-society", 404),
        ("c1", "community", "demo-community", "demo-property", 200),
        ("c1", "community", "demo-community", "demo-street", 404),
        ("c1", "community", "demo-community", "other-property", 404),
        ("c1", "community", "demo-community", "demo-enforcement", 404),
        ("s1", "street", "demo-street", "demo-property", 200),
        ("s1", "street", "demo-street", "demo-community", 200),
        ("s1", "street", "demo-street", "demo-enforcement", 200),
        ("s1", "street", "demo-street", "other-community", 404),
        ("a1", "auditor", "demo-street", "demo-community", 200),
        ("s1", "street", "demo-street", "nowhere", 404),
    ],
)  # fmt: skip
async def test_a_worklist_is_of_ones_own_subtree(
    system: System, person: str, role: str, org: str, wanted: str, status: int
) -> None:
    answer = await system.get("/v1/worklist", system.token(person, role, org), org=wanted)  # type: ignore[arg-type]
    assert answer.status == status


async def test_only_the_last_page_of_a_worklist_is_short(system: System) -> None:
    wanted = {(await recorded(system))["id"] for _ in range(3)}
    # The same company works under another community as well, where less time is left.
    elsewhere = replace(PLACE, community="other-community", street="other-street")
    foreign = [Story(place=elsewhere) for _ in range(2)]
    for story in foreign:
        await store(system.database, story, story.reported())
    found: list[str] = []
    cursor: dict[str, object] = {}
    while True:
        page = await system.get("/v1/worklist", system.community, org="demo-property", limit=1, **cursor)
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        assert len(page["items"]) == 1
        cursor = {"cursor": page["next_cursor"]}
    assert wanted <= set(found)
    assert {story.id for story in foreign}.isdisjoint(found)


async def test_auditors_cannot_search_for_what_is_masked(system: System) -> None:
    taken = await recorded(system, description="楼顶水箱渗漏")
    auditor = system.token("a1", "auditor", "demo-street")
    await indexed(system, system.street, taken, "水箱渗漏")
    for headers, q, there in (
        (system.street, "水箱渗漏", True), (auditor, "水箱渗漏", False), (auditor, taken["number"], True),
    ):  # fmt: skip
        found = {item["id"] for item in await everything(system, headers, q=q)}
        assert (taken["id"] in found) is there


async def test_a_worklist_begins_with_the_least_time_left(system: System) -> None:
    await recorded(system, compound="other", category="fees")
    page = await system.get("/v1/worklist", system.token("op1", "property", "other-property"), limit=200)
    dues = [item["next"]["due"] for item in page["items"] if item["next"]]
    assert dues == sorted(dues)
    assert all(item["closed"] is None for item in page["items"])


async def test_lists_are_for_tokens(system: System) -> None:
    taken = await recorded(system)
    code = {"X-Tracking-Code": taken["tracking_code"]}
    for path in ("/v1/issues", "/v1/worklist"):
        assert (await system.get(path)).status == 401
        assert (await system.get(path, code)).status == 401
    assert (await system.get("/v1/worklist", system.token("r1", "resident"))).status == 404


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense"},
        {"cursor": LONE},
        {"nonsense": 1},
        {"level": "city"},
        {"limit": 0},
        {"limit": 1000},
        {"q": "x\x00"},
        {"org": "\u202e"},
    ],
)
async def test_a_question_that_makes_no_sense_is_invalid(system: System, query: dict[str, object]) -> None:
    answer = await system.get("/v1/issues", system.staff, **query)
    assert (answer.status, answer["type"]) == (422, "/problems/invalid")
