"""The read model as the API sees it: every use is bounded in time, and a circuit breaker spares requests while it is down.

A database that hangs costs one request its time; until it answers again the others go to the workflow at once.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.writer import Work
from runtime.breaker import Breaker

READ_TIMEOUT: Final = 2.0
"""Seconds that one read transaction may take."""
_TRIAL_TIMEOUT: Final = 0.5
"""Seconds that the one request may take which finds out whether the database is back."""
REST_SECONDS: Final = 1.0
"""How long a database that failed is not asked; then one request tries it for all."""
_WRITE_TIMEOUT: Final = 0.3
"""Seconds that a note may take to be written."""


class SqlDown(Exception):
    """The database does not answer, or did not a moment ago."""


class ReadModel:
    """Read transactions with a circuit breaker around them, and small notes."""

    def __init__(self, database: Database, timeout: float = READ_TIMEOUT, rest: float = REST_SECONDS) -> None:
        self._database = database
        self._timeout = timeout
        self._breaker = Breaker(rest, opened="database_does_not_answer", closed="database_answers_again")

    @property
    def is_up(self) -> bool:
        """Whether the last use succeeded; there may be a better answer only after another use."""
        return not self._breaker.is_open

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A read transaction. Raises SqlDown if the database does not answer, at once if it did not just now."""
        is_trial = self._breaker.is_open
        if not self._breaker.allows():
            raise SqlDown("resting")
        try:
            async with asyncio.timeout(_TRIAL_TIMEOUT if is_trial else self._timeout), self._database.read() as session:
                yield session
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._breaker.trip(error)
            raise SqlDown(type(error).__name__) from error
        else:
            self._breaker.close()

    async def write(self, work: Work[None]) -> None:
        """Does a small piece of work that may be lost. Raises SqlDown if it was not done in time.

        A failure does not open the breaker: a database whose writers wait for each other can still be read.
        """
        if not self.is_up:
            raise SqlDown("resting")
        try:
            async with asyncio.timeout(_WRITE_TIMEOUT):
                await self._database.transact(work)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise SqlDown(type(error).__name__) from error
