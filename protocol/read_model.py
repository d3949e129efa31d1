"""The read model as the API sees it: every use is bounded in time, and one that fails spares the next ones.

A database that hangs costs one request its patience; until it answers again the others go to the workflow at once.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.writer import Work

log: Final = structlog.stdlib.get_logger(__name__)

PATIENCE: Final = 2.0
"""Seconds that one use may take."""
_PROBE: Final = 0.5
"""Seconds that the one request may take which finds out whether the database is back."""
REST: Final = 1.0
"""Seconds for which a database that failed is left alone; then one request tries it for all."""
_WRITE: Final = 0.3
"""Seconds that a note may take to be written."""


class SqlDown(Exception):
    """The database does not answer, or did not a moment ago."""


class ReadModel:
    """Read transactions with a circuit breaker around them, and small notes."""

    def __init__(self, database: Database, patience: float = PATIENCE, rest: float = REST) -> None:
        self._database = database
        self._patience = patience
        self._rest = rest
        self._failed_at: float | None = None
        self._trying = False

    @property
    def is_up(self) -> bool:
        """Whether the last use succeeded; there may be a better answer only after another use."""
        return self._failed_at is None

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A read transaction. Raises SqlDown if the database does not answer, at once if it did not just now."""
        probe = self._enter()
        try:
            async with asyncio.timeout(_PROBE if probe else self._patience), self._database.read() as session:
                yield session
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._fail(error)
            raise SqlDown(type(error).__name__) from error
        else:
            if self._failed_at is not None:
                log.info("database_answers_again")
            self._failed_at = None
        finally:
            if probe:
                self._trying = False

    async def write(self, work: Work[None]) -> None:
        """Does a small piece of work that may be lost. Raises SqlDown if it was not done in time.

        Nobody else is spared for it: whoever waits for others that write can still read.
        """
        if not self.is_up:
            raise SqlDown("resting")
        try:
            async with asyncio.timeout(_WRITE):
                await self._database.transact(work)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise SqlDown(type(error).__name__) from error

    def _enter(self) -> bool:
        """Whether this use is the one that finds out if the database is back; SqlDown if it has to wait for that."""
        if self._failed_at is None:
            return False
        if self._trying or asyncio.get_running_loop().time() - self._failed_at < self._rest:
            raise SqlDown("resting")
        self._trying = True
        return True

    def _fail(self, error: Exception) -> None:
        if self._failed_at is None:
            log.warning("database_does_not_answer", error=type(error).__name__)
        self._failed_at = asyncio.get_running_loop().time()
