"""What a resident does besides reporting: finds an issue, speaks against what was decided, takes it up again, wants to be forgotten."""

import asyncio
import json
import re

from playwright.async_api import Page, expect

from browsers.engine import DESK, PHONE, Look, Visits
from browsers.place import Place, door_of
from support.system import Answer, System


async def opened(place: Place, visits: Visits, taken: Answer, look: Look = PHONE) -> Page:
    """The page of an issue on the device of its reporter, once it is live."""
    page = await visits.page(look)
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    return page


async def say(page: Page, command: str, words: str) -> None:
    """Sends one of the forms of the page, with words in it."""
    form = page.locator(f"form[action$='/{command}']")
    if not await form.is_visible():
        await page.locator("#more > summary").click()
    await form.locator("textarea").fill(words)
    await form.locator("button").click()


async def test_what_was_not_done_is_reopened_then_withdrawn_and_reported_again(place: Place, visits: Visits) -> None:
    taken = await place.completed()
    page = await opened(place, visits, taken)
    await say(page, "reopen", "还在漏")
    await expect(page.locator(".story")).to_contain_text("已重新打开")
    await expect(page.locator("h1")).to_contain_text("现在轮到")
    await say(page, "withdraw", "自己修好了")
    await expect(page.locator("h1")).to_contain_text("已结案")
    before = await place.issues()
    await page.locator("a[href$='/again']").click()
    await expect(page.locator("h1")).to_have_text("问题又出现了")
    await page.locator("#text").fill("又开始漏了")
    await page.locator("form[action*='/again'] button.main").click()
    await page.wait_for_url("**/sent")
    assert await place.issues() - before == {page.url.split("/")[-2]}
    await page.locator("main a.main").click()
    await expect(page.locator(".story").first).to_contain_text("又开始漏了")
    await expect(page.locator("#before-1 summary")).to_contain_text(taken["number"])


async def test_who_objects_to_a_merge_is_heard_above_and_his_issue_goes_on_by_itself(
    place: Place, visits: Visits
) -> None:
    older, younger = [await place.reported(compound="jinpen", category="elevator") for _ in range(2)]
    officer = await visits.page(DESK)
    await place.sign_in(officer.context, "calm community")
    await officer.goto(f"/work/{younger['id']}/merge")
    await officer.locator("#f-into").fill(older["number"])
    await officer.locator("form[action$='/merge'] button.main").click()
    await expect(officer.locator(".done")).to_have_text("已生效。")
    page = await opened(place, visits, younger)
    await page.locator("a[href$='/into']").click()
    await page.wait_for_url(f"**/i/{older['id']}")
    await page.goto(f"/i/{younger['id']}")
    await say(page, "object", "是另一台电梯")
    await expect(page.locator(".story")).to_contain_text("居民提出异议")
    above = await visits.page(DESK)
    await place.sign_in(above.context, "calm street")
    await above.goto("/desk")
    await above.locator(f"a[href='/work/{younger['id']}/grant']").click()
    await above.locator("[name=note]").fill("两台电梯,请另办")
    await above.locator("form[action$='/grant'] button.main").click()
    await expect(above.locator(".done")).to_have_text("已生效。")
    await expect(page.locator(".story")).to_contain_text("已批准")
    await expect(page.locator("h1")).to_contain_text("现在轮到")
    await expect(page.locator("a[href$='/into']")).to_have_count(0)


async def test_number_and_code_open_it_anywhere_and_the_board_leads_to_a_report(place: Place, visits: Visits) -> None:
    words = "电梯里有烟味,住501的"
    taken = await place.reported(category="elevator", description=words, location="3幢电梯")
    page = await visits.page()
    await page.goto("/")
    await page.locator("main a[href='/find']").click()
    await page.locator("#number").fill(taken["number"])
    await page.locator("#code").fill("8J5ZC-0QK2M-VT7XD-3H9RA")
    await page.locator("main form button").click()
    await expect(page.locator("[role=alert] a[href='#code']")).to_be_visible()
    await expect(page.locator("#number")).to_have_value(taken["number"])
    await page.locator("#code").fill(taken["tracking_code"].lower().replace("-", " "))
    await page.locator("main form button").click()
    await page.wait_for_url(f"**/i/{taken['id']}")
    await expect(page.locator(".story")).to_contain_text(words)
    await page.goto("/board/demo")
    await expect(page.locator("article", has_text="3幢").first).to_contain_text("电梯")
    assert words not in await page.content()
    await page.locator("main a[href^='/report?at=']").click()
    await expect(page.locator("#compound")).to_have_value("demo")


async def test_a_phone_opens_all_own_issues_and_their_texts_are_asked_to_be_erased(
    place: Place, visits: Visits
) -> None:
    phone, page = "13812340001", await visits.page()
    await page.goto("/phone?next=/mine")
    await page.locator("#phone").fill(phone)
    await page.locator("main form button.main").click()
    await expect(page.locator("#code")).to_be_visible()
    await page.locator("#code").fill(await _texted(place.system, phone))
    await page.locator("main form button.main").first.click()
    await page.wait_for_url("**/mine")
    await page.goto("/report?at=jinpen")
    await page.locator("#where").fill("东门")
    await page.locator("#go").click()
    await page.locator("#description").fill("路灯不亮,我摔了一跤")
    await page.locator("#go").click()
    await page.locator("#go").click()
    await page.locator("#go").click()
    await page.wait_for_url("**/sent")
    issue = page.url.split("/")[-2]
    await page.goto("/mine")
    await expect(page.locator(f"article:has(a[href='/i/{issue}'])")).to_contain_text("我摔了一跤")
    await page.locator("main a[href='/me']").click()
    await page.locator("main summary").click()
    code = await page.locator("dd code").inner_text()
    await page.locator("form[action='/me/forget'] button").click()
    await expect(page.locator("[role=alert] a[href='#sure']")).to_be_visible()
    await page.locator("#sure").check()
    await page.locator("form[action='/me/forget'] button").click()
    await expect(page.locator("main [role=status]")).to_contain_text("已经登记")
    asked = await place.system.keys.vault.store.requested_erasures("", 100)
    assert issue in {each.issue for each in asked}
    other = await visits.page()
    await other.goto("/find")
    await other.locator("#code").fill(code)
    await other.locator("main form button").click()
    await other.wait_for_url(f"**/i/{issue}")


async def test_what_silence_closed_is_taken_up(place: Place, visits: Visits) -> None:
    taken = place.silent
    assert taken is not None
    await place.until(taken, lambda body: body["closed"] is not None)
    page = await visits.page()
    await page.goto(door_of(taken))
    before = await place.issues()
    await page.locator("main a", has_text="继续反映").click()
    await page.locator("#text").fill("没有人来过")
    await page.locator("form[action*='/again'] button.main").click()
    await page.wait_for_url("**/sent")
    (new,) = await place.issues() - before
    await page.goto(f"/i/{new}")
    await expect(page.locator("#before-1 summary")).to_contain_text(taken["number"])
    await expect(page.locator("h1")).to_contain_text("现在轮到")


async def _texted(system: System, phone: str) -> str:
    """The code in the message to this phone."""
    async with asyncio.timeout(60):
        while True:
            lines = system.texts.read_text("utf-8").splitlines() if system.texts.exists() else []
            found = [each["text"] for each in map(json.loads, lines) if each["phone"] == f"+86{phone}"]
            if found:
                return re.sub(r"\D", "", found[-1])
            await asyncio.sleep(0.05)
