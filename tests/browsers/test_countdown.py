"""The seconds on the screen are the server's, whatever the clock of the device says and however slow the network is."""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from browsers.engine import SECONDS, Visits
from browsers.place import Place, door_of

CLOCK = """shift => {
  const real = Date.now.bind(Date), Real = Date;
  window.trueNow = real;
  window.shift = shift;
  window.Date = class extends Real {
    constructor(...given) { if (given.length) super(...given); else super(real() + window.shift); }
    static now() { return real() + window.shift; }
  };
}"""
"""A device whose clock is `shift` milliseconds wrong; it runs on the machine of the server, whose time is the true one."""
WRONG = """() => new Promise(found => {
  const first = performance.getEntriesByType('navigation')[0].responseStart + performance.timeOrigin;
  const answered = first - Number(document.getElementById('issue').dataset.now);
  new MutationObserver(() => {
    const left = document.querySelector('.left'), read = /(\\d+:)?(\\d+):(\\d+)$/.exec(left.textContent);
    if (!read) return;
    const shown = 3600 * parseInt(read[1] || 0) + 60 * read[2] + 1 * read[3];
    found([shown - Math.max(0, Number(left.dataset.due) - window.trueNow()) / 1000, answered / 1000]);
  }).observe(document.body, {childList: true, characterData: true, subtree: true});
})"""
"""By how many seconds too much is shown at the moment at which it is shown, and how many the server took to answer: a busy
one tells an older time, which no page can know.
"""
SLOW = {"600 ms, 6 kB/s": (600, 6_000), "2G": (300, 3_500)}


async def is_right(page: Page) -> bool:
    async with asyncio.timeout(SECONDS):
        wrong, answered = await page.evaluate(WRONG)
    return -1 < wrong < 1 + max(0, answered)


async def without_stream(page: Page) -> None:
    """Its first word about the time would mend what the page got wrong."""
    await page.route(re.compile(r"/live(\?|$)"), lambda route: route.abort())


@pytest.mark.check(4)
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_wrong_clock_changes_nothing_at_first_nor_when_it_is_set(
    hours: int, place: Place, visits: Visits
) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.add_init_script(f"({CLOCK})({hours * 3_600_000})")
    await without_stream(page)
    await page.goto(door_of(taken))
    assert await is_right(page)
    await page.evaluate("() => { window.shift = -window.shift }")
    assert await is_right(page)


@pytest.mark.check(4)
@pytest.mark.parametrize("network", SLOW)
async def test_a_slow_network_does_not_give_more_time(network: str, place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.add_init_script(f"({CLOCK})(0)")
    latency, speed = SLOW[network]
    client = await page.context.new_cdp_session(page)
    await client.send("Network.enable")
    await client.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": latency, "downloadThroughput": speed, "uploadThroughput": speed},
    )
    await without_stream(page)
    await page.goto(door_of(taken))
    await expect(page.locator(".left")).to_be_visible()
    assert await is_right(page)
