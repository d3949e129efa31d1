"""A form counts once, however often it is tapped, and only if a page of ours has sent it."""

import asyncio
from html import escape

import pytest
from playwright.async_api import Page, expect

from browsers.engine import PHONE, Visits
from browsers.place import Place, door_of


async def test_three_quick_taps_on_one_spot_give_one_command(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    button = page.locator("button.main")
    await expect(button).to_be_enabled()
    await page.wait_for_timeout(1100)  # the page's own pause
    await button.scroll_into_view_if_needed()
    box = await button.bounding_box()
    assert box is not None
    client = await page.context.new_cdp_session(page)
    spot = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for pause in (0, 60, 180, 300):
        await asyncio.sleep(pause / 1000)
        for kind, points in (("touchStart", [spot]), ("touchEnd", [])):
            await client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    await place.until_told(taken, "supplied" if "supply" in await acts(page) else "urged")
    await page.wait_for_timeout(1000)
    told = await place.told(taken)
    assert told.count("urged") + told.count("supplied") == 1, told


async def acts(page: Page) -> str:
    return await page.locator("form.act").first.get_attribute("action") or ""


@pytest.mark.check(2)
async def test_enter_twice_gives_one_command(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    await page.locator("form[action$='/urge'] button").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await place.until_told(taken, "urged")
    await page.wait_for_timeout(1000)
    assert (await place.told(taken)).count("urged") == 1


@pytest.mark.check(1)
@pytest.mark.parametrize("scripts", [True, False])
async def test_staff_accept_with_script_and_by_the_plain_form(scripts: bool, place: Place, visits: Visits) -> None:
    taken = await place.reported(compound="jinpen")
    page = await visits.page(java_script_enabled=scripts)
    await place.sign_in(page.context, "calm repairman")
    await page.goto(f"/work/{taken['id']}")
    await page.wait_for_timeout(1200)  # the page's own pause
    await page.locator("form[action$='/accept'] button").click()
    await expect(page.locator(".done")).to_have_text("已生效。")
    assert (await place.told(taken)).count("accepted") == 1


@pytest.mark.check(1)
@pytest.mark.parametrize("has_token", [True, False])
async def test_a_form_of_another_page_is_refused(has_token: bool, place: Place, visits: Visits) -> None:
    """Even one that knows the token, at another port of the same host, with which cookies go along."""
    taken = await place.reported()
    page = await visits.page(PHONE)
    await page.goto(door_of(taken))
    form = page.locator("form[action$='/withdraw']")
    token = await form.locator("[name=token]").get_attribute("value") if has_token else ""
    key = await form.locator("[name=key]").get_attribute("value")
    target = f"{place.origin}/i/{taken['id']}/withdraw"
    html = f"""<!doctype html><form method="post" action="{escape(target)}"><input name="token" value="{token}">
      <input name="key" value="{key}"><button>go</button></form>"""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(html)}\r\nConnection: close\r\n\r\n"
        writer.write((head + html).encode())
        await writer.drain()
        writer.close()

    elsewhere = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        foreign = await page.context.new_page()
        origin = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}"
        visits.watch.also(origin)
        await foreign.goto(origin)
        async with foreign.expect_response(target) as answer:
            await foreign.locator("button").click()
        assert (await answer.value).status == 403
    finally:
        elsewhere.close()  # without waiting: Chromium keeps a spare connection open
    assert "withdrawn" not in await place.told(taken)
