"""Access to the read model, with time limits and a circuit breaker.

While the database hangs, one request at a time tries it. The other requests ask the workflow at once.
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
from runtime.causes import AWAY, cause_of

READ_TIMEOUT: Final = 2.0
"""How many seconds one read transaction may take."""
_TRIAL_TIMEOUT: Final = 0.5
"""How many seconds the trial request, while the breaker is open, may take."""
REST_SECONDS: Final = 1.0
"""Seconds between a failed read and the next trial request."""
_WRITE_TIMEOUT: Final = 0.3
"""How many seconds one write may take."""


class SqlDown(Exception):
    """The database does not answer, or the breaker is open. `cause` is one of `runtime.causes`."""

    def __init__(self, message: str, cause: str = AWAY) -> None:
        super().__init__(message)
        self.cause: Final = cause


class ReadModel:
    """Read transactions, and small writes, behind a circuit breaker."""

    def __init__(self, database: Database, timeout: float = READ_TIMEOUT, rest: float = REST_SECONDS) -> None:
        self._database = database
        self._timeout = timeout
        self._cause = AWAY
        self._breaker = Breaker(rest, opened="database_does_not_answer", closed="database_answers_again")

    @property
    def is_up(self) -> bool:
        """Whether the breaker is closed: no read has failed since the last success."""
        return not self._breaker.is_open

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A read transaction. Raises SqlDown if the database does not answer, at once while the breaker is open."""
        timeout = _TRIAL_TIMEOUT if self._breaker.is_open else self._timeout
        with self._breaker.attempt() as allowed:
            if not allowed:
                raise SqlDown("resting", self._cause)
            try:
                async with asyncio.timeout(timeout), self._database.read() as session:
                    yield session
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                self._breaker.trip(error)
                self._cause = cause_of(error)
                raise SqlDown(type(error).__name__, self._cause) from error
            self._breaker.close()

    async def write(self, work: Work[None]) -> None:
        """Runs a small write that may be lost. Raises SqlDown if the write was not done in time.

        A failed write does not open the breaker, because a database with blocked writers can still be read.
        """
        if not self.is_up:
            raise SqlDown("resting", self._cause)
        try:
            async with asyncio.timeout(_WRITE_TIMEOUT):
                await self._database.transact(work)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise SqlDown(type(error).__name__, cause_of(error)) from error
