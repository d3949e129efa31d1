"""The migrations lead to exactly the schema that the code declares, on both databases."""

import asyncio
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import db.places  # noqa: F401 - declares its tables
from db.engine import Database
from db.tables import Base
from db.upgrade import SchemaError, head, is_current, make_sync_engine, upgrade, upgrade_async
from support.databases import sqlite_url
from support.postgres import fresh_database, shared_server

CATALOGUE = {
    "sqlite": (
        """SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
           FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1, c.cid""",
        "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' ORDER BY 1, 2",
        """SELECT m.name, f."table", f."from", f."to"
           FROM sqlite_master m, pragma_foreign_key_list(m.name) f ORDER BY 1""",
        "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY 1",
    ),
    "postgresql": (
        """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname,
           pg_get_expr(d.adbin, d.adrelid) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
           LEFT JOIN pg_collation l ON l.oid = a.attcollation
           LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
           ORDER BY 1, a.attnum""",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
        """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
           WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    ),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def two_urls(request: pytest.FixtureRequest, tmp_path: Path):
    """Two empty databases of one kind."""
    if request.param == "sqlite":
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        yield sqlite_url(tmp_path / "one"), sqlite_url(tmp_path / "two")
    else:
        server = shared_server(request.config)
        with fresh_database(server) as one, fresh_database(server) as two:
            yield one, two


def catalogue(connection: Connection) -> list[list[tuple[object, ...]]]:
    queries = CATALOGUE[connection.dialect.name]
    found = [[tuple(row) for row in connection.execute(text(query))] for query in queries]
    return [[row for row in rows if "alembic_version" not in str(row)] for rows in found]


def test_migrated_schema_is_the_declared_one(two_urls: tuple[str, str]):
    migrated, declared = two_urls
    upgrade(migrated)
    ours, theirs = make_sync_engine(migrated), make_sync_engine(declared)
    with ours.begin() as one, theirs.begin() as two:
        assert compare_metadata(MigrationContext.configure(one), Base.metadata) == []
        Base.metadata.create_all(two)
        for ours_part, theirs_part in zip(catalogue(one), catalogue(two), strict=True):
            assert set(ours_part) ^ set(theirs_part) == set()
            assert ours_part == theirs_part
    ours.dispose()
    theirs.dispose()


def test_upgrading_again_changes_nothing(two_urls: tuple[str, str]):
    upgrade(two_urls[0])
    engine = make_sync_engine(two_urls[0])
    with engine.begin() as connection:
        before = catalogue(connection)
    upgrade(two_urls[0])
    with engine.begin() as connection:
        assert catalogue(connection) == before
    engine.dispose()


def test_the_schema_of_a_newer_version_is_left_alone(two_urls: tuple[str, str]):
    upgrade(two_urls[0])
    engine = make_sync_engine(two_urls[0])
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="by a newer version: its schema is 9999"):
        upgrade(two_urls[0])
    engine.dispose()


def test_concurrent_upgrades_take_turns(two_urls: tuple[str, str]):
    failures: list[Exception] = []

    def run():
        try:
            upgrade(two_urls[0])
        except Exception as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


async def test_a_database_knows_whether_its_schema_is_current(two_urls: tuple[str, str]):
    database = Database(two_urls[0])
    if database.file is not None:
        database.file.touch()
    async with database.read() as session:
        assert not await is_current(session)
    await upgrade_async(two_urls[0])
    async with database.read() as session:
        assert await is_current(session)
    assert head() is not None
    await asyncio.wait_for(database.close(), 90)
