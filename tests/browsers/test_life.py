"""One issue's life, by hand: a resident reports, the repairman comes and completes, the resident rates; managers and officers."""

import pytest
from playwright.async_api import Page, expect

from browsers.engine import DESK, LOOKS, PHONE, Look, Visits
from browsers.measure import accessible
from browsers.place import Place
from browsers.reporting import report


async def at_work(place: Place, visits: Visits, issue: str, look: Look = PHONE, who: str = "repairman") -> Page:
    """The page of a job, on the device of one of the staff who has signed in."""
    page = await visits.page(look)
    await place.sign_in(page.context, who)
    await page.goto(f"/work/{issue}")
    return page


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_from_report_to_rating(look: Look, place: Place, visits: Visits) -> None:
    resident = await visits.page(look)
    issue = await report(resident, f"厨房漏水,{look.name}")
    await resident.goto(f"/i/{issue}")
    repairman = await visits.page(look)
    await place.sign_in(repairman.context, "repairman")
    await repairman.goto("/work")
    await repairman.locator(f"a[href='/work/{issue}']").click()
    await repairman.locator("form[action$='/accept'] button.main").click()
    await expect(repairman.locator(".story, main").first).to_contain_text("已签收")
    await expect(resident.locator(".story")).to_contain_text("已签收")
    await repairman.goto(f"/work/{issue}/arrive")
    await repairman.locator("[name=assessment][value=minor]").check()
    await repairman.locator("form[action$='/arrive'] button.main").click()
    await expect(resident.locator(".story")).to_contain_text("到场")
    await repairman.goto(f"/work/{issue}/complete")
    await repairman.locator("[name=answer]").fill("换了阀门,试水一小时不漏")
    await repairman.locator("form[action$='/complete'] button.main").click()
    await expect(resident.locator("form[action$='/confirm']")).to_be_visible()
    await resident.locator("[name=outcome][value=solved]").check()
    await resident.locator("[name=satisfaction][value=satisfied]").check()
    await resident.locator("form[action$='/confirm'] button").click()
    await expect(resident.locator("h1")).to_contain_text("已结案")


async def test_completing_is_never_one_tap(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    await place.give(taken, "accept")
    await place.give(taken, "arrive", assessment="minor")
    page = await at_work(place, visits, taken["id"])
    await page.locator("a[href$='/complete']").first.click()
    await expect(page.locator("[name=answer]")).to_be_visible()
    await page.locator("form[action$='/complete'] button.main").click()
    await page.wait_for_timeout(1000)
    assert "completed" not in await place.told(taken)


async def test_three_quick_taps_on_the_next_action_accept_and_do_no_more(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await at_work(place, visits, taken["id"])
    await page.wait_for_timeout(1200)
    button = page.locator("form[action$='/accept'] button.main")
    await button.scroll_into_view_if_needed()
    box = await button.bounding_box()
    assert box is not None
    spot = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    client = await page.context.new_cdp_session(page)
    for pause in (0, 60, 180, 300):
        await page.wait_for_timeout(pause)
        for kind, points in (("touchStart", [spot]), ("touchEnd", [])):
            await client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    told = await place.until_told(taken, "accepted")
    await page.wait_for_timeout(1000)
    assert await place.told(taken) == told


@pytest.mark.check(6)
async def test_offline_actions_of_an_issue_that_was_withdrawn_are_refused_and_the_later_one_is_not_sent(
    place: Place, visits: Visits
) -> None:
    taken = await place.reported()
    page = await at_work(place, visits, taken["id"])
    other = await page.context.new_page()
    await place.give(taken, "accept")
    await other.goto(f"/work/{taken['id']}/arrive")
    await page.goto(f"/work/{taken['id']}/arrive")
    posted: list[str] = []
    page.context.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    await page.context.set_offline(True)
    for each in (page, other):
        await each.locator("[name=assessment][value=minor]").check()
        await each.locator("form[action$='/arrive'] button.main").click()
        await expect(each.locator("#outbox")).to_be_visible()
    await place.give_as_reporter(taken, "withdraw")
    posted.clear()
    await page.context.set_offline(False)
    await expect(page.locator("#outbox, .faults").first).to_contain_text("未被接受")
    await page.wait_for_timeout(1000)
    assert "arrived" not in await place.told(taken)
    assert len(posted) == 1, posted


async def test_an_officer_reads_what_climbed_and_searches(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    await place.until_told(taken, "escalated")
    page = await visits.page(DESK)
    await place.sign_in(page.context, "community")
    await page.goto("/desk")
    await expect(page.locator("main")).to_contain_text(taken["number"])
    assert await accessible(page) == []
    await page.goto(f"/search?q={taken['number']}")
    await expect(page.locator("main")).to_contain_text(taken["number"])


async def test_staff_sign_in_by_one_click_and_out_again(place: Place, visits: Visits) -> None:
    page = await visits.page()
    await page.goto("/work")
    await page.locator("form:has([name=org][value='demo-property']) button").click()
    await page.wait_for_url("**/work")
    await expect(page.locator("h1")).to_have_text("我的活")
    await expect(page.locator("nav")).to_contain_text("体验物业")
    await page.locator("nav form[action='/sign-out'] button").click()
    await page.goto("/work")
    assert "/sign-in" in page.url
