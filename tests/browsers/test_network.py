"""Plain http by a name in the local network is enough, and nothing of an issue is where it should not be."""

import pytest
from playwright.async_api import Request, expect

from browsers.engine import LAN, Visits
from browsers.measure import kept_of
from browsers.place import Place, door_of
from browsers.reporting import fill, sent
from browsers.test_outbox_answers import picture


@pytest.mark.check(9)
async def test_by_the_name_of_a_host_without_tls_a_resident_reports_queues_sees_and_speaks(
    place: Place, visits: Visits
) -> None:
    origin = place.origin.replace("127.0.0.1", LAN)
    visits.watch.also(origin)
    page = await visits.page(origin=origin)
    await fill(page)
    assert not await page.evaluate("() => isSecureContext"), "the test means a device that trusts nothing here"
    await page.context.set_offline(True)
    await page.locator("#go").click()
    await expect(page.locator("#outbox h2")).to_have_text("尚未发送 1")
    await page.context.set_offline(False)
    issue = await sent(page)
    await page.locator("form[data-photos] input[type=file]").set_input_files([picture()])
    async with page.expect_response(f"**/i/{issue}/photo") as answer:
        await page.locator("form[data-photos] button").click()
    assert (await answer.value).ok
    await page.goto(f"/i/{issue}")
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    await page.locator("form[action$='/urge'] button").click()
    await expect(page.locator(".story")).to_contain_text("居民催单")


@pytest.mark.check(11)
async def test_the_code_is_in_no_page_no_address_no_referrer_and_no_store(place: Place, visits: Visits) -> None:
    phone, words = "13912345678", "厨房漏水,钥匙在门垫下"
    taken = await place.reported(description=words, contact={"name": "", "phone": phone})
    code, asked = taken["tracking_code"], list[Request]()
    page = await visits.page()
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    await page.locator("form[action$='/urge'] button").click()
    await expect(page.locator(".story")).to_contain_text("居民催单")
    source, kept = await page.content(), await kept_of(page)
    assert words in source
    for secret in (code, phone):
        assert secret not in source + page.url + kept
        for each in asked[1:]:
            assert secret not in each.url + str(await each.all_headers() if "/i/" not in each.url else each.headers)
            assert secret not in each.headers.get("referer", "")
