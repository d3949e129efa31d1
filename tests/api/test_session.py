"""Sign-in of a browser at an identity provider, and the session that follows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from api.http.problems import SessionEnded
from api.identity.oidc import Provider
from api.identity.pkce import challenge, local_path
from api.identity.session import LIFETIME, LOGIN_LIFETIME, SessionParts, Sessions
from protocol.errors import Unauthenticated
from support.again import something_is_away
from support.browser import Browser, Site, site
from support.identity_provider import StandIn, identity_provider
from support.system import SECRET, System


def meant(role: str, org: str | None = None) -> dict[str, str]:
    return {"x-acting-role": role, **({"x-acting-org": org} if org else {})}


@pytest.mark.parametrize("path", ["/", "/issues/1?x=1&y=%2F#part", "/a//b", "/.."])
def test_one_goes_on_to_a_path_of_ours(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "elsewhere",
    [
        "", "//evil.example", "///evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example",
        "/\t/evil.example", "/\n//evil.example", " //evil.example", "javascript:alert(1)", "evil.example", "/诉", "/a b",
        "/" + "a" * 600, "/\x00", "/\x7f",
    ],
)  # fmt: skip
def test_login_never_continues_to_a_foreign_address(elsewhere: str) -> None:
    assert local_path(elsewhere) == "/"


@pytest.fixture(scope="module")
async def running_provider() -> AsyncIterator[StandIn]:
    async with identity_provider() as found:
        yield found


@pytest.fixture
def provider(running_provider: StandIn) -> StandIn:
    """The one of all tests here; what it was made to answer, and was sent, is forgotten."""
    running_provider.answers.clear()
    running_provider.forms.clear()
    return running_provider


@pytest.fixture(scope="module")
async def public(system: System, running_provider: StandIn) -> AsyncIterator[Site]:
    """An installation whose browsers sign in with that provider."""
    found = Provider(running_provider.issuer, plain_loopback=True)
    async with site(system, found, "a secret/of: the client") as running:
        yield running


async def come_back(browser: Browser, provider: StandIn, said: dict[str, str] | None = None, **claims: Any) -> Any:
    """Signs in at the provider as somebody, and comes back."""
    asked = await browser.begin("/next?x=1")
    told = {"aud": "pages", "nonce": asked["nonce"], **claims}
    if "token" not in provider.answers:
        provider.answers["token"] = JSONResponse({"id_token": provider.token(**told)})
    query = {"code": "of the provider", "state": asked["state"], **(said or {})}
    return asked, await browser.http.get("/session/callback", params=query)


async def test_a_browser_signs_in_and_out(public: Site, provider: StandIn) -> None:
    async with public.browser() as browser:
        asked, answer = await come_back(browser, provider, sub="p1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/next?x=1")
        (form, client) = provider.forms[0]
        assert challenge(form.pop("code_verifier")) == asked["code_challenge"]
        assert form == {
            "grant_type": "authorization_code", "code": "of the provider", "client_id": "pages",
            "redirect_uri": f"{public.origin}/session/callback",
        }  # fmt: skip
        assert client == httpx.BasicAuth("pages", "a%20secret%2Fof%3A%20the%20client")._auth_header
        seen = (await browser.http.get("/session")).json()
        assert (seen["person"], seen["role"], seen["org"]) == ("p1", "property", "demo-property")
        assert (await browser.http.get("/v1/issues")).status_code == 200
        assert (await browser.http.post("/session/logout", headers=await browser.csrf())).status_code == 204
        assert (await browser.http.get("/session")).status_code == 401


async def test_each_login_uses_fresh_state_nonce_and_pkce(public: Site, provider: StandIn) -> None:
    async with public.browser() as browser:
        asked, _ = await come_back(browser, provider, sub="p1")
        assert asked["code_challenge_method"] == "S256"
        assert challenge(provider.forms[0][0]["code_verifier"]) == asked["code_challenge"]
        assert asked["redirect_uri"] == f"{public.origin}/session/callback"
        again = await browser.begin()
        assert not {asked[name] for name in ("state", "nonce", "code_challenge")} & set(again.values())


@pytest.mark.parametrize(
    ("said", "claims"),
    [
        ({"state": "another"}, {}), ({"state": ""}, {}), ({"state": "诉"}, {}), ({"code": ""}, {}),
        ({"code": "x" * 5000}, {}), ({"error": "access_denied"}, {}), ({"iss": "https://somebody.else"}, {}),
        ({}, {"nonce": "another"}), ({}, {"nonce": None}), ({}, {"nonce": 7}), ({}, {"aud": "jiesu"}),
        ({}, {"azp": "another"}), ({}, {"iss": "https://somebody.else"}), ({}, {"sub": "anonymous"}),
        ({}, {"exp": datetime.now(UTC) - timedelta(hours=1)}), ({}, {"role": "king"}),
    ],
)  # fmt: skip
async def test_an_answer_that_does_not_fit_signs_nobody_in(
    public: Site, provider: StandIn, said: dict[str, str], claims: dict[str, Any]
) -> None:
    async with public.browser() as browser:
        _, answer = await come_back(browser, provider, said, **{"sub": "p1", **claims})
        assert answer.status_code == 401
        assert (await browser.http.get("/session")).status_code == 401


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (Response(status_code=400), 401), (JSONResponse({}), 401), (JSONResponse({"id_token": 7}), 401),
        (JSONResponse({"id_token": "x"}), 401), (Response(status_code=500), 503), (Response("no JSON"), 503),
    ],
)  # fmt: skip
async def test_a_provider_that_does_not_vouch_signs_nobody_in(
    public: Site, provider: StandIn, told: Response, status: int
) -> None:
    provider.answers["token"] = told
    async with public.browser() as browser:
        with something_is_away():
            _, answer = await come_back(browser, provider)
        assert answer.status_code == status


async def test_an_id_token_is_no_bearer_token(public: Site, provider: StandIn) -> None:
    async with public.browser() as browser:
        token = provider.token(aud="pages", nonce="n")
        answer = await browser.http.get("/v1/issues", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_a_session_has_one_role_at_a_time(public: Site, provider: StandIn) -> None:
    async with public.browser() as browser:
        await come_back(browser, provider, sub="x1")
        seen = (await browser.http.get("/session")).json()
        assert (seen["role"], seen["org"]) == (None, None)
        assert seen["roles"] == [
            {"role": "property", "org": "demo-property"}, {"role": "community", "org": "demo-community"},
        ]  # fmt: skip
        answer = await browser.http.get("/v1/issues")
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/choose-role")
        assert (await browser.http.get("/v1/issues", headers=meant("community"))).status_code == 200
        csrf = await browser.csrf()
        for role, org in (("street", "demo-street"), ("resident", "demo-property"), ("street", None)):
            answer = await browser.http.post("/session/acting", json={"role": role, "org": org}, headers=csrf)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
        chosen = {"role": "community", "org": "demo-community"}
        answer = await browser.http.post("/session/acting", json=chosen, headers=csrf)
        assert answer.status_code == 200
        assert {name: answer.json()[name] for name in chosen} == chosen
        assert answer.json()["csrf_token"] == csrf["X-CSRF-Token"]
        assert (await browser.http.get("/v1/issues")).status_code == 200


async def test_an_explicit_credential_takes_precedence_over_the_cookie(
    system: System, public: Site, provider: StandIn
) -> None:
    async with public.browser() as browser:
        await come_back(browser, provider, sub="p1")
        assert (await browser.http.get("/v1/issues", headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await browser.http.get("/v1/issues", headers={"X-Tracking-Code": "x"})).status_code == 401


async def test_a_cookie_that_is_not_ours_is_refused_and_taken_away(public: Site, provider: StandIn) -> None:
    async with public.browser() as browser:
        await come_back(browser, provider, sub="p1")
        ((name, good),) = browser.http.cookies.items()
        login = next(
            cookie.partition("=")[2].partition(";")[0]
            for cookie in (await browser.http.get("/session/login")).headers.get_list("set-cookie")
        )
        browser.http.cookies.clear()
        damaged = [
            good[:-1],
            good[:40] + ("A" if good[40] != "A" else "B") + good[41:],
            "",
            "x",
            "=",
            "." * 5000,
            login,
        ]
        for cookie in damaged:
            answer = await browser.http.get("/v1/issues", headers={"Cookie": f"{name}={cookie}"})
            assert answer.status_code == 401, cookie
            assert answer.headers["set-cookie"].startswith(f"{name}=; Max-Age=0")
            # Nor is anybody else reported for: a report without a name would be another one.
            answer = await browser.http.post("/v1/issues", json={}, headers={"Cookie": f"{name}={cookie}"})
            assert answer.status_code == 401, cookie


def test_sessions_end_and_are_of_one_provider_and_one_secret() -> None:
    moment = datetime(2026, 6, 1, tzinfo=UTC)

    def sessions(after: timedelta = timedelta(), issuer: str = "https://id.example.org", secret: bytes = SECRET) -> Any:
        return Sessions(
            SessionParts(Provider(issuer), "pages", "https://jiesu.example.org"), secret, lambda: moment + after
        )

    made = sessions()
    sealed = made._seal("__Host-jiesu", {"expires": made._until(LIFETIME)})
    assert made._open("__Host-jiesu", sealed)
    assert sessions(LIFETIME - timedelta(seconds=1))._open("__Host-jiesu", sealed)
    assert sessions(LIFETIME)._open("__Host-jiesu", sealed) is None
    assert made._open("__Host-jiesu-login", sealed) is None
    assert sessions(issuer="https://id2.example.org")._open("__Host-jiesu", sealed) is None
    assert sessions(secret=b"x" * 32)._open("__Host-jiesu", sealed) is None
    assert LOGIN_LIFETIME < LIFETIME


@pytest.mark.parametrize(
    "changed",
    [
        {"more": 1},
        {"csrf": None},
        {"state": None},
        {"expires": None},
        {"expires": "2099"},
        {"person": None, "name": "p1"},
    ],
)
async def test_a_cookie_of_another_version_is_none_of_ours(changed: dict[str, Any]) -> None:
    sessions = Sessions(SessionParts(Provider("https://id.example.org"), "pages", "https://jiesu.example.org"), SECRET)

    def asked(name: str, content: dict[str, Any]) -> Request:
        given = {key: value for key, value in {**content, **changed}.items() if value is not None}
        cookie = f"{name}={sessions._seal(name, given)}".encode()
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"state=s",
            "headers": [(b"cookie", cookie)],
        }
        return Request(scope)

    expires = sessions._until(LIFETIME)
    content: dict[str, Any] = {"person": "p1", "role": "street", "org": "demo-street", "csrf": "x", "expires": expires}
    if set(changed) != {"state"}:
        with pytest.raises(SessionEnded):
            sessions.of(asked("__Host-jiesu", content))
    login: dict[str, Any] = {"state": "s", "nonce": "n", "verifier": "v", "next": "/", "expires": expires}
    if set(changed) != {"csrf"}:
        with pytest.raises(Unauthenticated, match="not begun here"):
            await sessions.finish(asked("__Host-jiesu-login", login))
