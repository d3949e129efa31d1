"""A resident reports by a plain form: checked before it is sent, sent once, or not at all where a neighbour did so before."""

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape

import httpx
import pytest_asyncio

from support.browser import Site, site
from support.system import System

LEAK = {
    "compound": "demo", "building": "3", "where": "东门口", "description": "水管漏水,地上全是水", "category": "",
    "phone": "",
}  # fmt: skip
SCRIPT = {"Accept": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


@asynccontextmanager
async def browsing(served: Site, language: str = "zh-CN") -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept-Language": language}
    async with httpx.AsyncClient(base_url=served.origin, headers=headers, follow_redirects=True, timeout=60) as browser:
        yield browser


async def begun(browser: httpx.AsyncClient, query: str = "") -> tuple[str, dict[str, str]]:
    """The address of a new form, and its hidden fields."""
    shown = await browser.get(f"/report{query}")
    assert shown.status_code == 200, shown.text
    return str(shown.url), hidden(shown.text, 'id="report"')


def hidden(html: str, mark: str) -> dict[str, str]:
    form = next(found for found in re.findall(r"<form.*?</form>", html, re.DOTALL) if mark in found)
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in found}


async def sent(browser: httpx.AsyncClient, url: str, fields: dict[str, str], **words: str) -> httpx.Response:
    return await browser.post(url, data={**fields, **LEAK, "step": "send", **words})


def number_in(html: str) -> str:
    found = re.search(r"JS-[0-9A-Z]{5}-[0-9A-Z]{5}", html)
    assert found is not None, html
    return found[0]


async def test_the_key_is_in_the_address_before_anything_is_written(served: Site) -> None:
    async with browsing(served) as browser:
        first = await browser.get("/report?at=demo/3&from=singlemessage")
        key = first.url.params["k"]
        assert uuid.UUID(key)
        assert first.url.params["at"] == "demo/3"
        again = await browser.get(str(first.url))
        assert again.url == first.url
        assert 'value="demo" selected' in first.text
        html = first.text
        assert html.index("110") < html.index("<h1>"), "danger to life comes above everything"
        assert "只有办理的单位和牵头的单位" in html
        assert "不能上传照片" in html


async def test_a_report_is_checked_then_sent_and_its_number_and_code_are_told(served: Site) -> None:
    async with browsing(served) as browser:
        url, fields = await begun(browser)
        checked = await browser.post(url, data={**fields, **LEAK, "phone": "13800138000"})
        assert (checked.status_code, checked.request.method) == (200, "POST")
        assert "请核对一遍" in checked.text
        assert "水管漏水" in checked.text
        assert "推荐" in checked.text, "that the category is a suggestion"
        assert 'value="leak" selected' in checked.text
        kept = hidden(checked.text, 'name="step" value="send"')
        done = await browser.post(url, data={**kept, "category": "leak", "step": "send"})
        assert re.fullmatch(r"/i/[a-z0-9]+/sent", done.url.path), done.text
        code = re.search(r"[0-9A-Z]{5}(-[0-9A-Z]{5}){3}", done.text)
        assert code is not None
        issue = done.url.path.split("/")[2]
        read = await browser.get(f"/i/{issue}")
        assert (read.status_code, "水管漏水" in read.text) == (200, True)
        assert code[0] not in read.text
        assert code[0] not in str(done.url)


async def test_back_and_sent_again_is_one_issue_and_other_words_are_told_that_it_was_sent(
    served: Site, system: System
) -> None:
    async with browsing(served) as browser:
        url, fields = await begun(browser)
        first, second = [await sent(browser, url, fields) for _ in range(2)]
        assert first.url == second.url
        number = number_in(first.text)
        changed = await sent(browser, url, fields, description="完全是另一件事")
        assert changed.status_code == 422
        assert "已经报过" in changed.text
        assert number_in(changed.text) == number
        issue = first.url.path.split("/")[2]
        assert f'href="/i/{issue}"' in changed.text
        told = await browser.post(url, data={**fields, **LEAK, "step": "send", "description": "又一件"}, headers=SCRIPT)
        assert (told.status_code, told.json()["to"]) == (422, f"/i/{issue}")
        assert number in told.json()["reason"]
    timeline = await system.get(f"/v1/issues/{issue}/timeline", system.staff)
    assert [each["kind"] for each in timeline["events"]].count("reported") == 1


