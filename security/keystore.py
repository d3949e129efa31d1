"""The key store: the keys of issues, wrapped (encrypted) by a master key, in a database of their own.

The key of an issue is created once and never changes. A destroyed key leaves a tombstone, so that its issue never gets
another key. Requests to erase an issue are kept here, too, so that they survive the loss of the read model.
Every use has a timeout, and every statement is its own transaction, so a timeout leaves no lock.
"""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import (
    URL,
    CheckConstraint,
    Column,
    LargeBinary,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    column,
    delete,
    event,
    func,
    make_url,
    select,
    update,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateTable

from domain.wire import format_time, parse_time
from runtime.causes import AWAY, DAMAGED, cause_of, sentence
from runtime.schema import strange_objects
from runtime.sqlite import reopen_read_only

_USE_TIMEOUT: Final = 1.0
"""The most seconds that one use takes, so that a slow key store holds up no request for long."""
_UPKEEP_TIMEOUT: Final = 30.0
"""How many seconds maintenance may take, for which no request waits: making tables, destroying and rewrapping keys."""
_TRIES: Final = 3
_CHUNK: Final = 500
_REMEMBERED: Final = 60.0
"""Seconds for which a damaged page is remembered."""
_PROBE_BYTES: Final = 16_384
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

log: Final = structlog.stdlib.get_logger(__name__)

_METADATA: Final = MetaData()
_KEYS: Final = Table(
    "issue_keys",
    _METADATA,
    Column("issue", Text, primary_key=True),
    Column("wrapped", LargeBinary),
    Column("master", Text),
    Column("created_at", Text, nullable=False),
    Column("destroyed_at", Text),
    Column("why", Text),
    CheckConstraint("(destroyed_at IS NULL) = (wrapped IS NOT NULL)", name="key_or_tombstone"),
)
_PROBES: Final = Table("probes", _METADATA, Column("data", LargeBinary, nullable=False))
"""What a trial of the store writes and deletes."""
_REQUESTED: Final = Table(
    "doomed_keys",
    _METADATA,
    Column("issue", Text, primary_key=True),
    Column("why", Text, nullable=False),
    Column("asked_at", Text, nullable=False),
)


class KeyStoreDown(Exception):
    """A key is unavailable for now, of the key store or of the KMS. `cause` is one of `runtime.causes`."""

    def __init__(self, message: str, cause: str = AWAY) -> None:
        super().__init__(message)
        self.cause: Final = cause

    @property
    def detail(self) -> str:
        """What is wrong, for people."""
        return sentence("the key store", self.cause)


@dataclass(frozen=True)
class Wrapped:
    """The key of an issue, encrypted by the master key with the id `master`."""

    master: str
    data: bytes


@dataclass(frozen=True)
class KeyRow:
    """The key of an issue, or the tombstone of a destroyed key: no `wrapped`, but `destroyed_at` and `why`."""

    issue: str
    wrapped: Wrapped | None
    created_at: datetime
    destroyed_at: datetime | None = None
    why: str | None = None


@dataclass(frozen=True)
class Erasure:
    """A request to destroy the key of an issue, or the fact that it was destroyed: `why`, and when (`at`)."""

    issue: str
    why: str
    at: datetime


class Store(Protocol):
    """The methods of a key store that a vault uses. Each method raises KeyStoreDown."""

    async def create(self, issue: str, wrapped: Wrapped, now: datetime) -> KeyRow: ...

    async def get(self, issue: str) -> KeyRow | None: ...

    async def destroy(self, issue: str, why: str, now: datetime) -> bool: ...

    async def request_erasures(self, wanted: Sequence[Erasure]) -> None: ...

    async def requested_erasures(self, after: str, limit: int) -> Sequence[Erasure]: ...

    async def tombstones(self, after: str, limit: int) -> Sequence[Erasure]: ...

    async def destroyed(self, issues: Collection[str]) -> Collection[str]: ...

    async def probe(self) -> None: ...

    async def close(self) -> None: ...

    @property
    def file(self) -> Path | None: ...


class KeyStore:
    """The key store in SQLite or PostgreSQL, for any number of processes. Call `prepare` once before use.

    How long a destroyed key can be recovered by somebody who also has the master key:

    SQLite: from its files not any more, once `destroy` returns; perhaps from free blocks of the disk, and from backups.
    PostgreSQL: from the table's page until VACUUM and later rows overwrite it (``VACUUM FULL issue_keys`` does that at
    once), from the WAL until its segments are recycled or their archive expires, and from base backups. So the time to
    state to people is the longest retention of backups and archived WAL.
    On both the key is gone at once if all keys are rewrapped by a new master key (`security.master.rewrap_all`) and the
    old master key is removed: every copy left is wrapped by a master key that no longer exists.
    """

    def __init__(self, url: str | URL, patience: float = _USE_TIMEOUT) -> None:
        """`patience`: how many seconds one use for a request may take."""
        target = make_url(url)
        backend = target.get_backend_name()
        if backend not in _DRIVERS:
            raise ValueError(f"no key store of kind {backend!r}: use sqlite or postgresql")
        self._is_sqlite: Final = backend == "sqlite"
        self._patience: Final = patience
        self._damaged_until: float = -math.inf
        self._engine: Final = _engine(target.set(drivername=_DRIVERS[backend]), patience)

    async def prepare(self) -> None:
        """Creates the tables that are missing."""
        for left in reversed(range(_TRIES)):
            try:
                if self._is_sqlite:
                    _only_for_its_owner(self._engine.url.database)
                async with self._connection(_UPKEEP_TIMEOUT) as connection:
                    if self._is_sqlite:
                        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                    for table in _METADATA.sorted_tables:
                        await connection.execute(CreateTable(table, if_not_exists=True))
            except KeyStoreDown:  # one of two concurrent processes may fail
                if not left:
                    raise
                await asyncio.sleep(_USE_TIMEOUT / 10)
            else:
                return

    async def create(self, issue: str, wrapped: Wrapped, now: datetime) -> KeyRow:
        """Stores the key durably, unless the issue has a key or a tombstone; returns the stored row."""
        row = {"wrapped": wrapped.data, "master": wrapped.master, "created_at": format_time(now)}
        async with self._connection() as connection:
            await connection.execute(self._insert(_KEYS, {"issue": issue, **row}).on_conflict_do_nothing())
            found = (await connection.execute(select(_KEYS).where(_KEYS.c.issue == issue))).one()
        return _row(found)

    async def get(self, issue: str) -> KeyRow | None:
        return (await self.several([issue])).get(issue)

    async def several(self, issues: Collection[str]) -> dict[str, KeyRow]:
        """The rows of those of these few issues that have one."""
        async with self._connection() as connection:
            rows = await connection.execute(select(_KEYS).where(_KEYS.c.issue.in_(issues)))
            return {row.issue: _row(row) for row in rows}

    async def destroy(self, issue: str, why: str, now: datetime) -> bool:
        """Puts a tombstone in the place of the key, even if the issue has no key; False if it has a tombstone already.

        `why` must hold nothing personal. Raises KeyStoreDown unless the key is certainly gone: then call it again.
        """
        stamp = format_time(now)
        tombstone = {"wrapped": None, "master": None, "destroyed_at": stamp, "why": why}
        insert = self._insert(_KEYS, {"issue": issue, "created_at": stamp, **tombstone})
        statement = insert.on_conflict_do_update(
            index_elements=[_KEYS.c.issue], set_=tombstone, where=_KEYS.c.destroyed_at.is_(None)
        )
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            result = await connection.execute(statement)
            if self._is_sqlite:
                await _scrub(connection)
            await connection.execute(delete(_REQUESTED).where(_REQUESTED.c.issue == issue))
        return result.rowcount == 1

    async def request_erasures(self, wanted: Sequence[Erasure]) -> None:
        """Stores requests to destroy keys.

        Left out are issues whose key is destroyed already, and those with an earlier request, which stays as it is.
        """
        gone = await self.destroyed([each.issue for each in wanted])
        rest = (
            {"issue": each.issue, "why": each.why, "asked_at": format_time(each.at)}
            for each in wanted
            if each.issue not in gone
        )
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            while chunk := list(islice(rest, _CHUNK)):
                await connection.execute(self._insert(_REQUESTED, chunk).on_conflict_do_nothing())

    async def requested_erasures(self, after: str, limit: int) -> Sequence[Erasure]:
        """The first `limit` open requests for issues with an id greater than `after`, in the order of ids."""
        query = select(_REQUESTED.c.issue, _REQUESTED.c.why, _REQUESTED.c.asked_at).where(_REQUESTED.c.issue > after)
        return await self._erasures(query.order_by(_REQUESTED.c.issue).limit(limit))

    async def tombstones(self, after: str, limit: int) -> Sequence[Erasure]:
        """The first `limit` destroyed keys of issues with an id greater than `after`, in the order of ids."""
        query = select(_KEYS.c.issue, _KEYS.c.why, _KEYS.c.destroyed_at)
        query = query.where(_KEYS.c.issue > after, _KEYS.c.destroyed_at.is_not(None))
        return await self._erasures(query.order_by(_KEYS.c.issue).limit(limit))

    async def destroyed(self, issues: Collection[str]) -> set[str]:
        """Those of the given issues whose keys are destroyed."""
        found: set[str] = set()
        rest = iter(issues)
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            while chunk := list(islice(rest, _CHUNK)):
                query = select(_KEYS.c.issue).where(_KEYS.c.issue.in_(chunk), _KEYS.c.destroyed_at.is_not(None))
                found |= set((await connection.execute(query)).scalars())
        return found

    async def _erasures(self, query: Select[str, str, str]) -> Sequence[Erasure]:
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            return [Erasure(issue, why, parse_time(at)) for issue, why, at in await connection.execute(query)]

    async def page(self, after: str, limit: int, without: str = "") -> Sequence[KeyRow]:
        """The first `limit` keys of issues with an id greater than `after`, in the order of ids.

        Keys that the master key `without` wraps are left out.
        """
        query = select(_KEYS).where(_KEYS.c.issue > after, _KEYS.c.wrapped.is_not(None), _KEYS.c.master != without)
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            rows = await connection.execute(query.order_by(_KEYS.c.issue).limit(limit))
            return [_row(row) for row in rows]

    async def replace(self, moved: Sequence[tuple[KeyRow, Wrapped]]) -> int:
        """Stores each of these keys as wrapped anew, in one transaction, and returns how many were replaced.

        A key that has changed or was destroyed meanwhile is left as it is.
        """
        parts = (column("issue", Text), column("old", LargeBinary), column("data", LargeBinary), column("by", Text))
        data = [(row.issue, row.wrapped.data, to.data, to.master) for row, to in moved if row.wrapped is not None]
        if not data:
            return 0
        new = values(*parts, name="moved").data(data).cte("moved")
        statement = (
            update(_KEYS)
            .values(wrapped=new.c.data, master=new.c.by)
            .where(_KEYS.c.issue == new.c.issue, _KEYS.c.wrapped == new.c.old)
            .returning(_KEYS.c.issue)
        )
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            return len((await connection.execute(statement)).all())

    async def masters(self) -> dict[str, int]:
        """The number of issue keys that each master key wraps, by the id of the master key."""
        query = select(_KEYS.c.master, func.count()).where(_KEYS.c.wrapped.is_not(None)).group_by(_KEYS.c.master)
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def probe(self) -> None:
        """Tries whether the store can be read and takes what is written. Raises KeyStoreDown.

        A store of which a page was found damaged counts as damaged for a minute: a trial reaches few pages.
        """
        if time.monotonic() < self._damaged_until:
            raise KeyStoreDown("a page was damaged", DAMAGED)
        async with self._connection() as connection:
            for order in (_KEYS.c.issue, _KEYS.c.issue.desc()):
                await connection.execute(select(_KEYS.c.wrapped).order_by(order).limit(1))
            await connection.execute(self._insert(_PROBES, {"data": secrets.token_bytes(_PROBE_BYTES)}))
            await connection.execute(delete(_PROBES))

    async def strange_objects(self) -> list[str]:
        """As `runtime.schema.strange_objects`."""
        async with self._connection(_UPKEEP_TIMEOUT) as connection:
            return await connection.run_sync(strange_objects)

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for a store on a server."""
        return Path(self._engine.url.database or "") if self._is_sqlite else None

    async def close(self) -> None:
        """Closes the connections; the next use opens new ones."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _connection(self, timeout: float | None = None) -> AsyncGenerator[AsyncConnection]:
        try:
            async with asyncio.timeout(timeout or self._patience), self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            cause = cause_of(error)
            if cause == DAMAGED:
                self._damaged_until = time.monotonic() + _REMEMBERED
            log.warning("key_store_fails", cause=cause, error=type(error).__name__)
            raise KeyStoreDown(type(error).__name__, cause) from error

    def _insert(self, table: Table, rows: dict[str, Any] | list[dict[str, Any]]) -> "sqlite.Insert | postgresql.Insert":
        return (sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)).values(rows)


