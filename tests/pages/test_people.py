"""A manager changes who acts for the own organisation, on record, and prints codes for the doors; nobody else does."""

import asyncio
import re
import threading
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
import segno
from sqlalchemy import event, select

from activities.directory_changes import DirectoryChanges
from db.directory import load_directory
from db.tables import AccessRow
from domain.directory import Directory
from domain.worktime import SHANGHAI
from pages import doors
from protocol.directory_change import change_directory
from support.again import client_of
from support.browser import Browser, Site, site
from support.system import System, running_system

PAGE = {"Accept-Language": "zh-CN"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("people")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


def today(days: int = 0) -> str:
    return (datetime.now(SHANGHAI).date() + timedelta(days=days)).isoformat()


async def shown(browser: Browser, path: str = "/people") -> str:
    answer = await browser.http.get(path, headers=PAGE)
    assert answer.status_code == 200, answer.text
    return answer.text


async def send(browser: Browser, what: str, **fields: str) -> tuple[int, str]:
    """Sends a form as the page has it: with the token of this session."""
    token = re.search(r'name="token" value="([^"]+)"', await shown(browser))
    assert token is not None
    answer = await browser.http.post(f"/people/{what}", data={"token": token[1], **fields}, headers=PAGE)
    return answer.status_code, answer.text


async def in_force(system: System) -> Directory:
    async with system.database.read() as session:
        return await load_directory(session)


async def lines(system: System) -> list[tuple[str, str, str]]:
    """Who changed what, as the access log has it."""
    async with system.database.read() as session:
        found = await session.execute(select(AccessRow.person, AccessRow.what, AccessRow.result).order_by(AccessRow.id))
        return [(person, what, result) for person, what, result in found]


async def test_a_manager_appoints_names_and_ends_and_each_change_is_on_record(system: System, served: Site) -> None:
    async with served.browser() as browser:
        await browser.sign_in("p1", "property", "demo-property")
        page = await shown(browser)
        assert "体验物业的人员" in page
        assert "维修师傅" in page
        assert "邻近物业" not in page
        assert (await send(browser, "appoint", person="p9", name="夜班师傅", **{"from": today(), "to": ""}))[0] == 303
        assert "夜班师傅" in await shown(browser)
        async with served.browser() as newcomer:
            assert (await newcomer.sign_in("p9", "property", "demo-property")).status_code == 303
        assert (await send(browser, "name", person="p9", name="维修二组"))[0] == 303
        assert (await send(browser, "duty-phone", duty_phone="0795-123 4567"))[0] == 303
        page = await shown(browser)
        assert "维修二组" in page
        assert 'value="0795-123 4567"' in page
        assert "0795-123 4567" in (await browser.http.get("/board/demo", headers=PAGE)).text
        assert (await send(browser, "end", person="p9", to=today(), **{"from": today()}))[0] == 303
        assert not [each for each in (await in_force(system)).appointments if each.person == "p9"]
    changes = [line for line in await lines(system) if line[2] == "done"]
    assert changes == [
        ("p1", what, "done")
        for what in (
            f"appoint p9 property {today()}..", "name p9", "duty-phone 0795-123 4567",
            f"end p9 property {today()}..{today()}",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "fields", "words"),
    [
        ("appoint", {"person": "c1", "from": "today"}, "还在别的单位任职"),
        ("appoint", {"person": "p2", "from": "today"}, "已经任职"),
        ("appoint", {"person": "p8", "from": "2026-01-01"}, "只能从今天起更改"),
        ("appoint", {"person": "p8", "from": "soon"}, "请写成 2026-01-31 这样的日期"),
        ("appoint", {"person": "p8", "from": "today", "to": "today"}, "结束的那天要在开始之后"),
        ("appoint", {"person": "张三", "from": "today"}, "这里不能这样写"),
        ("appoint", {"person": "p8", "name": "x" * 201, "from": "today"}, "这里不能这样写"),
        ("end", {"person": "p1", "from": "2026-01-01", "to": "today"}, "不能更改自己的任职"),
        ("end", {"person": "c1", "from": "2026-01-01", "to": "today"}, "没有这项任职"),
        ("duty-phone", {"duty_phone": "打这个"}, "这里不能这样写"),
    ],
)
async def test_what_may_not_be_changed_is_said_and_nothing_changes(
    system: System, served: Site, what: str, fields: dict[str, str], words: str
) -> None:
    before, logged = await in_force(system), len(await lines(system))
    async with served.browser() as browser:
        await browser.sign_in("p1", "property", "demo-property")
        sent = {name: today() if text == "today" else text for name, text in fields.items()}
        status, page = await send(browser, what, **sent)
        assert (status, words in page) == (422, True)
        assert 'role="alert"' in page
        if what == "appoint":
            assert f'value="{sent["person"]}"' in page, "what was typed is kept"
    assert await in_force(system) == before
    assert len(await lines(system)) == logged


@pytest.mark.parametrize(
    ("person", "role", "org"),
    [
        ("p2", "property", "demo-property"), ("op1", "property", "other-property"), ("a1", "auditor", "demo-street"),
        ("m1", "admin", "demo-street"), ("p1", "property", "other-property"),
    ],
)  # fmt: skip
async def test_whoever_is_no_manager_sees_the_own_people_and_changes_nothing(
    system: System, served: Site, person: str, role: str, org: str
) -> None:
    before = await in_force(system)
    async with served.browser() as browser:
        await browser.sign_in(person, role, org)
        page = await shown(browser)
        assert "/people/appoint" not in page
        assert ("物业经理" in page) is (org == "demo-property")
        for what, fields in (
            ("appoint", {"person": "p8", "from": today()}),
            ("end", {"person": "p2", "from": "2026-01-01", "to": today()}),
            ("duty-phone", {"duty_phone": "12345"}),
            ("name", {"person": "p2", "name": "x"}),
        ):
            assert (await send(browser, what, **fields))[0] == 403
    assert await in_force(system) == before
    tried = {"appoint p8", "end p2", "duty-phone 12345", "name p2"}
    refused: list[str] = []
    for _ in range(100):  # these lines are written soon after the answer
        refused = [what for name, what, result in await lines(system) if (name, result) == (person, "forbidden")]
        if len(refused) >= len(tried):
            break
        await asyncio.sleep(0.1)
    assert {" ".join(what.split()[:2]) for what in refused} == tried


async def test_changes_count_towards_the_limit_on_commands(system: System) -> None:
    async with site(system, rates={"command": "1/hour"}) as limited, limited.browser() as browser:
        await browser.sign_in("p1", "property", "demo-property")
        assert (await send(browser, "name", person="p2", name="维修师傅"))[0] == 303
        assert (await send(browser, "name", person="p2", name="x"))[0] == 429
        assert "维修师傅" in await shown(browser)


@pytest.mark.parametrize("can_lose", [True, False])
async def test_open_issues_are_read_only_for_a_change_that_may_take_somebody_away(
    system: System, *, can_lose: bool
) -> None:
    async with system.database.write() as session:
        asked: list[str] = []
        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
        now = datetime.now(SHANGHAI)
        await change_directory(session, lambda directory: directory, now, can_lose=can_lose)
        assert asked
        assert any("FROM issues" in each for each in asked) is can_lose


async def test_residents_and_strangers_see_no_people_and_a_form_of_another_page_changes_nothing(served: Site) -> None:
    async with served.browser() as browser:
        assert (await browser.http.get("/people", headers=PAGE)).headers["location"].startswith("/sign-in")
        await browser.sign_in("r1", "resident")
        assert (await browser.http.get("/people", headers=PAGE)).status_code == 404
    async with served.browser() as browser:
        await browser.sign_in("p1", "property", "demo-property")
        answer = await browser.http.post("/people/duty-phone", data={"duty_phone": "1234567"}, headers=PAGE)
        assert answer.status_code == 403


async def test_an_open_issue_follows_when_its_person_goes(system: System, served: Site) -> None:
    async with served.browser() as browser, client_of(served.origin) as client:
        await browser.sign_in("p1", "property", "demo-property")
        assert (await send(browser, "appoint", person="p7", name="", **{"from": today(), "to": ""}))[0] == 303
        issue = (await system.report())["id"]
        await system.until(f"/v1/issues/{issue}", system.staff, lambda _: True)
        await system.give(issue, "accept", system.staff)
        key = {"Idempotency-Key": str(uuid.uuid4())}
        assigned = await client.command(
            f"/v1/issues/{issue}/commands/assign", system.staff | key, json={"person": "p7"}
        )
        assert assigned.status_code == 200, assigned.text
        assert (await send(browser, "end", person="p7", to=today(), **{"from": today()}))[0] == 303
    changes = DirectoryChanges(system.temporal, system.database, system.keys.signer)
    assert (await changes.look(datetime.now(SHANGHAI))).told >= 1
    await system.until(
        f"/v1/issues/{issue}/timeline", system.staff,
        lambda body: body["events"][-1]["kind"] == "directory_changed",
    )  # fmt: skip


async def test_the_codes_for_doors_are_printed_by_staff_of_the_compound_alone(served: Site) -> None:
    async with served.browser() as browser:
        assert (await browser.http.get("/qr/demo", headers=PAGE)).status_code == 303
        await browser.sign_in("p2", "property", "demo-property")
        page = await shown(browser, "/qr/demo")
        assert len(re.findall("<svg", page)) == 13
        addresses = re.findall(r'class="address">([^<]+)<', page)
        assert addresses[:3] == [f"{served.origin}/r/{at}" for at in ("demo", "demo/1", "demo/2")]
        assert "style=" not in page
        assert "12幢" in page
        for address in addresses:
            assert (await browser.http.get(address)).status_code == 303
        for unknown in ("other", "mars"):
            assert (await browser.http.get(f"/qr/{unknown}", headers=PAGE)).status_code == 404
        assert 'href="/qr/demo"' in await shown(browser)
    async with served.browser() as browser:
        await browser.sign_in("r1", "resident")
        assert (await browser.http.get("/qr/demo", headers=PAGE)).status_code == 404


async def test_codes_are_drawn_beside_the_event_loop_and_once(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, threads = segno.make_qr, list[int]()

    def drawn(*given: Any, **named: Any) -> segno.QRCode:
        threads.append(threading.get_ident())
        return draw(*given, **named)

    monkeypatch.setattr(segno, "make_qr", drawn)
    doors._drawn.cache_clear()  # pyright: ignore[reportPrivateUsage]
    async with served.browser() as browser:
        await browser.sign_in("p2", "property", "demo-property")
        page = await shown(browser, "/qr/demo")
        assert len(threads) == 13
        assert threading.get_ident() not in threads, (
            "others wait for the loop of the server, which is that of this test"
        )
        assert await shown(browser, "/qr/demo") == page
        assert len(threads) == 13
