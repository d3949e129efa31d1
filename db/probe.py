"""Tries whether the database takes what is written."""

import secrets
from typing import Final

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import ProbeRow

_BYTES: Final = 16_384
"""Random, so that PostgreSQL cannot compress them; more than a page, so that the files must have room."""


async def probe(database: Database) -> None:
    """Writes a row and deletes it. Raises SQLAlchemyError or OSError if the database does not take it."""
    data = secrets.token_hex(_BYTES)

    def work(session: Session) -> None:
        session.execute(insert(ProbeRow).values(data=data))
        session.execute(delete(ProbeRow))

    await database.transact(work)