def _engine(url: URL, patience: float) -> AsyncEngine:
    """The database engine. Its errors do not show the parameters of statements, because errors are logged."""
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}
    if url.get_backend_name() == "postgresql":
        server = {"connect_timeout": 5, "keepalives_idle": 10, "application_name": "jiesu keys"}
        return create_async_engine(url, pool_pre_ping=True, connect_args=server, **options)
    engine = create_async_engine(url, **options)
    reopen_read_only(engine.sync_engine)

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        # Below the timeout of a use, so that SQLite gives up first and leaves no thread waiting.
        cursor.execute(f"PRAGMA busy_timeout={int(patience * 800)}")
        cursor.execute("PRAGMA synchronous=FULL")  # a key survives a power cut, as the texts sealed with it do
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")  # VACUUM writes no copy beside the file
        cursor.close()

    event.listen(engine.sync_engine, "connect", on_connect)
    return engine


def _only_for_its_owner(file: str | None) -> None:
    """Gives SQLite's file mode 0600, which its WAL files inherit; creates it if missing."""
    if file and file != ":memory:":
        try:
            Path(file).touch(mode=0o600)
            Path(file).chmod(0o600)
        except OSError as error:
            raise KeyStoreDown(type(error).__name__, cause_of(error)) from error


async def _scrub(connection: AsyncConnection) -> None:
    """Removes what was deleted from SQLite's files for good, by rewriting the whole file.

    The option `secure_delete` is not enough: SQLite leaves copies of rows that it moved to another page. With a hundred
    thousand keys rewriting takes a tenth of a second.
    """
    await connection.exec_driver_sql("VACUUM")
    busy, *_ = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
    if busy:
        raise KeyStoreDown("somebody reads the database, so what was destroyed is still in its log")


def _row(found: Row[Any]) -> KeyRow:
    return KeyRow(
        found.issue,
        None if found.wrapped is None else Wrapped(found.master, found.wrapped),
        parse_time(found.created_at),
        None if found.destroyed_at is None else parse_time(found.destroyed_at),
        found.why,
    )
