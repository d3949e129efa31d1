"""Callers who use Jiesu over HTTP while it is killed: they repeat unanswered requests and note the answers.

A command counts as acknowledged with any 2xx. One of unknown outcome is sent again with the same key until it is
answered; some answered ones are repeated too, and must get the same answer.
"""

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from api.identity.tokens import issue_token
from audit.invariants import Acknowledged
from domain.commands import ANONYMOUS
from security.ids import command_id
from support.completions import ANSWER

PATIENCE = 300.0
"""Seconds after which somebody who gets no answer gives up, and the test with him."""
REPEATED = 0.15
"""The share of answered requests that are sent once more."""


class Surprise(AssertionError):
    """An answer that no fault may lead to."""


@dataclass
class Reported:
    """An issue as its reporter knows it."""

    id: str
    code: str
    closed: bool = False


@dataclass
class Load:
    """See the module. Run it with `going`; `seed` decides what is done, not when an answer comes."""

    url: str
    home: Path
    seed: int
    people: int = 14
    pace: float = 1.0
    """Mean seconds between two acts of one person."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    issues: list[Reported] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._staff = {
            role: {"Authorization": f"Bearer {issue_token(self.home, f'{role}-1', role, f'demo-{role}')}"}
            for role in ("property", "community", "street")
        }
        self._stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Begins, and at the end lets everybody finish what he has sent; raises what anybody met."""
        async with self._client() as self._http, asyncio.TaskGroup() as group:
            for n in range(self.people):
                group.create_task(self._live(random.Random(f"{self.seed}-{n}")))
            try:
                yield
            finally:
                self._stop.set()

    async def settle(self) -> None:
        """Ends every second issue that is open still, as its reporter: what follows from that alone is quiet."""
        async with self._client() as self._http:
            rng = random.Random(f"{self.seed}-settle")
            for issue in [each for each in self.issues if not each.closed][::2]:
                if await self._give(rng, issue, "withdraw", {"reason": "自己修了"}) == 409:
                    await self._give(rng, issue, "confirm", {"outcome": "solved", "satisfaction": "satisfied"})

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=10)

    async def _live(self, rng: random.Random) -> None:
        """One person after another, until it is time to stop."""
        stories = (self._standard, self._standard, self._ignored, self._half, self._late)
        while not self._stop.is_set():
            issue = await self._report(rng)
            await rng.choice(stories)(rng, issue)
            await self._pause(rng)

    # What happens to an issue; each step may come too late, which is a refusal, not a fault.

    async def _standard(self, rng: random.Random, issue: Reported) -> None:
        await self._in_turn(
            rng, issue, ("accept", {"note": "马上到"}), ("arrive", {"assessment": "minor"}),
            ("complete", {"answer": ANSWER}), ("confirm", {"outcome": "solved", "satisfaction": "satisfied"}),
        )  # fmt: skip

    async def _ignored(self, rng: random.Random, issue: Reported) -> None:
        """Nobody acts; it climbs, and stays open."""
        for _ in range(rng.randrange(3)):
            await self._in_turn(rng, issue, ("comment", {"text": "还没有人来"}))

    async def _half(self, rng: random.Random, issue: Reported) -> None:
        """Begun and forgotten."""
        await self._in_turn(rng, issue, ("accept", {}), ("urge", {"text": "人呢"}))

    async def _late(self, rng: random.Random, issue: Reported) -> None:
        """The company comes when the community leads already."""
        await self._wait(rng.uniform(10, 14))
        await self._in_turn(rng, issue, ("comment", {"text": "太慢"}))
        await self._give(rng, issue, "answer", {"text": "社区来办"}, "community")
        await self._in_turn(
            rng, issue, ("accept", {}), ("arrive", {}), ("complete", {"answer": ANSWER}),
            ("confirm", {"outcome": "partly", "satisfaction": "basically"}),
        )  # fmt: skip

    async def _in_turn(self, rng: random.Random, issue: Reported, *steps: tuple[str, dict[str, Any]]) -> None:
        for name, body in steps:
            await self._pause(rng)
            if self._stop.is_set():
                return
            await self._give(rng, issue, name, body, None if name in OF_RESIDENTS else "property")

    # Requests

    async def _report(self, rng: random.Random) -> Reported:
        key = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        body = {"compound": "demo", "category": "leak", "description": f"厨房漏水 {key}", "location": "3幢2单元501"}

        async def ask() -> httpx.Response:
            return await self._http.post("/v1/issues", json=body, headers={"Idempotency-Key": key})

        names = ("id", "number", "tracking_code")
        said = await self._asked(rng, ask, lambda answer: tuple(answer.json()[name] for name in names), (201,))
        issue = Reported(said.json()["id"], said.json()["tracking_code"])
        self.issues.append(issue)
        command = command_id(issue.id, ANONYMOUS, "report", key)
        self.acknowledged.append(Acknowledged(issue.id, command))
        return issue

    async def _give(
        self, rng: random.Random, issue: Reported, name: str, body: Mapping[str, Any], role: str | None = None
    ) -> int:
        key = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        who = {"X-Tracking-Code": issue.code} if role is None else self._staff[role]

        async def ask() -> httpx.Response:
            path = f"/v1/issues/{issue.id}/commands/{name}"
            return await self._http.post(path, json=body, headers={"Idempotency-Key": key, **who})

        said = await self._asked(rng, ask, lambda answer: answer.json().get("command_id"), (200, 202, 409))
        if said.is_success:
            self.acknowledged.append(Acknowledged(issue.id, said.json()["command_id"]))
        if said.status_code == 200:
            issue.closed = said.json()["issue"]["closed"] is not None
            await self._read_back(issue, said.json()["issue"]["version"], who)
        return said.status_code

    async def _read_back(self, issue: Reported, version: int, who: Mapping[str, str]) -> None:
        """After a 200 no read shows less, if one is answered at all."""
        with contextlib.suppress(httpx.TransportError):
            read = await self._http.get(f"/v1/issues/{issue.id}", headers=dict(who))
            if read.status_code == 200 and read.json()["version"] < version:
                raise Surprise(f"{issue.id} was at {version}, and reads as {read.json()['version']}")

    async def _asked(
        self,
        rng: random.Random,
        ask: Callable[[], Awaitable[httpx.Response]],
        gist: Callable[[httpx.Response], object],
        expected: tuple[int, ...],
    ) -> httpx.Response:
        """The answer, however often it takes; and the same again to a repeat."""
        said = await self._answered(rng, ask, expected)
        if said.is_success and rng.random() < REPEATED:
            again = await self._answered(rng, ask, expected)
            if gist(again) != gist(said) or (again.is_client_error and said.status_code != 202):
                raise Surprise(f"{said.text} and then, to the same, {again.text}")
            # What was queued may turn out to be refused, but then it is on the record under this id.
        return said

    async def _answered(
        self, rng: random.Random, ask: Callable[[], Awaitable[httpx.Response]], expected: tuple[int, ...]
    ) -> httpx.Response:
        loop = asyncio.get_running_loop()
        began, last = loop.time(), ""
        while loop.time() < began + PATIENCE:
            try:
                said = await ask()
            except httpx.TransportError as error:
                last = repr(error)
                self.answers[type(error).__name__] += 1
            else:
                last = f"{said.request.method} {said.request.url}: {said.status_code} {said.text}"
                self.answers[str(said.status_code)] += 1
                if said.status_code in expected:
                    return said
                if said.status_code != 503:
                    raise Surprise(last)
            await asyncio.sleep(rng.uniform(0.2, 0.8))
        raise Surprise(f"no answer in {PATIENCE} s, at last {last}")

    async def _pause(self, rng: random.Random) -> None:
        await self._wait(rng.expovariate(1 / self.pace))

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


OF_RESIDENTS = frozenset({"comment", "urge", "confirm", "withdraw"})
