"""Staff do their work by pages: a list, one job, and each command as a plain form, all without script."""

import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from domain.worktime import SHANGHAI
from support.browser import Browser, Site, site
from support.system import Answer, System, running_system

ZH = {"Accept-Language": "zh-CN"}
COMPOUND = "jinpen"
"""Under a policy that leaves time: nothing climbs while a test works."""
ORGS = {"property": "jinpen-property", "community": "jinpen-community", "street": "cuiwei-street"}
DONE = "换了阀门,试水一小时不漏"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One of its own: the first page of a list holds the most pressing issues, which others would leave there."""
    async with running_system(tmp_path_factory.mktemp("work")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


@asynccontextmanager
async def signed_in(served: Site, role: str, org: str = "", person: str = "") -> AsyncIterator[Browser]:
    async with served.browser() as browser:
        browser.http.headers.update(ZH)
        assert (await browser.sign_in(person or f"{role}-1", role, org or ORGS[role])).status_code == 303
        yield browser


def headers_of(system: System, role: Any = "property") -> dict[str, str]:
    return system.token(f"{role}-9", role, ORGS[role])


async def reported(system: System, **body: Any) -> Answer:
    taken = await system.report(compound=COMPOUND, **body)
    await system.until(f"/v1/issues/{taken['id']}", headers_of(system), lambda _: True)
    return taken


async def shown(browser: Browser, path: str, status: int = 200) -> str:
    answer = await browser.http.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def hidden(html: str, path: str) -> dict[str, str]:
    """The hidden fields of the form that is sent to this path."""
    form = re.search(rf'<form method="post" action="{path}".*?</form>', html, re.DOTALL)
    assert form is not None, path
    return dict(re.findall(r'type="hidden" name="([\w.]+)" value="([^"]*)"', form[0]))


async def give(browser: Browser, issue: str, command: str, form: Mapping[str, str] | None = None) -> httpx.Response:
    """Sends the form of a command as a browser without script does, and follows to the page."""
    path = f"/work/{issue}/{command}"
    fields = hidden(await shown(browser, path), path)
    return await browser.http.post(path, data={**fields, **(form or {})}, follow_redirects=True)


async def status_is(system: System, issue: str, status: str) -> Answer:
    return await system.until(f"/v1/issues/{issue}", headers_of(system), lambda body: body["status"] == status)


def offers(html: str, issue: str) -> set[str]:
    """The commands that a page offers."""
    return set(re.findall(rf'(?:action|href)="/work/{issue}/(\w+)"', html)) - {"photo", "phone"}


async def kinds(system: System, issue: str) -> list[str]:
    told = await system.get(f"/v1/issues/{issue}/timeline", headers_of(system))
    return [event["kind"] for event in told["events"]]


async def happened(system: System, issue: str, kind: str) -> dict[str, Any]:
    """The last event of this kind, once there is one."""

    def of_kind(body: Any) -> list[dict[str, Any]]:
        return [event for event in body["events"] if event["kind"] == kind]

    return of_kind((await system.until(f"/v1/issues/{issue}/timeline", headers_of(system), of_kind)).body)[-1]


async def test_the_list_says_where_what_whose_turn_and_by_when(served: Site, system: System) -> None:
    taken = await reported(system, location="7幢701", description="楼上漏水\n滴了一夜")
    async with signed_in(served, "property") as browser:
        html = await shown(browser, "/work")
        card = next(found for found in re.findall(r"<li class=\"card.*?</li>", html, re.DOTALL) if taken["id"] in found)
        for words in ("7幢701", "漏水：楼上漏水", "前签收", "还剩", taken["number"], "正常"):
            assert words in card, words
        assert "滴了一夜" not in card, "the first line is enough for a list"
        assert taken["id"] not in await shown(browser, "/work?light=red")
        assert taken["id"] not in await shown(browser, "/work?category=noise")
        assert taken["id"] in await shown(browser, "/work?light=green&category=leak&from=singlemessage")
        assert taken["id"] in await shown(browser, "/work?light=blue&category=x&start=-1")
        assert taken["id"] not in await shown(browser, "/work?start=9999")
    async with signed_in(served, "property", "other-property") as stranger:
        assert taken["id"] not in await shown(stranger, "/work")


async def test_a_whole_life_by_plain_forms(served: Site, system: System) -> None:
    issue = (await reported(system, category="noise"))["id"]
    async with signed_in(served, "property") as browser:
        job = await shown(browser, f"/work/{issue}")
        assert "complete" not in offers(job, issue)
        path = f"/work/{issue}/accept"
        accepted = await browser.http.post(path, data=hidden(job, path))
        assert accepted.status_code == 303, accepted.text
        assert re.fullmatch(rf"/work/{issue}\?given=[0-9a-f-]{{36}}", accepted.headers["location"])
        await status_is(system, issue, "accepted")
        job = await shown(browser, accepted.headers["location"])
        assert "已生效" in job
        assert {"arrive", "contact"} <= offers(job, issue)
        assert "已签收" in job
        assert (await give(browser, issue, "arrive", {"assessment": "minor", "note": ""})).status_code == 200
        await status_is(system, issue, "arrived")
        job = await shown(browser, f"/work/{issue}")
        assert f'action="/work/{issue}/complete"' not in job, "no one tap completes"
        assert f'href="/work/{issue}/complete"' in job
        done = await give(browser, issue, "complete", {"kind": "solved", "answer": DONE})
        assert done.status_code == 200, done.text
        await status_is(system, issue, "completed")
        assert DONE in await shown(browser, f"/work/{issue}")


async def test_the_manager_assigns_with_one_tap_and_it_comes_first_in_that_list(served: Site, system: System) -> None:
    await reported(system)
    issue = (await reported(system, location="9幢902"))["id"]
    async with signed_in(served, "property", "demo-property") as browser:
        mine = (await system.report(location="1幢"))["id"]
        await system.until(f"/v1/issues/{mine}", system.staff, lambda _: True)
        job = await shown(browser, f"/work/{mine}")
        path = f"/work/{mine}/assign"
        assert 'name="person" value="p2"' in job
        sent = await browser.http.post(path, data={**hidden(job, path), "person": "p2"}, follow_redirects=True)
        assert sent.status_code == 200
        is_assigned = lambda body: "assigned" in [each["kind"] for each in body["events"]]  # noqa: E731
        await system.until(f"/v1/issues/{mine}/timeline", system.staff, is_assigned)
    async with signed_in(served, "property", "demo-property", "p2") as hers:
        html = await shown(hers, "/work")
        first = re.search(r'<a href="/work/(\w+)">', html)
        assert first is not None
        assert first[1] == mine
        assert "派给我的" in html
        assert (await hers.http.get(f"/work/{issue}")).status_code == 404, "an issue of another company is not there"


async def test_the_community_grants_denies_and_dispatches(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]
    await system.give(issue, "accept", headers_of(system))
    await system.give(issue, "extend", headers_of(system), reason="等配件")
    async with signed_in(served, "community") as browser:
        job = await shown(browser, f"/work/{issue}")
        assert {"grant", "deny", "redispatch", "instruct"} <= offers(job, issue)
        assert "等待裁定" in job, "the record is shown to officers"
        asked = await shown(browser, f"/work/{issue}/grant")
        assert 'type="hidden" name="what" value="extend"' in asked, "there is one wish, so there is no choice"
        assert (await give(browser, issue, "grant", {"note": "同意"})).status_code == 200
        await happened(system, issue, "extended")
        form = await shown(browser, f"/work/{issue}/redispatch")
        assert 'value="cuiwei-enforcement"' in form
        assert 'value="demo-enforcement"' not in form, "who works in another street is not offered"
        moved = await give(browser, issue, "redispatch", {"handler": "cuiwei-enforcement", "reason": "需要执法"})
        assert moved.status_code == 200
        await system.until(
            f"/v1/issues/{issue}",
            headers_of(system, "community"),
            lambda body: body["handler"] == "cuiwei-enforcement",
        )
    other = (await reported(system))["id"]
    await system.give(other, "accept", headers_of(system))
    await system.give(other, "wait", headers_of(system), reason="parts", review="2026-12-02T08:00:00.000Z")
    await system.give(other, "resume", headers_of(system))
    await system.give(other, "extend", headers_of(system), reason="等配件")
    async with signed_in(served, "street") as browser:
        assert (await give(browser, other, "deny", {"reason": "理由不足"})).status_code == 200
        await happened(system, other, "denied")


async def test_three_forms_sent_quickly_are_three_commands_and_one_sent_thrice_is_one(
    served: Site, system: System
) -> None:
    issue = (await reported(system))["id"]
    async with signed_in(served, "property") as browser:
        job = await shown(browser, f"/work/{issue}")
        path = f"/work/{issue}/accept"
        for _ in range(3):
            assert (await browser.http.post(path, data=hidden(job, path))).status_code == 303
        await status_is(system, issue, "accepted")
        forms = [
            hidden(await shown(browser, f"/work/{issue}/{name}"), f"/work/{issue}/{name}")
            for name in ("contact", "comment")
        ]
        assert (
            await browser.http.post(f"/work/{issue}/comment", data={**forms[1], "text": "已在路上"})
        ).status_code == 303
        late = await browser.http.post(f"/work/{issue}/contact", data=forms[0])
        assert late.status_code == 303, "a remark changes nothing for the next command"
        assert (await kinds(system, issue)).count("accepted") == 1


async def test_a_form_that_is_out_of_date_shows_the_issue_as_it_is_and_keeps_what_was_written(
    served: Site, system: System
) -> None:
    issue = (await reported(system))["id"]
    await system.give(issue, "accept", headers_of(system))
    async with signed_in(served, "property") as browser:
        path = f"/work/{issue}/answer"
        form = hidden(await shown(browser, path), path)
        await system.give(issue, "arrive", headers_of(system), assessment="minor")
        await status_is(system, issue, "arrived")
        stale = await browser.http.post(path, data={**form, "text": "周三完工"})
        assert stale.status_code == 412
        assert 'role="alert"' in stale.text
        assert "周三完工</textarea>" in stale.text
        fresh = hidden(stale.text, path)
        assert int(fresh["version"]) > int(form["version"])
        assert (await browser.http.post(path, data={**fresh, "text": "周三完工"})).status_code == 303
        script = {"Accept": "application/json"}
        told = await browser.http.post(path, data={**form, "text": "又一次"}, headers=script)
        assert (told.status_code, told.json()["code"], told.json()["to"]) == (412, "stale", path)


async def test_a_refusal_says_why_and_offers_what_is_possible_never_json(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]
    async with signed_in(served, "property") as browser:
        path = f"/work/{issue}/accept"
        form = hidden(await shown(browser, f"/work/{issue}"), path)
        early = await browser.http.post(f"/work/{issue}/arrive", data=form)
        assert early.status_code == 409
        assert early.headers["content-type"].startswith("text/html")
        assert "签收" in early.text
        assert "accept" in offers(early.text, issue)
        await browser.http.post(path, data=form)
        await status_is(system, issue, "accepted")
        await give(browser, issue, "arrive", {"assessment": "minor"})
        await status_is(system, issue, "arrived")
        short = await give(browser, issue, "complete", {"kind": "solved", "answer": "好了"})
        assert short.status_code == 409
        assert "好了</textarea>" in short.text
        assert "{" not in re.sub(r"<style.*?</style>|<script.*?</script>", "", short.text)
    async with signed_in(served, "community") as officer:
        assert (await officer.http.post(path, data={**form, "token": "x"})).status_code == 403
        job = await shown(officer, f"/work/{issue}")
        token = re.search(r'name="token" value="([^"]+)"', job)
        assert token is not None
        refused = await officer.http.post(
            f"/work/{issue}/complete", data={"token": token[1], "key": form["key"], "answer": DONE}
        )
        assert refused.status_code == 409
        assert (await officer.http.post(f"/work/{issue}/nothing", data={"token": token[1]})).status_code == 404


async def test_what_was_not_filled_in_is_said_at_its_field(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]
    await system.give(issue, "accept", headers_of(system))
    async with signed_in(served, "property") as browser:
        wrong = await give(browser, issue, "wait", {"reason": "parts", "review": "bald", "note": "等阀门"})
        assert wrong.status_code == 422
        assert '<a href="#f-review">请写一个时间' in wrong.text
        assert "等阀门</textarea>" in wrong.text
        assert 'value="parts" checked' in wrong.text or 'value="parts" selected' in wrong.text
        assert "<title>还有地方没填好" in wrong.text
        empty = await give(browser, issue, "plan", {"steps.0.title": "换立管"})
        assert empty.status_code == 422
        assert '<a href="#f-steps.0.due">必须填写</a>' in empty.text


async def test_every_command_that_is_offered_has_a_form_and_times_are_chinas(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]
    await system.give(issue, "accept", headers_of(system))
    for role in ORGS:
        async with signed_in(served, role) as browser:
            for name in offers(await shown(browser, f"/work/{issue}"), issue):
                html = await shown(browser, f"/work/{issue}/{name}")
                assert f'action="/work/{issue}/{name}"' in html, (role, name)
                assert len(re.findall("<h1", html)) == 1
    async with signed_in(served, "property") as browser:
        assert (await give(browser, issue, "plan", {
            "steps.0.title": "换立管", "steps.0.due": "2099-11-25T16:00", "steps.0.owner": "jinpen-property",
        })).status_code == 409, "too far ahead"  # fmt: skip
        sent = await give(browser, issue, "schedule", {"time": "2026-12-24T09:30"})
        assert sent.status_code == 200, sent.text
        told = await happened(system, issue, "scheduled")
        assert told["data"]["time"] == "2026-12-24T01:30:00.000Z"


async def test_the_phone_is_masked_until_somebody_asks_and_then_a_line_says_so(served: Site, system: System) -> None:
    phone = {"name": "张三", "phone": "13800138000"}
    issue = (await reported(system, contact=phone))["id"]

    async def lines() -> list[dict[str, Any]]:
        auditor = system.token("auditor-9", "auditor", ORGS["street"])
        return [
            line for line in (await system.get("/v1/access", auditor, issue=issue))["items"] if line["what"] == "phone"
        ]

    async with signed_in(served, "property") as browser:
        job = await shown(browser, f"/work/{issue}")
        assert "138****8000" in job
        assert phone["phone"] not in job
        assert await lines() == []
        path = f"/work/{issue}/phone"
        assert (await browser.http.post(path, data={"token": "of another page"})).status_code == 403
        assert await lines() == []
        seen = await browser.http.post(path, data=hidden(job, path))
        assert seen.status_code == 200
        assert f'href="tel:{phone["phone"]}"' in seen.text
        (line,) = await lines()
        assert (line["person"], line["role"], line["result"]) == ("property-1", "property", "shown")
        assert phone["phone"] not in await shown(browser, f"/work/{issue}"), "the next look masks it again"
    async with signed_in(served, "street") as officer:
        job = await shown(officer, f"/work/{issue}")
        assert phone["phone"] not in job
        assert f'action="/work/{issue}/phone"' not in job, "who may not see it is offered nothing"
        assert len(await lines()) == 1


async def test_photos_of_the_issue_can_be_ticked_as_evidence(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]
    await system.give(issue, "accept", headers_of(system))
    await system.give(issue, "arrive", headers_of(system), assessment="minor")
    async with signed_in(served, "property") as browser:
        path = f"/work/{issue}/complete"
        form = hidden(await shown(browser, path), path)
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), "blue").save(picture, "JPEG")
        headers = {"Content-Type": "image/jpeg", "X-CSRF-Token": form["token"], "Accept": "application/json"}
        kept = await browser.http.post(f"/work/{issue}/photo", content=picture.getvalue(), headers=headers)
        digest = kept.json()["attachment"]
        assert f'name="evidence.0" value="{digest}"' in await shown(browser, path)
        sent = await browser.http.post(path, data={**form, "answer": DONE, "evidence.0": digest})
        assert sent.status_code == 303, "the photo alone has not made the form out of date"
        await status_is(system, issue, "completed")
        told = await system.get(f"/v1/issues/{issue}/timeline", headers_of(system))
        assert told["events"][-1]["data"]["evidence"] == [digest]


async def test_what_waits_for_its_receipt_is_on_its_way(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]
    await system.stop_worker()
    try:
        async with signed_in(served, "property") as browser:
            path = f"/work/{issue}/accept"
            sent = await browser.http.post(path, data=hidden(await shown(browser, f"/work/{issue}"), path))
            assert sent.status_code == 303
            assert "已送达，正在办理" in await shown(browser, sent.headers["location"])
    finally:
        await system.start_worker()
    await status_is(system, issue, "accepted")


async def test_list_and_job_change_while_somebody_looks_and_not_before(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]

    async def told(browser: Browser, page: str, changes: str) -> str:
        """The first HTML that the stream of a page tells; a command is given once it is open."""
        found = re.search(r'data-live="([^"]+)"', await shown(browser, page))
        assert found is not None
        async with browser.http.stream("GET", found[1].replace("&amp;", "&"), timeout=60) as stream:
            await system.give(issue, changes, headers_of(system))
            return "".join([line async for line in first_event(stream.aiter_lines())])

    async with signed_in(served, "property") as browser:
        assert "已签收" in await told(browser, f"/work/{issue}", "accept"), "nothing is told that the page shows"
        assert "前联系" in await told(browser, "/work", "mitigate")


async def first_event(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The data of the first event without a name."""
    name, found = "", False
    async for line in lines:
        if line.startswith("event:"):
            name = line
        elif line.startswith("data:") and not name:
            found = True
            yield line
        elif not line:
            if found:
                return
            name = ""


