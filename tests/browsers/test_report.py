"""A resident reports, with script and without; Back and sending again is still one report."""

import pytest
from playwright.async_api import Page, expect

from browsers.engine import LOOKS, Look, Visits
from browsers.measure import accessible
from browsers.place import Place
from browsers.reporting import WORDS, fill, fill_plainly, report, sent


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_a_resident_reports_in_three_steps_and_follows_it(look: Look, place: Place, visits: Visits) -> None:
    page = await visits.page(look)
    await page.goto("/")
    await page.locator("a[href='/report']").first.click()
    await report(page)
    await page.locator("main a.main").click()
    await expect(page.locator("h1")).to_contain_text("现在轮到")
    await expect(page.locator(".story")).to_contain_text(WORDS)


async def test_a_category_is_suggested_and_never_forced(place: Place, visits: Visits) -> None:
    page = await visits.page()
    await page.goto("/report")
    await page.locator("#compound").select_option("demo")
    await page.locator("#where").fill("电梯口")
    await page.locator("#go").click()
    await page.locator("#description").fill("漏水")
    await expect(page.locator("#category")).to_have_value("leak")
    await page.locator("#category").select_option("other")
    await page.locator("#description").fill("漏水漏水")
    await expect(page.locator("#category")).to_have_value("other")
    await page.locator("#category").select_option("")
    await page.locator("#description").fill("漏水漏水漏水")
    await expect(page.locator("#category")).to_have_value("")
    await page.locator("#go").click()
    await page.locator("#go").click()
    unsure = await page.locator("#category option").first.inner_text()
    await expect(page.locator("#check")).to_contain_text(unsure)


async def test_the_next_step_comes_after_a_reload_too(place: Place, visits: Visits) -> None:
    page = await visits.page()
    await page.goto("/report")
    await page.locator("#compound").select_option("demo")
    await page.locator("#where").fill("电梯口")
    await page.locator("#go").click()
    await expect(page.locator("#description")).to_be_visible()
    await page.reload()
    if not await page.locator("#description").is_visible():  # a browser that kept nothing of the form asks for it again
        await page.locator("#compound").select_option("demo")
        await page.locator("#where").fill("电梯口")
        await page.locator("#go").click()
    await expect(page.locator("#description")).to_be_visible()
    await page.locator("#description").fill("漏水")
    await page.locator("#go").click()
    await expect(page.locator("#phone")).to_be_visible()


async def test_what_is_missing_is_said_by_a_summary_that_is_accessible(place: Place, visits: Visits) -> None:
    page = await visits.page()
    for script in (
        "report.js",
        "outbox.js",
    ):  # axe-core needs a page that runs scripts; the server's summary none of ours
        await page.route(f"**/{script}", lambda route: route.abort())
    await page.goto("/report")
    await page.locator("form#report").evaluate("form => form.noValidate = true")
    await fill_plainly(page, " ")
    summary = page.locator("[role=alert]")
    await expect(summary.locator("a")).to_have_attribute("href", "#description")
    assert "还有地方没填好" in await page.title()
    await expect(page.locator("#where")).to_have_value("2单元501")
    assert await accessible(page) == []


@pytest.mark.check(3)
async def test_without_script_back_and_sending_again_is_one_issue(place: Place, visits: Visits) -> None:
    before = await place.issues()
    page = await visits.page(java_script_enabled=False)
    await page.goto("/report")
    await fill_plainly(page)
    await _send(page)
    first = await sent(page)
    await _back_to_the_form(page)
    await expect(page.locator("#description")).to_have_value(WORDS)
    await page.locator("#go").click()
    await _send(page)
    await expect(page.locator("main")).to_contain_text("JS-")
    assert await place.issues() - before == {first}
    await _back_to_the_form(page)
    await fill_plainly(page, WORDS + ",很急")
    await _send(page)
    await expect(page.locator("main")).to_contain_text("JS-")
    assert await place.issues() - before == {first}


@pytest.mark.check(3)
async def test_with_script_back_and_sending_again_is_one_issue(place: Place, visits: Visits) -> None:
    before = await place.issues()
    page = await visits.page()
    first = await report(page)
    address = page.url
    await page.go_back()
    await expect(page.locator("#check")).to_contain_text(WORDS)
    await page.locator("#go").click()
    await page.wait_for_url(address)
    await page.go_back()
    await page.go_back()  # to the step before the check
    await page.go_back()
    await page.locator("#description").fill(WORDS + ",很急")
    await page.locator("#go").click()
    await page.locator("#go").click()
    await expect(page.locator("#check")).to_contain_text("很急")
    await page.locator("#go").click()
    await expect(page.locator("[role=alert]")).to_contain_text("JS-")
    assert await place.issues() - before == {first}


async def test_a_neighbour_follows_the_open_issue_instead(place: Place, visits: Visits) -> None:
    words = "电梯停运,我拎着米"
    issue = (await place.reported(category="elevator", description=words, location="3号楼电梯厅"))["id"]
    page = await visits.page()
    await fill(page, "电梯停运")
    similar = page.locator("#similar")
    await expect(similar).to_contain_text("电梯")
    assert "拎着米" not in await similar.inner_text(), "nobody's words"
    mine = similar.locator(f"form:has(input[value='{issue}']) button")
    before = await place.issues()
    await mine.click()
    await page.wait_for_url(f"**/i/{issue}/sent")
    assert await place.issues() == before


async def _back_to_the_form(page: Page) -> None:
    """Past the answers, which the browser would ask for by sending the form once more."""
    await page.evaluate("() => history.go(-2)")
    await page.wait_for_url("**/report?k=*")


async def _send(page: Page) -> None:
    await page.locator("button[name=step][value=send]").click()
