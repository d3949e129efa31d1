"""A client that repeats a request that the API had no time to answer, so a busy machine fails no test.

The API gives a request a time budget of about a second; on a busy machine it then answers that the record cannot be read
(503) or that a command is queued (202). This client repeats both with the same key. A test that takes a part of the
system away uses `something_is_away`, which returns the first answer.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx

SECONDS: Final = 60.0
"""For how long it asks again; nobody waits so long for an API that works."""
_away: list[None] = []


class Again(httpx.AsyncClient):
    """Asks again after a 503, with the same key and body, unless something is away."""

    whole: bool = True
    """Whether this API lacks nothing; else its 503 is an answer. Each client has its own, since many live at a time."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        loop = asyncio.get_running_loop()
        until = loop.time() + SECONDS
        while True:
            answer = await super().send(request, **options)
            if answer.status_code != 503 or _away or not self.whole or loop.time() > until:
                return answer
            await asyncio.sleep(0.1)

    async def command(self, path: str, headers: dict[str, str], **sent: Any) -> httpx.Response:
        """Posts a command until it is no longer queued; `headers` has its key."""
        async with asyncio.timeout(SECONDS):
            while (answer := await self.post(path, headers=headers, **sent)).status_code == 202:
                await asyncio.sleep(0.1)
        return answer


class AgainBlocking(httpx.Client):
    """The same for threads."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        until = time.monotonic() + SECONDS
        while (answer := super().send(request, **options)).status_code == 503 and time.monotonic() < until:
            time.sleep(0.1)
        return answer


@contextlib.contextmanager
def something_is_away() -> Iterator[None]:
    """Within it a 503 is an answer."""
    _away.append(None)
    try:
        yield
    finally:
        _away.pop()


@contextlib.asynccontextmanager
async def client_of(url: str, *, whole: bool = True) -> AsyncIterator[Again]:
    """A client of the API at this address; `whole` is false where that API lacks something by the test's wish."""
    # No address here is one of TLS, whose authorities would be read for each client.
    async with Again(base_url=url, timeout=SECONDS, verify=False, trust_env=False) as client:
        client.whole = whole
        yield client
