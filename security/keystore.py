"""Where the keys of issues lie, wrapped by a master key: in a database of their own, apart from the read model.

A key is made once and never changes; destroyed, it leaves a tombstone, so that no other is ever made for its issue. Which
keys are still to be destroyed is on record here too: that outlives the read model.
Every use is bounded in time, and every statement is a transaction of its own: one that is given up holds no lock.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

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

PATIENCE: Final = 1.0
"""Seconds that one use may take."""
_UPKEEP: Final = 30.0
"""Seconds for what nobody waits for: the table, destroying, wrapping anew."""
_TRIES: Final = 3
_CHUNK: Final = 500
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

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
_DOOMED: Final = Table(
    "doomed_keys",
    _METADATA,
    Column("issue", Text, primary_key=True),
    Column("why", Text, nullable=False),
    Column("asked_at", Text, nullable=False),
)


class KeyStoreDown(Exception):
    """A key cannot be had now: the store, or who opens what lies in it, does not answer. Later it may."""


@dataclass(frozen=True)
class Wrapped:
    """An issue's key, encrypted by a master key."""

    master: str
    data: bytes


@dataclass(frozen=True)
class KeyRow:
    """What is known of an issue's key; one that was destroyed has no `wrapped` but a time and a reason."""

    issue: str
    wrapped: Wrapped | None
    created_at: datetime
    destroyed_at: datetime | None = None
    why: str | None = None


@dataclass(frozen=True)
class Erasure:
    """An issue whose key is to be destroyed or was, why, and since when."""

    issue: str
    why: str
    at: datetime


class Store(Protocol):
    """What a vault asks of a key store; each raises KeyStoreDown."""

    async def create(self, issue: str, wrapped: Wrapped, now: datetime) -> KeyRow: ...

    async def get(self, issue: str) -> KeyRow | None: ...

    async def destroy(self, issue: str, why: str, now: datetime) -> bool: ...

    async def doom(self, wanted: Sequence[Erasure]) -> None: ...

    async def doomed(self, after: str, limit: int) -> Sequence[Erasure]: ...

    async def tombstones(self, after: str, limit: int) -> Sequence[Erasure]: ...

    async def destroyed(self, issues: Collection[str]) -> Collection[str]: ...

    async def close(self) -> None: ...


