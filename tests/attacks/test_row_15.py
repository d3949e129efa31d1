"""What is too large, too deep or packed is turned away before anything looks at what it says."""

import gzip
import json
from collections.abc import AsyncIterator

import httpx

from api.http.middleware import MOST_BYTES
from support.bare import Bare
from support.system import REPORT

JSON = {"Content-Type": "application/json", "Idempotency-Key": "5b0c4f3e-5a52-4b5e-9d0e-2f6a4c1d7e85"}


async def test_row_15_a_body_over_64_kb_is_413_before_it_is_parsed(bare: Bare) -> None:
    for body in (b"{" * (MOST_BYTES + 1), json.dumps({**REPORT, "description": "x" * MOST_BYTES}).encode()):
        answer = await bare.client.post("/v1/issues", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")


async def test_row_15_a_body_without_an_announced_length_is_counted(bare: Bare) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(2 * MOST_BYTES // 1024):
            yield b" " * 1024

    # Over a socket the rest could not be sent any more, so that the answer may be missed.
    transport = httpx.ASGITransport(bare.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/v1/issues", content=chunks(), headers=JSON)
    assert answer.status_code == 413


async def test_row_15_deep_json_is_a_clear_refusal(bare: Bare) -> None:
    for body in (b"[" * 60_000, b"[" * 30_000 + b"]" * 30_000, b'{"contact":' * 500 + b"1" + b"}" * 500):
        answer = await bare.client.post("/v1/issues", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body")


async def test_row_15_a_packed_body_is_not_unpacked(bare: Bare) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < MOST_BYTES
    for encoding in ("gzip", "deflate", "br", "gzip, identity"):
        answer = await bare.client.post("/v1/issues", content=bomb, headers={**JSON, "Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Content-Encoding")
