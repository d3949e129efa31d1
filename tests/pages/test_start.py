"""The start page: three ways for everybody, and on the embedded default a trial, which is nowhere else."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from api.identity.session import SessionParts
from cli.install import demo_issues
from pages.trial import CASES
from runtime.settings import load_settings
from support.browser import Browser, Site, site
from support.system import System, running_system

PAGE = {"Accept-Language": "zh-CN"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("start")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


def role_form(html: str, text: str) -> dict[str, str]:
    """The form of the role whose button says this."""
    form = next(found for found in re.findall(r"<form.*?</form>", html, re.DOTALL) if text in found)
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


async def take(browser: Browser, text: str) -> httpx.Response:
    """Chooses a role with one click on the start page."""
    start = (await browser.http.get("/", headers=PAGE)).text
    return await browser.http.post("/sign-in/as", data=role_form(start, text))


async def test_make_run_plays_demo_issues_in_a_home_that_holds_none(
    system: System, embedded: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system.database_url:
        pytest.skip("`jiesu up` in its default has SQLite")
    monkeypatch.setenv("JIESU_HOME", str(system.home))
    monkeypatch.setenv("JIESU_API_PORT", str(httpx.URL(embedded.origin).port))
    said: list[str] = []
    await demo_issues(load_settings(), said.append)
    assert said == ["six demo issues are under way: the start page has the roles to see them in"]
    listed = await system.until(
        "/v1/issues?limit=200", system.token("r1", "resident"), lambda body: len(body["items"]) == len(CASES)
    )
    assert listed.status == 200
    await demo_issues(load_settings(), said.append)
    assert len(said) == 1, "a home that holds issues is left alone"


async def test_one_click_is_a_role_and_another_click_another_role(embedded: Site) -> None:
    async with embedded.browser() as browser:
        for text, role, org in (
            ("金盆物业", "property", "jinpen-property"), ("金盆社区", "community", "jinpen-community"),
            ("翠微街道", "street", "cuiwei-street"), ("体验物业", "property", "demo-property"), ("居民", "resident", None),
        ):  # fmt: skip
            taken = await take(browser, text)
            assert taken.status_code == 303, text
            assert (await browser.http.get(taken.headers["location"])).status_code == 200
            seen = (await browser.http.get("/session")).json()
            assert (seen["role"], seen["org"]) == (role, org)


async def test_whoever_is_sent_to_sign_in_takes_a_role_there_and_goes_on(embedded: Site) -> None:
    async with embedded.browser() as browser:
        away = await browser.http.get("/me")
        shown = await browser.http.get(away.headers["location"], headers=PAGE)
        taken = await browser.http.post("/sign-in/as", data=role_form(shown.text, "居民</button>"))
        assert (taken.status_code, taken.headers["location"]) == (303, "/me")


async def test_under_the_other_name_of_this_machine_a_browser_is_somebody_else(embedded: Site) -> None:
    """A browser keeps cookies by host, so two windows hold two roles."""
    port = httpx.URL(embedded.origin).port
    async with embedded.browser() as browser:
        await take(browser, "金盆物业")
        start = (await browser.http.get("/")).text
        other = f"http://localhost:{port}/"
        assert f'href="{other}"' in start
        second = {"Host": f"localhost:{port}", "Cookie": ""}
        shown = await browser.http.get("/", headers=second)
        assert f'href="http://127.0.0.1:{port}/"' in shown.text
        assert "/sign-out" not in shown.text, "nobody is signed in there"
        ours = {**second, "Origin": f"http://localhost:{port}"}
        taken = await browser.http.post("/sign-in/as", data=role_form(shown.text, "翠微街道"), headers=ours)
        assert taken.status_code == 303


@pytest.mark.parametrize("path", ["/sign-in/as", "/demo"])
async def test_no_page_of_somebody_else_takes_a_role_or_plays(embedded: Site, path: str) -> None:
    port = httpx.URL(embedded.origin).port
    form = {"person": "s1", "role": "street", "org": "demo-street"}
    async with embedded.browser() as browser:
        for headers, status in (
            ({"Origin": "http://evil.example"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Host": f"evil.example:{port}"}, 404), ({"Host": "127.0.0.1:1"}, 404),
            ({"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}, 404),
        ):  # fmt: skip
            assert (await browser.http.post(path, data=form, headers=headers)).status_code == status, headers
        assert (await browser.http.get("/session")).status_code == 401


async def test_demo_issues_are_under_way_and_are_played_once(system: System, embedded: Site) -> None:
    async with embedded.browser() as browser:
        for _ in range(2):
            assert (await browser.http.post("/demo")).status_code == 303
        await take(browser, "居民")

        async def listed() -> list[dict[str, str]]:
            return (await browser.http.get("/v1/issues?limit=200")).json()["items"]

        async with asyncio.timeout(90):
            while len(found := await listed()) < len(CASES):
                await asyncio.sleep(0.1)
        assert len(found) == len(CASES)
        async with asyncio.timeout(90):
            while {"accepted", "completed"} - {each["status"] for each in await listed()}:
                await asyncio.sleep(0.1)
        slow = [each for each in await listed() if each["compound"] == "jinpen"]
        assert {each["level"] for each in slow} == {"property", "community"}, "one waits for the community"
        await take(browser, "金盆物业")
        assert (await browser.http.get("/v1/worklist")).json()["items"]


async def test_a_deployment_has_no_trial(system: System) -> None:
    parts = SessionParts(None, "", "http://127.0.0.1:8000")
    async with system.api_on(system.temporal, session=parts) as client:
        start = (await client.get("/", headers=PAGE)).text
        assert "试用" not in start
        assert 'href="/find"' in start
        assert 'href="/sign-in"' in start
        form = {"person": "s1", "role": "street", "org": "demo-street"}
        assert (await client.post("/sign-in/as", data=form)).status_code == 404
        assert (await client.post("/demo")).status_code == 404


async def test_the_language_is_chosen_where_one_is_and_leads_to_no_other_site(embedded: Site) -> None:
    async with embedded.browser() as browser:
        for referer, onwards in (
            (f"{embedded.origin}/find?x=1", "/find?x=1"), ("http://evil.example/find", "/"), ("", "/"),
            (f"{embedded.origin}//evil.example", "/"), (f"http://evil.example/{embedded.origin}/", "/"),
        ):  # fmt: skip
            answer = await browser.http.get("/language/en", headers={"Referer": referer})
            assert answer.headers["location"] == onwards, referer
