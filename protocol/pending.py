"""Remembers which commands were answered with 202, so that every API process can say where one of them went.

It is written after the signal, and only then: a crash in between loses an answer that nobody got. What became of the
command is never here but in its receipt.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists
from sqlalchemy.orm import Session

from db.tables import QueuedRow, ReceiptRow
from db.upsert import insert_missing
from domain.commands import Command
from protocol.clock import Now
from protocol.errors import KeyReused
from protocol.read_model import ReadModel, SqlDown

_MOST_RECENT: Final = 10_000
_KEPT: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Queued:
    """Durable, but nobody has said yet what becomes of it. `digest` is that of what was asked for."""

    command_id: str
    issue: str
    digest: str


class Queue:
    """See the module. While the database is away, this process remembers its own."""

    def __init__(self, model: ReadModel, now: Now) -> None:
        self._model = model
        self._now = now
        self._recent: OrderedDict[str, Queued] = OrderedDict()

    async def add(self, queued: Queued) -> None:
        self._recent[queued.command_id] = queued
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)
        at = self._now()
        with suppress(SqlDown):
            await self._model.write(lambda session: _insert(session, queued, at))

    async def find(self, command: str) -> Queued | None:
        """Raises SqlDown where only the database could know."""
        if (recent := self._recent.get(command)) is not None:
            return recent
        async with self._model.read() as session:
            row = await session.get(QueuedRow, command)
            return None if row is None else Queued(command, row.issue, row.digest)

    async def check(self, issue: str, command: Command) -> None:
        """Raises KeyReused if another command waits under this id."""
        with suppress(SqlDown):
            known = await self.find(command.id)
            if known is not None and known != Queued(command.id, issue, command.digest):
                raise KeyReused("the key was used for another command")

    async def drop(self, command: str) -> None:
        """Forgets one whose receipt has been seen."""
        self._recent.pop(command, None)
        with suppress(SqlDown):
            await self._model.write(lambda session: _delete(session, command))


def _insert(session: Session, queued: Queued, at: datetime) -> None:
    # Most who were told to wait never ask again.
    is_answered = exists().where(ReceiptRow.command_id == QueuedRow.command_id)
    session.execute(delete(QueuedRow).where(QueuedRow.at < at - _KEPT, is_answered))
    values = {"command_id": queued.command_id, "issue": queued.issue, "digest": queued.digest, "at": at}
    insert_missing(session, QueuedRow, [values])


def _delete(session: Session, command: str) -> None:
    session.execute(delete(QueuedRow).where(QueuedRow.command_id == command))
