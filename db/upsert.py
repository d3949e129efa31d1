"""Inserts that accept that a row may be there already, in the dialect of the session's database."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Base


def is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


async def insert_missing(session: AsyncSession, row: type[Base], values: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows whose key is new and leaves the others as they are."""
    if values:
        insert = sqlite.insert if is_sqlite(session) else postgresql.insert
        await session.execute(insert(_table(row)).on_conflict_do_nothing(), list(values))


async def upsert(session: AsyncSession, row: type[Base], values: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows, or sets the values of those whose primary key is there already."""
    if not values:
        return
    table = _table(row)
    keys = [column.name for column in table.primary_key]
    insert = sqlite.insert if is_sqlite(session) else postgresql.insert
    statement = insert(table)
    changes = {name: statement.excluded[name] for name in values[0] if name not in keys}
    await session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), list(values))


def _table(row: type[Base]) -> Table[Any]:
    return cast("Table[Any]", row.__table__)
