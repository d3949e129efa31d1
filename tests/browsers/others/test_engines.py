"""What differs among engines: who a form says that it comes from, cookies, streams. In Firefox and in WebKit, which iPhones use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from browsers.others.device import Device
from browsers.place import Place, door_of

pytestmark = pytest.mark.engines
WORDS = "厨房漏水,水从楼上滴下来"


async def test_staff_sign_in_by_one_click_and_accept_with_script_and_without(place: Place, device: Device) -> None:
    live, plain = [await place.reported(compound="jinpen") for _ in range(2)]
    await _sign_in(place, device)
    await device.open(f"{place.origin}/work/{live['id']}")
    await device.until_it_says("#live", "页面会自动更新")
    await device.tap("form[action$='/accept'] button.main")
    await place.until_told(live, "accepted")
    await device.until_it_says("main", "已签收")
    await device.open(f"{place.origin}/work/{plain['id']}")
    await device.sends("form[action$='/accept']")
    await place.until_told(plain, "accepted")
    await device.until_it_says("main", "已签收")


async def test_a_resident_reports_and_sees_what_happens_without_loading_again(place: Place, device: Device) -> None:
    await device.open(f"{place.origin}/report")
    await device.choose("#compound", "demo")
    await device.type("#building", "3")
    await device.type("#where", "2单元501")
    await device.tap("#go")
    await device.type("#description", WORDS)
    await device.tap("#go")
    await device.type("#phone", "13912345678")
    await device.tap("#go")
    await device.until_it_says("#check", WORDS)
    await device.tap("#go")
    issue = (await device.until_at("/sent")).split("/")[-2]
    await device.tap("main a.main")
    await device.until_it_says(".story", WORDS)
    await device.until_it_says("#live", "页面会自动更新")
    await device.run("window.stays = true")
    answer = await place.system.give(issue, "accept", place.system.staff)
    assert answer.status == 200, answer.body
    await device.until_it_says(".story", "已签收")
    assert await device.run("return window.stays"), "the page was loaded again"


async def test_a_report_and_a_wish_are_sent_past_all_scripts(place: Place, device: Device) -> None:
    await device.open(f"{place.origin}/report")
    await device.until_at("/report")
    await device.choose("#compound", "demo")
    await device.run(
        "document.getElementById('where').value = '2单元501';"
        "document.getElementById('description').value = arguments[0]",
        WORDS,
    )
    await device.sends("#report")
    issue = (await device.until_at("/sent")).split("/")[-2]
    await device.open(f"{place.origin}/i/{issue}")
    await device.run("document.querySelector('#urge').value = '还在漏'")
    await device.sends("form[action$='/urge']")
    await device.until_it_says(".story", "还在漏")


@pytest.mark.parametrize("policy", ["same-origin", "no-referrer"])
async def test_a_form_of_a_foreign_page_changes_nothing(policy: str, place: Place, device: Device) -> None:
    """The form is ours, token and all: where it comes from is what is wrong with it, also where that is not said (`Origin: null`)."""
    taken = await place.reported(compound="jinpen")
    await _sign_in(place, device)
    await device.open(f"{place.origin}/work/{taken['id']}")
    ours = "const it = document.querySelector(\"form[action$='/accept']\"); return it && it.outerHTML"
    form = (await device.until(ours)).replace('action="', f'action="{place.origin}')
    action = f"{place.origin}/work/{taken['id']}/accept"
    async with _foreign(form, policy) as origin:
        await device.open(origin)
        await device.until_at("/")
        await device.sends("form")
        await device.until("return location.href === arguments[0] && document.readyState === 'complete'", action)
    status = "return performance.getEntriesByType('navigation')[0].responseStatus || 403"  # WebKit does not tell it
    assert await device.run(status) == 403
    assert "accepted" not in await place.told(taken)


async def test_a_message_opens_an_issue_and_the_cookie_stays_with_it(place: Place, device: Device) -> None:
    mine, other = [await place.reported() for _ in range(2)]
    await device.open(place.origin + door_of(mine))
    assert await device.until_at(mine["id"])
    await device.until_it_says("h1", "现在轮到")
    await device.open(f"{place.origin}/i/{other['id']}")
    assert not await device.run("return document.querySelector('.story')")


async def _sign_in(place: Place, device: Device) -> None:
    """As the property company of the compound `jinpen`, under whose policy nothing climbs meanwhile."""
    await device.open(f"{place.origin}/work")
    await device.tap("form:has([name=org][value='jinpen-property']) button")
    await device.until_at("/work")
    await device.until_it_says("nav", "金盆物业")


@contextlib.asynccontextmanager
async def _foreign(page: str, policy: str) -> AsyncIterator[str]:
    """The origin of somebody else's page, on another port of this machine: a browser sends it our cookies too."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nReferrer-Policy: {policy}\r\nConnection: close\r\n\r\n"
        writer.write((head + page).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
