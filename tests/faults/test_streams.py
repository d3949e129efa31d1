"""Fifty people watch an issue while its API is killed and stopped: each is live again by himself and sees the newest."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from support.again import client_of
from support.crash import Jiesu, until

MANY = 50
RETRY = 2.0
"""Seconds that the stream itself asks for (`retry`)."""


@dataclass
class Watcher:
    """What a browser does with an event stream: it asks again whenever the stream ends, and says what came last."""

    url: str
    code: str
    seen: list[int] = field(default_factory=list[int])
    """The versions of the issue, as they were told."""
    cut: int = 0
    """How many streams were torn off rather than ended."""
    refused: int = 0
    """How often nobody was there."""
    ended: int = 0

    async def run(self, http: httpx.AsyncClient) -> None:
        headers = {"X-Tracking-Code": self.code}
        while True:
            try:
                async with http.stream("GET", self.url, headers=headers, timeout=None) as answer:
                    assert answer.status_code == 200, answer.status_code
                    async for line in answer.aiter_lines():
                        self._read(line, headers)
                self.ended += 1
            except httpx.ConnectError:
                self.refused += 1
            except httpx.TransportError:
                self.cut += 1
            await asyncio.sleep(RETRY)

    def _read(self, line: str, headers: dict[str, str]) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            headers["Last-Event-ID"] = value
        elif name == "data" and "version" in value:
            self.seen.append(json.loads(value)["version"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def jiesu(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Jiesu]:
    home: Path = tmp_path_factory.mktemp("watched") / "home"
    running = Jiesu(home)
    await running.start()
    await running.whole(None)
    yield running
    await running.stop()


@pytest.mark.check(8)
@pytest.mark.night
async def test_fifty_streams_outlive_a_kill_and_a_stop_and_miss_nothing(jiesu: Jiesu) -> None:
    async with client_of(jiesu.url) as client, httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as http:
        report = {"compound": "other", "category": "leak", "description": "厨房漏水"}
        taken = (await client.post("/v1/issues", json=report, headers={"Idempotency-Key": str(uuid.uuid4())})).json()
        code = {"X-Tracking-Code": taken["tracking_code"]}
        path = f"/v1/issues/{taken['id']}"

        async def urged() -> int:
            """The version after one more command."""
            headers = {**code, "Idempotency-Key": str(uuid.uuid4())}
            answer = await client.command(f"{path}/commands/urge", headers, json={})
            assert answer.status_code == 200, answer.text
            return answer.json()["issue"]["version"]

        watchers = [Watcher(f"{jiesu.url}{path}/events", taken["tracking_code"]) for _ in range(MANY)]
        tasks = [asyncio.create_task(each.run(http)) for each in watchers]
        try:
            await until(lambda: all(each.seen for each in watchers), "all watch")
            newest = await urged()
            await until(lambda: all(each.seen[-1:] == [newest] for each in watchers), "all are live")
            old = jiesu.pids()["api"]
            assert jiesu.kill(["api"]) == ["api"]
            await until(lambda: all(each.cut == 1 for each in watchers), "all were cut off")
            await jiesu.whole(None)
            newest = await urged()
            await until(lambda: all(each.seen[-1:] == [newest] for each in watchers), "all are live again")
            stopped = jiesu.pids()["api"]
            assert stopped != old
            os.kill(stopped, signal.SIGTERM)
            await until(lambda: all(each.ended == 1 for each in watchers), "all were told that it ends")
            await jiesu.gone([stopped])
            await jiesu.whole(None)
            newest = await urged()
            await until(lambda: all(each.seen[-1:] == [newest] for each in watchers), "all are live once more")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert {each.cut for each in watchers} == {1}, "who stops ends each stream in good order"
    for each in watchers:
        assert each.seen == sorted(set(each.seen)), "nothing was told twice, nor older than what was told before"
    assert "graceful shutdown exceeded" not in jiesu.log.read_text("utf-8")
