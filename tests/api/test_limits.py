"""Bodies that are too large, too deep or hold unfit text are refused before they are used."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from api.http.middleware import MOST_BYTES, BodyLimit, Edge, Meters, check, read_body
from api.http.problems import TooSlow
from protocol.context import ADDRESS
from protocol.errors import Invalid
from protocol.json_rules import DEEPEST
from protocol.text_rules import unfit
from runtime.proxies import Proxies
from support.web import served

JSON = {"content-type": "application/json"}
app = FastAPI()


@app.post("/echo")
async def echo(request: Request) -> Any:
    return {"length": len(await request.body()), "again": len(await request.body())}


app.add_middleware(BodyLimit)


@pytest.fixture
async def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def padded(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


async def test_a_body_at_the_limit_passes_whole(client: httpx.AsyncClient) -> None:
    answer = await client.post("/echo", content=padded(MOST_BYTES), headers=JSON)
    assert answer.json() == {"length": MOST_BYTES, "again": MOST_BYTES}


@pytest.mark.attack(15)
async def test_one_byte_more_is_too_large(client: httpx.AsyncClient) -> None:
    answer = await client.post("/echo", content=padded(MOST_BYTES + 1), headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")


@pytest.mark.attack(15)
async def test_chunks_are_counted_and_the_rest_is_not_read(client: httpx.AsyncClient) -> None:
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x" * 1024

    answer = await client.post("/echo", content=chunks(), headers=JSON)
    assert answer.status_code == 413
    assert read < 100


@pytest.mark.attack(15)
async def test_a_content_length_over_the_limit_is_refused_unread() -> None:
    """No byte of the body is waited for."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", str(MOST_BYTES + 1).encode()), (b"content-type", b"application/json")]
    await BodyLimit(app)({"type": "http", "method": "POST", "headers": headers}, receive, send)
    assert sent[0]["status"] == 413


@pytest.mark.attack(15)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
async def test_a_compressed_body_is_not_unpacked(client: httpx.AsyncClient, encoding: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < MOST_BYTES
    answer = await client.post("/echo", content=bomb, headers={**JSON, "content-encoding": encoding})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Content-Encoding")


@pytest.mark.attack(15)
@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[" * 30_000 + b"]" * 30_000, b"\xff", b'{"a": NaN}', b"[" * 60_000, b'{"a":' * 10_000, b"9" * 5000 + b" ", b"\xef\xbb\xbf{}", b"nul",
        "{}".encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        check(body, "application/json")


@pytest.mark.attack(15)
def test_json_nested_too_deeply_is_invalid() -> None:
    check(json.dumps({"steps": [{"a": {"b": [1]}}]}).encode(), "application/json")
    deep: Any = 1
    for _ in range(DEEPEST + 1):
        deep = [deep]
    with pytest.raises(Invalid, match="deep"):
        check(json.dumps(deep).encode(), "application/json")


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "x\\udfff", "\\u202e", "\\u2066", "\\u200f", "\u061c"])
@pytest.mark.parametrize("shape", ['{"a": "%s"}', '{"%s": 1}', '[["%s"]]', '{"a": {"b": ["%s"]}}'])
def test_text_that_no_page_or_database_should_carry_is_invalid(text: str, shape: str) -> None:
    with pytest.raises(Invalid):
        check((shape % text).encode(), "application/json")


@pytest.mark.parametrize(
    "text", ["厨房漏水\n3幢", "😀 \\ud83d\\ude00", "tab\\t", "\x1b[31m".replace("\x1b", "\\u001b")]
)
def test_ordinary_text_passes_the_body_check(text: str) -> None:
    check(f'{{"a": "{text}"}}'.replace("\n", "\\n").encode(), "application/json")


@pytest.mark.parametrize("body", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "\\u0061": 2}}]'])
def test_a_duplicate_json_key_is_invalid(body: str) -> None:
    with pytest.raises(Invalid, match="a: it is there more than once"):
        check(body.encode(), "application/json")


def test_only_json_is_taken() -> None:
    with pytest.raises(Invalid, match="application/json"):
        check(b"a=1", "application/x-www-form-urlencoded")
    check(b"{}", "application/json; charset=utf-8")
    check(b"  ", "")


@given(st.text())
def test_whatever_is_fit_is_text_in_every_encoding(text: str) -> None:
    if unfit(text) is None:
        assert text.encode("utf-8").decode("utf-8") == text
        assert "\x00" not in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("ab漏"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
        max_leaves=20,
    )
)
def test_any_plain_value_is_taken_or_is_invalid(value: Any) -> None:
    try:
        check(json.dumps(value).encode(), "application/json")
    except Invalid as problem:
        assert "deep" in str(problem)


