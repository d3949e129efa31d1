"""The search of staff finds by number, words, place and light, holds what its reader may see, and pages by cursor."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest_asyncio

from domain.commands import Actor
from protocol import searching
from protocol.cards import Cards
from protocol.directory_cache import DirectoryCache
from protocol.read_model import ReadModel
from protocol.searching import Search, Sought
from support.browser import Browser, Site, site
from support.system import Answer, System

PAGE = {"Accept-Language": "zh-CN"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


async def reported(system: System, description: str, compound: str = "jinpen", **fields: str) -> Answer:
    taken = await system.report(compound=compound, description=description, **fields)
    street = system.token("s", "street", "cuiwei-street" if compound == "jinpen" else "demo-street")
    await system.until("/v1/issues", street, lambda body: bool(body["items"]), q=description)
    return taken


async def found(browser: Browser, expected: int = 200, /, **query: str) -> str:
    answer = await browser.http.get("/search", params=query, headers=PAGE)
    assert answer.status_code == expected, answer.text
    return answer.text


async def test_words_number_and_fields_find_and_the_form_keeps_what_was_asked(embedded: Site, system: System) -> None:
    lamp = await reported(system, "楼道里的灯坏了三盏", category="facility")
    dog = await reported(system, "野狗追着孩子跑", category="animals")
    async with embedded.browser() as browser:
        await browser.sign_in("s7", "street", "cuiwei-street")
        html = await found(browser, q="灯坏")
        assert lamp["number"] in html
        assert dog["number"] not in html
        assert 'value="灯坏"' in html
        html = await found(browser, q=dog["number"])
        assert dog["number"] in html
        assert "野狗追着孩子跑" in html
        html = await found(browser, category="animals", compound="jinpen", level="property", status="dispatched")
        assert dog["number"] in html
        assert lamp["number"] not in html
        assert '<option value="animals" selected>' in html
        assert dog["number"] not in await found(browser, category="animals", status="closed")
        assert dog["number"] in await found(browser, light="green")
        assert dog["number"] not in await found(browser, light="red")
        assert dog["number"] in await found(browser, **{"from": "2026-01-01", "until": "2099-12-31"})
        assert "没有查到" in await found(browser, until="2020-01-01")
        assert dog["number"] in await found(browser, q=dog["number"], unknown="is ignored")


async def test_what_is_late_is_found_as_red(embedded: Site, system: System) -> None:
    late = await system.report()
    await system.until(f"/v1/issues/{late['id']}", system.staff, lambda body: body["overdue"])
    async with embedded.browser() as browser:
        await browser.sign_in("s1", "street", "demo-street")
        assert late["number"] in await found(browser, light="red")
        assert late["number"] not in await found(browser, light="green")


async def test_nobody_finds_what_he_may_not_see(embedded: Site, system: System) -> None:
    taken = await reported(system, "只有本街道能看见的事")
    async with embedded.browser() as browser:
        await browser.sign_in("s8", "street", "other-street")
        html = await found(browser, q="只有本街道能看见的事")
        assert taken["id"] not in html
        assert taken["id"] not in await found(browser, q=taken["number"])
    async with embedded.browser() as browser:
        await browser.sign_in("a8", "auditor", "cuiwei-street")
        assert taken["id"] not in await found(browser, q="只有本街道能看见的事"), "a hit would tell the words"
        html = await found(browser, q=taken["number"])
        assert taken["id"] in html
        assert "只有本街道能看见的事" not in html
    async with embedded.browser() as browser:
        await browser.sign_in("n8", "resident")
        await found(browser, 404)


async def test_what_is_wrong_is_said_at_its_field(embedded: Site) -> None:
    async with embedded.browser() as browser:
        await browser.sign_in("s7", "street", "cuiwei-street")
        for name, value in (
            ("from", "2026-13-01"),
            ("until", "0000-01-01"),
            ("category", "nothing"),
            ("q", "x" * 201),
            ("q", "\u202e"),
        ):
            html = await found(browser, 422, **{name: value})
            assert 'role="alert"' in html
            assert f'<a href="#{name}">' in html
        await found(browser, 422, cursor="of nobody")


async def test_pages_lead_on_by_cursor_and_hold_each_issue_once(embedded: Site, system: System) -> None:
    made = [await reported(system, f"第{n}只猫在车底下") for n in range(searching.PAGE + 3)]
    async with embedded.browser() as browser:
        await browser.sign_in("s7", "street", "cuiwei-street")
        seen: list[str] = []
        at = "/search?q=%E7%8C%AB%E5%9C%A8"
        while at:
            html = (await browser.http.get(at, headers=PAGE)).text
            seen += re.findall(r'<a class="go whole" href="/work/([0-9a-z-]+)"', html)
            onwards = re.search(r'rel="next" href="([^"]+)"', html)
            at = onwards[1].replace("&amp;", "&") if onwards else ""
        assert len(seen) == len(set(seen))
        assert set(seen) == {each["id"] for each in made}


async def test_what_is_late_by_the_clock_is_red_though_it_is_not_recorded_yet(system: System) -> None:
    taken = await reported(system, "窨井盖松动")
    model, viewer = ReadModel(system.database), Actor("s9", "street", "cuiwei-street")
    directory = DirectoryCache(model)
    later = datetime.now(UTC) + timedelta(days=60)
    cards = Cards(model, system.keys.vault, directory, lambda: later)
    search = Search(model, cards, directory, lambda: later)
    for q in (taken["number"], "窨井盖松动"):
        held: dict[str, bool] = {}
        for shade in ("red", "yellow", "green"):
            page = await search.page(viewer, Sought(q, light=shade), None)
            held[shade] = taken["id"] in {card.issue.id for card in page.cards}
        assert held == {"red": True, "yellow": False, "green": False}, q
