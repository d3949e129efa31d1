"""Tokens of an identity provider: which are accepted, how keys are fetched, and what a faulty provider cannot do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from api.identity.oidc import COOL_DOWN, FRESH, MOST_BYTES, MOST_STALE, OidcVerifier, Provider, is_safe
from api.identity.tokens import Claims, InvalidToken
from protocol.errors import Unavailable
from support.identity_provider import (
    AUDIENCE,
    ED_KEY,
    RSA_KEY,
    StandIn,
    identity_provider,
    jwk,
    loopback,
    part,
    plain64,
    serving,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def provider() -> AsyncIterator[StandIn]:
    async with identity_provider() as found:
        yield found


def verifier(provider: StandIn, clock: Clock | None = None) -> OidcVerifier:
    return OidcVerifier(Provider(provider.issuer, plain_loopback=True, clock=clock or Clock()), AUDIENCE)


async def refused(verifier: OidcVerifier, token: str) -> None:
    with pytest.raises(InvalidToken):
        await verifier.claims(token)


async def down(verifier: OidcVerifier, token: str) -> None:
    with pytest.raises(Unavailable):
        await verifier.claims(token)


@pytest.mark.parametrize(("kid", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA")])
async def test_each_allowed_algorithm_is_accepted(provider: StandIn, kid: str, algorithm: str) -> None:
    found = await verifier(provider).claims(provider.token(kid, algorithm))
    assert found == Claims("p1", None, None, own_grant=False)


async def test_a_token_may_name_the_role_that_is_meant_but_never_grants_it(provider: StandIn) -> None:
    found = await verifier(provider).claims(provider.token(role="property", org="demo-property"))
    assert found == Claims("p1", "property", "demo-property", own_grant=False)


async def test_many_audiences_and_a_clock_a_little_off_are_accepted(provider: StandIn) -> None:
    who = verifier(provider)
    await who.claims(provider.token(aud=["other", AUDIENCE], header={"typ": "at+jwt"}))
    late = provider.claims()["iat"].timestamp()
    await who.claims(provider.token(iat=int(late) + 20))
    await refused(who, provider.token(iat=int(late) + 90))
    await refused(who, provider.token(exp=int(late) - 90))
    await refused(who, provider.token(nbf=int(late) + 90))


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "", 7, None])
async def test_a_token_of_another_type_is_refused(provider: StandIn, kind: object) -> None:
    header = {"typ": kind}
    if isinstance(kind, str) and kind:
        await refused(verifier(provider), provider.token(header=header))
    else:  # the library declines to sign the others
        await refused(verifier(provider), _by_hand(provider, {"alg": "EdDSA", "kid": "ed", **header}))


async def test_what_is_no_access_token_opens_nothing(provider: StandIn) -> None:
    who = verifier(provider)
    for name in ("nonce", "at_hash", "c_hash"):
        await refused(who, provider.token(**{name: "of an ID token"}))
    await refused(who, provider.token(events={"http://schemas.openid.net/event/backchannel-logout": {}}))


@pytest.mark.parametrize("person", ["", "anonymous", " p1", "p\n1", "x" * 200, "r-" + "a" * 26, "R-" + "2" * 26])
async def test_an_unusable_subject_is_refused(provider: StandIn, person: str) -> None:
    await refused(verifier(provider), provider.token(sub=person))


@pytest.mark.parametrize("changed", [{"role": "king"}, {"role": ["admin"]}, {"role": "admin", "org": " "}, {"org": 7}])
async def test_a_role_that_does_not_exist_is_refused(provider: StandIn, changed: dict[str, Any]) -> None:
    await refused(verifier(provider), provider.token(**changed))


async def test_a_key_is_used_only_for_its_algorithm_and_purpose(provider: StandIn) -> None:
    """An algorithm of another kind of key, or than the key names, or a key for encryption."""
    provider.keys = [
        jwk(RSA_KEY, "named", alg="PS256"), jwk(RSA_KEY, "secret", use="enc"), jwk(RSA_KEY, "signs", key_ops=["sign"]),
        jwk(RSA_KEY, "other", alg="RS512"), {**jwk(RSA_KEY, "good"), "use": "sig"},
        jwk(rsa.generate_private_key(65537, 1024), "short"), jwk(ec.generate_private_key(ec.SECP384R1()), "curve"),
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {**jwk(ED_KEY, "own"), "d": "c2VjcmV0"},
        {"kty": ["RSA"], "kid": "list"}, {"kty": "RSA", "kid": "empty"}, jwk(RSA_KEY, "x" * 300),
    ]  # fmt: skip
    who = verifier(provider)
    await who.claims(provider.token("good"))
    await who.claims(provider.token("named", "PS256"))
    await refused(who, provider.token("named", "RS256"))
    for kid in ("secret", "signs", "other", "short", "curve", "shared", "own", "list", "empty", "x" * 300):
        await refused(who, provider.token(kid))
    await refused(who, provider.token("good", "RS512"))


@pytest.mark.attack(23)
async def test_a_new_key_is_found_and_a_withdrawn_one_goes(provider: StandIn) -> None:
    clock = Clock()
    who = verifier(provider, clock)
    old = provider.token("rsa")
    await who.claims(old)
    provider.keys = [jwk(ED_KEY, "new")]
    new = provider.token("new", "EdDSA", ED_KEY)
    await refused(who, new)  # within the cool-down
    clock.now += COOL_DOWN
    await who.claims(new)
    await refused(who, old)


async def test_keys_are_fetched_again_after_a_while_without_anybody_waiting(provider: StandIn) -> None:
    clock = Clock()
    who = verifier(provider, clock)
    token = provider.token()
    await who.claims(token)
    provider.keys = [jwk(ED_KEY, "new")]
    clock.now += FRESH + 1
    await who.claims(token)
    async with asyncio.timeout(90):
        while True:
            try:
                await who.claims(token)
            except InvalidToken:
                break
            await asyncio.sleep(0.01)


async def test_many_who_come_at_once_share_one_fetch(provider: StandIn) -> None:
    provider.delay = 0.05
    who = verifier(provider)
    await asyncio.gather(*(who.claims(provider.token()) for _ in range(20)))
    assert provider.asked == {"discovery": 1, "jwks": 1}


@pytest.mark.attack(23)
async def test_a_flood_of_unknown_kids_costs_one_fetch_in_a_cool_down(provider: StandIn) -> None:
    clock = Clock()
    who = verifier(provider, clock)
    await who.claims(provider.token())
    for flood in range(2):
        clock.now += COOL_DOWN
        await asyncio.gather(*(refused(who, provider.token(f"unknown-{n}", "EdDSA", ED_KEY)) for n in range(60)))
        for _ in range(5):
            await refused(who, provider.token("unknown"))
        assert provider.asked == {"discovery": flood + 2, "jwks": flood + 2}
        await who.claims(provider.token())


@pytest.mark.attack(23)
@pytest.mark.parametrize("path", ["jwks", "discovery"])
async def test_cached_keys_serve_while_the_key_endpoint_fails(provider: StandIn, path: str) -> None:
    clock = Clock()
    who = verifier(provider, clock)
    await who.claims(provider.token())
    provider.answers = {path: Response(status_code=503)}
    clock.now += FRESH + 1
    for _ in range(3):
        await refused(who, provider.token("unknown"))
        await who.claims(provider.token())
    assert provider.asked["discovery"] == 2


@pytest.mark.attack(23)
async def test_cached_keys_serve_while_the_provider_is_unreachable() -> None:
    clock, taken = Clock(), loopback()
    provider = StandIn(f"http://127.0.0.1:{taken.getsockname()[1]}")
    who = verifier(provider, clock)
    async with serving(provider.app(), taken):
        await who.claims(provider.token())
    clock.now += FRESH + 1
    await refused(who, provider.token("unknown"))
    await who.claims(provider.token())


@pytest.mark.attack(23)
async def test_keys_do_not_serve_for_ever_while_the_provider_is_away(provider: StandIn) -> None:
    clock = Clock()
    who = verifier(provider, clock)
    await who.claims(provider.token())
    provider.answers = {"jwks": Response(status_code=500)}
    clock.now += MOST_STALE - 1
    await who.claims(provider.token())
    clock.now += 2 + COOL_DOWN
    await down(who, provider.token())
    provider.answers = {}
    clock.now += COOL_DOWN
    await who.claims(provider.token())


async def test_an_unreachable_provider_is_not_reported_as_an_invalid_token(provider: StandIn) -> None:
    clock = Clock()
    gone = OidcVerifier(Provider("http://127.0.0.1:9", plain_loopback=True, clock=clock), AUDIENCE)
    await down(gone, provider.token())
    await refused(gone, "no token at all")


def _unannounced() -> Response:
    """Too much, in parts, without a word of how much there will be."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(2 * MOST_BYTES // 65536):
            yield b" " * 65536
            await asyncio.sleep(0)

    return StreamingResponse(parts())


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("discovery", Response(status_code=404)),
        ("discovery", Response("no JSON")),
        ("discovery", Response("[" * 100_000)),
        ("discovery", JSONResponse([])),
        ("discovery", RedirectResponse("/elsewhere")),
        ("jwks", RedirectResponse("/elsewhere")),
        ("jwks", Response(b"\xff")),
        ("jwks", JSONResponse({"keys": {}})),
        ("jwks", JSONResponse({"keys": []})),
        ("jwks", Response(b" " * (MOST_BYTES + 1))),
        ("jwks", _unannounced()),
        ("jwks", Response(b"x", headers={"Content-Encoding": "gzip"})),
    ],
)
async def test_an_answer_that_is_not_as_it_should_be_gives_no_keys(
    provider: StandIn, path: str, answer: Response
) -> None:
    provider.answers = {path: answer}
    await down(verifier(provider), provider.token())
    assert "elsewhere" not in provider.asked


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://somebody.else"},
        {"issuer": None},
        {"jwks_uri": "http://example.org/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint": "http://10.0.0.1/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
        {"jwks_uri": 7},
    ],
)
async def test_a_discovery_document_cannot_point_anywhere(provider: StandIn, said: dict[str, Any]) -> None:
    provider.discovery = said
    await down(verifier(provider), provider.token())


