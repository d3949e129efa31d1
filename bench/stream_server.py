"""`jiesu api` with two routes more for the benchmark of streams: how often its hub looked, and a stream with nothing in it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.dependencies import Use
from api.routes.streams import RETRY
from api.server import serve
from calendars import load_all
from pages.routers import ROUTERS
from policies.loader import shipped
from runtime.observability import configure_logging
from runtime.settings import load_settings

LOOKS: Final = "/bench/looks"
EMPTY: Final = "/bench/empty"

router: Final = APIRouter(include_in_schema=False)


@router.get(LOOKS)
async def looks(use: Use) -> int:
    """How many looks at the database there were for all streams together."""
    return use.hub.looks


@router.get(EMPTY, response_class=EventSourceResponse)
async def empty() -> AsyncIterator[ServerSentEvent]:
    """A stream that says nothing after its beginning: what any stream costs on this server."""
    yield ServerSentEvent(retry=RETRY)
    await asyncio.Event().wait()


def main() -> None:
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    asyncio.run(serve(settings, {each.id: each for each in shipped()}, load_all(), [router, *ROUTERS]))


if __name__ == "__main__":
    main()
