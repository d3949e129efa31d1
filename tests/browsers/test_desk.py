"""An officer goes through the desk by keys, ticks and reminds; and without script by the same form."""

from playwright.async_api import Page

from browsers.engine import Visits
from browsers.place import Place


async def _two(place: Place) -> list[str]:
    found: list[str] = []
    for words in ("路灯不亮", "栏杆松了"):
        taken = await place.reported(category="facility", description=words, compound="jinpen")
        headers = place.system.token("p9", "property", "jinpen-property")
        for name, given in (("accept", {}), ("escalate", {"reason": "人手不足"})):
            answer = await place.system.give(taken["id"], name, headers, **given)
            assert answer.status == 200, answer.body
        found.append(taken["id"])
    return found


async def _officer(place: Place, visits: Visits, *, scripts: bool = True) -> Page:
    page = await visits.page(java_script_enabled=scripts)
    await place.sign_in_as(page.context, "c9", "community", "jinpen-community")
    return page


async def test_keys_lead_from_issue_to_issue_tick_and_open(place: Place, visits: Visits) -> None:
    await _two(place)
    page = await _officer(place, visits)
    await page.goto("/desk")
    focus = "document.activeElement.getAttribute('href')"
    links = await page.evaluate("[...document.querySelectorAll('.rows a.whole')].map(a => a.getAttribute('href'))")
    await page.keyboard.press("j")
    assert await page.evaluate(focus) == links[0]
    await page.keyboard.press("j")
    assert await page.evaluate(focus) == links[1]
    await page.keyboard.press("k")
    assert await page.evaluate(focus) == links[0]
    await page.keyboard.press("x")
    assert await page.locator(".rows input:checked").count() == 1
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**{links[0]}")


async def test_keys_are_letters_where_somebody_writes(place: Place, visits: Visits) -> None:
    await _two(place)
    page = await _officer(place, visits)
    await page.goto("/desk")
    await page.locator("summary", has_text="催办勾选的").first.click()
    box = page.locator("textarea").first
    await box.fill("")
    await box.press_sequentially("jkx")
    assert await box.input_value() == "jkx"
    assert await page.locator(".rows input:checked").count() == 0


async def test_ticked_issues_are_reminded_without_script(place: Place, visits: Visits) -> None:
    ids = await _two(place)
    page = await _officer(place, visits, scripts=False)
    await page.goto("/desk")
    for issue in ids:
        await page.locator(f'#climbed ~ form input[name="issue-{issue}"]').check()
    await page.locator("#climbed ~ form summary").click()
    await page.locator("#climbed ~ form button").click()
    told = await page.locator(".reminded li").all_inner_texts()
    assert [each.partition(" ")[2] for each in told] == ["已送达"] * 2
    for issue in ids:
        timeline = await place.system.get(
            f"/v1/issues/{issue}/timeline", place.system.token("s", "street", "cuiwei-street")
        )
        assert [each["kind"] for each in timeline["events"]].count("instructed") == 1
