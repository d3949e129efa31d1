"""What the outbox makes of answers that are none, of a word taken back, of one bad photo, and of a session that was renewed."""

import asyncio
import contextlib
import io

from PIL import Image
from playwright.async_api import Error, FilePayload, Page, Route, expect

from browsers.engine import Visits
from browsers.place import Place
from browsers.reporting import elsewhere, fill, report
from browsers.test_work import COMPOUND, at_work, give

BAD: FilePayload = {"name": "bad.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}


def picture() -> FilePayload:
    made = io.BytesIO()
    Image.new("RGB", (400, 300), "green").save(made, "JPEG")
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": made.getvalue()}


async def test_the_page_of_a_network_that_wants_a_login_is_no_answer(place: Place, visits: Visits) -> None:
    before, caught = await place.issues(), 0

    async def catch(route: Route) -> None:
        nonlocal caught
        if route.request.method == "POST" and not caught:
            caught += 1
            await route.fulfill(status=200, content_type="text/html", body="<h1>WLAN</h1>")
        else:
            await route.continue_()

    page = await visits.page()
    await page.route("**/report?k=*", catch)
    found = await report(page)
    assert caught == 1
    assert await place.issues() - before == {found}


async def test_what_is_taken_back_while_a_try_hangs_is_not_sent_later(place: Place, visits: Visits) -> None:
    before, tries, hangs = await place.issues(), 0, asyncio.Event()
    held: list[Route] = []

    async def hold(route: Route) -> None:
        nonlocal tries
        tries += route.request.method == "POST"
        if route.request.method != "POST" or tries > 2:
            await route.continue_()
        elif tries == 1:
            await route.abort("connectionreset")
        else:
            held.append(route)
            hangs.set()

    page = await visits.page()
    await fill(page)
    await page.route("**/report?k=*", hold)
    await page.locator("#go").click()
    await asyncio.wait_for(hangs.wait(), 30)
    await page.locator("#outbox button", has_text="不发了").click()
    with contextlib.suppress(Error):  # it was given up already
        await held[0].abort("connectionreset")
    await expect(page.locator("#report")).to_have_attribute("aria-busy", "false")
    await page.wait_for_timeout(6000)  # longer than the pause after which it would be tried again
    assert await place.issues() == before
    await expect(page.locator("#outbox")).to_be_hidden()


async def test_one_bad_photo_does_not_take_the_good_one_with_it(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    page = await at_work(place, visits)
    await page.goto(f"/work/{taken['id']}")
    await page.locator("#photo summary").click()
    await page.locator("#new-photo").set_input_files([BAD, picture()])
    await page.locator("#photo button").click()
    await place.until_told(taken, "attached")
    await expect(page.locator("#photo [role=alert]")).to_be_visible()


async def test_photos_of_a_report_go_out_after_signing_in_again(place: Place, visits: Visits) -> None:
    page = await visits.page()
    await _signed_in(place, page)
    await page.route("**/photo*", lambda route: route.abort())
    await fill(page)
    await page.locator("#report input[type=file]").first.set_input_files([picture()])
    async with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        await page.locator("#go").click()
    issue = (await (await answer.value).json())["to"].split("/")[2]
    await expect(page.locator("#outbox")).to_contain_text("尚未发送")
    await page.context.clear_cookies()
    await _signed_in(place, page)
    await page.unroute("**/photo*")
    async with page.expect_response(f"**/i/{issue}/photo*") as kept:
        await page.goto("/mine")
    assert (await kept.value).ok


async def test_what_another_page_has_sent_is_told_until_it_was_seen(place: Place, visits: Visits) -> None:
    before = await place.issues()
    page = await visits.page()
    await fill(page)
    await page.context.set_offline(True)
    await page.locator("#go").click()
    await expect(page.locator("#outbox")).to_contain_text("尚未发送")
    page = await elsewhere(page, "/")
    await expect(page.locator("#outbox")).to_contain_text("已送达")
    await page.reload()
    await expect(page.locator("#outbox")).to_contain_text("已送达")
    await page.locator("#outbox a", has_text="打开").click()
    await page.wait_for_url("**/sent")
    assert await place.issues() - before == {page.url.split("/")[-2]}
    await page.goto("/")
    await expect(page.locator("#outbox")).to_be_hidden()


async def test_the_form_of_a_tab_goes_on_when_another_tab_has_sent_it(place: Place, visits: Visits) -> None:
    page = await visits.page()
    await page.route(
        "**/report?k=*", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    await fill(page)
    await page.locator("#go").click()
    await expect(page.locator("#outbox")).to_contain_text("等待发送")
    other = await page.context.new_page()
    await other.goto("/")
    await page.wait_for_url("**/sent")


async def test_what_is_not_there_any_more_is_refused_for_good(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    await give(place, taken, "accept")
    page = await at_work(place, visits)
    await page.goto(f"/work/{taken['id']}/answer")
    gone = {"status": 404, "content_type": "application/problem+json", "body": '{"title": "没有"}'}
    await page.route("**/answer", lambda route: route.fulfill(**gone))
    await page.locator("#f-text").fill("周三完工")
    await page.locator("button.main").click()
    await expect(page.locator("[role=alert]")).to_contain_text("没有")


async def test_what_a_colleague_could_not_send_is_not_in_the_way(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    page = await at_work(place, visits)
    await page.goto(f"/work/{taken['id']}")
    await page.route("**/accept", lambda route: route.abort())
    await page.locator("[data-next]").click()
    await expect(page.locator("#outbox")).to_contain_text("等待发送")
    context = page.context
    await page.close()
    await context.clear_cookies()
    page = await context.new_page()
    await page.goto("/")
    await expect(page.locator("#outbox a[href^='/sign-in']")).to_contain_text("请先登录")
    await _signed_in(place, page, "repairman-2", "property", "jinpen-property")
    await page.goto(f"/work/{taken['id']}")
    await expect(page.locator("#outbox")).to_contain_text("另一个人")
    await page.wait_for_timeout(1500)  # the page's own pause
    await page.locator("[data-next]").click()
    await expect(page.locator(".done")).to_have_text("已生效。")


async def _signed_in(
    place: Place, page: Page, person: str = "resident-outbox", role: str = "resident", org: str = ""
) -> None:
    await place.sign_in_as(page.context, person, role, org)
