"""Upgrades the schema of a database, and checks whether the schema is current. It needs no alembic.ini and no checkout.

All steps run in one transaction, on SQLite as well; of two concurrent upgrades the second waits for the first.
"""

import asyncio
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import WRITE, normalised, prepare_sqlite

SCRIPTS: Final = Path(__file__).resolve().parent / "migrations"
_LOCK: Final = 0x6A69657375  # one upgrade at a time


class SchemaError(SQLAlchemyError):
    """The schema of the database is that of a newer version of Jiesu, which this version does not know."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's settings; `db/migrations/env.py` takes the connection from them."""
    found = Config()
    found.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    found.attributes["connection"] = connection
    return found


@cache
def head() -> str | None:
    """The newest revision that this code knows. Found out once: to ask runs every migration's module anew."""
    return ScriptDirectory.from_config(config()).get_current_head()


def upgrade(url: str | URL) -> None:
    """Upgrades the database to the newest revision, or creates its schema. Blocks. Raises SchemaError."""
    engine = make_sync_engine(url)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            if (revision := _revision(connection)) is not None and not _is_known(revision):
                raise SchemaError(f"the database was upgraded by a newer version: its schema is {revision}")
            command.upgrade(config(connection), "head")
    finally:
        engine.dispose()


async def upgrade_async(url: str | URL) -> None:
    """Upgrades the database to the newest revision, or creates its schema, without blocking the event loop.

    Raises SchemaError.
    """
    await asyncio.to_thread(upgrade, url)


async def is_current(session: AsyncSession) -> bool:
    """Whether the schema is at the newest revision that this code knows."""
    connection = await session.connection()
    return await connection.run_sync(_revision) == head()


def make_sync_engine(url: str | URL) -> Engine:
    """A blocking engine, for code without an event loop. Its transactions may write."""
    target = normalised(url)
    if target.get_backend_name() == "postgresql":
        return create_engine(target, hide_parameters=True)
    engine = create_engine(target.set(drivername="sqlite"), hide_parameters=True)
    prepare_sqlite(engine)
    return engine.execution_options(**WRITE)


def _is_known(revision: str) -> bool:
    return any(each.revision == revision for each in ScriptDirectory.from_config(config()).walk_revisions())


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
