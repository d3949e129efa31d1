"""A resident proves a phone on a page and is signed in, where there is no identity provider at all."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from api.identity.session import SessionParts
from api.identity.signing_in import sign_in
from db.phones import TRIES
from runtime.settings import load_settings
from support.again import Again
from support.system import System

NUMBERS = (f"138{number:08}" for number in range(1, 10_000))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(system: System) -> AsyncIterator[Again]:
    """An API that can send texts and knows no provider."""
    parts = SessionParts(None, "", "http://127.0.0.1:8000")
    async with system.api_on(system.temporal, session=parts) as found:
        found.headers["Accept-Language"] = "zh-CN"
        yield found


@pytest.fixture(autouse=True)
def nobody(client: Again) -> None:
    client.cookies.clear()


def codes(system: System, phone: str) -> list[str]:
    lines = system.texts.read_text("utf-8").splitlines() if system.texts.exists() else []
    found = [each["text"] for each in map(json.loads, lines) if each["phone"] == f"+86{phone}"]
    return ["".join(sign for sign in text if sign.isdigit()) for text in found]


async def code_for(system: System, client: Again, phone: str) -> str:
    """Asks for a code on the page, and reads it in the message."""
    before = len(codes(system, phone))
    asked = await client.post("/phone", data={"phone": phone})
    assert asked.status_code == 200, asked.text
    assert 'autocomplete="one-time-code"' in asked.text
    async with asyncio.timeout(90):
        while len(found := codes(system, phone)) == before:
            await asyncio.sleep(0.01)
    return found[-1]


async def proved(system: System, client: Again, phone: str) -> httpx.Response:
    code = await code_for(system, client, phone)
    return await client.post("/phone/code", data={"phone": phone, "code": f" {code} ", "next": "/sign-in"})


async def test_a_resident_signs_in_by_a_phone_and_sees_what_was_reported_with_it(system: System, client: Again) -> None:
    phone = next(NUMBERS)
    answer = await proved(system, client, phone)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    seen = (await client.get("/session")).json()
    assert (seen["role"], seen["org"], seen["roles"]) == ("resident", None, [])
    sent = {"compound": "demo", "category": "leak", "description": "厨房漏水"}
    headers = {"X-CSRF-Token": seen["csrf_token"]}
    taken = await client.command("/v1/issues", {**headers, "Idempotency-Key": str(uuid.uuid4())}, json=sent)
    assert taken.status_code == 201, taken.text
    await system.until(f"/v1/issues/{taken.json()['id']}", system.staff, lambda _: True)
    client.cookies.clear()
    assert (await client.get("/v1/issues")).status_code == 401
    await proved(system, client, phone)
    listed = (await client.get("/v1/issues")).json()["items"]
    assert [each["id"] for each in listed] == [taken.json()["id"]]


async def test_the_owner_of_a_phone_is_a_resident_and_nothing_else(system: System, client: Again) -> None:
    await proved(system, client, next(NUMBERS))
    csrf = {"X-CSRF-Token": (await client.get("/session")).json()["csrf_token"]}
    other = await client.post("/session/acting", json={"role": "street", "org": "demo-street"}, headers=csrf)
    assert other.status_code == 403
    assert (await client.get("/session")).json()["role"] == "resident"


async def test_a_wrong_code_signs_nobody_in_and_the_limits_of_codes_hold(system: System, client: Again) -> None:
    phone = next(NUMBERS)
    code = await code_for(system, client, phone)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(TRIES):
        answer = await client.post("/phone/code", data={"phone": phone, "code": wrong})
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert '<a href="#code">' in answer.text
    late = await client.post("/phone/code", data={"phone": phone, "code": code})
    assert late.status_code == 422, "it was tried too often"
    assert (await client.get("/session")).status_code == 401


async def test_no_number_is_told_at_its_field_and_kept(client: Again) -> None:
    answer = await client.post("/phone", data={"phone": "12345 abc"})
    assert answer.status_code == 422
    assert '<a href="#phone">' in answer.text
    assert 'value="12345 abc"' in answer.text


async def test_a_page_of_somebody_else_signs_no_browser_in(system: System, client: Again) -> None:
    phone = next(NUMBERS)
    code = await code_for(system, client, phone)
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/phone", "/phone/code"):
            sent = {"phone": phone, "code": code}
            assert (await client.post(path, data=sent, headers=headers)).status_code == 403, headers
    assert (await client.get("/session")).status_code == 401


async def test_the_number_is_in_no_address(system: System, client: Again) -> None:
    phone = next(NUMBERS)
    answer = await client.post("/phone", data={"phone": phone})
    assert phone not in str(answer.url)
    assert all(phone not in address for address in re.findall(r'(?:href|action)="([^"]*)"', answer.text))


async def test_without_a_provider_there_is_no_way_to_one(client: Again) -> None:
    assert (await client.get("/session/login")).status_code == 404
    assert (await client.get("/session/callback?state=x")).status_code == 404
    shown = (await client.get("/sign-in")).text
    assert "/session/login" not in shown
    assert 'href="/phone"' in shown


async def test_without_texts_nobody_proves_a_phone(system: System) -> None:
    parts = SessionParts(None, "", "http://127.0.0.1:8000")
    async with system.api_on(system.temporal, session=parts, sms=None) as client:
        assert (await client.get("/phone")).status_code == 404
        assert "/phone" not in (await client.get("/sign-in")).text


def test_a_deployment_has_sessions_of_residents_where_its_address_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = {
        "JIESU_HOME": str(tmp_path), "JIESU_TEMPORAL_ADDRESS": "temporal:7233", "JIESU_SMS_URL": "https://sms.example/x",
        "JIESU_SMS_SECRET": "s" * 32, "JIESU_OUTGOING_HOSTS": "sms.example", "JIESU_API_HOST": "0.0.0.0",
    }  # fmt: skip
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)
    assert sign_in(load_settings()).session is None, "a cookie would go over any plain connection"
    monkeypatch.setenv("JIESU_PUBLIC_URL", "https://jiesu.example.org")
    session = sign_in(load_settings()).session
    assert session is not None
    assert (session.provider, session.public_url) == (None, "https://jiesu.example.org")
    monkeypatch.setenv("JIESU_OIDC_ISSUER", "https://id.example.org")
    session = sign_in(load_settings()).session
    assert session is not None
    assert session.provider is None, "staff have bearer tokens, residents their phones"
    monkeypatch.delenv("JIESU_SMS_URL")
    assert sign_in(load_settings()).session is None
