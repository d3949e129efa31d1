"""The morning page of an officer: what climbed, what waits, what was promised, what is late; and reminding many at once."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from db import work
from protocol.desk import evening_before
from support.browser import Browser, Site, site
from support.system import System

PAGE = {"Accept-Language": "zh-CN"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


async def given(system: System, issue: str, role: Any, org: str, name: str, **fields: Any) -> None:
    answer = await system.give(issue, name, system.token(f"of-{org}", role, org), **fields)
    assert answer.status == 200, answer.body


async def reported(system: System, *commands: tuple[str, dict[str, Any]]) -> Any:
    """An issue under a policy that leaves time, with what its handler did."""
    taken = await system.report(compound="jinpen")
    for name, fields in (("accept", {}), *commands):
        await given(system, taken["id"], "property", "jinpen-property", name, **fields)
    return taken


async def desk_of(browser: Browser, **headers: str) -> str:
    answer = await browser.http.get("/desk", headers={**PAGE, **headers})
    assert answer.status_code == 200, answer.text
    return answer.text


def listed(html: str, name: str) -> str:
    """The section of the desk with this id."""
    found = re.search(rf'<section class="wide"><h2 id="{name}">.*?</section>', html, re.DOTALL)
    assert found is not None, name
    return found[0]


def form_of(html: str, name: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', listed(html, name)))


async def test_what_climbed_and_what_waits_is_on_the_desk_of_its_place_and_on_no_other(
    embedded: Site, system: System
) -> None:
    climbed = await reported(system, ("escalate", {"reason": "人手不足"}))
    asked = await reported(system, ("extend", {"reason": "配件未到"}))
    quiet = await reported(system)
    async with embedded.browser() as browser:
        await browser.sign_in("c7", "community", "jinpen-community")
        html = await desk_of(browser)
        assert climbed["number"] in listed(html, "climbed")
        assert "物业 → 社区 · 人工上报" in listed(html, "climbed")
        awaited = listed(html, "awaited")
        assert asked["number"] in awaited
        assert "裁定延期" in awaited
        for decision in ("grant", "deny"):
            assert f'href="/work/{asked["id"]}/{decision}"' in awaited
        assert f'href="/work/{asked["id"]}/rule"' not in awaited, "nothing was declined"
        assert climbed["number"] not in awaited
        assert quiet["number"] not in html
        assert "厨房漏水" in html
    async with embedded.browser() as browser:
        await browser.sign_in("s7", "street", "cuiwei-street")
        html = await desk_of(browser)
        assert climbed["number"] in listed(html, "climbed"), "the street sees what climbed below it"
        assert asked["number"] not in listed(html, "awaited"), "it is the community that rules"
    async with embedded.browser() as browser:
        await browser.sign_in("c8", "community", "other-community")
        html = await desk_of(browser)
        assert climbed["number"] not in html
        assert asked["number"] not in html


async def test_once_it_is_ruled_on_it_waits_no_longer(embedded: Site, system: System) -> None:
    asked = await reported(system, ("decline", {"reason": "not_our_duty"}))
    async with embedded.browser() as browser:
        await browser.sign_in("c7", "community", "jinpen-community")
        assert f'href="/work/{asked["id"]}/rule"' in listed(await desk_of(browser), "awaited")
        await given(system, asked["id"], "community", "jinpen-community", "rule", upheld=True)
        when = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        await given(system, asked["id"], "community", "jinpen-community", "accept")
        await given(system, asked["id"], "community", "jinpen-community", "schedule", time=when)
        html = await desk_of(browser)
        assert asked["number"] not in listed(html, "awaited")
        assert asked["number"] in listed(html, "promised"), "the community does the work now, and named a day"
        assert "预约" in listed(html, "promised")


async def test_what_is_late_at_this_level_is_red_in_shape_word_and_colour(embedded: Site, system: System) -> None:
    late = await system.report()
    await system.until(
        f"/v1/issues/{late['id']}", system.staff, lambda body: body["overdue"] and body["level"] != "property"
    )
    async with embedded.browser() as browser:
        await browser.sign_in("c1", "community", "demo-community")
        html = await desk_of(browser)
        assert late["number"] in listed(html, "lit") + listed(html, "climbed")
        row = re.search(r"<tr class=\"red\".*?</tr>", listed(html, "climbed"), re.DOTALL)
        assert row is not None
        assert '<span class="shape" aria-hidden="true">' in row[0]
        assert "已超时" in row[0]


async def test_numbers_that_are_cut_say_that_there_may_be_more(
    embedded: Site, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reported(system, ("escalate", {"reason": "需要社区协调"}))
    async with embedded.browser() as browser:
        await browser.sign_in("m1", "community", "jinpen-community")
        counts = re.compile(r'class="shape" aria-hidden="true"></span>[^<]*? \d+(\+?)</span>')
        assert set(counts.findall(await desk_of(browser))) == {""}
        monkeypatch.setattr(work, "MOST", 0)
        assert set(counts.findall(await desk_of(browser))) == {"+"}


async def test_many_are_reminded_by_one_form_each_once_and_each_says_what_became_of_it(
    embedded: Site, system: System
) -> None:
    mine, other = [await reported(system, ("escalate", {"reason": "人手不足"})) for _ in range(2)]
    foreign = await system.report()
    async with embedded.browser() as browser:
        await browser.sign_in("c7", "community", "jinpen-community")
        form = form_of(await desk_of(browser), "climbed")
        ticked = {f"issue-{each['id']}": "1" for each in (mine, other, foreign)}
        for _ in range(2):
            sent = await browser.http.post("/desk/remind", data={**form, **ticked, "text": "请今天到场"}, headers=PAGE)
            assert sent.status_code == 200, sent.text
            found = re.search(r'<div role="status" class="reminded">.*?</div>', sent.text, re.DOTALL)
            assert found is not None
            assert (found[0].count("已送达"), found[0].count("未被接受")) == (2, 1)
            assert foreign["number"] not in sent.text, "it says nothing of what he may not see"
    for each in (mine, other):
        told = await system.get(f"/v1/issues/{each['id']}/timeline", system.token("s", "street", "cuiwei-street"))
        words = [event["data"]["text"] for event in told["events"] if event["kind"] == "instructed"]
        assert words == ["请今天到场"], "sent twice, given once"


async def test_a_reminder_without_issues_or_words_is_refused_and_keeps_what_was_written(
    embedded: Site, system: System
) -> None:
    taken = await reported(system, ("escalate", {"reason": "人手不足"}))
    async with embedded.browser() as browser:
        await browser.sign_in("c7", "community", "jinpen-community")
        form = form_of(await desk_of(browser), "climbed")
        empty = await browser.http.post("/desk/remind", data={**form, "text": "请今天到场"}, headers=PAGE)
        assert empty.status_code == 422
        assert 'role="alert"' in empty.text
        assert "请今天到场" in empty.text
        silent = await browser.http.post(
            "/desk/remind", data={**form, f"issue-{taken['id']}": "1", "text": ""}, headers=PAGE
        )
        assert silent.status_code == 422
        assert re.search(rf'name="issue-{taken["id"]}" value="1" checked', silent.text), "what was ticked stays ticked"
        long = "长" * 4001
        sent = await browser.http.post(
            "/desk/remind", data={**form, f"issue-{taken['id']}": "1", "text": long}, headers=PAGE
        )
        assert (sent.status_code, 'role="alert"' in sent.text, long in sent.text) == (422, True, True)
        assert re.search(rf'name="issue-{taken["id"]}" value="1" checked', sent.text)
        stolen = {**form, "token": "x", f"issue-{taken['id']}": "1", "text": "x"}
        assert (await browser.http.post("/desk/remind", data=stolen)).status_code == 403


@pytest.mark.parametrize(
    ("role", "org"), [("property", "jinpen-property"), ("auditor", "cuiwei-street"), ("resident", "")]
)
async def test_a_desk_is_for_officers(embedded: Site, role: str, org: str) -> None:
    async with embedded.browser() as browser:
        await browser.sign_in("n1", role, org)
        assert (await browser.http.get("/desk")).status_code == 404


async def test_without_a_session_it_leads_to_where_people_sign_in(embedded: Site) -> None:
    async with httpx.AsyncClient(base_url=embedded.origin) as browser:
        away = await browser.get("/desk")
        assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=%2Fdesk")


@pytest.mark.parametrize(
    ("now", "evening"),
    [
        ("2026-11-25T08:00:00+08:00", "2026-11-24T17:00:00+08:00"),
        ("2026-11-30T08:00:00+08:00", "2026-11-27T17:00:00+08:00"),
        ("2027-01-04T00:30:00+08:00", "2027-01-01T17:00:00+08:00"),
    ],
)
def test_the_night_begins_on_the_evening_of_the_last_working_day(now: str, evening: str) -> None:
    assert evening_before(datetime.fromisoformat(now), ()) == datetime.fromisoformat(evening)
