"""Plays one issue's life in a browser and writes docs/tour.md: a picture of each page, on a phone and on a desk.

``PYTHONPATH=tests python -m browsers.tour``
"""

import asyncio
import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page, expect

from browsers.engine import LOOKS, PHONE, Look, chromium
from browsers.place import Place, running_place
from browsers.reporting import sent
from support.system import Answer

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "tour.md"
PICTURES: Final = ROOT / "docs" / "tour"
TALLEST: Final = 1400
"""Pixels after which a picture of a long page ends."""
HEAD: Final = """# A tour: one issue's life, page by page

`make tour` plays it in Chromium on a running system and writes this page. Each picture shows a phone of 390 px, then a desk
of 1280 px; the interface is Chinese first, and English by the switch in its header. The policy is `demo`, whose limits are seconds.
"""


@dataclass
class Tour:
    """What was seen so far: of each stop a title, a sentence, and the names of its pictures."""

    seen: list[tuple[str, str, list[str]]] = field(default_factory=list)

    def stop(self, name: str, title: str, words: str) -> "Stop":
        made = Stop(name, [])
        self.seen.append((title, words, made.files))
        return made

    def text(self) -> str:
        parts = [HEAD]
        for title, words, files in self.seen:
            pictures = " ".join(f'<img src="tour/{each}" alt="{title}" height="420">' for each in files)
            parts.append(f"\n## {title}\n\n{words}\n\n{pictures}\n")
        return "".join(parts)


@dataclass
class Stop:
    """One page, of which pictures are taken."""

    name: str
    files: list[str]

    async def show(self, page: Page, look: Look) -> None:
        await page.wait_for_timeout(400)  # the icon of a light, the state of the stream
        data = await page.screenshot(full_page=True, animations="disabled")
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        picture = picture.crop((0, 0, picture.width, min(picture.height, TALLEST)))
        file = f"{self.name}-{look.name}.webp"
        picture.save(PICTURES / file, "WEBP", quality=60, method=6)
        self.files.append(file)


class Devices:
    """A phone and a desk of everybody who takes part."""

    def __init__(self, browser: Browser, place: Place) -> None:
        self._browser, self._place = browser, place
        self._contexts: dict[tuple[str, str], BrowserContext] = {}

    async def page(self, who: str, look: Look) -> Page:
        if (who, look.name) not in self._contexts:
            context = await self._browser.new_context(
                base_url=self._place.origin, viewport=look.size, has_touch=look is PHONE, is_mobile=look is PHONE,
                locale="zh-CN", timezone_id="Asia/Shanghai",
            )  # fmt: skip
            if who:
                await self._place.sign_in(context, who)
            self._contexts[who, look.name] = context
        return await self._contexts[who, look.name].new_page()

    async def at(self, stop: Stop, path: str, who: str = "") -> None:
        """Pictures of a path, on both devices of somebody."""
        for look in LOOKS:
            page = await self.page(who, look)
            await page.goto(path)
            await stop.show(page, look)
            await page.close()


async def reporting(tour: Tour, devices: Devices) -> str:
    """The resident's report, step by step; the address of his issue."""
    stops = [
        tour.stop(f"report-{number}", title, words)
        for number, title, words in (
            (1, "Report: where", "Danger to life comes first. A code on the door, or a search, fills the place in."),
            (2, "Report: what", "The category is suggested from the words, and can be changed. Photos are shrunk on the phone."),
            (3, "Report: who", "A phone number is asked, never demanded; one line says who will see it."),
            (4, "Report: check", "All answers once more, before anything is sent."),
            (5, "Report: taken", "The number and the code, which opens the issue on any device."),
        )
    ]  # fmt: skip
    path = ""
    for look in LOOKS:
        page = await devices.page("", look)
        await page.goto("/report")
        await page.locator("#compound").select_option("demo")
        await page.locator("#building").fill("3")
        await page.locator("#where").fill("2单元501")
        await stops[0].show(page, look)
        await page.locator("#go").click()
        await page.locator("#description").fill("厨房漏水,水从楼上滴下来")
        await stops[1].show(page, look)
        await page.locator("#go").click()
        await page.locator("#phone").fill("13912345678")
        await stops[2].show(page, look)
        await page.locator("#go").click()
        await expect(page.locator("#check")).to_be_visible()
        await stops[3].show(page, look)
        await page.locator("#go").click()
        path = f"/i/{await sent(page)}"
        await stops[4].show(page, look)
    return path


