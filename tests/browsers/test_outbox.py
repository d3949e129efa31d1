"""A report survives a dead network, a lost answer, a closed tab and two of them, and a device that keeps nothing; it is one issue."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from browsers.engine import Visits
from browsers.measure import accessible, sideways, small_targets
from browsers.place import Place
from browsers.reporting import fill, report, sent

NO_STORE = "indexedDB.open = () => { throw new DOMException('forbidden', 'SecurityError') }"


async def _cut(page: Page) -> None:
    """Fills in a report and sends it into a dead network."""
    await fill(page)
    await page.context.set_offline(True)
    await page.locator("#go").click()
    await expect(page.locator("#outbox h2")).to_have_text("尚未发送 1")


@pytest.mark.check(6)
async def test_a_report_waits_for_the_network_is_shown_and_is_sent_once(place: Place, visits: Visits) -> None:
    before = await place.issues()
    page = await visits.page()
    await _cut(page)
    assert await accessible(page) + await small_targets(page) + await sideways(page) == []
    assert await place.issues() == before
    await page.context.set_offline(False)
    found = await sent(page)
    assert await place.issues() - before == {found}


@pytest.mark.check(6)
async def test_a_report_whose_answer_is_lost_is_one_issue(place: Place, visits: Visits) -> None:
    before, lost = await place.issues(), 0

    async def lose(route: Route) -> None:
        nonlocal lost
        if route.request.method == "POST" and not lost:
            lost += 1
            await route.fetch()
            await route.abort("connectionreset")
        else:
            await route.continue_()

    page = await visits.page()
    await page.route("**/report?k=*", lose)
    found = await report(page)
    assert lost == 1
    assert await place.issues() - before == {found}


@pytest.mark.check(6)
async def test_a_tab_that_was_closed_offline_and_two_that_open_later_send_it_once(place: Place, visits: Visits) -> None:
    before = await place.issues()
    page = await visits.page()
    await _cut(page)
    context = page.context
    await page.close()
    await context.set_offline(False)
    tabs = [await context.new_page() for _ in range(2)]
    await asyncio.gather(*(tab.goto("/") for tab in tabs))
    async with asyncio.timeout(60):
        while await place.issues() == before:
            await asyncio.sleep(0.1)
    await asyncio.gather(*(tab.reload() for tab in tabs))
    for tab in tabs:
        await expect(tab.locator("#outbox")).not_to_contain_text("尚未发送")
    assert len(await place.issues() - before) == 1


@pytest.mark.check(6)
async def test_a_device_that_keeps_nothing_sends_the_form_as_any_other(place: Place, visits: Visits) -> None:
    before = await place.issues()
    page = await visits.page()
    await page.add_init_script(NO_STORE)
    found = await report(page)
    assert await place.issues() - before == {found}
