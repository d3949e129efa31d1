"""Keeps the pending commands, those that were answered with 202, so that every API process can find their issues.

A command is noted here after its signal, never before: a crash in between loses only an answer that nobody got. What
became of a command is told by its receipt, never here.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.tables import QueuedRow, ReceiptRow
from db.upsert import insert_missing
from protocol.clock import Now
from protocol.read_model import ReadModel, SqlDown

_MOST_RECENT: Final = 10_000
_KEPT: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Queued:
    """A command that is durable and has no receipt yet, its issue and its digest."""

    command_id: str
    issue: str
    digest: str


class PendingCommands:
    """Adds, finds and drops pending commands. While the database is down, it knows only those of this process."""

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
        """The pending command of this id. Raises SqlDown if this process does not know it and the database is down."""
        if (recent := self.recent(command)) is not None:
            return recent
        async with self._model.read() as session:
            return await stored(session, command)

    def recent(self, command: str) -> Queued | None:
        """The pending command of this id, if it was this process that answered the command with 202."""
        return self._recent.get(command)

    async def drop(self, command: str) -> None:
        """Removes a command, which has a receipt now, from the pending ones."""
        self._recent.pop(command, None)
        with suppress(SqlDown):
            await self._model.write(lambda session: _delete(session, command))


async def stored(session: AsyncSession, command: str) -> Queued | None:
    """The pending command of this id, from the database."""
    row = await session.get(QueuedRow, command)
    return None if row is None else Queued(command, row.issue, row.digest)


def _insert(session: Session, queued: Queued, at: datetime) -> None:
    # Most clients never ask for the receipt of a command that was queued.
    is_answered = exists().where(ReceiptRow.command_id == QueuedRow.command_id)
    session.execute(delete(QueuedRow).where(QueuedRow.at < at - _KEPT, is_answered))
    values = {"command_id": queued.command_id, "issue": queued.issue, "digest": queued.digest, "at": at}
    insert_missing(session, QueuedRow, [values])


def _delete(session: Session, command: str) -> None:
    session.execute(delete(QueuedRow).where(QueuedRow.command_id == command))
