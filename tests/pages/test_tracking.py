"""The page of an issue: what is queued or refused, plans and promises, what was merged, and taking up what silence closed."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest_asyncio

from domain.wire import format_time
from domain.worktime import Limit
from pages.story import moment
from policies.loader import load_pack
from support.again import something_is_away
from support.completions import ANSWER
from support.system import Answer, System

SCRIPT = {"Accept": "application/json"}
GATE = {"category": "facility", "location": "6栋东侧路灯", "description": "路灯坏了"}


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def quick(system: System) -> AsyncIterator[None]:
    """These tests use an API under whose policy silence closes an issue two seconds after its completion."""
    policy = load_pack("demo")
    closing = replace(policy, silence=replace(policy.silence, within=Limit(2, "s")))
    usual = system.client
    async with system.api_on(system.temporal, policies={"demo": closing}) as system.client:
        yield
    system.client = usual


async def reported(system: System, **body: str) -> Answer:
    taken = await system.report(None, None, **{**GATE, **body})
    await system.until(f"/v1/issues/{taken['id']}", system.community, lambda _: True)
    return taken


def code(taken: Answer) -> dict[str, str]:
    return {"X-Tracking-Code": taken["tracking_code"]}


@asynccontextmanager
async def opened(system: System, taken: Answer) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A browser that has opened the issue by its code, and the address of its page."""
    headers = {"Accept-Language": "zh-CN"}
    async with httpx.AsyncClient(
        base_url=system.client.base_url, headers=headers, follow_redirects=True, timeout=60
    ) as browser:
        page = f"/i/{taken['id']}"
        await browser.get(f"/t/{taken['id']}/{taken['tracking_code']}")
        yield browser, page


def form_of(html: str, action: str) -> dict[str, str]:
    form = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', html, re.DOTALL)
    assert form is not None, action
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0]))


async def test_a_command_without_a_worker_is_said_to_be_queued_and_is_there_once_it_took_effect(system: System) -> None:
    taken = await reported(system)
    async with opened(system, taken) as (browser, page):
        form = form_of((await browser.get(page)).text, f"{page}/urge")
        await system.stop_worker()
        try:
            with something_is_away():
                sent = await browser.post(f"{page}/urge", data={**form, "text": "还没有人来"})
                assert sent.status_code == 200
                assert "已送达，正在办理" in sent.text
                assert f'data-live="{page}/live?queued=' in sent.text
                told = await browser.post(f"{page}/urge", data={**form, "text": "还没有人来"}, headers=SCRIPT)
                assert told.status_code == 202
                assert told.json()["to"].startswith(f"{page}?queued=")
        finally:
            await system.start_worker()
        await system.until(
            f"/v1/issues/{taken['id']}/timeline", code(taken),
            lambda body: [each["kind"] for each in body["events"]].count("urged") == 1,
        )  # fmt: skip
        shown = await browser.get(str(sent.url))
        assert "已送达，正在办理" not in shown.text
        assert "居民催单" in shown.text
        assert "正在办理；" not in (await browser.get(f"{page}?queued=nonsense")).text


async def test_what_is_refused_is_said_on_the_page_and_the_words_are_kept(system: System) -> None:
    taken = await reported(system)
    async with opened(system, taken) as (browser, page):
        form = form_of((await browser.get(page)).text, f"{page}/comment")
        long = await browser.post(f"{page}/comment", data={**form, "text": "长" * 4001})
        assert (long.status_code, 'role="alert"' in long.text) == (422, True)
        assert "<title>还有地方没填好" in long.text
        assert 'href="#comment"' in long.text
        assert "长" * 4001 in long.text
        objected = await browser.post(f"{page}/object", data={**form, "reason": "我不同意"})
        assert (objected.status_code, "尚未提过异议" in objected.text) == (409, True)
        told = await browser.post(f"{page}/object", data={**form, "reason": "我不同意"}, headers=SCRIPT)
        assert (told.status_code, told.json()["code"]) == (409, "nothing-to-object")


