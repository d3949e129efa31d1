"""Copies recorded issues in SQL, since recording millions of them one by one would take hours."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine, text

from db.tables import Base
from db.upsert import table_of

COPY: Final = "k"
"""In the expressions: the number of the copy. Original rows have no dash in the id of their issue."""


def older(engine: Engine, column: str, seconds: int) -> str:
    """The expression for a time that each copy has so many seconds before the copy before it."""
    if engine.dialect.name == "sqlite":
        return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '-' || ({COPY} * {seconds}) || ' seconds')"
    return f"{column} - {COPY} * interval '{seconds} seconds'"


def copy(
    engine: Engine, first: int, last: int, tables: Mapping[type[Base], Mapping[str, str]], more: Mapping[str, str] | None = None
) -> None:  # fmt: skip
    """Adds the copies `first` to `last` of each original row, then lets the database look at what it has.

    `tables` names for each table the columns that a copy has otherwise, as SQL over the columns of the original, the
    number of the copy, and the expressions that `more` names. The first of them is the one by whose dash copies are told.
    """
    numbers = f"WITH RECURSIVE n({COPY}) AS (SELECT {first} UNION ALL SELECT {COPY} + 1 FROM n WHERE {COPY} < {last})"
    named = "".join(f", {expression} AS {name}" for name, expression in (more or {}).items())
    with engine.begin() as connection:
        for row, other in tables.items():
            table, key = table_of(row), next(iter(other))
            names = [str(column.name) for column in table.columns]
            chosen = ", ".join(other.get(name, name) for name in names)
            rows = f"SELECT {table.name}.*, {COPY}{named} FROM {table.name} CROSS JOIN n WHERE {key} NOT LIKE '%-%'"
            statement = (
                f"INSERT INTO {table.name} ({', '.join(names)}) {numbers} SELECT {chosen} FROM ({rows}) AS original"
            )
            connection.execute(text(statement.replace(":", r"\:")))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("PRAGMA optimize" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))