async def working(tour: Tour, devices: Devices, place: Place) -> None:
    """The same from the side of those who work, and what the resident sees meanwhile."""
    taken = await place.reported(contact={"name": "", "phone": "13912345678"})
    job, mine = f"/work/{taken['id']}", f"/i/{taken['id']}"
    for look in LOOKS:
        page = await devices.page("", look)
        await page.goto(f"/t/{taken['id']}/{taken['tracking_code']}")
        await page.close()
    await devices.at(
        tour.stop(
            "tracking",
            "Tracking: whose turn, until when",
            "The light is shape, word and colour; the countdown is the server's.",
        ),
        mine,
    )
    await devices.at(
        tour.stop("work", "The repairman's list", "The own ones first, then by light and time left."),
        "/work",
        "repairman",
    )
    await devices.at(
        tour.stop("job", "One job", "Where, what, how long; the next action under the thumb."), job, "repairman"
    )
    await place.give(taken, "accept")
    await devices.at(
        tour.stop(
            "arrive", "On site", "Every command is a plain form; it waits on the phone where there is no network."
        ),
        f"{job}/arrive",
        "repairman",
    )
    await place.give(taken, "arrive", assessment="minor")
    await devices.at(
        tour.stop(
            "complete", "Completing", "Never by one tap: it needs an answer, and a photo where the policy asks for one."
        ),
        f"{job}/complete",
        "repairman",
    )
    await place.give(taken, "complete", answer="换了阀门,试水一小时不漏")
    await place.until(taken, lambda body: body["status"] == "completed")
    await devices.at(
        tour.stop("rate", "Is it solved?", "The resident is asked. Silence is never counted as satisfied."), mine
    )
    await _closed(taken, place)
    await devices.at(tour.stop("closed", "Closed", "What happened, in plain words; it prints on one page."), mine)


async def _closed(taken: Answer, place: Place) -> None:
    await place.give_as_reporter(taken, "confirm", outcome="solved", satisfaction="satisfied")
    await place.until(taken, lambda body: body["closed"] is not None)


async def officers(tour: Tour, devices: Devices, place: Place) -> None:
    """What climbed while nobody acted, and the pages of a compound."""
    taken = await place.reported(description="电梯停运,老人下不了楼", category="elevator")
    await place.until_told(taken, "escalated")
    await devices.at(
        tour.stop(
            "desk",
            "An officer's morning",
            "What climbed and why, what waits for a decision, promises, wishes that turn red.",
        ),
        "/desk",
        "community",
    )
    await devices.at(
        tour.stop("record", "The whole issue", "For officers: clauses and dues, whose minutes, every event."),
        f"/work/{taken['id']}",
        "community",
    )
    await devices.at(
        tour.stop("search", "Search", "By number, place, words of the category, light."), "/search", "community"
    )
    await devices.at(
        tour.stop("people", "People and duty", "A manager appoints and ends; each change is on record."),
        "/people",
        "repairman",
    )
    await devices.at(tour.stop("codes", "Codes for doors", "One per building, to print."), "/qr/demo", "repairman")
    await devices.at(
        tour.stop("board", "The compound's board", "Open issues without anything personal."), "/board/demo"
    )


async def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.webp"):
        old.unlink()
    tour = Tour()
    with tempfile.TemporaryDirectory() as folder:
        async with chromium() as browser, running_place(Path(folder)) as place:
            devices = Devices(browser, place)
            await devices.at(tour.stop("start", "Start", "Three ways in: report, look up, sign in."), "/")
            await reporting(tour, devices)
            await working(tour, devices, place)
            await officers(tour, devices, place)
    PAGE.write_text(tour.text(), "utf-8")
    size = sum(each.stat().st_size for each in PICTURES.glob("*.webp"))
    print(f"{PAGE.relative_to(ROOT)}: {len(tour.seen)} pages, {size / 1e6:.2f} MB of pictures")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
