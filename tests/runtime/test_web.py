"""Connections that send no request are cut, and those beyond the bound are counted."""

import asyncio
from typing import Any

import pytest

from runtime.web import CROWDED, HEAD_SECONDS
from support.web import served

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Answers whether the server is crowded."""
    said = str(scope["state"][CROWDED]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


async def told(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 90)
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(length)


async def is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 90) == b""
    except ConnectionResetError:
        return True


@pytest.mark.attack(15)
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo", GET, GET + b"GE"])
async def test_a_connection_without_a_request_is_cut(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    assert HEAD_SECONDS == 30
    monkeypatch.setattr("runtime.web.HEAD_SECONDS", 0.2)
    async with served(tell) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        if sent.startswith(GET):
            assert await told(reader) == b"False"
        assert await is_cut(reader)
        writer.close()


@pytest.mark.attack(15)
async def test_an_answer_that_takes_long_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.web.HEAD_SECONDS", 0.1)
    cut = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await cut.wait()
        await tell(scope, receive, send)

    async with served(slow) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        silent, other = await asyncio.open_connection("127.0.0.1", port)
        assert await is_cut(silent), "as long as this one has waited"
        cut.set()
        assert await told(reader) == b"False"
        for each in (writer, other):
            each.close()


@pytest.mark.attack(15)
async def test_requests_in_a_crowd_are_marked() -> None:
    async with served(tell, most=1) as port:
        first, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert await told(first) == b"False"
        second, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(GET)
        assert await told(second) == b"True"
        for each in (writer, other):
            each.close()
