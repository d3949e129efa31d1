"""Finds values that the database holds in another form than Jiesu writes: they read as the same, and no query finds them.

A truth stored as 2, or a time with other digits, falls out of indexes and filters and thereby out of every list; a JSON
object with a key given twice says one thing to Jiesu and another to whoever reads the table with other tools.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from sqlalchemy import select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import NullType

from db.tables import Base

_TABLES: Final = ("issues", "events", "receipts", "voices", "archive", "attachments", "erasures")


async def strange_forms(session: AsyncSession, issue: str) -> AsyncIterator[tuple[str, str]]:
    """``(table, column)`` of each such value in the rows of an issue. Raises ValueError for one that cannot be read."""
    for name in _TABLES:
        table = Base.metadata.tables[name]
        of = table.c["id" if name == "issues" else "issue"]
        columns = list(table.columns)
        as_stored = [type_coerce(each, NullType()).label(f"stored_{each.name}") for each in columns]
        found = await session.execute(select(*columns, *as_stored).where(of == issue))
        dialect = session.get_bind().dialect
        written = [each.type.dialect_impl(dialect).bind_processor(dialect) for each in columns]
        odd: dict[str, None] = {}
        for row in found:
            values: tuple[Any, ...] = tuple(row)
            for column, write, value, stored in zip(columns, written, values, values[len(columns) :], strict=False):
                ours = value if write is None else write(value)
                if type(ours) is not type(stored) or ours != stored:
                    odd[column.name] = None
        for column_name in odd:
            yield name, column_name