@pytest.mark.parametrize(("role", "org"), [("auditor", "cuiwei-street"), ("admin", "cuiwei-street"), ("resident", "")])
async def test_who_does_no_work_has_no_such_page(served: Site, system: System, role: str, org: str) -> None:
    issue = (await reported(system))["id"]
    async with served.browser() as browser:
        await browser.sign_in("somebody", role, org)
        for path in ("/work", f"/work/{issue}", f"/work/{issue}/accept"):
            assert (await browser.http.get(path)).status_code == 404, path
    async with served.browser() as nobody:
        away = await nobody.http.get(f"/work/{issue}")
        assert (away.status_code, away.headers["location"]) == (303, f"/sign-in?next=%2Fwork%2F{issue}")


async def arrived(browser: Browser, system: System, category: str) -> str:
    issue = (await reported(system, category=category))["id"]
    for command, status in (("accept", "accepted"), ("arrive", "arrived")):
        await give(browser, issue, command)
        await status_is(system, issue, status)
    return issue


async def test_staff_read_of_the_resident_and_of_reasons_in_words(served: Site, system: System) -> None:
    async with signed_in(served, "property") as browser:
        issue = await arrived(browser, system, "noise")
        review = (datetime.now(SHANGHAI) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
        await give(browser, issue, "wait", {"reason": "parts", "review": review})
        await status_is(system, issue, "waiting")
        job = await shown(browser, f"/work/{issue}")
        assert ("等配件" in job, '<p class="words">parts' in job) == (True, False)
        await give(browser, issue, "complete", {"kind": "solved", "answer": DONE})
        await status_is(system, issue, "completed")
        assert re.search(r"<p>居民 [^<]*<span class=\"left\"", await shown(browser, f"/work/{issue}"))


async def test_what_the_outbox_is_told_of_a_missing_photo_names_no_field(served: Site, system: System) -> None:
    async with signed_in(served, "property") as browser:
        path = f"/work/{await arrived(browser, system, 'leak')}/complete"
        form = {**hidden(await shown(browser, path), path), "kind": "solved", "answer": DONE}
        told = await browser.http.post(path, data=form, headers={"Accept": "application/json"})
        assert (told.status_code, "现场照片" in told.text, "evidence" in told.json()["reason"]) == (409, True, False)


async def test_where_nobody_is_appointed_the_form_says_who_can_change_that(served: Site, system: System) -> None:
    issue = (await reported(system))["id"]
    async with signed_in(served, "property") as browser:
        html = await shown(browser, f"/work/{issue}/assign")
        assert ('href="/people"' in html, "还没有登记人员" in html) == (True, True)
