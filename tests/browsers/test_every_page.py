"""Every page, at both sizes, light and dark: accessible, reachable by thumb, never wider than the screen, and small."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.async_api import Page

from browsers.engine import PHONE, Visits
from browsers.measure import accessible, loaded, sideways, small_targets
from browsers.place import Place, door_of

RESIDENT: Final = (6, 20_000)
STAFF: Final = (6, 40_000)
"""Requests and bytes at first load."""


@dataclass(frozen=True)
class Stop:
    """A page: how one comes to its address, and what it may take at first load."""

    name: str
    path: Callable[[Place], Awaitable[str]]
    budget: tuple[int, int] = RESIDENT
    who: str = ""


def at(path: str) -> Callable[[Place], Awaitable[str]]:
    async def found(place: Place) -> str:
        return path

    return found


async def _open(place: Place) -> str:
    return door_of(await place.reported())


async def _job(place: Place) -> str:
    return f"/work/{(await place.reported())['id']}"


async def _answer(place: Place) -> str:
    taken = await place.reported()
    await place.give(taken, "accept")
    return f"/work/{taken['id']}/complete"


async def _completed(place: Place) -> str:
    return door_of(await place.completed())


async def _board(place: Place) -> str:
    await place.reported(category="elevator", location="3幢电梯", description="电梯停了")
    return "/board/demo"


async def _desk(place: Place) -> str:
    """An officer's desk with something in each list."""
    taken = await place.reported(category="facility", description="路灯不亮")
    await place.give(taken, "accept")
    await place.give(taken, "extend", reason="配件未到")
    return "/desk"


async def _record(place: Place) -> str:
    taken = await place.completed()
    return f"/work/{taken['id']}"


STOPS: Final = (
    Stop("start", at("/")),
    Stop("report", at("/report")),
    Stop("find", at("/find")),
    Stop("sign-in", at("/sign-in")),
    Stop("phone", at("/phone")),
    Stop("place", at("/r/demo")),
    Stop("roles", at("/roles"), STAFF, "repairman"),
    Stop("tracking", _open),
    Stop("tracking-completed", _completed),
    Stop("no-code", at("/i/unknown")),
    Stop("nothing", at("/nothing-of-this-name")),
    Stop("places", at("/places?q=三号楼")),
    Stop("unknown-place", at("/r/demo/99")),
    Stop("board", _board),
    Stop("docs", at("/docs"), STAFF),
    Stop("docs-commands", at("/docs/commands"), STAFF),
    Stop("docs-route", at("/docs/api/report"), STAFF),
    Stop("desk", _desk, STAFF, "community"),
    Stop("search", at("/search?q=漏水"), STAFF, "community"),
    Stop("search-faults", at("/search?from=yesterday&category=nothing"), STAFF, "street"),
    Stop("record", _record, STAFF, "street"),
    Stop("people", at("/people"), STAFF, "repairman"),
    Stop("work", at("/work"), STAFF, "repairman"),
    Stop("job", _job, STAFF, "repairman"),
    Stop("job-of-officer", _job, STAFF, "community"),
    Stop("job-form", _answer, STAFF, "repairman"),
    Stop("codes", at("/qr/demo"), STAFF, "repairman"),
)


async def faults_of(page: Page) -> list[str]:
    """What is wrong with the page as it is."""
    return await accessible(page) + await small_targets(page) + await sideways(page)


@pytest.mark.check(10)
@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
async def test_a_page_is_for_everybody(stop: Stop, place: Place, visits: Visits) -> None:
    page, path = await visits.page(), await stop.path(place)
    if stop.who:
        await place.sign_in(page.context, stop.who)
    load = await loaded(page, path)
    requests, size = stop.budget
    assert 0 < load.requests <= requests
    assert 0 < load.bytes <= size
    assert await faults_of(page) == []
    assert await page.locator("h1").count() == 1
    await page.set_viewport_size(PHONE.size)
    await page.goto("/language/en")
    await page.goto(path)
    assert await page.locator("html").get_attribute("lang") == "en"
    assert await small_targets(page) + await sideways(page) == []
