"""CSRF: a foreign page can make a browser send its cookie, but not the CSRF token."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.responses import Response

from api.identity.oidc import Provider
from api.identity.session import SessionParts, Sessions
from api.identity.tokens import Claims
from support.bare import Bare
from support.browser import Browser, Site, site

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@pytest.fixture(scope="module")
async def attacked(bare: Bare) -> AsyncIterator[Site]:
    async with site(bare) as found:
        yield found


@pytest.fixture(scope="module")
async def browser(attacked: Site) -> AsyncIterator[Browser]:
    """One that is signed in as property staff."""
    async with attacked.browser() as found:
        assert (await found.sign_in("p1", "property", "demo-property")).status_code == 303
        yield found


def is_forbidden(answer: httpx.Response) -> bool:
    is_page = answer.headers["content-type"].startswith("text/html")
    return answer.status_code == 403 and (is_page or answer.json()["type"] == "/problems/forbidden")


def routes(attacked: Site) -> list[tuple[str, str]]:
    """Every way to change something by the cookie of a session: neither the embedded provider nor the pages of a resident
    look at it. These open by the cookie of a code, and their forms bear a token (tests/pages). Whoever proves a phone, or
    takes a role in a trial, has no session yet.
    """
    found = [route for route in attacked.app.routes if isinstance(route, APIRoute)]
    return sorted(
        (method, route.path)
        for route in found
        for method in route.methods & UNSAFE
        if not route.path.startswith(("/oidc/", "/find", "/i/{issue}/", "/phone", "/sign-in/as", "/demo"))
    )


async def test_row_24_the_cookie_alone_changes_nothing_by_any_route(attacked: Site, browser: Browser) -> None:
    found = routes(attacked)
    assert ("POST", "/v1/issues") in found
    assert ("POST", "/session/logout") in found
    for method, path in found:
        filled = path.replace("{issue}", "a" * 26)
        answer = await browser.http.request(method, filled, json={})
        assert is_forbidden(answer), (method, path, answer.status_code, answer.text)
    assert (await browser.http.get("/session")).status_code == 200


async def test_row_24_the_csrf_token_must_be_that_of_the_session(attacked: Site, browser: Browser) -> None:
    async with attacked.browser() as other:
        await other.sign_in("c1", "community", "demo-community")
        foreign = await other.csrf()
    own = (await browser.csrf())["X-CSRF-Token"]
    for token in ("", foreign["X-CSRF-Token"], own[:-1], own + " x", own.swapcase(), "é"):
        answer = await browser.http.post("/session/logout", headers={"X-CSRF-Token": token.encode()})
        assert is_forbidden(answer), token


async def test_row_24_with_the_token_a_foreign_page_is_refused_all_the_same(browser: Browser) -> None:
    own = await browser.csrf()
    origin = str(browser.http.base_url).rstrip("/")
    foreign = ["null", "https://evil.example", origin.replace("http", "https"), origin + "0", "http://127.0.0.1", ""]
    sites = ["cross-site", "same-site", "none", ""]
    for header, value in [*itertools.product(["Origin"], foreign), *itertools.product(["Sec-Fetch-Site"], sites)]:
        answer = await browser.http.post("/session/logout", headers={**own, header: value})
        assert is_forbidden(answer), (header, value)
    for each in sites:
        answer = await browser.http.post("/session/logout", headers={**own, "Origin": "null", "Sec-Fetch-Site": each})
        assert is_forbidden(answer), each


async def test_row_24_our_own_page_is_let_through(attacked: Site) -> None:
    async with attacked.browser() as page:
        await page.sign_in("p1", "property", "demo-property")
        headers = {**await page.csrf(), "Origin": attacked.origin, "Sec-Fetch-Site": "same-origin"}
        unnamed = headers | {"Origin": "null"}  # so Firefox and WebKit send what our page asks without a referrer
        for each in (headers, unnamed):
            answer = await page.http.post(f"/v1/issues/{'a' * 26}/commands/accept", json={}, headers=each)
            assert answer.status_code == 400, answer.text  # the key is missing: it has come as far as that
        assert (await page.http.post("/session/logout", headers=headers)).status_code == 204
        assert (await page.http.get("/session")).status_code == 401


async def test_row_24_no_foreign_page_takes_a_role_in_a_trial(attacked: Site) -> None:
    """Neither from its own origin, nor under a name of its own that it made point to this machine (DNS rebinding)."""
    port = httpx.URL(attacked.origin).port
    rebound = f"evil.example:{port}"
    form = {"person": "s1", "role": "street", "org": "demo-street"}
    async with attacked.browser() as browser:
        for headers, status in (
            ({"Origin": "http://evil.example"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Host": rebound}, 404), ({"Host": rebound, "Origin": f"http://{rebound}"}, 404),
        ):  # fmt: skip
            answer = await browser.http.post("/sign-in/as", data=form, headers=headers)
            assert answer.status_code == status, headers
        assert (await browser.http.get("/session")).status_code == 401


async def test_row_24_a_login_cannot_be_forged(attacked: Site) -> None:
    """A code of the attacker's own, or an answer to a question that this browser never asked, signs nobody in."""
    async with attacked.browser() as attacker, attacked.browser() as victim:
        back = await attacker.choose(await attacker.begin(), "p1", "property", "demo-property")
        assert (await victim.http.get(back.headers["location"])).status_code == 401
        asked = await victim.begin()
        mixed = httpx.URL(back.headers["location"]).copy_merge_params({"state": asked["state"]})
        assert (await victim.http.get(mixed)).status_code == 401
        assert (await victim.http.get("/session")).status_code == 401


def test_row_24_the_cookie_is_kept_from_scripts_and_foreign_requests() -> None:
    """As it is set in production, where only our own host may set and be sent it, over TLS."""
    parts = SessionParts(Provider("https://id.example.org"), "pages", "https://jiesu.example.org")
    sessions, answer = Sessions(parts, b"s" * 32), Response()
    sessions.keep(answer, sessions.session(Claims("p1", None, None, own_grant=False)))
    cookie = answer.headers.getlist("set-cookie")[0]
    name, _, rest = cookie.partition("=")
    assert name == "__Host-jiesu"
    marks = {mark.strip().lower() for mark in rest.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= marks
    assert not any(mark.startswith("domain") for mark in marks)
    age = next(int(mark.partition("=")[2]) for mark in marks if mark.startswith("max-age"))
    assert timedelta(hours=7.9) < timedelta(seconds=age) <= timedelta(hours=8)
