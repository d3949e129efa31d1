"""The API itself refuses bodies that are too large, too deep or compressed; `tests/api/test_limits.py` has the cases."""

import gzip

import pytest

from api.http.middleware import MOST_BYTES
from support.bare import Bare

JSON = {"Content-Type": "application/json", "Idempotency-Key": "5b0c4f3e-5a52-4b5e-9d0e-2f6a4c1d7e85"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b" " * MOST_BYTES + b"{}", {}, 413),
        (b"[" * 30_000 + b"]" * 30_000, {}, 422),
        (gzip.compress(b" " * 10_000_000), {"Content-Encoding": "gzip"}, 422),
    ],
    ids=["large", "deep", "compressed"],
)
async def test_row_15_every_route_is_behind_the_body_limit(
    bare: Bare, body: bytes, headers: dict[str, str], status: int
) -> None:
    for path in ("/v1/issues", "/v1/issues/x/commands/accept", "/codec/decode"):
        answer = await bare.client.post(path, content=body, headers={**JSON, **headers})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        if status == 422:
            assert answer.json()["errors"][0]["field"] in ("body", "Content-Encoding")
