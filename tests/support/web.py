"""The web server of the product on loopback, for as long as a test needs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from runtime.web import MOST_CONNECTIONS, server


@asynccontextmanager
async def served(app: Any, most: int = MOST_CONNECTIONS) -> AsyncIterator[int]:
    """Serves the app and gives the port."""
    running = server(app, "127.0.0.1", 0, most)
    running.config.lifespan = "off"
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    try:
        yield running.port
    finally:
        running.stop()
        running.stop()
        await task