@pytest.mark.parametrize(
    ("address", "elsewhere", "here"),
    [
        ("https://id.example.org", True, True),
        ("https://id.example.org:8443/realms/one", True, True),
        ("http://127.0.0.1:8000/oidc", False, True),
        ("http://localhost:8000", False, True),
        ("http://[::1]:8000", False, True),
        ("http://id.example.org", False, False),
        ("http://127.0.0.1.example.org", False, False),
        ("http://127.0.0.1@example.org", False, False),
        ("https://user:word@example.org", False, False),
        ("https://example.org/#part", False, False),
        ("https://", False, False),
        ("https://example.org:port", False, False),
        ("https://[broken", False, False),
        ("ftp://127.0.0.1", False, False),
        ("https://exa mple.org", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_which_addresses_are_safe(address: object, elsewhere: bool, here: bool) -> None:
    assert is_safe(address, plain_loopback=False) is elsewhere
    assert is_safe(address, plain_loopback=True) is here


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8000", "http://id.example.org", "https://id.example.org?x=1"])
def test_no_such_issuer_is_trusted(issuer: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Provider(issuer)


def _by_hand(provider: StandIn, header: dict[str, Any]) -> str:
    """The library declines to sign some of what an attacker may send."""
    times = {
        name: int(value.timestamp()) if name in ("iat", "exp") else value for name, value in provider.claims().items()
    }
    body = f"{part(header)}.{part(times)}"
    return f"{body}.{plain64(ED_KEY.sign(body.encode()))}"


async def test_what_is_made_by_hand_is_accepted_where_nothing_is_wrong(provider: StandIn) -> None:
    """Or the tests that refuse such tokens would prove nothing."""
    await verifier(provider).claims(_by_hand(provider, {"alg": "EdDSA", "kid": "ed", "typ": "JWT"}))
    assert provider.asked == {"discovery": 1, "jwks": 1}
