"""Anybody finds a place, follows the code on a door and reads the public board, without script and without an account."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from db.board import BoardRow
from support.canary import Canaries
from support.system import System, running_system


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("places")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def browser(system: System) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept-Language": "zh-CN"}
    async with httpx.AsyncClient(base_url=system.client.base_url, headers=headers) as found:
        yield found


def links(html: str) -> list[str]:
    """The places that a list offers."""
    return re.findall(r'data-at="([^"]+)"', html)


async def test_a_place_is_found_by_a_plain_form_and_the_list_is_the_same_for_the_script(
    browser: httpx.AsyncClient,
) -> None:
    shown = await browser.get(
        "/places", params={"q": "体验小区 三号楼", "from": "singlemessage", "isappinstalled": "0"}
    )
    assert shown.status_code == 200
    assert links(shown.text) == ["demo/3"]
    assert '<form method="get" action="/places"' in shown.text
    assert 'value="体验小区 三号楼"' in shown.text
    fragment = await browser.get("/places/found", params={"q": "体验小区 三号楼"})
    assert fragment.text.strip() in shown.text
    assert "<html" not in fragment.text
    assert links((await browser.get("/places", params={"compound": "demo", "q": "5"})).text) == ["demo/5"]


async def test_what_is_not_found_is_said_and_what_was_typed_stays_text(browser: httpx.AsyncClient) -> None:
    shown = await browser.get("/places", params={"q": "<script>火星"})
    assert links(shown.text) == []
    assert "没有找到“&lt;script&gt;火星”" in shown.text
    assert "<script>火星" not in shown.text
    named = (await browser.get("/places", params={"q": "demo"})).text
    assert 'href="/board/demo"' in named
    assert 'href="/board/demo%2F' not in named
    assert len((await browser.get("/places", params={"q": "住宅区" + "x" * 3000})).text) < 5000


@pytest.mark.parametrize(("path", "at"), [("/r/demo", "demo"), ("/r/demo/3", "demo%2F3"), ("/r/jinpen", "jinpen")])
async def test_the_code_on_a_door_leads_to_a_report_of_that_place(
    browser: httpx.AsyncClient, path: str, at: str
) -> None:
    answer = await browser.get(path, params={"from": "singlemessage", "isappinstalled": "0"})
    assert (answer.status_code, answer.headers["location"].replace("/", "%2F")) == (303, f"%2Freport?at={at}")


async def test_a_code_of_an_unknown_place_says_so_and_offers_the_search(browser: httpx.AsyncClient) -> None:
    for path, words, offered in (
        ("/r/mars", "名录里没有这个小区", []),
        ("/r/demo/99", "名录里这个小区没有这幢楼", ["demo", "demo/1"]),
        ("/r/jinpen/1", "名录里这个小区没有这幢楼", ["jinpen"]),
    ):
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert words in answer.text
        assert 'role="alert"' in answer.text
        assert '<form method="get" action="/places"' in answer.text
        assert links(answer.text)[:2] == offered
    unknown = await browser.get("/board/mars")
    assert (unknown.status_code, "名录里没有这个小区" in unknown.text) == (404, True)


async def test_the_board_tells_of_each_open_issue_whose_turn_it_is_and_nothing_personal(
    system: System, browser: httpx.AsyncClient
) -> None:
    planted = Canaries()
    phone = planted.phone("phone")
    taken = await system.report(
        compound="demo", category="elevator", location="3幢电梯",
        description=f"电梯停了 {planted.plant('description')}", contact={"name": planted.plant("name"), "phone": phone},
    )  # fmt: skip
    inside = await system.report(
        compound="demo", category="leak", location=f"5幢501 {planted.plant('location')}", description="厨房漏水"
    )
    hidden = [
        await system.report(compound="demo", category="dispute", location="7幢", description="与邻居有纠纷"),
        await system.report(
            compound="demo", category="facility", location="8幢", description="物业不管", about_operator=True
        ),
    ]
    for each in (taken, inside, *hidden):
        await system.until(f"/v1/issues/{each['id']}", system.street, lambda _: True)
    shown = await browser.get("/board/demo", params={"from": "timeline"})
    assert shown.status_code == 200
    lift, kitchen = sorted(cards_of(shown.text), key=lambda card: "漏水" in card)
    assert re.search(r"电梯 · 3幢.*体验(?:物业|社区|街道)", lift, re.DOTALL)
    told = re.findall(r"([0-9]{2}):([0-9]{2}) 前", shown.text)
    assert told, "both are due soon"
    assert {minute for _, minute in told} == {"00"}, "from the minute that of the report would follow"
    assert "漏水" in kitchen
    assert "幢" not in kitchen, "of a flat not even the house"
    whole = shown.text + str(shown.headers)
    assert planted.found(whole.encode()) == []
    for each in (taken, inside, *hidden):
        assert each["tracking_code"] not in whole
        assert each["id"] not in whole
        assert each["number"] not in whole
    for words in ("漏水501", "501", "厨房", "住户", "13800000000", "停了"):
        assert words not in whole


def cards_of(html: str) -> list[str]:
    return re.findall(r"<article.*?</article>", html, re.DOTALL)


def test_a_row_of_the_board_has_no_column_in_which_anything_personal_could_be() -> None:
    assert set(BoardRow._fields) == {
        "category", "building", "opened_at", "next_org", "next_milestone", "due", "warn_at", "overdue",
    }  # fmt: skip


async def test_a_closed_issue_leaves_the_board(system: System, browser: httpx.AsyncClient) -> None:
    taken = await system.report(compound="demo-society", category="elevator", location="大门", description="灯坏了")
    code = {"X-Tracking-Code": taken["tracking_code"]}
    await system.until(f"/v1/issues/{taken['id']}", code, lambda _: True)
    assert len(cards_of((await browser.get("/board/demo-society")).text)) == 1
    assert (await system.give(taken["id"], "withdraw", code, reason="好了")).status == 200
    await system.until(f"/v1/issues/{taken['id']}", code, lambda body: body["closed"] is not None)
    shown = await browser.get("/board/demo-society")
    assert cards_of(shown.text) == []
    assert "现在没有未办结的事" in shown.text
