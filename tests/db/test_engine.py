"""Transactions: a write is stored whole or not at all, and no update is lost."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from db.engine import Database, normalised
from db.tables import PolicyRow
from db.upgrade import upgrade, upgrade_async
from support import faults
from support.databases import sqlite_url
from support.stories import Story, store


def policy(digest: str, version: int = 0) -> dict[str, object]:
    return {"digest": digest, "id": "p", "version": version, "body": {}}


async def count(database: Database) -> int | None:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(PolicyRow))


async def test_a_failed_transaction_leaves_nothing(database: Database):
    async def fail():
        async with database.write() as session:
            await session.execute(insert(PolicyRow).values(policy("a")))
            raise RuntimeError("meant")

    with pytest.raises(RuntimeError, match="meant"):
        await fail()
    assert await count(database) == 0


async def test_read_modify_write_of_two_processes_loses_nothing(database: Database):
    other = Database(database.url)
    async with database.write() as session:
        await session.execute(insert(PolicyRow).values(policy("a")))

    async def increment(which: Database):
        for _ in range(10):
            async with which.write() as session:
                row = await session.scalar(select(PolicyRow).with_for_update())
                assert row is not None
                await asyncio.sleep(0)
                row.version += 1

    await asyncio.gather(increment(database), increment(other), increment(database))
    async with database.read() as session:
        assert await session.scalar(select(PolicyRow.version)) == 30
    await other.close()


async def test_a_reader_sees_one_moment(database: Database):
    async with database.read() as reader:
        before = await reader.scalar(select(func.count()).select_from(PolicyRow))
        async with database.write() as writer:
            await writer.execute(insert(PolicyRow).values(policy("a")))
        assert await reader.scalar(select(func.count()).select_from(PolicyRow)) == before
    assert await count(database) == 1


async def test_errors_do_not_show_what_was_written(database: Database):
    async with database.write() as session:
        await session.execute(insert(PolicyRow).values(policy("a")))
    with pytest.raises(DBAPIError) as caught:
        async with database.write() as session:
            await session.execute(insert(PolicyRow).values({**policy("a"), "id": "13800000000"}))
    assert "13800000000" not in str(caught.value)


async def test_sqlite_connections_set_their_pragmas(database: Database):
    if not database.is_sqlite:
        pytest.skip("SQLite only")
    wanted = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 10000}
    async with database.read() as session:
        found = {name: await session.scalar(text(f"PRAGMA {name}")) for name in wanted}
    assert found == wanted


def test_a_new_file_that_somebody_writes_to_is_waited_for(tmp_path: Path):
    """Whoever makes the file first has it locked before it is in WAL mode; SQLite's own patience does not hold then."""
    path = tmp_path / "new.db"
    first = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    first.execute("BEGIN IMMEDIATE")
    first.execute("CREATE TABLE theirs (x)")
    release = threading.Timer(0.3, lambda: first.execute("COMMIT"))
    release.start()
    upgrade(f"sqlite:///{path}")
    release.join()
    first.close()
    with contextlib.closing(sqlite3.connect(path)) as later:
        assert later.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite"),
        ("postgresql://h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg"),
    ],
)
def test_urls_get_our_driver(given: str, driver: str):
    assert normalised(given).drivername == driver


def test_other_databases_are_refused():
    with pytest.raises(ValueError, match="sqlite or postgresql"):
        normalised("mysql://h/d")


async def test_a_write_that_is_cancelled_keeps_nobody_else_from_writing(tmp_path: Path) -> None:
    """Wherever the cancellation strikes, its lock is gone: the next write does not run into the busy timeout."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'cancelled.db'}"
    await asyncio.to_thread(upgrade, url)
    database, other = Database(url), Database(url)
    try:
        for moment in range(60):
            cut = Story()
            writing = asyncio.create_task(store(database, cut, cut.reported()))
            await asyncio.sleep(moment / 3000)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            whole = Story()
            await store(other, whole, whole.reported())
            async with other.read() as session:
                assert (
                    await session.scalar(text("SELECT count(*) FROM events WHERE issue = :id"), {"id": whole.id}) == 2
                )
    finally:
        await database.close()
        await other.close()


async def test_a_pooled_connection_that_is_busy_is_replaced(database: Database) -> None:
    """A query that was cut off may leave its connection in the midst of it; whoever gets that one next is served."""
    if database.is_sqlite:
        pytest.skip("PostgreSQL only")
    other = Database(database.url)
    try:
        async with other.read() as session:
            raw = await (await session.connection()).get_raw_connection()
            assert isinstance(raw.driver_connection, psycopg.AsyncConnection)
            connection = raw.driver_connection
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE
        assert await count(other) == 0
        assert connection.closed
    finally:
        await other.close()


HOLDS = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM policies'); print(flush=True); input()"


@contextlib.contextmanager
def held(file: Path | None) -> Iterator[None]:
    """Another process has the file and its log open: nobody could make the log on a read-only disk."""
    argv = [sys.executable, "-c", HOLDS, str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate(b"\n")


async def test_a_database_opened_on_a_read_only_disk_takes_writes_once_the_disk_does(tmp_path: Path):
    """What SQLite opened for reading stays so while any connection of the process is open, so none is kept."""
    url = sqlite_url(tmp_path)
    await upgrade_async(url)
    database = Database(url)
    with held(database.file):
        with faults.read_only(tmp_path):
            assert await count(database) == 0
            with pytest.raises(DBAPIError, match="readonly"):
                await database.transact(lambda session: session.execute(insert(PolicyRow).values(policy("a"))))
            assert await count(database) == 0
            with pytest.raises(DBAPIError, match="readonly"):
                async with database.write() as session:
                    await session.execute(insert(PolicyRow).values(policy("a")))
        await database.transact(lambda session: session.execute(insert(PolicyRow).values(policy("b"))))
        async with database.write() as session:
            await session.execute(insert(PolicyRow).values(policy("c")))
    assert await count(database) == 2
    await database.close()


async def test_a_file_that_is_gone_is_not_made_anew_and_works_again_once_it_is_back(tmp_path: Path) -> None:
    """A process that goes on without its file would else make an empty one, beside whose WAL the old file then lies."""
    url = sqlite_url(tmp_path / "a b")
    file = tmp_path / "a b" / "jiesu.db"
    file.parent.mkdir()
    await upgrade_async(url)
    database = Database(url)
    async with database.write() as session:
        await session.execute(insert(PolicyRow).values(policy("a")))
    await database.close()
    kept = file.read_bytes()
    file.unlink()
    database = Database(url)
    with pytest.raises(DBAPIError, match="unable to open"):
        await count(database)
    with pytest.raises(DBAPIError, match="unable to open"):
        await database.transact(lambda session: session.execute(insert(PolicyRow).values(policy("b"))))
    assert not await database.scrub()
    assert os.listdir(file.parent) == []  # noqa: PTH208  there is no such iterator for coroutines
    file.write_bytes(kept)
    assert await count(database) == 1
    await database.close()
