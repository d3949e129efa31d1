"""Event streams tell of each change to those who may read it, and end when they no longer may or the server stops."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.system import System, running_system


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("streams")) as running:
        yield running


@dataclass(frozen=True)
class Told:
    event: str
    id: str | None
    data: Any


@dataclass
class Stream:
    """An open stream, read event by event."""

    answer: httpx.Response
    lines: AsyncIterator[str]

    async def next(self, event: str) -> Told:
        """The next event of this kind."""
        async with asyncio.timeout(60):
            while True:
                fields = [line async for line in self._fields()]
                if not fields:
                    raise EOFError
                found = dict(field.split(": ", 1) for field in fields)
                if found.get("event") == event:
                    return Told(event, found.get("id"), json.loads(found["data"]))

    async def ended(self) -> None:
        """Returns once the server has ended the stream in good order; raises if it was cut off."""
        async with asyncio.timeout(60):
            async for _ in self.lines:
                pass

    async def _fields(self) -> AsyncIterator[str]:
        async for line in self.lines:
            if not line:
                return
            yield line


@asynccontextmanager
async def watching(system: System, path: str, headers: dict[str, str]) -> AsyncIterator[Stream]:
    async with system.client.stream("GET", path, headers=headers, timeout=None) as answer:
        yield Stream(answer, answer.aiter_lines())


async def reported(system: System) -> tuple[str, dict[str, str]]:
    taken = await system.report()
    code = {"X-Tracking-Code": taken["tracking_code"]}
    await system.until(f"/v1/issues/{taken['id']}", system.staff, lambda _: True)
    return taken["id"], code


async def test_an_issue_is_told_at_first_and_after_each_change(system: System) -> None:
    issue, code = await reported(system)
    for who in (code, system.staff):
        async with watching(system, f"/v1/issues/{issue}/events", who) as stream:
            assert stream.answer.headers["content-type"].startswith("text/event-stream")
            first = await stream.next("issue")
            assert (first.data["id"], first.id) == (issue, f"0.{first.data['version']}")
            assert (await stream.next("clock")).data.keys() == {"at", "looked_at"}
            await system.give(issue, "comment", system.staff, note="在路上")
            assert (await stream.next("issue")).data["version"] > first.data["version"]


async def test_what_came_last_is_not_told_again(system: System) -> None:
    issue, code = await reported(system)
    async with watching(system, f"/v1/issues/{issue}/events", code) as stream:
        first = await stream.next("issue")
    async with watching(system, f"/v1/issues/{issue}/events", code | {"Last-Event-ID": first.id or ""}) as stream:
        await system.give(issue, "accept", system.staff)
        assert (await stream.next("issue")).data["version"] > first.data["version"]


async def test_a_worklist_is_told_whenever_one_of_its_issues_changes(system: System) -> None:
    async with watching(system, "/v1/worklist/events", system.staff) as stream:
        first = await stream.next("org")
        assert first.data == {"org": "demo-property"}
        issue, _ = await reported(system)
        second = await stream.next("org")
        await system.give(issue, "accept", system.staff)
        third = await stream.next("org")
        assert len({first.id, second.id, third.id}) == 3


@pytest.mark.parametrize("path", ["/v1/issues/{issue}/events", "/v1/worklist/events"])
async def test_who_may_not_read_it_gets_no_stream(system: System, path: str) -> None:
    issue, _ = await reported(system)
    stranger = system.token("op1", "property", "other-property")
    query = {"org": "demo-property"} if "worklist" in path else {}
    assert (await system.get(path.format(issue=issue), **query)).status == 401
    assert (await system.get(path.format(issue=issue), stranger, **query)).status == 404


@pytest.mark.check(8)
async def test_a_renewed_code_ends_the_stream_of_the_old_one(system: System) -> None:
    issue, code = await reported(system)
    async with watching(system, f"/v1/issues/{issue}/events", code) as stream:
        await stream.next("issue")
        assert (await system.give(issue, "renew_code", code)).status == 200
        await stream.ended()
    assert (await system.get(f"/v1/issues/{issue}/events", code)).status == 404


@pytest.mark.check(8)
async def test_a_server_that_stops_ends_fifty_streams_in_good_order(system: System) -> None:
    """In good order: cut off they would be, after the five seconds that the web server grants what still runs."""
    issue, code = await reported(system)
    limits = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as running, httpx.AsyncClient(timeout=None, limits=limits) as client:
        other = await running.enter_async_context(system.api_on(system.temporal))
        address = f"{other.base_url}/v1/issues/{issue}/events"
        async with AsyncExitStack() as watching_:
            asked = [client.stream("GET", address, headers=code) for _ in range(50)]
            answers = [await watching_.enter_async_context(each) for each in asked]
            streams = [Stream(answer, answer.aiter_lines()) for answer in answers]
            await asyncio.gather(*(stream.next("issue") for stream in streams))
            stopping = asyncio.create_task(running.aclose())
            await asyncio.gather(*(stream.ended() for stream in streams))
            await stopping


async def test_how_long_somebody_looked_is_no_time_to_answer(system: System) -> None:
    issue, code = await reported(system)
    async with watching(system, f"/v1/issues/{issue}/events", code) as stream:
        await stream.next("issue")
    answered = [line for line in (await system.get("/metrics")).body.splitlines() if 'status="200"' in line]
    assert any('route="/v1/issues/{issue}"' in line for line in answered)
    assert not any("/events" in line for line in answered)
