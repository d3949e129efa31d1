"""People come in and go by pages: they sign in, choose one of several roles, and sign out, all without script."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from fastapi.responses import JSONResponse

from api.identity.oidc import Provider
from support.browser import Browser, Site, site
from support.identity_provider import StandIn, identity_provider
from support.system import System

PAGE = {"Accept-Language": "zh-CN"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[StandIn]:
    async with identity_provider() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def public(system: System, provider: StandIn) -> AsyncIterator[Site]:
    """An installation whose staff sign in with a provider of their own."""
    async with site(system, Provider(provider.issuer, plain_loopback=True), "secret") as running:
        yield running


async def come_back(browser: Browser, provider: StandIn, person: str, onwards: str) -> httpx.Response:
    """Signs in at that provider, and follows to where it leads."""
    asked = await browser.begin(onwards)
    provider.answers["token"] = JSONResponse(
        {"id_token": provider.token(aud="pages", nonce=asked["nonce"], sub=person)}
    )
    query = {"code": "of the provider", "state": asked["state"]}
    back = await browser.http.get("/session/callback", params=query)
    return await browser.http.get(back.headers["location"], headers=PAGE)


def hidden(html: str, start: str) -> dict[str, str]:
    """The hidden fields of the first form whose text matches."""
    form = next(found for found in re.findall(r"<form.*?</form>", html, re.DOTALL) if re.search(start, found))
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


async def test_a_page_for_staff_sends_a_browser_to_sign_in_and_leads_back(embedded: Site) -> None:
    async with embedded.browser() as browser:
        away = await browser.http.get("/roles?next=/work")
        assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=%2Froles%3Fnext%3D%2Fwork")
        shown = await browser.http.get(away.headers["location"], headers=PAGE)
        assert shown.status_code == 200
        assert 'href="/session/login?next=%2Froles%3Fnext%3D%2Fwork"' in shown.text


async def test_the_header_says_who_is_signed_in_and_offers_the_pages_of_the_role_that_are_there(embedded: Site) -> None:
    async with embedded.browser() as browser:
        assert "退出" not in (await browser.http.get("/sign-in", headers=PAGE)).text
        await browser.sign_in("p1", "property", "demo-property")
        shown = (await browser.http.get("/sign-in", headers=PAGE)).text
        assert "物业" in shown
        header = shown[shown.index("<nav") : shown.index("</nav>")]
        assert "/roles" not in header, "this session has one role"
        assert "p1" not in re.sub(r'name="token" value=".*?"', "", header), "a code of a person is not for people"
        there = {route.path for route in embedded.app.routes}  # type: ignore[attr-defined]
        assert set(re.findall(r'<a href="(/\w+)"', shown)) <= there, "no link leads to nowhere"


async def test_signing_out_needs_a_form_of_ours_and_ends_the_session(embedded: Site) -> None:
    async with embedded.browser() as browser:
        await browser.sign_in("p1", "property", "demo-property")
        form = hidden((await browser.http.get("/sign-in")).text, "/sign-out")
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await browser.http.post("/sign-out", data=form, headers=headers)).status_code == 403, headers
        assert (await browser.http.post("/sign-out", data={"token": "x"})).status_code == 403
        assert (await browser.http.post("/sign-out")).status_code == 403
        assert (await browser.http.get("/session")).status_code == 200, "still signed in"
        out = await browser.http.post("/sign-out", data=form)
        assert (out.status_code, out.headers["location"]) == (303, "/")
        assert (await browser.http.get("/session")).status_code == 401


async def test_what_is_sent_without_a_session_is_not_taken_for_done(embedded: Site) -> None:
    async with embedded.browser() as browser:
        answer = await browser.http.post("/sign-out", data={"token": "x"}, headers=PAGE)
        assert answer.status_code == 401
        assert "没有送出" in answer.text


async def test_a_session_that_has_ended_is_cleared_and_leads_to_sign_in(embedded: Site) -> None:
    async with embedded.browser() as browser:
        name = f"jiesu-{httpx.URL(embedded.origin).port}"
        away = await browser.http.get("/roles", headers={"Cookie": f"{name}=of-yesterday"})
        assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=%2Froles")
        assert away.headers["set-cookie"].startswith(f"{name}=; Max-Age=0")


async def test_somebody_with_two_roles_chooses_one_and_goes_on(public: Site, provider: StandIn) -> None:
    async with public.browser() as browser:
        shown = await come_back(browser, provider, "x1", "/roles?next=/sign-in")
        assert shown.text.count('action="/roles"') == 3, "two roles of staff, and that of a resident"
        form = hidden(shown.text, 'value="community"')
        assert (form["org"], form["next"]) == ("demo-community", "/sign-in")
        assert (await browser.http.post("/roles", data={**form, "token": ""})).status_code == 403
        assert (await browser.http.post("/roles", data={**form, "role": "street"})).status_code == 403
        assert (await browser.http.post("/roles", data={**form, "role": "king"})).status_code == 422
        elsewhere = await browser.http.post("/roles", data={**form, "next": "//evil.example"})
        assert elsewhere.headers["location"] == "/"
        chosen = await browser.http.post("/roles", data=form)
        assert (chosen.status_code, chosen.headers["location"]) == (303, "/sign-in")
        seen = (await browser.http.get("/session")).json()
        assert (seen["role"], seen["org"]) == ("community", "demo-community")
        shown = (await browser.http.get("/sign-in", headers=PAGE)).text
        assert "社区" in shown
        assert 'href="/roles?next=/"' in shown, "another role is one click away"


async def test_the_role_of_a_session_of_the_demo_provider_stays(embedded: Site) -> None:
    async with embedded.browser() as browser:
        await browser.sign_in("x1", "property", "demo-property")
        form = hidden((await browser.http.get("/roles")).text, 'value="community"')
        assert (await browser.http.post("/roles", data=form)).status_code == 403
