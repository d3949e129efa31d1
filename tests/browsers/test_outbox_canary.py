"""What the outbox keeps on a device is there until it is sent, and nowhere afterwards."""

import pytest
from playwright.async_api import Page, expect

from browsers.engine import Visits
from browsers.measure import kept_of
from browsers.place import Place
from browsers.reporting import elsewhere, fill, sent
from browsers.test_outbox_answers import picture
from support.canary import Canaries

LEFT = '["",{},{},[],[]]'
"""No cookie that scripts can read, no storage, no cache, no entry."""


async def _cut(page: Page, canaries: Canaries) -> str:
    """Fills a report with canaries, and a photo, and sends it into a dead network; what the device keeps."""
    await fill(page, f"厨房漏水 {canaries.plant('description')}")
    await page.locator("#where").evaluate("(field, text) => { field.value = text }", canaries.plant("where"))
    await page.locator("#phone").evaluate("(field, text) => { field.value = text }", canaries.phone("phone"))
    await page.locator("#photo").set_input_files([picture()])
    await page.context.set_offline(True)
    await page.locator("#go").click()
    await expect(page.locator("#outbox h2")).to_have_text("尚未发送 1")
    return await kept_of(page)


@pytest.mark.check(11)
async def test_nothing_of_a_report_is_left_on_the_device_once_it_was_sent(place: Place, visits: Visits) -> None:
    canaries = Canaries()
    page = await visits.page()
    kept = await _cut(page, canaries)
    assert [text for text in canaries.planted if text not in kept] == [], "or nothing would be sent"
    assert "bytes " in kept, "nor the photo"
    await page.context.set_offline(False)
    await sent(page)
    await expect(page.locator("#outbox")).to_be_hidden()
    assert await kept_of(page) == LEFT


@pytest.mark.check(11)
async def test_what_another_page_has_sent_is_told_without_a_word_of_it(place: Place, visits: Visits) -> None:
    canaries = Canaries()
    page = await visits.page()
    await _cut(page, canaries)
    page = await elsewhere(page, "/")
    await expect(page.locator("#outbox")).to_contain_text("已送达")
    kept = await kept_of(page)
    assert canaries.found(kept.encode()) == []
    assert "bytes " not in kept
    await page.locator("#outbox button", has_text="知道了").click()
    await expect(page.locator("#outbox")).to_be_hidden()
    assert await kept_of(page) == LEFT


async def test_where_somebody_lives_is_not_kept_of_a_command_that_was_sent(place: Place, visits: Visits) -> None:
    canaries = Canaries()
    where = canaries.plant("location")
    taken = await place.reported(compound="jinpen", location=where)
    page = await visits.page()
    await place.sign_in(page.context, "calm repairman")
    await page.goto(f"/work/{taken['id']}")
    await page.wait_for_timeout(1200)  # the page's own pause
    await page.context.set_offline(True)
    await page.locator("[data-next]").click()
    await expect(page.locator("#outbox")).to_contain_text(where)
    page = await elsewhere(page, "/work")
    await expect(page.locator("#outbox")).to_contain_text("已送达")
    assert canaries.found((await kept_of(page)).encode()) == []
