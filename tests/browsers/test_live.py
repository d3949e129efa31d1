"""A page that is open shows what happens, keeps what somebody writes, and stops asking once it may no longer see."""

import re

import pytest
from playwright.async_api import Page, Route, expect

from browsers.engine import Visits
from browsers.measure import accessible
from browsers.place import Place, door_of


async def test_what_happens_is_on_the_screen_without_reloading_and_stays_accessible(
    place: Place, visits: Visits
) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    await page.evaluate("() => { window.stays = true }")
    await place.give(taken, "accept")
    await expect(page.locator(".story")).to_contain_text("已签收")
    assert await page.evaluate("() => window.stays"), "the page was loaded again"
    assert await accessible(page) == []


async def test_a_change_takes_neither_the_text_nor_the_place_of_somebody_who_writes(
    place: Place, visits: Visits
) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    if not await page.locator("#urge").is_visible():
        await page.locator("summary").first.click()
    await page.locator("#urge").fill("水还在漏")
    await page.locator("h1").click()  # the thumb leaves the field
    await place.give(taken, "accept")
    await place.until_told(taken, "accepted")
    await expect(page.locator("#issue")).to_contain_text("已签收")
    await expect(page.locator("#urge")).to_have_value("水还在漏")
    await expect(page.locator("#urge")).to_be_visible()


async def test_a_change_waits_while_somebody_writes(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    if not await page.locator("#urge").is_visible():
        await page.locator("summary").first.click()
    await page.locator("#urge").fill("水还在")
    await place.give(taken, "accept")
    await place.until_told(taken, "accepted")
    await page.wait_for_timeout(3000)  # longer than a stream takes to tell it
    await expect(page.locator(".story")).not_to_contain_text("已签收")
    await page.locator("h1").click()
    await expect(page.locator(".story")).to_contain_text("已签收")


async def test_words_in_a_form_that_is_offered_no_more_stay(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    if not await page.locator("#urge").is_visible():
        await page.locator("summary").first.click()
    await page.locator("#urge").fill("水还在漏")
    await page.locator("h1").click()
    await place.give_as_reporter(taken, "withdraw")
    await expect(page.locator("#live")).to_contain_text("文字先留着")
    await expect(page.locator("#urge")).to_have_value("水还在漏")
    await page.locator("#urge").fill("")
    await page.locator("h1").click()
    await expect(page.locator("h1")).to_contain_text("结")


async def test_a_change_leaves_the_focus_where_it_was(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    await page.locator("summary").first.focus()
    await place.give(taken, "accept")
    await expect(page.locator(".story")).to_contain_text("已签收")
    assert await page.evaluate("() => document.activeElement.tagName") == "SUMMARY"


@pytest.mark.check(8)
async def test_the_page_of_a_renewed_code_asks_no_more_and_says_why(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    renewed = await place.give_as_reporter(taken, "renew_code")
    await place.give(renewed, "accept")  # by which the stream learns that its code is worth nothing any more
    await expect(page.locator("h1")).to_have_text("这里没有这样东西")
    before = len(asked)
    await page.wait_for_timeout(5000)  # two of the pauses after which a stream is asked for again
    assert len(asked) == before
    await page.goto(door_of(renewed))
    await expect(page.locator("#issue")).to_contain_text("已签收")


async def test_a_server_that_starts_anew_behind_its_proxy_costs_nobody_his_words(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    refused = 0

    async def away(route: Route) -> None:
        nonlocal refused
        refused += 1
        if refused == 1:
            await route.fulfill(status=502, content_type="text/html", body="<h1>502 Bad Gateway</h1>")
        else:
            await route.continue_()

    await page.route(re.compile(r"/live(\?|$)"), away)
    await page.clock.install()
    await page.goto(door_of(taken))
    await page.evaluate("() => { window.stays = true }")
    if not await page.locator("#urge").is_visible():
        await page.locator("summary").first.click()
    await page.locator("#urge").fill("水还在漏")
    await expect(page.locator("#live")).to_contain_text("没有连上")
    await page.clock.fast_forward(16_000)
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    assert refused == 2
    assert await page.evaluate("() => window.stays"), "the page was loaded again"
    await expect(page.locator("#urge")).to_have_value("水还在漏")


@pytest.mark.check(7)
async def test_eight_pages_at_once_load_and_only_the_one_that_is_seen_holds_a_stream(
    place: Place, visits: Visits
) -> None:
    taken = await place.reported()
    first = await visits.page()
    await first.goto(door_of(taken))
    for _ in range(7):
        page = await first.context.new_page()
        # Chromium without a window never hides a page behind another: the test tells the page what a phone tells it.
        await hide(first)
        await page.goto(f"/i/{taken['id']}")
        await expect(page.locator("#live")).to_have_text("页面会自动更新")
        first = page


async def hide(page: Page) -> None:
    """Has the page know that another one is in front of it."""
    await page.evaluate("""() => {
      Object.defineProperty(document, 'hidden', {value: true, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }""")
