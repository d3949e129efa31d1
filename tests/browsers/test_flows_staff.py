"""What staff do besides the work: assign, appoint and end, print codes for doors, decide what waits, remind many."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import segno
from playwright.async_api import Page, expect

from browsers.engine import DESK, PHONE, Look, Visits
from browsers.place import Place
from domain.worktime import SHANGHAI


async def of(place: Place, visits: Visits, who: str, look: Look = PHONE) -> Page:
    """A device on which one of the staff has signed in."""
    page = await visits.page(look)
    await place.sign_in(page.context, who)
    return page


async def test_the_manager_assigns_with_one_tap_and_it_is_first_in_that_list(place: Place, visits: Visits) -> None:
    taken = await place.reported(location="9幢902")
    page, hers = await of(place, visits, "repairman"), await of(place, visits, "fitter")
    await page.goto("/work")
    await page.locator(f"a[href='/work/{taken['id']}']").click()
    await expect(page.locator("#live")).to_have_text("页面会自动更新")
    button = page.locator("form[action$='/assign'] button[value='p2']")
    await expect(button).to_have_text("维修师傅")
    await page.wait_for_timeout(1200)  # the page's own pause
    await button.click()
    await place.until_told(taken, "assigned")
    await expect(page.locator(".done")).to_have_text("已生效。")
    await expect(page.locator("form[action$='/assign']")).to_have_count(0)
    await hers.goto("/work")
    first = hers.locator("li.job").first
    await expect(first).to_contain_text("派给我的")
    await expect(first.locator("a")).to_have_attribute("href", f"/work/{taken['id']}")


async def test_a_manager_appoints_names_and_ends_and_the_duty_phone_is_on_the_board(
    place: Place, visits: Visits
) -> None:
    page = await of(place, visits, "repairman")
    await page.goto("/people")
    await page.locator("#appoint-person").fill("flow-9")
    await page.locator("#appoint-name").fill("夜班师傅")
    await page.locator("form[action='/people/appoint'] button").click()
    row = page.locator("ul.people li", has_text="flow-9")
    await expect(row).to_contain_text("夜班师傅")
    await row.locator("summary").click()
    await row.locator("form[action='/people/name'] input[name=name]").fill("维修二组")
    await row.locator("form[action='/people/name'] button").click()
    await expect(row).to_contain_text("维修二组")
    await page.locator("#duty-phone-duty_phone").fill("0795-765 4321")
    await page.locator("form[action='/people/duty-phone'] button").click()
    await expect(page.locator("#duty-phone-duty_phone")).to_have_value("0795-765 4321")
    newcomer = await visits.page()
    await place.sign_in_as(newcomer.context, "flow-9", "property", "demo-property")
    await newcomer.goto("/board/demo")
    await expect(newcomer.locator("a[href='tel:0795-7654321']")).to_be_visible()
    await newcomer.goto("/people")
    await expect(newcomer.locator("nav")).to_contain_text("维修二组")
    await expect(newcomer.locator("form[action='/people/appoint']")).to_have_count(0)
    await row.locator("summary").click()
    tomorrow = (datetime.now(SHANGHAI).date() + timedelta(days=1)).isoformat()
    await row.locator("input[name=to]").fill(tomorrow)
    await row.locator("form[action='/people/end'] button").click()
    await expect(row).to_contain_text(tomorrow)


async def test_a_code_that_was_printed_leads_to_a_report_that_knows_its_place(place: Place, visits: Visits) -> None:
    page = await of(place, visits, "repairman", DESK)
    await page.goto("/people")
    await page.locator("summary", has_text="二维码").click()
    await page.locator("a[href='/qr/demo']").click()
    door = page.locator(".door", has=page.locator(".house", has_text="3幢").filter(has_not_text="13幢"))
    await page.emulate_media(media="print")
    await expect(page.locator(".screen")).to_be_hidden()
    await expect(page.locator("header")).to_be_hidden()
    await expect(door).to_be_visible()
    address = await door.locator(".address").inner_text()
    await expect(door.locator("svg path")).to_have_attribute("d", _drawn(address))
    phone = await visits.page()
    await phone.goto(f"{address}?from=singlemessage&isappinstalled=0")  # as WeChat opens it
    await expect(phone.locator("#compound")).to_have_value("demo")
    await expect(phone.locator("#building")).to_have_value("3幢")
    await phone.locator("#where").fill("2单元501")
    await phone.locator("#go").click()
    await phone.locator("#description").fill("楼道灯不亮")
    await phone.locator("#go").click()
    await phone.locator("#go").click()
    await expect(phone.locator("#check")).to_contain_text("体验小区")
    await phone.locator("#go").click()
    await phone.wait_for_url("**/sent")
    taken = await place.system.get(f"/v1/issues/{phone.url.split('/')[-2]}", place.system.staff)
    assert taken["compound"] == "demo"


def _drawn(address: str) -> str:
    """The line by which a code of this address is drawn."""
    drawn = segno.make_qr(address, error="m").svg_inline(omitsize=True, border=4)
    return drawn.partition(' d="')[2].partition('"')[0]


async def test_an_officer_decides_what_waits_and_reminds_what_climbed(place: Place, visits: Visits) -> None:
    asked, declined, *climbed = [await place.reported(compound="jinpen", category="facility") for _ in range(4)]
    calm = "calm repairman"
    await place.give(asked, "accept", "extend", who=calm, reason="配件未到")
    await place.give(declined, "decline", who=calm, reason="not_our_duty")
    for each in climbed:
        await place.give(each, "accept", "escalate", who=calm, reason="人手不足")
    page = await of(place, visits, "calm community", DESK)
    await _decide(page, asked["id"], "deny")
    await _decide(page, declined["id"], "rule")
    for each in (asked, declined):
        await expect(page.locator(f"a[href^='/work/{each['id']}/']")).to_have_count(0)
    await _remind(page, [each["id"] for each in climbed], "请今天到场")
    for each in climbed:
        await place.until_told(each, "instructed")


async def _decide(page: Page, issue: str, command: str) -> None:
    """From the desk to the form of a decision, and back."""
    await page.goto("/desk")
    await page.locator(f"a[href='/work/{issue}/{command}']").click()
    form = page.locator(f"form[action$='/{command}']")
    if command == "rule":
        await form.locator("input[name=upheld]").first.check()
    await form.locator("textarea").first.fill("请按约办理")
    await form.locator("button.main").click()
    await expect(page.locator(".done")).to_have_text("已生效。")
    await page.goto("/desk")


async def _remind(page: Page, issues: Sequence[str], words: str) -> None:
    form = page.locator("#climbed ~ form")
    for issue in issues:
        await form.locator(f"input[name='issue-{issue}']").check()
    await form.locator("summary").click()
    await form.locator("textarea").fill(words)
    await form.locator("button").click()
    told = page.locator(".reminded li")
    await expect(told).to_have_count(len(issues))
    for at in range(len(issues)):
        await expect(told.nth(at)).to_contain_text("已送达")
