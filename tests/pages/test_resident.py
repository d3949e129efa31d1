"""A resident opens an issue by its code, sees whose turn it is, and speaks in it, all without script."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from support.system import Answer, System


@asynccontextmanager
async def browsing(system: System, language: str = "zh-CN") -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept-Language": language}
    async with httpx.AsyncClient(base_url=system.client.base_url, headers=headers, follow_redirects=True) as browser:
        yield browser


async def reported(system: System) -> Answer:
    taken = await system.report()
    await system.until(f"/v1/issues/{taken['id']}", system.staff, lambda _: True)
    return taken


def form_of(html: str, issue: str, command: str) -> dict[str, str]:
    """The hidden fields of a command's form."""
    form = re.search(rf'<form method="post" action="/i/{issue}/{command}".*?</form>', html, re.DOTALL)
    assert form is not None, command
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0]))


async def test_number_and_code_open_the_issue_and_the_browser_keeps_the_code(system: System) -> None:
    taken = await reported(system)
    async with browsing(system) as browser:
        opened = await browser.post("/find", data={"number": taken["number"], "code": taken["tracking_code"]})
        assert opened.status_code == 200
        assert opened.url.path == f"/i/{taken['id']}"
        assert "现在轮到：" in opened.text
        assert taken["number"] in opened.text
        assert "厨房漏水" in opened.text, "the reporter reads what he wrote"
        again = await browser.get(f"/i/{taken['id']}")
        assert again.status_code == 200
    async with browsing(system) as browser:
        assert (await browser.get(f"/i/{taken['id']}")).status_code == 401


async def test_the_address_in_a_message_opens_it_and_leaves_no_code_in_the_address(system: System) -> None:
    taken = await reported(system)
    async with browsing(system, "en") as browser:
        opened = await browser.get(f"/t/{taken['id']}/{taken['tracking_code']}?from=singlemessage&isappinstalled=0")
        assert (opened.status_code, opened.url.path) == (200, f"/i/{taken['id']}")
        assert "It is the turn of:" in opened.text
        assert taken["tracking_code"] not in str(opened.url) + opened.text
        (cookie,) = browser.cookies.jar
        assert (cookie.path, cookie.has_nonstandard_attr("HttpOnly")) == (f"/i/{taken['id']}", True)


async def test_a_wrong_code_opens_nothing_and_is_said_at_its_field(system: System) -> None:
    taken = await reported(system)
    async with browsing(system) as browser:
        wrong = await browser.post("/find", data={"number": taken["number"], "code": "8J5ZC-0QK2M-VT7XD-3H9RA"})
        assert wrong.status_code == 404
        assert 'role="alert"' in wrong.text
        assert '<a href="#code">' in wrong.text
        assert f'value="{taken["number"]}"' in wrong.text, "what was typed stays"
        assert "Something is not filled in yet" not in wrong.text


async def test_a_resident_urges_and_sends_the_same_form_twice_once_it_counts(system: System) -> None:
    taken = await reported(system)
    async with browsing(system) as browser:
        shown = await browser.get(f"/t/{taken['id']}/{taken['tracking_code']}")
        form = form_of(shown.text, taken["id"], "urge")
        for _ in range(2):
            sent = await browser.post(f"/i/{taken['id']}/urge", data={**form, "text": "还没有人来"})
            assert sent.status_code == 200, sent.text
        await system.until(
            f"/v1/issues/{taken['id']}/timeline", {"X-Tracking-Code": taken["tracking_code"]},
            lambda body: [each["kind"] for each in body["events"]].count("urged") == 1,
        )  # fmt: skip
        assert "居民催单" in (await browser.get(f"/i/{taken['id']}")).text


async def test_a_form_of_another_page_gives_no_command(system: System) -> None:
    taken, other = await reported(system), await reported(system)
    async with browsing(system) as browser:
        shown = await browser.get(f"/t/{taken['id']}/{taken['tracking_code']}")
        foreign = await browser.get(f"/t/{other['id']}/{other['tracking_code']}")
        form = form_of(shown.text, taken["id"], "withdraw")
        path = f"/i/{taken['id']}/withdraw"
        stolen = form_of(foreign.text, other["id"], "withdraw")
        assert (await browser.post(path, data={**form, "token": stolen["token"]})).status_code == 403
        assert (await browser.post(path, data={**form, "token": ""})).status_code == 403
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await browser.post(path, data=form, headers=headers)).status_code == 403, headers
        ours = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
        assert (await browser.post(path, data=form, headers=ours)).status_code == 200