class KeyStore:
    """The store in SQLite or PostgreSQL, for any number of processes; `prepare` it once before it is used.

    How long a destroyed key can still be dug out, by one who has the master key as well:

    SQLite: not at all from its files, once `destroy` returns; the file system's free blocks and backups are another
    matter.
    PostgreSQL: the old row stays in its page until VACUUM and later rows overwrite it (``VACUUM FULL issue_keys``
    overwrites at once), in the WAL until its segments are recycled or their archive expires, and in base backups. So
    the stated window is the longest retention among backups and archived WAL.
    On both, `security.master.rewrap_all` to a new master key and the end of the old one close the window at once: what
    is left of a destroyed key anywhere is wrapped by a key that is no more.
    """

    def __init__(self, url: str | URL, patience: float = PATIENCE) -> None:
        target = make_url(url)
        backend = target.get_backend_name()
        if backend not in _DRIVERS:
            raise ValueError(f"no key store of kind {backend!r}: use sqlite or postgresql")
        self._is_sqlite: Final = backend == "sqlite"
        self._patience = patience
        self._engine: Final = _engine(target.set(drivername=_DRIVERS[backend]), patience)

    async def prepare(self) -> None:
        """Makes the tables where there are none."""
        for left in reversed(range(_TRIES)):
            try:
                if self._is_sqlite:
                    _only_for_its_owner(self._engine.url.database)
                async with self._connection(_UPKEEP) as connection:
                    if self._is_sqlite:
                        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                    for table in _METADATA.sorted_tables:
                        await connection.execute(CreateTable(table, if_not_exists=True))
            except KeyStoreDown:  # of two processes that do it at once, both databases may tell one that it cannot
                if not left:
                    raise
                await asyncio.sleep(self._patience / 10)
            else:
                return

    async def create(self, issue: str, wrapped: Wrapped, now: datetime) -> KeyRow:
        """Stores the key unless there is one, or was; returns what there is then. It outlives a power cut."""
        row = {"wrapped": wrapped.data, "master": wrapped.master, "created_at": format_time(now)}
        async with self._connection() as connection:
            await connection.execute(self._insert(_KEYS, {"issue": issue, **row}).on_conflict_do_nothing())
            found = (await connection.execute(select(_KEYS).where(_KEYS.c.issue == issue))).one()
        return _row(found)

    async def get(self, issue: str) -> KeyRow | None:
        async with self._connection() as connection:
            found = (await connection.execute(select(_KEYS).where(_KEYS.c.issue == issue))).one_or_none()
        return None if found is None else _row(found)

    async def destroy(self, issue: str, why: str, now: datetime) -> bool:
        """Leaves a tombstone in the key's place, also where there never was a key; False where one stands already.

        `why` holds nothing personal. Raises KeyStoreDown unless the key is certainly gone: then it is asked for again.
        """
        stamp = format_time(now)
        tombstone = {"wrapped": None, "master": None, "destroyed_at": stamp, "why": why}
        insert = self._insert(_KEYS, {"issue": issue, "created_at": stamp, **tombstone})
        statement = insert.on_conflict_do_update(
            index_elements=[_KEYS.c.issue], set_=tombstone, where=_KEYS.c.destroyed_at.is_(None)
        )
        async with self._connection(_UPKEEP) as connection:
            result = await connection.execute(statement)
            if self._is_sqlite:
                await _scrub(connection)
            await connection.execute(delete(_DOOMED).where(_DOOMED.c.issue == issue))
        return result.rowcount == 1

    async def doom(self, wanted: Sequence[Erasure]) -> None:
        """Notes whose keys are to be destroyed, and were not yet; what was noted before stays as it was."""
        gone = await self.destroyed([each.issue for each in wanted])
        rest = (
            {"issue": each.issue, "why": each.why, "asked_at": format_time(each.at)}
            for each in wanted
            if each.issue not in gone
        )
        async with self._connection(_UPKEEP) as connection:
            while chunk := list(islice(rest, _CHUNK)):
                await connection.execute(self._insert(_DOOMED, chunk).on_conflict_do_nothing())

    async def doomed(self, after: str, limit: int) -> Sequence[Erasure]:
        """Those whose keys are to be destroyed, the next issues after this one."""
        query = select(_DOOMED.c.issue, _DOOMED.c.why, _DOOMED.c.asked_at).where(_DOOMED.c.issue > after)
        return await self._erasures(query.order_by(_DOOMED.c.issue).limit(limit))

    async def tombstones(self, after: str, limit: int) -> Sequence[Erasure]:
        """Those whose keys were destroyed, the next issues after this one."""
        query = select(_KEYS.c.issue, _KEYS.c.why, _KEYS.c.destroyed_at)
        query = query.where(_KEYS.c.issue > after, _KEYS.c.destroyed_at.is_not(None))
        return await self._erasures(query.order_by(_KEYS.c.issue).limit(limit))

    async def destroyed(self, issues: Collection[str]) -> set[str]:
        """Those of these issues whose keys are gone."""
        found: set[str] = set()
        rest = iter(issues)
        async with self._connection(_UPKEEP) as connection:
            while chunk := list(islice(rest, _CHUNK)):
                query = select(_KEYS.c.issue).where(_KEYS.c.issue.in_(chunk), _KEYS.c.destroyed_at.is_not(None))
                found |= set((await connection.execute(query)).scalars())
        return found

    async def _erasures(self, query: Select[str, str, str]) -> Sequence[Erasure]:
        async with self._connection(_UPKEEP) as connection:
            return [Erasure(issue, why, parse_time(at)) for issue, why, at in await connection.execute(query)]

    async def page(self, after: str, limit: int, but: str = "") -> Sequence[KeyRow]:
        """The keys of the next issues after this one, without those that master `but` has wrapped."""
        query = select(_KEYS).where(_KEYS.c.issue > after, _KEYS.c.wrapped.is_not(None), _KEYS.c.master != but)
        async with self._connection(_UPKEEP) as connection:
            rows = await connection.execute(query.order_by(_KEYS.c.issue).limit(limit))
            return [_row(row) for row in rows]

    async def replace(self, moved: Sequence[tuple[KeyRow, Wrapped]]) -> int:
        """Lays other wrappings in the place of those in the rows, all or none; how many there were still to replace.

        A key that was destroyed meanwhile stays destroyed.
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
        async with self._connection(_UPKEEP) as connection:
            return len((await connection.execute(statement)).all())

    async def masters(self) -> dict[str, int]:
        """How many keys each master has wrapped."""
        query = select(_KEYS.c.master, func.count()).where(_KEYS.c.wrapped.is_not(None)).group_by(_KEYS.c.master)
        async with self._connection(_UPKEEP) as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def close(self) -> None:
        """Gives up the connections; who needs one then makes a new one."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _connection(self, patience: float = 0.0) -> AsyncGenerator[AsyncConnection]:
        try:
            async with asyncio.timeout(patience or self._patience), self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise KeyStoreDown(type(error).__name__) from error

    def _insert(self, table: Table, rows: dict[str, Any] | list[dict[str, Any]]) -> "sqlite.Insert | postgresql.Insert":
        return (sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)).values(rows)


def _engine(url: URL, patience: float) -> AsyncEngine:
    """Errors hide the parameters of their statement: they end up in logs."""
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}
    if url.get_backend_name() == "postgresql":
        server = {"connect_timeout": 5, "keepalives_idle": 10, "application_name": "jiesu keys"}
        return create_async_engine(url, pool_pre_ping=True, connect_args=server, **options)
    engine = create_async_engine(url, **options)

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        # It gives up by itself before it is given up, so no thread is left waiting.
        cursor.execute(f"PRAGMA busy_timeout={int(patience * 800)}")
        cursor.execute("PRAGMA synchronous=FULL")  # a key outlives a power cut, as what is sealed with it will
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")  # VACUUM writes no copy beside the file
        cursor.close()

    event.listen(engine.sync_engine, "connect", on_connect)
    return engine


def _only_for_its_owner(file: str | None) -> None:
    """Makes SQLite's file, if need be, with the mode that its companions then get as well."""
    if file and file != ":memory:":
        try:
            Path(file).touch(mode=0o600)
            Path(file).chmod(0o600)
        except OSError as error:
            raise KeyStoreDown(type(error).__name__) from error


async def _scrub(connection: AsyncConnection) -> None:
    """Takes what is no more out of the files.

    `secure_delete` is not enough: where rows once moved to another page, SQLite leaves copies of them behind, which only
    writing the whole file anew takes away. At a hundred thousand keys that takes a tenth of a second.
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
