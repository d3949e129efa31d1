"""NUL, lone surrogates and bidirectional controls: 422 wherever they are sent, on both databases."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from db.engine import Database
from protocol.text_rules import unfit
from support.bare import Bare, bare_api
from support.stories import Story, store

UNFIT = (
    "\\u0000", "x\\u0000y", "\\ud800", "\\udfff", "x\\udc00y", "\\u202e", "\\u202a", "\\u202d", "\\u2066", "\\u2069",
    "\\u200e", "\\u200f", "\\u061c",
)  # fmt: skip
"""As they stand in JSON."""
REPORT = '{"compound": "demo", "category": "leak", "description": "%s"}'
PLACES = (
    REPORT, '{"compound": "%s", "category": "leak", "description": "x"}',
    '{"compound": "demo", "category": "leak", "description": "x", "contact": {"name": "%s"}}',
    '{"compound": "demo", "category": "leak", "description": "x", "location": "%s"}',
    '{"compound": "demo", "category": "leak", "description": "x", "%s": "x"}',
)  # fmt: skip
FIT = ("厨房漏水\n3幢", "😀", "e\u0301", "\ufeffx", "\u00a0", "\x1b[31m", "a\tb", "\U0010ffff", "\x7f", "\u2028")


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Bare]:
    async with bare_api(tmp_path, database_url) as found:
        yield found


async def test_row_21_a_body_with_unfit_characters_is_invalid(api: Bare) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "0b9f6f2e-4c1d-4f7a-9b1e-2f6a4c1d7e85"}
    for sign in UNFIT:
        for place in PLACES:
            answer = await api.client.post("/v1/issues", content=place % sign, headers=headers)
            assert answer.status_code == 422, (sign, place)
            assert json.loads(answer.content)["type"] == "/problems/invalid"
        path = "/v1/issues/nowhere/commands/comment"
        answer = await api.client.post(path, content=f'{{"text": "{sign}"}}', headers={**headers, **api.staff})
        assert answer.status_code == 422, sign


async def test_row_21_a_query_or_path_with_unfit_characters_is_refused(api: Bare) -> None:
    for sign in ("%00", "x%00y", "%E2%80%AE", "%E2%81%A6", "%D8%9C"):
        for name in ("q", "org", "compound", "cursor"):
            answer = await api.client.get(f"/v1/issues?{name}={sign}", headers=api.street)
            assert answer.status_code == 422, (name, sign)
            sheet = await api.client.get(f"/v1/issues.csv?{name}={sign}", headers=api.street)
            assert sheet.status_code == 422, (name, sign)
        for path in (
            f"/v1/candidates?category=leak&compound={sign}", f"/v1/candidates?category=leak&compound=demo&building={sign}",
            f"/v1/places?cursor={sign}", f"/v1/organisations?cursor={sign}",
        ):  # fmt: skip
            assert (await api.client.get(path, headers=api.street)).status_code == 422, path
        hidden = {"X-Tracking-Code": unquote(sign).replace("\0", "").encode()}
        assert (await api.client.get("/v1/issues/mine", headers=hidden)).status_code == 404
        for path in (f"/v1/worklist?org={sign}", f"/v1/issues/{sign}", f"/v1/commands/{sign}"):
            assert (await api.client.get(path, headers=api.street)).status_code in (404, 422)


async def test_row_21_whatever_is_fit_both_databases_hold(database: Database) -> None:
    for fit in FIT:
        assert unfit(fit) is None
        story = Story(description=fit, location=fit)
        await store(database, story, story.reported())
