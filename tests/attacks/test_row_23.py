"""Floods of unknown kids cost the provider one fetch in a cool-down; while it is away the keys at hand serve."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi.responses import Response

from api.identity.oidc import COOL_DOWN, FRESH, OidcVerifier, Provider
from support.bare import Bare
from support.identity_provider import AUDIENCE, ED_KEY, StandIn, identity_provider, jwk, loopback, serving


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def provider() -> AsyncIterator[StandIn]:
    async with identity_provider() as found:
        yield found


def identity(provider: StandIn, clock: Clock) -> OidcVerifier:
    return OidcVerifier(Provider(provider.issuer, plain_loopback=True, clock=clock), AUDIENCE)


async def status(api: httpx.AsyncClient, token: str) -> int:
    return (await api.get("/v1/issues", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_row_23_a_flood_of_unknown_kids(bare: Bare, provider: StandIn) -> None:
    clock = Clock()
    async with bare.api_on(bare.temporal, verifier=identity(provider, clock)) as api:
        assert await status(api, provider.token()) == 200
        for flood in range(2):
            clock.now += COOL_DOWN
            found = await asyncio.gather(
                *(status(api, provider.token(f"unknown-{n}", "EdDSA", ED_KEY)) for n in range(60))
            )
            assert set(found) == {401}
            for _ in range(5):
                assert await status(api, provider.token("unknown")) == 401
            assert provider.asked == {"discovery": flood + 2, "jwks": flood + 2}
            assert await status(api, provider.token()) == 200


async def test_row_23_a_new_key_is_found_after_the_cool_down_in_spite_of_a_flood(bare: Bare, provider: StandIn) -> None:
    clock = Clock()
    async with bare.api_on(bare.temporal, verifier=identity(provider, clock)) as api:
        assert await status(api, provider.token("unknown")) == 401
        provider.keys.append(jwk(ED_KEY, "new"))
        assert await status(api, provider.token("new", "EdDSA", ED_KEY)) == 401
        clock.now += COOL_DOWN
        assert await status(api, provider.token("new", "EdDSA", ED_KEY)) == 200


@pytest.mark.parametrize("path", ["jwks", "discovery"])
async def test_row_23_with_the_keys_away_those_at_hand_serve(bare: Bare, provider: StandIn, path: str) -> None:
    clock = Clock()
    async with bare.api_on(bare.temporal, verifier=identity(provider, clock)) as api:
        assert await status(api, provider.token()) == 200
        provider.answers = {path: Response(status_code=503)}
        clock.now += FRESH + 1
        for _ in range(3):
            assert await status(api, provider.token("unknown")) == 401
            assert await status(api, provider.token()) == 200
        assert provider.asked["discovery"] == 2


async def test_row_23_with_the_provider_gone_the_keys_at_hand_serve(bare: Bare) -> None:
    clock, taken = Clock(), loopback()
    provider = StandIn(f"http://127.0.0.1:{taken.getsockname()[1]}")
    async with bare.api_on(bare.temporal, verifier=identity(provider, clock)) as api:
        async with serving(provider.app(), taken):
            assert await status(api, provider.token()) == 200
        clock.now += FRESH + 1
        assert await status(api, provider.token("unknown")) == 401
        assert await status(api, provider.token()) == 200
