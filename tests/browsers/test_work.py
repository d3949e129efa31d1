"""A repairman at work in a browser: quick taps, a dead network, photos, and a page that changes under his eyes."""

import asyncio
import io
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Page, expect
from sqlalchemy import select

from browsers.engine import Visits
from browsers.measure import accessible
from browsers.place import Place, code_of
from db.tables import AccessRow
from support.system import Answer

COMPOUND = "jinpen"
"""Under a policy that leaves time: nothing climbs meanwhile."""
REPAIRMAN = ("repairman-1", "property", "jinpen-property")
DONE = "换了阀门,试水一小时不漏"


async def at_work(place: Place, visits: Visits) -> Page:
    """The telephone of the repairman."""
    page = await visits.page()
    await place.sign_in_as(page.context, *REPAIRMAN)
    return page


async def give(place: Place, taken: Answer, command: str, **body: Any) -> None:
    headers = place.system.token("repairman-2", "property", "jinpen-property")
    assert (await place.system.give(taken["id"], command, headers, **body)).status == 200


async def revealed(place: Place, taken: Answer) -> list[tuple[str, str, str]]:
    """Who was shown the phone number of an issue, as the access log has it."""
    query = select(AccessRow.person, AccessRow.org, AccessRow.result).order_by(AccessRow.id)
    async with place.system.database.read() as session:
        found = await session.execute(query.where(AccessRow.what == "phone", AccessRow.issue == taken["id"]))
        return [(person, org or "", result) for person, org, result in found]


async def opened(page: Page, path: str) -> None:
    """Opens a page, and waits until it is live and its buttons may be pressed."""
    await page.goto(path)
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    await page.wait_for_timeout(1500)


@pytest.mark.check(2)
async def test_three_quick_taps_give_one_command_and_the_next_button_waits(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    page = await at_work(place, visits)
    await opened(page, f"/work/{taken['id']}")
    box = await page.locator("[data-next]").bounding_box()
    assert box is not None
    client = await page.context.new_cdp_session(page)
    spot = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for pause in (0, 60, 180, 300):
        await asyncio.sleep(pause / 1000)
        for kind, points in (("touchStart", [spot]), ("touchEnd", [])):
            await client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    await expect(page.locator(".done")).to_have_text("已生效。")
    await page.wait_for_timeout(500)
    told = await place.told(taken)
    assert [kind for kind in told if kind not in ("reported", "dispatched", "led")] == ["accepted"], told
    await expect(page.locator("[data-next]")).to_be_focused()


@pytest.mark.check(2)
async def test_a_button_that_has_just_come_takes_no_tap_for_a_second(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    page = await at_work(place, visits)
    await page.goto(f"/work/{taken['id']}")
    found = await page.evaluate("""() => {
        const old = document.querySelector('[data-next]'), fresh = old.cloneNode(true);
        old.parentNode.replaceChild(fresh, old);
        const taps = () => getComputedStyle(fresh).pointerEvents, runs = fresh.getAnimations();
        runs.forEach(each => { each.pause(); each.currentTime = 900; });
        const before = taps();
        runs.forEach(each => each.finish());
        return [before, taps()];
    }""")
    assert found == ["none", "auto"]


async def test_what_is_tapped_without_network_is_sent_once_when_it_is_back(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    page = await at_work(place, visits)
    await opened(page, f"/work/{taken['id']}")
    await page.context.set_offline(True)
    await page.locator("[data-next]").click()
    await expect(page.locator("#outbox")).to_contain_text("以服务器收到的时间为准")
    assert await accessible(page) == []
    await page.context.set_offline(False)
    await place.until_told(taken, "accepted")
    await expect(page.locator("#issue")).to_contain_text("已签收")
    await page.wait_for_timeout(500)
    assert (await place.told(taken)).count("accepted") == 1


async def test_a_job_is_completed_with_a_photo_that_was_just_taken(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    await give(place, taken, "accept")
    await give(place, taken, "arrive", assessment="minor")
    page = await at_work(place, visits)
    await page.goto(f"/work/{taken['id']}/complete")
    await page.locator("#f-answer").fill(DONE)
    photo = io.BytesIO()
    Image.new("RGB", (1200, 900), "green").save(photo, "JPEG")
    await page.locator("#f-evidence").set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo.getvalue()}
    )
    await page.locator("button.main").click()
    await expect(page.locator(".done")).to_have_text("已生效。")
    await place.until(taken, lambda body: body["status"] == "completed")
    assert "attached" in await place.told(taken)


async def test_what_is_refused_is_said_at_the_form_and_the_words_stay(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound=COMPOUND)
    await give(place, taken, "accept")
    page = await at_work(place, visits)
    await page.goto(f"/work/{taken['id']}/answer")
    await page.locator("#f-text").fill("周三完工")
    await give(place, taken, "arrive", assessment="minor")
    await place.until(taken, lambda body: body["status"] == "arrived")
    await page.locator("button.main").click()
    await expect(page.locator("[role=alert]")).to_be_visible()
    await expect(page.locator("#f-text")).to_have_value("周三完工")
    assert await accessible(page) == []
    await page.locator("button.main").click()
    await expect(page.locator(".done")).to_have_text("已生效。")


@pytest.mark.check(11)
async def test_list_and_job_change_by_themselves_and_a_number_that_was_asked_for_stays(
    place: Place, visits: Visits
) -> None:
    taken = await place.reported(compound=COMPOUND, location="9幢901", contact={"name": "住户", "phone": "13800138000"})
    page, lists = await at_work(place, visits), await at_work(place, visits)
    await opened(lists, "/work")
    card = lists.locator(".card", has_text="9幢901")
    await expect(card).to_contain_text("前签收")
    await opened(page, f"/work/{taken['id']}")
    await page.get_by_role("button", name="显示完整号码").click()
    await expect(page.locator("a[href='tel:13800138000']")).to_be_visible()
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    colleague = place.system.token("repairman-2", "property", "jinpen-property")
    await place.system.get(f"/v1/issues/{taken['id']}/timeline", colleague)
    rows = await revealed(place, taken)
    assert rows == [(who, "jinpen-property", "shown") for who in ("repairman-1", "repairman-2")], "by page as by API"
    await give(place, taken, "accept")
    await expect(card).not_to_contain_text("前签收")
    await expect(page.locator(".story")).to_contain_text("已签收")
    await expect(page.locator("a[href='tel:13800138000']")).to_be_visible()
    assert await revealed(place, taken) == rows, "what stays on the screen is not shown anew"
    assert await accessible(page) + await accessible(lists) == []
    assert (await place.system.get(f"/v1/issues/{taken['id']}", code_of(taken)))["status"] == "accepted"
