"""A resident who is signed in sees all issues of his own, the most pressing first, and asks to be forgotten."""

import re
from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy import select

from db.tables import AccessRow, ErasureRow
from support.browser import Browser, Site, site
from support.system import System

PAGE = {"Accept-Language": "zh-CN"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


async def reported(system: System, person: str, description: str, **more: str) -> str:
    headers = system.token(person, "resident")
    taken = await system.report(headers, description=description, **more)
    await system.until(f"/v1/issues/{taken['id']}", headers, lambda _: True)
    return taken["id"]


async def shown(browser: Browser, path: str = "/mine") -> str:
    answer = await browser.http.get(path, headers=PAGE)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_own_issues_are_listed_with_whose_turn_it_is_the_most_pressing_first(
    system: System, embedded: Site
) -> None:
    calm = await reported(system, "mine-1", "墙面渗水", compound="jinpen")
    pressing = await reported(system, "mine-1", "下水道堵了")
    withdrawn = await reported(system, "mine-1", "灯不亮", compound="jinpen")
    await system.give(withdrawn, "withdraw", system.token("mine-1", "resident"))
    foreign = await reported(system, "mine-2", "电梯异响")
    await system.until(f"/v1/issues/{pressing}", system.token("mine-1", "resident"), lambda body: body["overdue"])
    async with embedded.browser() as browser:
        await browser.sign_in("mine-1", "resident")
        html = await shown(browser)
        assert re.findall(r'href="/i/(\w+)"', html) == [pressing, calm, withdrawn]
        assert foreign not in html
        assert "墙面渗水" in html
        assert re.search(r'class="card red">.*?已超时.*?下水道堵了.*?现在轮到：', html, re.DOTALL)
        assert "已结案" in html
        assert 'aria-current="page"' in html
        assert (await browser.http.get(f"/i/{calm}")).status_code == 200, "the list leads to each"


async def test_without_an_issue_it_says_so_and_staff_have_no_such_list(embedded: Site) -> None:
    async with embedded.browser() as browser:
        await browser.sign_in("mine-3", "resident")
        assert "还没有诉求" in await shown(browser)
        await browser.sign_in("p1", "property", "demo-property")
        for path in ("/mine", "/me"):
            assert (await browser.http.get(path)).headers["location"] == f"/roles?next={path}"


async def test_codes_are_taken_along_to_another_phone(system: System, embedded: Site) -> None:
    issue = await reported(system, "mine-4", "窗户漏风", compound="jinpen")
    async with embedded.browser() as browser:
        await browser.sign_in("mine-4", "resident")
        (code,) = re.findall(r'<code class="whole">([^<]+)</code>', await shown(browser, "/me"))
    async with embedded.browser() as another:
        found = await another.http.post("/find", data={"code": code})
        assert found.headers["location"] == f"/i/{issue}"


async def test_a_resident_asks_for_erasure_and_it_is_on_record_for_his_issues_alone(
    system: System, embedded: Site
) -> None:
    issues = {await reported(system, "mine-5", text, compound="jinpen") for text in ("甲", "乙")}
    foreign = await reported(system, "mine-6", "丙", compound="jinpen")
    await system.give(min(issues), "withdraw", system.token("mine-5", "resident"))
    async with embedded.browser() as browser:
        await browser.sign_in("mine-5", "resident")
        html = await shown(browser, "/me")
        token = re.search(r'name="token" value="([^"]+)"', html)
        assert token is not None
        form = {"token": token[1]}
        unsure = await browser.http.post("/me/forget", data=form, headers=PAGE)
        assert unsure.status_code == 422
        assert '<a href="#sure">' in unsure.text
        assert (await browser.http.post("/me/forget", data={"sure": "yes"})).status_code == 403
        assert not await asked(system, issues | {foreign})
        sure = await browser.http.post("/me/forget", data={**form, "sure": "yes"}, headers=PAGE)
        assert "已经登记：1 件在今夜销毁，1 件在结案后的当夜销毁" in sure.text
    assert await asked(system, issues | {foreign}) == issues
    requested = await system.keys.vault.store.requested_erasures("", 100)
    assert {each.issue for each in requested} == issues, "also beside the keys"
    async with system.database.read() as session:
        lines = (await session.scalars(select(AccessRow).where(AccessRow.what == "erase"))).all()
    assert {(line.issue, line.role, line.result) for line in lines} == {(each, "resident", "asked") for each in issues}


async def asked(system: System, issues: set[str]) -> set[str]:
    async with system.database.read() as session:
        return set(await session.scalars(select(ErasureRow.issue).where(ErasureRow.issue.in_(issues))))