async def test_what_may_be_done_follows_the_rules(system: System) -> None:
    taken = await reported(system)
    code = {"X-Tracking-Code": taken["tracking_code"]}
    async with browsing(system) as browser:
        before = (await browser.get(f"/t/{taken['id']}/{taken['tracking_code']}")).text
        assert f"/i/{taken['id']}/confirm" not in before
        await system.give(taken["id"], "accept", system.staff)
        await system.give(taken["id"], "arrive", system.staff, assessment="minor")
        await system.give(taken["id"], "complete", system.staff, answer="换了阀门,试水一小时不漏")
        await system.until(f"/v1/issues/{taken['id']}", code, lambda body: body["status"] == "completed")
        shown = (await browser.get(f"/i/{taken['id']}")).text
        form = form_of(shown, taken["id"], "confirm")
        rated = await browser.post(
            f"/i/{taken['id']}/confirm", data={**form, "outcome": "solved", "satisfaction": "satisfied"}
        )
        assert rated.status_code == 200
        await system.until(f"/v1/issues/{taken['id']}", code, lambda body: body["closed"] is not None)
        assert "已结案" in (await browser.get(f"/i/{taken['id']}")).text


async def test_a_page_is_not_told_again_what_it_shows_but_what_happened_since(system: System) -> None:
    taken = await system.report(compound="jinpen")  # its policy leaves time: nothing happens by itself
    code = {"X-Tracking-Code": taken["tracking_code"]}
    timeline = f"/v1/issues/{taken['id']}/timeline"
    await system.until(timeline, code, lambda body: body["events"][-1]["kind"] == "dispatched")
    async with browsing(system) as browser:
        before = await browser.get(f"/t/{taken['id']}/{taken['tracking_code']}")
        await system.give(taken["id"], "urge", code, text="还没有人来")
        await system.until(timeline, code, lambda body: body["events"][-1]["kind"] == "urged")
        after = await browser.get(f"/i/{taken['id']}")
        for html, is_told in ((before.text, True), (after.text, False)):
            live = re.search(r'data-live="([^"]+v=[0-9]+)"', html)
            assert live is not None
            async with browser.stream("GET", live[1], timeout=60) as stream:
                async for (
                    line
                ) in stream.aiter_lines():  # the clock comes with what is new, or after ten seconds without
                    if line.startswith(("id:", "event: clock")):
                        assert line.startswith("id:") is is_told
                        break


async def test_the_page_changes_while_somebody_looks(system: System) -> None:
    taken = await reported(system)
    async with browsing(system) as browser:
        await browser.get(f"/t/{taken['id']}/{taken['tracking_code']}")
        async with browser.stream("GET", f"/i/{taken['id']}/live", timeout=60) as stream:
            lines = stream.aiter_lines()
            await system.give(taken["id"], "accept", system.staff)
            async for line in lines:
                if line.startswith("data:") and "已签收" in line:
                    break


@pytest.mark.parametrize("path", ["/", "/find", "/i/unknown", "/t/unknown/CODE", "/nothing"])
async def test_errors_are_pages_in_the_readers_language_and_nothing_comes_from_elsewhere(
    system: System, path: str
) -> None:
    async with browsing(system) as browser:
        shown = await browser.get(path)
        if path == "/":
            assert shown.status_code == 200
            assert shown.headers["referrer-policy"] == "same-origin"
            for address in re.findall(r'(?:src|href)="([^"]+)"', shown.text):
                assert address.startswith(("/", "#")), address
                assert not address.startswith("//")
            english = await browser.get("/language/en")
            assert 'lang="en"' in english.text
        elif path.startswith(("/i/", "/t/")):
            assert shown.headers["content-type"].startswith("text/html")
            assert 'lang="zh-CN"' in shown.text


async def test_a_form_with_text_that_cannot_be_stored_is_refused_before_it_reaches_a_page(system: System) -> None:
    async with browsing(system) as browser:
        for body in ("code=%00", "code=%E2%80%AE", "code=a&code=b", "code=%FF", "&".join(f"f{n}=" for n in range(50))):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            assert (await browser.post("/find", content=body, headers=headers)).status_code == 422, body
        assert (await browser.post("/v1/issues", content="a=b", headers=headers)).status_code == 422
        assert (await browser.post("/find", content="code=" + "x" * 70_000, headers=headers)).status_code == 413


@pytest.mark.parametrize("path", ["/t/%00/x", "/i/%00", "/report/similar?k=a&compound=demo&category=leak&building=%00"])
async def test_what_no_name_holds_is_not_looked_for(system: System, path: str) -> None:
    """PostgreSQL refuses NUL as if it were down: one such request would keep everybody from reading for a second."""
    async with browsing(system) as browser:
        assert (await browser.get(path)).status_code == 404


async def test_a_form_that_cannot_be_read_is_told_on_a_page(system: System) -> None:
    async with browsing(system) as browser:
        for body in (b"code=a&code=b", "code=\u202a".encode()):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await browser.post("/find", content=body, headers=headers)
            assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (422, "text/html")


async def test_no_form_is_taken_for_a_picture(system: System) -> None:
    async with browsing(system) as browser:
        for path in ("/i/x/photo", "/work/x/photo"):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await browser.post(path, content=b"a=" + b"b" * 70_000, headers=headers)
            assert answer.status_code == 413