async def test_what_is_missing_is_said_above_and_at_its_field_and_the_words_are_kept(served: Site) -> None:
    async with browsing(served) as browser:
        url, fields = await begun(browser)
        wrong = await browser.post(url, data={**fields, **LEAK, "compound": "", "where": "远" * 250})
        assert wrong.status_code == 422
        assert 'role="alert"' in wrong.text
        assert "<title>还有地方没填好" in wrong.text
        for field in ("compound", "where"):
            assert f'href="#{field}"' in wrong.text
            assert f'id="{field}-wrong"' in wrong.text
        assert "水管漏水" in wrong.text
        assert "远" * 250 in wrong.text
        unknown = await browser.post(url, data={**fields, **LEAK, "compound": "nowhere"})
        assert (unknown.status_code, 'href="#compound"' in unknown.text) == (422, True)
        script = await browser.post(url, data={**fields, **LEAK, "step": "send", "compound": ""}, headers=SCRIPT)
        assert [each["field"] for each in script.json()["errors"]] == ["compound"]


async def test_a_script_is_told_where_to_go_and_where_photos_go(served: Site) -> None:
    async with browsing(served) as browser:
        url, fields = await begun(browser)
        answer = await browser.post(url, data={**fields, **LEAK, "step": "send"}, headers=SCRIPT)
        told = answer.json()
        issue = told["to"].split("/")[2]
        assert (answer.status_code, told["to"], told["photos"]) == (200, f"/i/{issue}/sent", f"/i/{issue}/photo")
        refused = await browser.post(
            told["photos"], content=b"no picture", headers={"X-CSRF-Token": told["token"], "Content-Type": "image/jpeg"}
        )
        assert refused.status_code == 422, "the token fits, the picture does not"


async def test_neighbours_follow_what_was_reported_instead_of_reporting_it_again(served: Site, system: System) -> None:
    async with browsing(served) as first:
        url, fields = await begun(first)
        issue = (await sent(first, url, fields, building="7", description="七号楼大门漏水")).url.path.split("/")[2]
        await system.until(f"/v1/issues/{issue}", system.staff, lambda _: True)
    async with browsing(served) as neighbour:
        url, fields = await begun(neighbour)
        checked = await neighbour.post(url, data={**fields, **LEAK, "building": "7号楼", "where": ""})
        assert "附近有人报过" in checked.text
        similar = checked.text[checked.text.index("附近有人报过") : checked.text.index("<dl")]
        assert "大门" not in similar, "nobody's words"
        assert "<img" not in similar
        alone = await neighbour.get(
            "/report/similar",
            params={"k": httpx.URL(url).params["k"], "compound": "demo", "category": "leak", "building": "7"},
        )
        assert "也是这个问题" in alone.text
        assert "<html" not in alone.text
        joining = hidden(checked.text, f'value="{issue}"')
        address = str(httpx.URL(url).copy_with(path="/report/follow"))
        assert (await neighbour.post(address, data={**joining, "token": ""})).status_code == 403
        for _ in range(2):
            joined = await neighbour.post(address, data=joining)
            assert joined.url.path == f"/i/{issue}/sent", joined.text
        shown = await neighbour.get(f"/i/{issue}")
        assert shown.status_code == 200
        assert "大门" not in shown.text, "a neighbour reads no word of another"
    seen = await system.get(f"/v1/issues/{issue}/timeline", system.staff)
    assert [each["kind"] for each in seen["events"]].count("followed") == 1


async def test_a_resident_who_is_signed_in_reports_as_himself_and_needs_no_code(served: Site) -> None:
    async with served.browser() as browser:
        await browser.sign_in("r1", "resident")
        url = (await browser.http.get("/report")).headers["location"]
        fields = hidden((await browser.http.get(url)).text, 'id="report"')
        answer = await sent(browser.http, url, fields)
        assert answer.status_code == 303, answer.text
        read = await browser.http.get(answer.headers["location"].removesuffix("/sent"))
        assert (read.status_code, "水管漏水" in read.text) == (200, True)
        assert "jiesu-code" not in browser.http.cookies
        old = {
            "Cookie": "jiesu-code=8J5ZC-0QK2M-VT7XD-3H9RA; "
            + "; ".join(f"{k}={v}" for k, v in browser.http.cookies.items())
        }
        again = await browser.http.get(str(read.url.path), headers=old)
        assert again.status_code == 200, "a code that was renewed is in nobody's way"
    async with browsing(served) as stranger:
        assert (await stranger.get(answer.headers["location"])).status_code == 401


