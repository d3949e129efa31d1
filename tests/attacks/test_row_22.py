"""A token that is forged, for another audience or without expiry is refused, and its kid is never followed."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.identity.oidc import OidcVerifier, Provider
from support.bare import Bare
from support.identity_provider import AUDIENCE, ED_KEY, RSA_KEY, StandIn, identity_provider, jwk, part, plain64


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with identity_provider() as found:
        yield found


@pytest.fixture(scope="module")
async def api(bare: Bare, provider: StandIn) -> AsyncIterator[httpx.AsyncClient]:
    """An API that takes the tokens of that provider; it is not asked anew within this module."""
    identity = OidcVerifier(Provider(provider.issuer, plain_loopback=True), AUDIENCE)
    async with bare.api_on(bare.temporal, whole=True, verifier=identity) as client:
        yield client


async def status(api: httpx.AsyncClient, token: str) -> int:
    answer = await api.get("/v1/issues", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 401:
        assert answer.json() == {
            "type": "/problems/unauthenticated",
            "title": "A valid bearer token or tracking code is needed",
            "status": 401,
        }
    return answer.status_code


def by_hand(provider: StandIn, header: dict[str, Any], signature: Any = ED_KEY.sign) -> str:
    """The library declines to sign some of what an attacker may send."""
    claims = provider.claims()
    claims |= {name: int(claims[name].timestamp()) for name in ("iat", "exp")}
    body = f"{part(header)}.{part(claims)}"
    return f"{body}.{plain64(signature(body.encode()))}"


async def test_row_22_a_good_token_is_accepted(api: httpx.AsyncClient, provider: StandIn) -> None:
    for kid in ("rsa", "ec", "ed"):
        assert await status(api, provider.token(kid)) == 200
    assert await status(api, by_hand(provider, {"alg": "EdDSA", "kid": "ed"})) == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "RS256", "HS256", ["EdDSA"]])
async def test_row_22_a_token_without_signature_is_refused(
    api: httpx.AsyncClient, provider: StandIn, algorithm: object
) -> None:
    assert await status(api, by_hand(provider, {"alg": algorithm, "kid": "ed"}, lambda _: b"")) == 401


async def test_row_22_hs256_with_a_public_key_is_refused(api: httpx.AsyncClient, provider: StandIn) -> None:
    public = RSA_KEY.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), der, ED_KEY.public_key().public_bytes_raw(), b""):
        for kid in ("rsa", "ed"):
            token = by_hand(
                provider, {"alg": "HS256", "kid": kid}, lambda body, own=secret: hmac.digest(own, body, hashlib.sha256)
            )
            assert await status(api, token) == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"}, {"aud": ["another"]}, {"aud": None}, {"aud": ""}, {"aud": "jiesu "}, {"aud": "JIESU"},
        {"iss": "https://somebody.else"}, {"iss": None}, {"iss": "jiesu-local"}, {"exp": None}, {"iat": None},
        {"sub": None}, {"exp": datetime.now(UTC) - timedelta(minutes=5)}, {"iat": datetime.now(UTC) + timedelta(days=1)},
    ],
)  # fmt: skip
async def test_row_22_another_audience_or_issuer_or_no_expiry_is_refused(
    api: httpx.AsyncClient, provider: StandIn, changed: dict[str, Any]
) -> None:
    assert await status(api, provider.token(**changed)) == 401


async def test_row_22_a_lookalike_issuer_is_refused(api: httpx.AsyncClient, provider: StandIn) -> None:
    for issuer in (provider.issuer + "/", provider.issuer.upper(), provider.issuer + "#", [provider.issuer]):
        assert await status(api, by_hand_with(provider, iss=issuer)) == 401


def by_hand_with(provider: StandIn, **changed: Any) -> str:
    claims = provider.claims()
    claims |= {name: int(claims[name].timestamp()) for name in ("iat", "exp")} | changed
    body = f"{part({'alg': 'EdDSA', 'kid': 'ed'})}.{part(claims)}"
    return f"{body}.{plain64(ED_KEY.sign(body.encode()))}"


async def test_row_22_another_key_under_a_known_kid_is_refused(api: httpx.AsyncClient, provider: StandIn) -> None:
    foreign = Ed25519PrivateKey.generate()
    assert await status(api, provider.token("ed", key=foreign)) == 401
    own = jwk(foreign, "ed")
    for header in ({"jwk": own}, {"jku": provider.issuer + "/elsewhere"}, {"x5u": provider.issuer + "/elsewhere"}):
        assert await status(api, provider.token("ed", key=foreign, header=header)) == 401
    assert "elsewhere" not in provider.asked


async def test_row_22_a_kid_that_is_a_path_or_an_address_is_refused(api: httpx.AsyncClient, provider: StandIn) -> None:
    kids = [
        "../keys/token.pem",
        "/etc/passwd",
        "file:///etc/passwd",
        f"{provider.issuer}/elsewhere",
        "ed\0",
        "' OR 1=1",
    ]
    for kid in kids:
        assert await status(api, provider.token(kid, "EdDSA", ED_KEY)) == 401
    for kid in (None, 7, ["ed"], {"ed": 1}):
        assert await status(api, by_hand(provider, {"alg": "EdDSA", "kid": kid})) == 401
    assert set(provider.asked) <= {"discovery", "jwks"}


async def test_row_22_a_local_token_is_refused_beside_an_identity_provider(api: httpx.AsyncClient, bare: Bare) -> None:
    assert await status(api, bare.staff["Authorization"].removeprefix("Bearer ")) == 401
