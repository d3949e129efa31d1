"""The directory in memory, reloaded after an import.

While the database is down, intake and sign-in use the directory that was read last, for up to MAX_AGE seconds.
"""

from datetime import date
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db import directory as stored
from domain.commands import Actor
from domain.directory import Directory, Works
from protocol.cached import FRESH, Cached
from protocol.errors import Unavailable
from protocol.read_model import ReadModel

log: Final = structlog.stdlib.get_logger(__name__)

MAX_AGE: Final = 12 * 3600.0
"""Seconds for which the last directory is used while the database is down: as long as a token lives, about a shift."""


class DirectoryCache:
    """Loads the directory from the database and keeps it in memory."""

    def __init__(self, model: ReadModel, fresh: float = FRESH) -> None:
        self._cached = Cached(model, self._read, fresh)
        self._digest: str | None = None

    async def get(self) -> Directory:
        """The directory in force. Raises Unavailable if it cannot be read and the directory in memory is too old."""
        found = await self._cached.get()
        if found is None or self._cached.age > MAX_AGE:
            raise Unavailable("directory-away")
        return found

    async def newest(self) -> Directory:
        """As `get`, but read anew, for whoever has just changed it. Another process may be FRESH seconds behind."""
        self._cached.expire()
        return await self.get()

    async def works(self, viewer: Actor, on: date) -> Works:
        """Where property staff work on that day; the other roles see the same issues wherever they work.

        Raises Unavailable as `get` does, but only for property staff.
        """
        return (await self.get()).works(viewer.org, on) if viewer.role == "property" else Works()

    async def _read(self, session: AsyncSession, last: Directory | None) -> Directory:
        version = await stored.version(session)
        digest = version.digest if version else None
        if last is not None and digest == self._digest:
            return last
        found = await stored.load_directory(session)
        self._digest = digest
        log.info("directory_read", digest=digest, compounds=len(found.compounds))
        return found
