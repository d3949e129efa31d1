"""Behind nginx, as docs/operations.md configures it, a page stays live, and says so where it is not."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from browsers.engine import Visits
from browsers.place import Place, door_of
from browsers.proxy import documented, nginx
from support.ports import free_port
from support.system import Answer

SITES: Final[Mapping[str, str]] = {
    "documented": "", "compressing": "gzip on; gzip_types text/event-stream;", "impatient": "proxy_read_timeout 4s;",
    "holding back": "proxy_ignore_headers X-Accel-Buffering;",
}  # fmt: skip
"""What each front says more than the page tells. The impatient one ends an answer in which nothing comes for 4 s."""
LIVE: Final = "页面会自动更新"
NOT_LIVE: Final = "没有连上：看到的可能不是最新的"


@dataclass
class Front:
    """nginx in front of two API processes, each of which can be stopped; the port of each of SITES."""

    place: Place
    ports: dict[str, int]
    apis: list[int]
    _running: dict[int, contextlib.AsyncExitStack] = field(default_factory=dict[int, contextlib.AsyncExitStack])

    async def start(self, api: int) -> None:
        self._running[api] = contextlib.AsyncExitStack()
        await self._running[api].enter_async_context(
            self.place.system.api_on(self.place.system.temporal, port=self.apis[api])
        )
        self.place.system.hub._tick = 0.5  # pyright: ignore[reportPrivateUsage] - nobody waits for ten seconds here

    async def stop(self, api: int) -> None:
        await self._running.pop(api).aclose()

    async def stop_all(self) -> None:
        for api in list(self._running):
            await self.stop(api)

    async def open(self, visits: Visits, taken: Answer, name: str) -> Page:
        """The page of an issue behind one of the sites, whose timers a test can turn forward."""
        origin = f"https://127.0.0.1:{self.ports[name]}"
        visits.watch.also(origin)
        page = await visits.page(origin=origin, ignore_https_errors=True)
        await page.clock.install()
        await page.goto(door_of(taken))
        await page.evaluate("() => { window.stays = true }")
        return page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(place: Place, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    found = Front(place, {name: free_port() for name in SITES}, [free_port() for _ in range(2)])
    async with nginx(folder, *(documented(folder, found.ports[name], found.apis, SITES[name]) for name in SITES)):
        try:
            for api in range(2):
                await found.start(api)
            yield found
        finally:
            await found.stop_all()


@pytest.mark.check(7)
async def test_an_event_passes_at_once_a_quiet_stream_is_not_cut_and_a_form_is_taken(
    front: Front, place: Place, visits: Visits
) -> None:
    taken = await place.reported(compound="jinpen")
    pages = {name: await front.open(visits, taken, name) for name in ("compressing", "impatient")}
    streams: list[str] = []
    for page in pages.values():
        await expect(page.locator("#live")).to_have_text(LIVE)
        page.on("request", lambda asked: streams.append(asked.url) if "/live" in asked.url else None)
    await pages["impatient"].wait_for_timeout(6000)  # longer than that one waits for anything
    await place.give(taken, "accept", who="calm repairman")
    for name, page in pages.items():
        await expect(page.locator(".story"), name).to_contain_text("已签收")
        assert await page.evaluate("() => window.stays"), name
    assert streams == [], "a stream was cut and asked for again"
    page = pages["compressing"]
    await page.locator("form[action$='/urge'] button").click()
    await expect(page.locator(".story")).to_contain_text("居民催单")
    cookies = await page.context.cookies()
    assert [each.get("secure") for each in cookies if each.get("name") == "jiesu-code"] == [True], "over TLS alone"


@pytest.mark.check(7)
async def test_where_a_proxy_holds_back_the_page_says_so_and_looks_for_itself(
    front: Front, place: Place, visits: Visits
) -> None:
    taken = await place.reported(compound="jinpen")
    page = await front.open(visits, taken, "holding back")
    await expect(page.locator("#live")).to_have_text(NOT_LIVE)
    await place.give(taken, "accept", who="calm repairman")
    await place.until_told(taken, "accepted")
    await page.locator("summary").first.click()
    await page.locator("#comment").fill("我在家")
    await page.locator("h1").click()
    await page.clock.fast_forward(16_000)
    await expect(page.locator(".story")).to_contain_text("已签收")
    await expect(page.locator("#live")).to_have_text(NOT_LIVE)
    await expect(page.locator("#comment")).to_have_value("我在家")
    assert await page.evaluate("() => window.stays"), "the page was loaded again"


@pytest.mark.check(7)
async def test_when_one_process_goes_the_other_takes_over_and_when_both_do_the_page_says_so(
    front: Front, place: Place, visits: Visits
) -> None:
    taken = await place.reported(compound="jinpen")
    page = await front.open(visits, taken, "documented")
    await expect(page.locator("#live")).to_have_text(LIVE)
    await front.stop(0)
    await place.give(taken, "accept", who="calm repairman")
    await expect(page.locator(".story")).to_contain_text("已签收")
    await expect(page.locator("#live")).to_have_text(LIVE)
    await front.stop(1)
    await expect(page.locator("#live")).to_have_text(NOT_LIVE)
    await place.give(taken, "comment", who="calm repairman", text="配件到了")
    for api in range(2):
        await front.start(api)
    async with page.expect_response(lambda answer: "/live" in answer.url and answer.status == 200):
        await page.clock.fast_forward(16_000)
    await expect(page.locator(".story")).to_contain_text("配件到了")
    await expect(page.locator("#live")).to_have_text(LIVE)
    assert await page.evaluate("() => window.stays"), "the page was loaded again"
