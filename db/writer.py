"""SQLite's single writer: a thread that runs concurrent works together in one transaction, each in a savepoint.

A transaction costs a flush of the disk and, on the asynchronous driver, some thirty switches of threads. Here up to
MOST works share one transaction. Works stay independent: if the database fails for one work, the whole transaction is
rolled back, and each work is run alone.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

T = TypeVar("T")
Work = Callable[[Session], T]
"""The body of a transaction. It must have no effect outside its session, since it may be run twice."""

MOST: Final = 64
"""Works that share one transaction at most; further works wait until the transaction ends."""


@dataclass(eq=False)
class _Item:
    work: Work[Any]
    outcome: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.outcome.done():  # the caller was cancelled
            return
        if self.error is None:
            self.outcome.set_result(self.result)
        else:
            self.outcome.set_exception(self.error)


class GroupWriter:
    """Runs works in groups, one transaction for each group.

    The engine must begin write transactions; the lock `turn` keeps out other writers of this process.
    """

    def __init__(self, engine: Engine, turn: asyncio.Lock) -> None:
        self._engine = engine
        self._turn = turn
        self._thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._waiting: deque[_Item] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def do(self, work: Work[T]) -> T:
        """Runs `work` and returns its result once the transaction is committed.

        If the caller is cancelled before `work` begins, `work` is not run.
        """
        loop = asyncio.get_running_loop()
        item = _Item(work, loop.create_future())
        self._waiting.append(item)
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_all())
        return await item.outcome

    def disconnect(self) -> None:
        """Closes the connection, unless the connection is in use."""
        self._engine.dispose()

    async def close(self) -> None:
        """Finishes the queued works and closes the connection."""
        if self._writing is not None:
            await self._writing
        await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            async with self._turn:
                group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                try:
                    await loop.run_in_executor(self._thread, self._write, group)
                except RuntimeError as error:  # the thread has ended, or cannot be started
                    for item in group:
                        item.error = error
            for item in group:
                item.settle()

    def _write(self, group: Sequence[_Item]) -> None:
        """Runs the works in one transaction, or, if the database fails for one, each in its own. For the writer thread.

        Raises nothing: each item gets its result or error.
        """
        wanted = [item for item in group if not item.outcome.cancelled()]
        try:
            if len(wanted) == 1 or not self._together(wanted):
                self._one_by_one(wanted)
        except BaseException as error:  # noqa: BLE001  each caller waits for an outcome
            for item in wanted:
                item.error = error

    def _together(self, group: Sequence[_Item]) -> bool:
        """Runs the works in one transaction. Returns False, with nothing stored, if the database failed for one."""
        culprit: _Item | None = None
        try:
            with self._engine.begin() as connection:
                for item in group:
                    try:
                        with _savepoint(connection) as session:
                            item.result = item.work(session)
                    except SQLAlchemyError:
                        culprit = item
                        raise
                    except Exception as error:  # noqa: BLE001  concerns this work only
                        item.error = error
        except SQLAlchemyError:
            if culprit is None:  # begin or commit failed: that concerns all
                raise
            return False
        return True

    def _one_by_one(self, group: Sequence[_Item]) -> None:
        for item in group:
            item.error = None
            try:
                with Session(self._engine, autoflush=False) as session, session.begin():
                    item.result = item.work(session)
            except OperationalError:  # locked, full, broken: the others would fail too
                raise
            except Exception as error:  # noqa: BLE001
                item.error = error


@contextlib.contextmanager
def _savepoint(connection: Connection) -> Generator[Session]:
    with Session(connection, join_transaction_mode="create_savepoint", autoflush=False) as session, session.begin():
        yield session