async def test_the_steps_of_a_plan_and_promised_dates_are_told(system: System) -> None:
    taken = await reported(system)
    first, second = (datetime.now(UTC) + timedelta(seconds=each) for each in (8, 16))
    visit = datetime.now(UTC) + timedelta(hours=1)
    await system.give(taken["id"], "accept", system.staff)
    scheduled = await system.give(taken["id"], "schedule", system.staff, time=format_time(visit))
    assert scheduled.status == 200, scheduled.body
    planned = await system.give(
        taken["id"], "plan", system.staff, None,
        steps=[{"title": "买灯", "due": format_time(first)}, {"title": "换灯", "due": format_time(second)}],
    )  # fmt: skip
    assert planned.status == 200, planned.body
    async with opened(system, taken) as (browser, page):
        shown = (await browser.get(page)).text
        assert f"约定时间 {moment(visit, 'zh')}" in shown
        assert f"第 1 步 买灯：{moment(first, 'zh')} 前" in shown
        assert "第 2 步 换灯" in shown


async def test_a_neighbour_leaves_and_reads_no_words(system: System) -> None:
    taken = await reported(system)
    joined = await system.give(taken["id"], "follow", {}, None)
    assert joined.status == 200, joined.body
    voice = Answer(200, {"id": taken["id"], "tracking_code": joined["tracking_code"]}, joined.headers)
    async with opened(system, voice) as (browser, page):
        shown = (await browser.get(page)).text
        assert "路灯坏了" not in shown
        left = await browser.post(f"{page}/unfollow", data=form_of(shown, f"{page}/unfollow"))
        assert left.status_code == 200
        await system.until(
            f"/v1/issues/{taken['id']}/timeline", system.community,
            lambda body: [each["kind"] for each in body["events"]].count("unfollowed") == 1,
        )  # fmt: skip


async def test_what_was_merged_leads_to_the_older_issue(system: System) -> None:
    older, younger = await reported(system), await reported(system)
    merged = await system.give(younger["id"], "merge", system.community, into=older["id"])
    assert merged.status == 200, merged.body
    async with opened(system, younger) as (browser, page):
        shown = (await browser.get(page)).text
        assert "已合并办理" in shown
        there = await browser.get(f"{page}/into")
        assert (there.status_code, there.url.path) == (200, f"/i/{older['id']}")
        assert older["number"] in there.text


async def test_what_silence_closed_is_taken_up_once_however_often_it_is_sent(system: System) -> None:
    taken = await reported(system, location="", description="东门的路灯坏了")
    for name, body in (("accept", {}), ("arrive", {"assessment": "minor"}), ("complete", {"answer": ANSWER})):
        given = await system.give(taken["id"], name, system.staff, **body)
        assert given.status == 200, given.body
    async with opened(system, taken) as (browser, page):
        open_ = await browser.get(f"{page}/again")
        assert open_.status_code == 404, "it is not closed yet"
        await system.until(f"/v1/issues/{taken['id']}", code(taken), lambda body: body["closed"] is not None)
        assert f'href="{page}/again"' in (await browser.get(page)).text
        asked = await browser.get(f"{page}/again")
        address = str(asked.url)
        form = form_of(asked.text, f"{page}/again?k={asked.url.params['k']}")
        empty = await browser.post(address, data={**form, "text": ""})
        assert (empty.status_code, 'href="#text"' in empty.text) == (422, True)
        foreign = await browser.post(address, data={**form, "token": "", "text": "还是黑的"})
        assert foreign.status_code == 403
        sent = [await browser.post(address, data={**form, "text": "还是黑的"}) for _ in range(2)]
        assert sent[0].url == sent[1].url
        new = sent[0].url.path.split("/")[2]
        shown = (await browser.get(f"/i/{new}")).text
        assert "还是黑的" in shown
        assert f"此前的诉求 {taken['number']}" in shown
        assert "东门的路灯坏了" in shown, "his own words of then"
        changed = await browser.post(address, data={**form, "text": "另一件事"})
        assert changed.status_code == 422


async def test_a_resident_reads_that_a_command_was_taken(system: System) -> None:
    taken = await reported(system)
    async with opened(system, taken) as (browser, page):
        before = (await browser.get(page)).text
        assert "已办到" not in before
        after = await browser.post(f"{page}/urge", data={**form_of(before, f"{page}/urge"), "text": ""})
        assert after.status_code == 200
        assert 'role="status"' in after.text
        assert "已办到" in after.text
