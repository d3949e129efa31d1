"""Nobody escapes a limit by saying that he comes from elsewhere; `tests/runtime/test_proxies.py` has the cases."""

import httpx

from runtime.proxies import Proxies
from support.bare import Bare

CODE = {"X-Tracking-Code": "0" * 20}


async def told(client: httpx.AsyncClient, says: list[dict[str, str]]) -> list[int]:
    return [(await client.get("/v1/issues/mine", headers={**CODE, **said})).status_code for said in says]


async def test_row_35_what_a_caller_says_of_himself_moves_no_limit(bare: Bare) -> None:
    """Guesses of codes, each from another address by its own word."""
    ways = [
        {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2, 192.0.2.3"}, {"Forwarded": "for=192.0.2.4"},
        {"X-Real-IP": "192.0.2.5"}, {"X-Forwarded-For": "127.0.0.1"}, {"True-Client-IP": "192.0.2.6"},
    ]  # fmt: skip
    async with bare.api_on(bare.temporal, rates={"code": "2/hour"}, proxies=Proxies("198.51.100.0/24")) as client:
        assert await told(client, ways) == [404, 404, 429, 429, 429, 429]


async def test_row_35_behind_a_proxy_only_its_own_word_counts(bare: Bare) -> None:
    """The proxy puts the address from which it was asked behind what the caller wrote."""
    ways = [{"X-Forwarded-For": f"192.0.2.{n}, 203.0.113.9"} for n in range(4)]
    async with bare.api_on(bare.temporal, rates={"code": "2/hour"}) as client:
        assert await told(client, ways) == [404, 404, 429, 429]
        assert await told(client, [{"X-Forwarded-For": "203.0.113.10"}]) == [404], "another resident"


async def test_row_35_all_addresses_of_one_line_are_one_caller(bare: Bare) -> None:
    ways = [{"X-Forwarded-For": f"2001:db8:1:2::{n:x}"} for n in range(4)]
    async with bare.api_on(bare.temporal, rates={"code": "2/hour"}) as client:
        assert await told(client, ways) == [404, 404, 429, 429]
    async with bare.api_on(bare.temporal, rate_per_address=2) as client:
        answers = [await client.get("/v1/places", headers=said) for said in ways]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
