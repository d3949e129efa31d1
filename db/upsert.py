"""Inserts rows of which some may exist already, in the SQL of the session's database."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.tables import Base


def is_sqlite(session: AsyncSession | Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def insert_missing(session: Session, row: type[Base], values: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows that do not exist yet. A row whose key exists stays as it is."""
    if values:
        session.connection().execute(_missing(row, sqlite_=is_sqlite(session)), list(values))


def upsert(session: Session, row: type[Base], values: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows, or updates those whose primary key exists."""
    if values:
        statement = _upsert(row, tuple(values[0]), sqlite_=is_sqlite(session))
        session.connection().execute(statement, list(values))


# Cached: building these statements takes longer than running them.


@cache
def _missing(row: type[Base], *, sqlite_: bool) -> Insert:
    insert = sqlite.insert if sqlite_ else postgresql.insert
    return insert(table_of(row)).on_conflict_do_nothing()


@cache
def _upsert(row: type[Base], names: tuple[str, ...], *, sqlite_: bool) -> Insert:
    table = table_of(row)
    keys = [column.name for column in table.primary_key]
    statement = (sqlite.insert if sqlite_ else postgresql.insert)(table)
    changes = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changes)


def table_of(row: type[Base]) -> Table[Any]:
    return cast("Table[Any]", row.__table__)
