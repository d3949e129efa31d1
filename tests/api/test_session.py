"""Signing in: whom a session speaks for and in which role, how a browser gets one, and the provider for trying out."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from fastapi.responses import JSONResponse, Response

from api import codes
from api.identity import Caller, acting, appointments
from api.oidc import Provider
from api.problems import ChooseRole, Forbidden, Unauthenticated
from api.provider import CLIENT, CODE_SECONDS, Asked, EmbeddedProvider
from api.session import LIFETIME, LOGIN_LIFETIME, SessionParts, Sessions, challenge, local_path
from api.tokens import Claims, InvalidToken, LocalTokens
from domain.commands import Actor, Authority
from domain.directory import Appointment, Community, Compound, Contract, Directory, Operator, Period, Street
from domain.issue import Issue
from policies.loader import shipped
from settings import Settings, SettingsError
from support.browser import Browser, Site, site
from support.identity_provider import StandIn, identity_provider
from support.system import SECRET, System

DAY = date(2026, 6, 1)
EARLY, LATE = Period(None, date(2026, 6, 1)), Period(date(2026, 6, 1), date(2026, 6, 2))
DIRECTORY = Directory(
    streets=(Street("street", "街道"),),
    communities=(Community("community", "社区", "street"),),
    compounds=(Compound("compound", "小区", "community"),),
    operators=(Operator("property", "物业", "company"),),
    contracts=(Contract("property", "compound"),),
    appointments=(
        Appointment("one", "property", "property"),
        Appointment("two", "property", "property"),
        Appointment("two", "community", "community", LATE),
        Appointment("past", "street", "street", EARLY),
        Appointment("wrong", "street", "community"),
        Appointment("wrong", "street", "nowhere"),
    ),
)


def act(person: str, day: date = DAY, headers: dict[str, str] | None = None, **claimed: Any) -> Any:
    claims = Claims(person, claimed.get("role"), claimed.get("org"), own_grant=claimed.get("own_grant", False))
    return acting(claims, headers or {}, DIRECTORY, day, SECRET)


def meant(role: str, org: str | None = None) -> dict[str, str]:
    return {"x-acting-role": role, **({"x-acting-org": org} if org else {})}


def test_the_only_appointment_is_the_default() -> None:
    actor, grants = act("one")
    assert actor == Actor("one", "property", "property")
    assert grants == (Authority("property", "property", "appointment"),)


def test_of_several_one_is_chosen_and_they_never_add_up() -> None:
    with pytest.raises(ChooseRole) as caught:
        act("two")
    assert caught.value.status == 403
    assert caught.value.body["roles"] == [
        {"role": "community", "org": "community"}, {"role": "property", "org": "property"},
    ]  # fmt: skip
    for found in (
        act("two", headers=meant("community")), act("two", headers=meant("community", "community")),
        act("two", headers={"x-acting-org": "community"}), act("two", role="community", org="community"),
        act("two", headers=meant("community"), role="property", org="property"),
    ):  # fmt: skip
        term = {"start": LATE.start, "end": LATE.end}
        assert found == (
            Actor("two", "community", "community"), (Authority("community", "community", "appointment", **term),),
        )  # fmt: skip


def test_an_appointment_counts_from_its_first_day_to_before_its_last() -> None:
    assert act("two", DAY - timedelta(1))[0].role == "property"
    assert act("two", DAY + timedelta(1))[0].role == "property"
    assert act("past", DAY - timedelta(1))[0] == Actor("past", "street", "street")
    assert act("past")[0].role == "resident"
    assert appointments("two", DIRECTORY, DAY) == (("property", "property"), ("community", "community"))


@pytest.mark.parametrize(
    ("headers", "claimed"),
    [
        (meant("street"), {}), (meant("street", "street"), {}), (meant("property", "community"), {}),
        (meant("admin", "street"), {}), (meant("resident", "property"), {}), (meant("king"), {}), (meant(""), {}),
        ({"x-acting-org": "nowhere"}, {}), ({}, {"role": "street", "org": "street"}), ({}, {"org": "street"}),
    ],
)  # fmt: skip
def test_nobody_acts_in_a_role_that_is_not_his(headers: dict[str, str], claimed: dict[str, str]) -> None:
    for person in ("one", "two", "past", "nobody"):
        with pytest.raises(Forbidden):
            act(person, headers=headers, **claimed)


def test_an_appointment_that_fits_no_organisation_is_none() -> None:
    assert act("wrong")[0].role == "resident"


def test_who_holds_no_appointment_and_who_wants_to_is_a_resident() -> None:
    for found in (act("nobody"), act("nobody", headers=meant("resident")), act("nobody", role="resident")):
        assert found == (
            Actor(codes.pseudonym(SECRET, "nobody"), "resident"), (Authority("resident", None, "token"),)
        )  # fmt: skip
    assert act("two", headers=meant("resident"))[0] == Actor(codes.pseudonym(SECRET, "two"), "resident")


def test_a_token_that_is_its_own_grant_speaks_for_its_role_alone() -> None:
    own: dict[str, Any] = {"role": "community", "org": "community", "own_grant": True}
    assert act("new", **own) == (
        Actor("new", "community", "community"), (Authority("community", "community", "token"),),
    )  # fmt: skip
    assert act("new", headers=meant("community", "community"), **own)[0].role == "community"
    for headers in (meant("property"), meant("community", "street"), meant("resident")):
        with pytest.raises(Forbidden):
            act("two", headers=headers, **own)
    for org in ("nowhere", "street"):
        with pytest.raises(Unauthenticated):
            act("new", **{**own, "org": org})


def test_a_pseudonym_is_for_ever_and_tells_nothing() -> None:
    found = codes.pseudonym(SECRET, "resident-110101199001011234")
    assert re.fullmatch(r"r-[a-z2-7]{26}", found)
    assert found == codes.pseudonym(SECRET, "resident-110101199001011234")
    assert (
        len({found, codes.pseudonym(SECRET, "other"), codes.pseudonym(b"x" * 32, "resident-110101199001011234")}) == 3
    )
    assert codes.is_pseudonym(found)
    assert not codes.is_pseudonym("r-7")


def test_a_resident_finds_again_what_was_reported_under_either_name() -> None:
    actor = Actor(codes.pseudonym(SECRET, "zhu"), "resident")
    caller = Caller(actor, None, SECRET, "zhu")
    some = Issue.new("a", next(iter(shipped())), ())
    new, old = replace(some, reporter=actor.person), replace(some, reporter="zhu")
    foreign = replace(some, reporter=codes.pseudonym(SECRET, "other"))
    assert [caller.reported(issue) for issue in (new, old, foreign)] == [True, True, False]
    assert caller.in_issue(new) == actor
    assert caller.in_issue(old) == Actor("zhu", "resident")
    assert caller.in_issue(foreign) == actor
    staff = Caller(Actor("zhu", "property", "property"), None, SECRET, "zhu")
    assert staff.in_issue(old) == staff.actor


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
def test_one_never_goes_on_to_somewhere_else(elsewhere: str) -> None:
    assert local_path(elsewhere) == "/"


# A provider of somebody else


@pytest.fixture
async def provider() -> AsyncIterator[StandIn]:
    async with identity_provider() as found:
        yield found


@pytest.fixture
async def public(system: System, provider: StandIn) -> AsyncIterator[Site]:
    """An installation whose browsers sign in with that provider."""
    found = Provider(provider.issuer, plain_loopback=True)
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


async def test_the_question_is_bound_to_the_answer(public: Site, provider: StandIn) -> None:
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


async def test_what_is_sent_on_purpose_comes_before_the_cookie(system: System, public: Site, provider: StandIn) -> None:
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


# The provider of our own


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


async def test_its_page_says_what_it_is_and_runs_nothing(trial: Site) -> None:
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
async def test_nobody_is_sent_to_an_address_that_was_not_agreed_on(trial: Site, changed: dict[str, str]) -> None:
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
async def test_nobody_signs_in_as_who_cannot_be(trial: Site, person: str, role: str, org: str) -> None:
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


def test_codes_are_short_lived(tmp_path: Path) -> None:
    now = [0.0]
    provider = EmbeddedProvider(tmp_path, "http://127.0.0.1:8000", lambda: now[0])
    asked = Asked(nonce="n", code_challenge=challenge("v"))
    form = {
        "grant_type": "authorization_code", "client_id": CLIENT, "redirect_uri": provider.redirect, "code_verifier": "v",
    }  # fmt: skip
    codes_made = [provider.code("p1", "resident", None, asked) for _ in range(2)]
    now[0] = CODE_SECONDS - 1
    assert provider.redeem({**form, "code": codes_made[0]}) is not None
    now[0] = CODE_SECONDS
    assert provider.redeem({**form, "code": codes_made[1]}) is None


async def test_a_foreign_name_that_leads_here_finds_no_provider(trial: Site) -> None:
    """As a page has it whose host's address was changed to this machine's."""
    async with trial.browser() as browser:
        for path in ("/oidc/.well-known/openid-configuration", "/oidc/jwks", "/oidc/authorize"):
            assert (await browser.http.get(path, headers={"Host": "evil.example"})).status_code == 404


async def test_the_other_name_of_this_machine_leads_to_the_right_one(trial: Site) -> None:
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


def test_it_is_there_in_the_embedded_default(tmp_path: Path) -> None:
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
def test_it_refuses_to_start_wherever_others_may_come(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert not settings(tmp_path, **changed).offers_provider
    with pytest.raises(SettingsError, match="JIESU_EMBEDDED_PROVIDER"):
        EmbeddedProvider.of(settings(tmp_path, embedded_provider=True, **changed))


def test_it_is_for_this_machine_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this machine"):
        EmbeddedProvider(tmp_path, "https://jiesu.example.org")
