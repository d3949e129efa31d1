"""SQLite's one writer: a thread that puts what is asked for together into one transaction, each in a savepoint.

A transaction costs a flush and, on the asynchronous driver, some thirty changes of thread; here a hundred records
share one of each. None of them can harm another: where the database itself complains about one, all are rolled back
and each is written alone.
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
"""What is done in a transaction: it touches nothing but its session."""

MOST: Final = 64
"""Works in one transaction: others wait for it meanwhile."""


@dataclass(eq=False)
class _Item:
    work: Work[Any]
    outcome: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.outcome.done():  # nobody waits any more
            return
        if self.error is None:
            self.outcome.set_result(self.result)
        else:
            self.outcome.set_exception(self.error)


class GroupWriter:
    """See the module. The engine's transactions must begin as a writer's; `turn` lines up with other writers here."""

    def __init__(self, engine: Engine, turn: asyncio.Lock) -> None:
        self._engine = engine
        self._turn = turn
        self._thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._waiting: deque[_Item] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def do(self, work: Work[T]) -> T:
        """The result of the work, once it is committed. Cancelled before its turn, it is not done at all."""
        loop = asyncio.get_running_loop()
        item = _Item(work, loop.create_future())
        self._waiting.append(item)
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_all())
        return await item.outcome

    def disconnect(self) -> None:
        """Gives up the connection, unless it is in use."""
        self._engine.dispose()

    async def close(self) -> None:
        """Finishes what has been asked for."""
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
        """In the writer's thread: all in one transaction, or each in one of its own. Raises nothing."""
        wanted = [item for item in group if not item.outcome.cancelled()]
        try:
            if len(wanted) == 1 or not self._together(wanted):
                self._one_by_one(wanted)
        except BaseException as error:  # noqa: BLE001  somebody waits for each of them
            for item in wanted:
                item.error = error

    def _together(self, group: Sequence[_Item]) -> bool:
        """False if the database complained about one of them: then nothing is stored, and no result counts."""
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
                    except Exception as error:  # noqa: BLE001  its own affair, the others go on
                        item.error = error
        except SQLAlchemyError:
            if culprit is None:  # it did not let us begin or commit: that is everybody's affair
                raise
            return False
        return True

    def _one_by_one(self, group: Sequence[_Item]) -> None:
        for item in group:
            item.error = None
            try:
                with Session(self._engine, autoflush=False) as session, session.begin():
                    item.result = item.work(session)
            except OperationalError:  # locked, full, broken: it would be the same for the others, only later
                raise
            except Exception as error:  # noqa: BLE001
                item.error = error


@contextlib.contextmanager
def _savepoint(connection: Connection) -> Generator[Session]:
    with Session(connection, join_transaction_mode="create_savepoint", autoflush=False) as session, session.begin():
        yield session
