"""Opens the existing read model for subcommands."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import inspect, make_url

from cli.errors import Failure
from db.engine import Database
from db.tables import IssueRow
from runtime.settings import Settings


def exists(settings: Settings) -> bool:
    """Whether there is a database file; True for a database on a server."""
    return not settings.embedded_database or Path(make_url(settings.database).database or "").exists()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Database]:
    """A context with the database of this installation. If the database has no schema yet, raises Failure.

    It never creates a database file.
    """
    url = make_url(settings.database)
    where = url.database or "" if settings.embedded_database else url.render_as_string()
    missing = Failure(f"no database at {where} yet: run `jiesu up` or `jiesu db upgrade` first")
    # SQLite would create the file on connecting.
    if not exists(settings):
        raise missing
    database = Database(url)
    try:
        async with database.read() as session:
            connection = await session.connection()
            if not await connection.run_sync(lambda each: inspect(each).has_table(IssueRow.__tablename__)):
                raise missing
        yield database
    finally:
        await database.close()