async def answered(scheme: str = "http", path: str = "/echo") -> httpx.Response:
    """What the edge makes of an answer of the app, and of one that is no answer."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        if path == "/fails":
            raise RuntimeError("nobody foresaw it")
        await app(scope, receive, send)

    edge = Edge(failing, Meters(CollectorRegistry()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url=f"{scheme}://test") as client:
        return await client.post(path, content=b"{}", headers=JSON)


@pytest.mark.parametrize("path", ["/echo", "/none", "/fails"])
async def test_answers_carry_security_headers(path: str) -> None:
    headers = (await answered(path=path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'self'", "base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'",
        "object-src": "'none'",
    }  # fmt: skip
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "geolocation=()" in headers["permissions-policy"]
    assert headers["cache-control"] == "no-store"


@pytest.mark.attack(15)
async def test_a_body_that_trickles_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.middleware.BODY_SECONDS", 0.2)
    async with served(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        answer = await asyncio.wait_for(reader.read(), 90)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in head.lower()
        assert json.loads(body)["type"] == "/problems/too-slow"
        writer.close()


class Quick(asyncio.SelectorEventLoop):
    """A loop in which nobody waits: its clock jumps to whatever is due next."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        look = self._selector.select  # pyright: ignore[reportAttributeAccessIssue]

        def jump(wait: float | None = None) -> Any:
            self.now += wait or 0
            return look(0)

        self._selector.select = jump  # pyright: ignore[reportAttributeAccessIssue]

    def time(self) -> float:
        return self.now


def paced(size: int, each: int, most: int = 30_000_000) -> tuple[int, float]:
    """How many bytes of a body came that brings so many each second, and when it was whole or cut."""
    loop, came = Quick(), 0

    async def receive() -> dict[str, Any]:
        nonlocal came
        await asyncio.sleep(1)
        came += each
        return {"type": "http.request", "body": b"x" * each, "more_body": came < size}

    try:
        with contextlib.suppress(TooSlow):
            loop.run_until_complete(read_body({"type": "http", "headers": []}, receive, most))
        return came, loop.now
    finally:
        loop.close()


def test_a_photo_arrives_by_a_bad_network() -> None:
    came, _ = paced(2_000_000, 3_000)
    assert came >= 2_000_000


@pytest.mark.attack(15)
def test_a_trickle_gets_thirty_seconds() -> None:
    assert paced(2_000_000, 1)[0] == 30
    came, ended = paced(20_000_000, 1_000)
    assert came < 100_000
    assert ended < 100


@pytest.mark.attack(15)
def test_only_pictures_get_longer() -> None:
    assert paced(60_000, 1_900, MOST_BYTES)[1] == 30
    assert paced(60_000, 1_900)[0] >= 60_000


@pytest.mark.attack(35)
async def test_who_comes_by_a_trusted_proxy_is_who_the_proxy_says() -> None:
    asked: list[str] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        asked.append(f"{scope['client'][0]} {scope['scheme']} {ADDRESS.get()}")
        await app(scope, receive, send)

    said = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    for networks in ("203.0.113.0/24", "198.51.100.0/24"):
        edge = Edge(noting, Meters(CollectorRegistry()), Proxies(networks))
        transport = httpx.ASGITransport(edge, client=("203.0.113.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/echo", headers=said)
    assert asked == ["192.0.2.7 https 192.0.2.7", "203.0.113.9 http 203.0.113.9"]


@pytest.mark.attack(15)
async def test_in_a_crowd_the_answer_is_a_clear_503() -> None:
    edge = Edge(app, Meters(CollectorRegistry()))
    async with served(edge, most=2) as port, contextlib.AsyncExitStack() as stack:

        async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            return reader, writer

        async def ask(path: str) -> bytes:
            reader, writer = await connected()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return await asyncio.wait_for(reader.read(), 90)

        silent = [await connected() for _ in range(2)]
        refused = await ask("/echo")
        assert refused.startswith(b"HTTP/1.1 503 ")
        for said in (b"retry-after: 5", b"connection: close", b"content-security-policy", b"too many connections"):
            assert said in refused.lower(), said
        assert (await ask("/healthz")).startswith(b"HTTP/1.1 404 "), "a check of health is answered by the app"
        for _, writer in silent:
            writer.close()
        while not (answer := await ask("/echo")).startswith(b"HTTP/1.1 405 "):
            assert answer.startswith(b"HTTP/1.1 503 ")


async def test_hsts_is_sent_only_over_https() -> None:
    assert "strict-transport-security" not in (await answered()).headers
    assert "max-age=31536000" in (await answered("https")).headers["strict-transport-security"]
