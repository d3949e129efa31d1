"""The directory in memory, reloaded after an import.

While the database is down, intake and sign-in use the directory that was read last, for up to MAX_AGE seconds.
"""

import asyncio
import time
from typing import Final

import structlog

from db import directory as stored
from domain.directory import Directory
from protocol.errors import Unavailable
from protocol.read_model import ReadModel, SqlDown

log: Final = structlog.stdlib.get_logger(__name__)

FRESH: Final = 2.0
"""Seconds between two checks for an import. So long after an import, every process uses the new directory."""
_REFRESH_SECONDS: Final = 0.2
MAX_AGE: Final = 12 * 3600.0
"""Seconds for which the last directory is used while the database is down: as long as a token lives, about a shift."""


class DirectoryCache:
    """Loads the directory from the database and keeps it in memory."""

    def __init__(self, model: ReadModel, fresh: float = FRESH) -> None:
        self._model = model
        self._fresh = fresh
        self._directory: Directory | None = None
        self._digest: str | None = None
        self._checked = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> Directory:
        """The directory in force. Raises Unavailable if it cannot be read and the directory in memory is too old."""
        if self._directory is None or self._age > self._fresh:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._refresh())
            # With a directory in memory, no request waits long for a database that hangs.
            within = None if self._directory is None else _REFRESH_SECONDS
            await asyncio.wait({self._reading}, timeout=within)
        if self._directory is None or self._age > MAX_AGE:
            raise Unavailable("the directory of places cannot be read")
        return self._directory

    @property
    def _age(self) -> float:
        return time.monotonic() - self._checked

    async def _refresh(self) -> None:
        try:
            async with self._model.read() as session:
                version = await stored.version(session)
                digest = version.digest if version else None
                if self._directory is None or digest != self._digest:
                    self._directory = await stored.load_directory(session)
                    self._digest = digest
                    log.info("directory_read", digest=digest, compounds=len(self._directory.compounds))
        except SqlDown:
            return
        self._checked = time.monotonic()
