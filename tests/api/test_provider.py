"""The embedded identity provider signs in anybody as any person, and only on this machine."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from api.identity.authenticator import LocalVerifier, NoTokens
from api.identity.embedded_provider import CLIENT, CODE_SECONDS, EmbeddedProvider
from api.identity.oidc import OidcVerifier
from api.identity.pkce import challenge
from api.identity.signing_in import sign_in
from api.identity.tokens import Claims, InvalidToken, LocalTokens
from runtime.settings import Settings, SettingsError
from support.browser import Site, site
from support.system import System


@pytest.fixture(scope="module")
async def trial(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


async def test_one_signs_in_as_whoever_one_likes(trial: Site) -> None:
    async with trial.browser() as browser:
        answer = await browser.sign_in("somebody new", "community", "demo-community")
        assert (answer.status_code, answer.headers["location"]) == (303, "/next")
        seen = (await browser.http.get("/session")).json()
        assert (seen["person"], seen["role"], seen["org"]) == ("somebody new", "community", "demo-community")
        assert (await browser.http.get("/v1/issues")).status_code == 200
        csrf = await browser.csrf()
        answer = await browser.http.post("/session/acting", json={"role": "resident"}, headers=csrf)
        assert answer.status_code == 403


async def test_the_provider_page_says_it_is_for_trial_and_escapes_its_input(trial: Site) -> None:
    async with trial.browser() as browser:
        asked = {**await browser.begin(), "state": '"><script>alert(1)</script>'}
        page = await browser.http.get("/oidc/authorize", params=asked)
        assert page.status_code == 200
        assert re.search(r"<h1>[^<]*仅供试用.*TRYING OUT ONLY", page.text)
        for person in ("p1", "c1", "a1", "m1"):
            assert f'value="{person}"' in page.text
        assert not re.search(r"<script|<style|style=|\son[a-z]+=|javascript:", page.text, re.IGNORECASE)
        assert "&quot;&gt;&lt;script&gt;" in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/session/callback"}, {"redirect_uri": ""}, {"client_id": "another"},
        {"response_type": "token"}, {"code_challenge_method": "plain"}, {"code_challenge": ""}, {"nonce": ""},
        {"state": "x" * 300},
    ],
)  # fmt: skip
async def test_the_provider_refuses_an_unregistered_redirect(trial: Site, changed: dict[str, str]) -> None:
    async with trial.browser() as browser:
        asked = {**await browser.begin(), **changed}
        assert (await browser.http.get("/oidc/authorize", params=asked)).status_code == 422
        answer = await browser.choose(asked, "p1", "property", "demo-property")
        assert (answer.status_code, answer.headers.get("location")) == (422, None)


@pytest.mark.parametrize(
    ("person", "role", "org"),
    [
        ("p1", "king", "demo-property"), ("p1", "property", "nowhere"), ("p1", "property", "demo-community"),
        ("p1", "property", ""), ("", "resident", ""), ("anonymous", "resident", ""), ("r-" + "a" * 26, "resident", ""),
    ],
)  # fmt: skip
async def test_the_provider_refuses_an_impossible_person_role_or_organisation(
    trial: Site, person: str, role: str, org: str
) -> None:
    async with trial.browser() as browser:
        assert (await browser.choose(await browser.begin(), person, role, org)).status_code == 422


async def test_a_code_is_worth_tokens_once_and_to_its_own_browser(system: System, trial: Site) -> None:
    async with trial.browser() as browser:
        verifier = "v" * 64

        async def redeem(**changed: str) -> httpx.Response:
            asked = {**await browser.begin(), "code_challenge": challenge(verifier)}
            back = await browser.choose(asked, "p1", "property", "demo-property")
            code = dict(parse_qsl(urlsplit(back.headers["location"]).query))["code"]
            form = {
                "grant_type": "authorization_code", "code": code, "client_id": CLIENT,
                "redirect_uri": asked["redirect_uri"], "code_verifier": verifier, **changed,
            }  # fmt: skip
            first = await browser.http.post("/oidc/token", data=form)
            again = await browser.http.post("/oidc/token", data={**form, "code_verifier": verifier})
            assert again.status_code == 400
            return first

        good = await redeem()
        assert good.status_code == 200
        assert LocalTokens(system.home).verify(good.json()["access_token"]) == Claims("p1", "property", "demo-property")
        with pytest.raises(InvalidToken):
            LocalTokens(system.home).verify(good.json()["id_token"])
        for changed in (
            {"code_verifier": "w" * 64}, {"code_verifier": ""}, {"client_id": "x"}, {"redirect_uri": "x"},
            {"grant_type": "password"}, {"code": "x"},
        ):  # fmt: skip
            assert (await redeem(**changed)).status_code == 400
        for body in (b"", b"\xff", b"code", b"code=a&code=b", b"&".join([b"a=b"] * 50)):
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            assert (await browser.http.post("/oidc/token", content=body, headers=kind)).status_code == 400


def test_authorisation_codes_expire(tmp_path: Path) -> None:
    now = [0.0]
    provider = EmbeddedProvider(tmp_path, "http://127.0.0.1:8000", lambda: now[0])
    form = {
        "grant_type": "authorization_code", "client_id": CLIENT, "redirect_uri": provider.redirect, "code_verifier": "v",
    }  # fmt: skip
    codes_made = [provider.code("p1", "resident", None, "n", challenge("v")) for _ in range(2)]
    now[0] = CODE_SECONDS - 1
    assert provider.redeem({**form, "code": codes_made[0]}) is not None
    now[0] = CODE_SECONDS
    assert provider.redeem({**form, "code": codes_made[1]}) is None


async def test_a_foreign_name_that_leads_here_finds_no_provider(trial: Site) -> None:
    """As a page has it whose host's address was changed to this machine's."""
    async with trial.browser() as browser:
        for path in ("/oidc/.well-known/openid-configuration", "/oidc/jwks", "/oidc/authorize"):
            assert (await browser.http.get(path, headers={"Host": "evil.example"})).status_code == 404


async def test_login_at_localhost_redirects_to_the_configured_origin(trial: Site) -> None:
    async with trial.browser() as browser:
        port = urlsplit(trial.origin).port
        answer = await browser.http.get(
            "/session/login", params={"next": "/a?b=c"}, headers={"Host": f"localhost:{port}"}
        )
        assert answer.headers["location"] == f"{trial.origin}/session/login?next=%2Fa%3Fb%3Dc"
        assert "set-cookie" not in answer.headers


async def test_the_routes_of_a_session_are_described(trial: Site) -> None:
    async with trial.browser() as browser:
        paths = (await browser.http.get("/openapi.json")).json()["paths"]
        assert {path for path in paths if path.startswith(("/session", "/oidc"))} == {"/session", "/session/acting"}


async def test_without_parts_for_it_there_is_no_session_and_no_provider(system: System) -> None:
    for path in ("/session", "/session/login", "/oidc/jwks", "/oidc/authorize"):
        assert (await system.get(path)).status == 404


def settings(tmp_path: Path, **changed: Any) -> Settings:
    return Settings(home=tmp_path, **changed)


def test_the_embedded_default_offers_the_provider(tmp_path: Path) -> None:
    assert settings(tmp_path).offers_provider
    assert EmbeddedProvider.of(settings(tmp_path)).issuer == "http://127.0.0.1:8000/oidc"


@pytest.mark.parametrize(
    "changed",
    [
        {"temporal_address": "temporal:7233"},
        {"database_url": "postgresql://jiesu@db/jiesu"},
        {"oidc_issuer": "https://id.example.org"},
        {"local_tokens": False},
        {"api_host": "0.0.0.0"},
        {"public_url": "https://jiesu.example.org"},
    ],
)
def test_the_provider_refuses_to_start_when_reachable_from_outside(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert not settings(tmp_path, **changed).offers_provider
    with pytest.raises(SettingsError, match="JIESU_EMBEDDED_PROVIDER"):
        EmbeddedProvider.of(settings(tmp_path, embedded_provider=True, **changed))


def test_the_provider_refuses_a_public_origin(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this machine"):
        EmbeddedProvider(tmp_path, "https://jiesu.example.org")


def test_the_settings_choose_verifier_session_and_provider(tmp_path: Path) -> None:
    verifier, session, embedded = sign_in(settings(tmp_path))
    assert isinstance(verifier, LocalVerifier)
    assert session is not None
    assert session.trusts_roles
    assert embedded is not None
    elsewhere = {"database_url": "postgresql://jiesu@db/jiesu", "temporal_address": "temporal:7233"}
    verifier, session, embedded = sign_in(settings(tmp_path, **elsewhere))
    assert isinstance(verifier, NoTokens)
    assert session is None
    issuer = {**elsewhere, "oidc_issuer": "https://id.example.org"}
    verifier, session, embedded = sign_in(settings(tmp_path, **issuer))
    assert isinstance(verifier, OidcVerifier)
    assert session is None
    pages = {**issuer, "oidc_client_id": "pages", "public_url": "https://jiesu.example.org"}
    verifier, session, embedded = sign_in(settings(tmp_path, **pages))
    assert isinstance(verifier, OidcVerifier)
    assert session is not None
    assert (session.client_id, session.public_url) == ("pages", "https://jiesu.example.org")
    assert (session.trusts_roles, embedded) == (False, None)
    for refused in ({**pages, "embedded_provider": True}, {**elsewhere, "embedded_provider": True}):
        with pytest.raises(SettingsError, match="JIESU_EMBEDDED_PROVIDER"):
            sign_in(settings(tmp_path, **refused))
    with pytest.raises(SettingsError, match="JIESU_OIDC_ISSUER"):
        sign_in(settings(tmp_path, oidc_issuer="https://id.example.org?tenant=1"))
