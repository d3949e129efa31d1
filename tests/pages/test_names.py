"""Pages say how staff are called, where the directory says it, to those who read what people wrote; no list for all does."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from db.directory import load_directory, store_directory
from domain.access import Sight
from domain.wire import truncate
from pages.story import staff_name
from support.browser import Site, site
from support.system import System, running_system

PAGE = {"Accept-Language": "zh-CN"}
CALLED = "值班维修"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("names")) as running:
        async with running.database.write() as session:
            found = await load_directory(session)
            named = [
                replace(each, name=CALLED) if (each.person, each.org) == ("p1", "demo-property") else each
                for each in found.appointments
            ]
            await store_directory(session, replace(found, appointments=tuple(named)), truncate(datetime.now(UTC)))
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


async def test_the_story_names_who_acted_and_lists_for_all_do_not(system: System, embedded: Site) -> None:
    taken = await system.report(description="楼道灯不亮", category="facility", location="3幢2单元楼道")
    await system.give(taken["id"], "accept", system.staff)
    code = {"X-Tracking-Code": taken["tracking_code"]}
    await system.until(f"/v1/issues/{taken['id']}", code, lambda body: body["status"] == "accepted")
    async with embedded.browser() as browser:
        address = f"/t/{taken['id']}/{taken['tracking_code']}"
        assert CALLED in (await browser.http.get(address, headers=PAGE, follow_redirects=True)).text
        for path in ("/board/demo", "/v1/candidates?compound=demo&category=facility"):
            listed = await browser.http.get(path, headers=PAGE)
            assert listed.status_code == 200
            assert CALLED not in listed.text, path
        await browser.sign_in("p1", "property", "demo-property")
        assert CALLED in (await browser.http.get("/sign-in", headers=PAGE)).text, "the header says who it is"


async def test_who_is_not_named_in_the_directory_is_his_organisation(system: System, embedded: Site) -> None:
    async with embedded.browser() as browser:
        await browser.sign_in("p2", "property", "demo-property")
        shown = (await browser.http.get("/sign-in", headers=PAGE)).text
        assert "体验物业" in shown
        assert CALLED not in shown


async def test_who_may_not_read_what_people_wrote_is_told_the_organisation_alone(system: System) -> None:
    async with system.database.read() as session:
        directory = await load_directory(session)
    told = [staff_name("p1", "demo-property", Sight(text=text, phone=False), directory) for text in (True, False)]
    assert told == [f"体验物业 · {CALLED}", "体验物业"]