async def test_an_anonymous_form_stays_anonymous_whoever_signs_in_before_it_is_sent(served: Site) -> None:
    async with served.browser() as browser:
        url = (await browser.http.get("/report")).headers["location"]
        fields = hidden((await browser.http.get(url)).text, 'id="report"')
        await browser.sign_in("p1", "property", "demo-property")
        answer = await sent(browser.http, url, fields)
        assert answer.status_code == 303, answer.text
        assert any("jiesu-code" in each for each in answer.headers.get_list("set-cookie"))


async def test_a_form_of_another_page_reports_nothing(served: Site) -> None:
    async with browsing(served) as browser:
        url, fields = await begun(browser)
        _, other = await begun(browser)
        assert (await sent(browser, url, {**fields, "token": other["token"]})).status_code == 403
        assert (await sent(browser, url, {**fields, "token": ""})).status_code == 403
        evil = {"Origin": "http://evil.example"}
        assert (await browser.post(url, data={**fields, **LEAK, "step": "send"}, headers=evil)).status_code == 403


def kept_words(answer: httpx.Response, words: str) -> bool:
    """Whether a page over the limit holds what was written, and when to send it again."""
    assert (answer.status_code, 'role="alert"' in answer.text) == (429, True)
    assert int(answer.headers["retry-after"]) > 0
    return words in answer.text


async def test_over_a_limit_the_words_of_each_form_are_kept_with_its_key(system: System) -> None:
    async with site(system, rates={"report": "1/hour", "command": "1/hour"}) as limited, browsing(limited) as browser:
        url, fields = await begun(browser)
        taken = await sent(browser, url, fields)
        issue = f"/i/{taken.url.path.split('/')[2]}"
        url, fields = await begun(browser)
        answer = await sent(browser, url, fields, phone="13800138000")
        assert kept_words(answer, LEAK["description"])
        assert 'value="13800138000"' in answer.text
        assert f'action="{url.removeprefix(limited.origin)}"' in answer.text
        told = await browser.post(url, data={**fields, **LEAK, "step": "send"}, headers=SCRIPT)
        assert (told.status_code, told.json()["limit"]) == (429, "report")

        form = hidden((await browser.get(issue)).text, f"{issue}/withdraw")
        assert (await browser.post(f"{issue}/withdraw", data={**form, "reason": "已自行修好"})).status_code == 200
        url = str((await browser.get(f"{issue}/again")).url)
        again = hidden((await browser.get(url)).text, "/again?k=")
        answer = await browser.post(url, data={**again, "text": "又漏了"})
        assert kept_words(answer, "又漏了")
        assert f'action="{url.removeprefix(limited.origin)}"' in answer.text


async def test_a_command_over_the_limit_or_with_other_words_under_its_key_shows_its_form_again(
    system: System, served: Site
) -> None:
    async with browsing(served) as browser:
        taken = await sent(browser, *await begun(browser))
        issue = f"/i/{taken.url.path.split('/')[2]}"
        form = hidden((await browser.get(issue)).text, f"{issue}/comment")
        await browser.post(f"{issue}/comment", data={**form, "text": "在二楼"})
        reused = await browser.post(f"{issue}/comment", data={**form, "text": "在三楼"})
        assert (reused.status_code, 'role="alert"' in reused.text, "在三楼" in reused.text) == (422, True, True)
        assert hidden(reused.text, f"{issue}/comment")["key"] != form["key"]
        async with site(system, rates={"command": "1/hour"}) as limited, browsing(limited) as other:
            other.cookies = browser.cookies
            form = hidden((await other.get(issue)).text, f"{issue}/comment")
            await other.post(f"{issue}/comment", data={**form, "text": "在四楼"})
            form = hidden((await other.get(issue)).text, f"{issue}/comment")
            answer = await other.post(f"{issue}/comment", data={**form, "text": "在五楼"})
            assert kept_words(answer, "在五楼")
            assert hidden(answer.text, f"{issue}/comment")["key"] == form["key"]
