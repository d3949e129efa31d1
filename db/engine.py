"""The connection to the database: one engine a process, with read and write transactions that mean the same
on SQLite and PostgreSQL.

SQLite as its driver sets it up loses updates: it begins transactions late and lets two writers read the same
row. Here writers begin with ``BEGIN IMMEDIATE``, readers with a plain ``BEGIN``, which gives both a snapshot.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from db.writer import GroupWriter, Work

T = TypeVar("T")

_BEGIN: Final = "jiesu_begin"
WRITE: Final[dict[str, Any]] = {_BEGIN: "BEGIN IMMEDIATE"}
_LOCK_TIMEOUT: Final = 10.0
"""Seconds for which a connection to SQLite waits for another process that writes."""
_WRITER_LOCK_TIMEOUT: Final = 2.0
"""The same in the writing thread: records are tried again anyway, and others wait behind them."""
_LONGEST_SCRUB: Final = 60.0
"""Seconds for which others may have to wait until the file is written anew."""
_STEPS: Final = 100_000
"""Of SQLite's machine between two looks at the clock."""
_PRAGMAS: Final = (
    "PRAGMA synchronous=FULL",  # an acknowledged row survives a power cut
    "PRAGMA foreign_keys=ON",
)
_POSTGRES: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "jiesu",
}


def normalised(url: str | URL) -> URL:
    """The URL with the driver that Jiesu uses: ``sqlite:///x`` and ``postgresql://x`` are accepted as they are."""
    found = make_url(url)
    match found.get_backend_name():
        case "sqlite":
            return found.set(drivername="sqlite+aiosqlite")
        case "postgresql":
            return found.set(drivername="postgresql+psycopg")
        case other:
            raise ValueError(f"no database of kind {other!r}: use sqlite or postgresql")


def make_engine(url: str | URL) -> AsyncEngine:
    """The engine for a database, with everything that SQLite needs to be told on each connection.

    Errors hide the parameters of their statement: they end up in logs and histories, where nothing personal may be.
    """
    target = normalised(url)
    if target.get_backend_name() == "sqlite":
        engine = create_async_engine(target, pool_size=8, max_overflow=24, hide_parameters=True)
        prepare_sqlite(engine.sync_engine)
        return engine
    return create_async_engine(
        target, pool_size=10, max_overflow=20, pool_pre_ping=True, hide_parameters=True, connect_args=_POSTGRES
    )


def make_writer(url: URL) -> Engine:
    """The engine of SQLite's writing thread."""
    target = url.set(drivername="sqlite")
    # Used by that one thread, but closed by another.
    engine = create_engine(target, pool_size=1, hide_parameters=True, connect_args={"check_same_thread": False})
    prepare_sqlite(engine, _WRITER_LOCK_TIMEOUT)
    return engine.execution_options(**WRITE)


def prepare_sqlite(engine: Engine, timeout: float = _LOCK_TIMEOUT) -> None:
    """Takes the transactions of an SQLite engine out of its driver's hands."""

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(timeout * 1000)}")
        _use_wal(cursor, timeout)
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    def on_invalidate(connection: DBAPIConnection, _: ConnectionPoolEntry, __: BaseException | None) -> None:
        # A write that was cancelled is given up with its transaction open: until the garbage collector comes by, its
        # lock would keep everybody else from writing.
        with contextlib.suppress(Exception):
            connection.rollback()

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    event.listen(engine, "invalidate", on_invalidate)


def _use_wal(cursor: DBAPICursor, timeout: float) -> None:
    """Two that change a new file to WAL at once: SQLite tells one of them at once that it is busy, whatever its timeout."""
    end = time.monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


class Database:
    """What the rest of the code holds: transactions to read and to write in, and an end."""

    def __init__(self, url: str | URL) -> None:
        self.url: Final = normalised(url)
        self.engine: Final = make_engine(self.url)
        self.is_sqlite: Final = self.url.get_backend_name() == "sqlite"
        snapshot: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        readers = self.engine if self.is_sqlite else self.engine.execution_options(**snapshot)
        writers = self.engine.execution_options(**WRITE) if self.is_sqlite else self.engine
        self._read = async_sessionmaker(readers, expire_on_commit=False, autoflush=False)
        self._write = async_sessionmaker(writers, expire_on_commit=False, autoflush=False)
        self._turn = asyncio.Lock()
        self._writer = GroupWriter(make_writer(self.url), self._turn) if self.is_sqlite else None

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A transaction that sees one moment of the database and changes nothing."""
        async with self._read() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """A transaction that is committed at the end, or rolled back if an exception leaves it."""
        # SQLite has one writer: its own queue sleeps between tries and is unfair, so this process lines up here.
        async with self._turn if self.is_sqlite else contextlib.nullcontext(), self._write.begin() as session:
            yield session

    async def transact(self, work: Work[T]) -> T:
        """The result of work in a write transaction, once it is committed.

        On SQLite works that come together share a transaction, and where it fails a work is done again alone: it may
        touch nothing but its session.
        """
        if self._writer is not None:
            return await self._writer.do(work)
        async with self.write() as session:
            return await session.run_sync(work)

    async def scrub(self) -> bool:
        """Takes what was deleted out of the database's files; False where somebody is in the way: try again later.

        SQLite leaves it in free pages and in its log, which only writing the whole file anew takes away; nobody else
        writes meanwhile. PostgreSQL overwrites it by and by, after VACUUM, and nothing is done here: until then, and in
        WAL and backups until those expire, whoever can read the server's files can read it.
        """
        if not self.is_sqlite:
            return True
        async with self._turn:
            return await asyncio.to_thread(_scrub, self.url.database or "")

    async def close(self) -> None:
        """Ends all connections.

        SQLite keeps no statistics on purpose: taken while a table was small they would make it scan a big one.
        """
        await self.disconnect()
        if self._writer is not None:
            await self._writer.close()

    async def disconnect(self) -> None:
        """Gives up the connections that nobody uses; who needs one then makes a new one."""
        if self._writer is not None:
            self._writer.disconnect()
        await self.engine.dispose()


def _scrub(path: str) -> bool:
    end = time.monotonic() + _LONGEST_SCRUB
    with contextlib.closing(sqlite3.connect(path, _LOCK_TIMEOUT, isolation_level=None)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            connection.execute("VACUUM")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:  # locked, no room for a copy, or not done in time
            return False
        return not busy
