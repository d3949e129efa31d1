"""The database connection: one engine per process, whose read and write transactions behave alike on SQLite and
PostgreSQL.

SQLite's driver begins transactions late, so two writers can read the same row and lose an update. Here writers begin
with ``BEGIN IMMEDIATE`` and readers with a plain ``BEGIN``, which gives both a snapshot.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor, ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from db.writer import GroupWriter, Work
from runtime.sqlite import is_read_only

T = TypeVar("T")

_BEGIN: Final = "jiesu_begin"
WRITE: Final[dict[str, Any]] = {_BEGIN: "BEGIN IMMEDIATE"}
_LOCK_TIMEOUT: Final = 10.0
"""Seconds that an SQLite connection waits for another process that writes."""
_WRITER_LOCK_TIMEOUT: Final = 2.0
"""Seconds that the writer thread waits for another process that writes. Shorter, since other works queue behind this
one, and a failed record is retried anyway."""
_LONGEST_SCRUB: Final = 60.0
"""Seconds that rewriting an SQLite file may take; other writers wait meanwhile."""
_STEPS: Final = 100_000
"""Instructions of SQLite's virtual machine between two checks whether `_LONGEST_SCRUB` is over."""
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
    """The URL of a database with Jiesu's driver in it, from ``sqlite:///x`` or ``postgresql://x``.

    Raises ValueError for any other kind of database.
    """
    found = make_url(url)
    match found.get_backend_name():
        case "sqlite":
            return found.set(drivername="sqlite+aiosqlite")
        case "postgresql":
            return found.set(drivername="postgresql+psycopg")
        case other:
            raise ValueError(f"no database of kind {other!r}: use sqlite or postgresql")


def _existing(url: URL) -> URL:
    """The URL by which SQLite opens a file that is there, and makes none: `db.upgrade` alone makes databases.

    A process that goes on while its file is gone would make an empty one, which the file that is put back then meets.
    """
    if url.database in (None, "", ":memory:"):
        return url
    return url.set(database=_rw(url.database), query={**url.query, "uri": "true"})


def _rw(path: str) -> str:
    return f"file:{quote(path)}?mode=rw"


def make_engine(url: str | URL) -> AsyncEngine:
    """The engine for a database, with SQLite's settings made on each connection.

    Errors hide the parameters of their statement, since errors end up in logs and workflow histories, which must hold
    nothing personal.
    """
    target = normalised(url)
    if target.get_backend_name() == "sqlite":
        engine = create_async_engine(_existing(target), pool_size=8, max_overflow=24, hide_parameters=True)
        prepare_sqlite(engine.sync_engine)
        return engine
    engine = create_async_engine(
        target, pool_size=10, max_overflow=20, pool_pre_ping=True, hide_parameters=True, connect_args=_POSTGRES
    )
    event.listen(engine.sync_engine, "handle_error", _replace_if_ping_fails)
    return engine


def _replace_if_ping_fails(context: ExceptionContext) -> None:
    """Replaces a pooled connection whose ping fails for any reason. SQLAlchemy does so only if the connection is closed.

    A connection can be open and of no use: in the midst of a query, if waiting for the answer failed.
    """
    if context.is_pre_ping:
        context.is_disconnect = True


def make_writer(url: URL) -> Engine:
    """The engine of SQLite's writer thread."""
    target = _existing(url).set(drivername="sqlite")
    # Used by that one thread, but closed by another.
    engine = create_engine(target, pool_size=1, hide_parameters=True, connect_args={"check_same_thread": False})
    prepare_sqlite(engine, _WRITER_LOCK_TIMEOUT)
    return engine.execution_options(**WRITE)


def prepare_sqlite(engine: Engine, timeout: float = _LOCK_TIMEOUT) -> None:
    """Sets up an SQLite engine: the engine, not the driver, begins transactions, and each connection gets our settings.

    `timeout`: seconds that a connection waits for another process that writes.
    """

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
        # A cancelled write leaves its transaction open, and its lock would block all other writers until the garbage
        # collector closes the connection.
        with contextlib.suppress(Exception):
            connection.rollback()

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    event.listen(engine, "invalidate", on_invalidate)


def _use_wal(cursor: DBAPICursor, timeout: float) -> None:
    """Switches the file to write-ahead logging (WAL). Retries for `timeout` seconds.

    Without retries this would fail when two connections switch a new file at once: SQLite ignores its own timeout then.
    """
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
    """The database as one process uses it: gives read and write transactions."""

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

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for a database on a server."""
        return Path(self.url.database or "") if self.is_sqlite else None

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A read-only transaction: all its queries see the database as it was at one moment."""
        async with self._read() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """A transaction that is committed at the end, or rolled back on an exception."""
        # SQLite allows one writer and polls for the lock, slowly and unfairly: the writers of this process queue here.
        turn = self._turn if self.is_sqlite else contextlib.nullcontext()
        async with self._anew_if_read_only(), turn, self._write.begin() as session:
            yield session

    async def transact(self, work: Work[T]) -> T:
        """Runs `work` in a write transaction and returns the result of `work` once the transaction is committed.

        `work` may run twice, so it must have no effect outside its session: on SQLite concurrent works share one
        transaction, and if the database fails for one of them, each is run again alone.
        """
        if self._writer is not None:
            async with self._anew_if_read_only():
                return await self._writer.do(work)
        async with self.write() as session:
            return await session.run_sync(work)

    @asynccontextmanager
    async def _anew_if_read_only(self) -> AsyncGenerator[None]:
        """Closes the idle connections if the file could not be written: it stays so while one of them is open."""
        try:
            yield
        except DBAPIError as error:
            if is_read_only(error.orig):
                await self.disconnect()
            raise

    async def scrub(self) -> bool:
        """Removes deleted data from the files of an SQLite database. Returns False if the caller must try again later.

        That is so if the database is gone or locked, its disk is full, or rewriting takes too long.

        SQLite keeps deleted data in free pages and in its WAL until the whole file is rewritten, which blocks other
        writers. On PostgreSQL this method does nothing and returns True: the server overwrites deleted data some time
        after VACUUM. Until then the data can be read from the server's files, and from its WAL and backups until these
        expire.
        """
        if not self.is_sqlite:
            return True
        async with self._turn:
            return await asyncio.to_thread(_scrub, self.url.database or "")

    async def close(self) -> None:
        """Closes all connections.

        It does not run ``PRAGMA optimize``: statistics of a table that is small today would make SQLite scan that table
        later, when it is large.
        """
        await self.disconnect()
        if self._writer is not None:
            await self._writer.close()

    async def disconnect(self) -> None:
        """Closes the idle connections; the next use opens new ones."""
        if self._writer is not None:
            self._writer.disconnect()
        await self.engine.dispose()


def _scrub(path: str) -> bool:
    end = time.monotonic() + _LONGEST_SCRUB
    try:
        opened = sqlite3.connect(_rw(path), _LOCK_TIMEOUT, isolation_level=None, uri=True)
        with contextlib.closing(opened) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            connection.execute("VACUUM")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:  # gone, locked, no room for a copy, or not done in time
        return False
    return not busy
