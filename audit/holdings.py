"""Reads everything that an installation holds of its issues for an auditor: the log, the archive and the SQL rows."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from audit.archive import Archive, ArchiveError, parse_history
from audit.case import ArchivedCase, Leaf, Rows
from audit.log import bare_leaves, digest_in, leaf_from
from audit.refold import Refolded, refold
from audit.stored_forms import strange_forms
from db.engine import Database
from db.tables import ArchiveRow, ErasureRow, EventRow, IssueRow, ReceiptRow, SealRow, VoiceRow
from domain.issue import Receipt
from domain.wire import dump
from texts.catalogue import Wrong

T = TypeVar("T")
_CHUNK: Final = 500


class NotYetError(Wrong):
    """What was asked for does not exist yet, or not any more: the issue is not sealed, no head covers it, it was erased."""


class UnknownError(LookupError):
    """Nothing is held here of the issue; the message names the issue."""


class Holdings:
    """What a database and an archive hold. With ``rows=False`` the read model (rows, events and receipts in SQL) is not
    read.
    """

    def __init__(self, database: Database, archive: Archive, *, rows: bool = True) -> None:
        self.database: Final = database
        self.archive: Final = archive
        self.rows: Final = rows

    async def cases(self, issues: Sequence[str]) -> list[ArchivedCase]:
        """The cases of the issues, in the order of `issues`. Raises UnknownError if nothing is held of one of them."""
        return [await self.case(issue) for issue in issues]

    async def case(self, issue: str) -> ArchivedCase:
        """The case of the issue with everything that is held of it, consistent or not. Raises UnknownError if nothing
        is held of it.
        """
        unread: list[str] = []
        async with self.database.read() as session:
            leaf = await _read("the leaf", self._leaf(session, issue), unread)
            runs = await _read("the archive's index", _index(session, issue), unread) or ()
            rows = await _read("the rows", self._rows_of(session, issue), unread) if self.rows else None
            known = await session.scalar(select(IssueRow.id).where(IssueRow.id == issue))
            done = select(ErasureRow.issue).where(ErasureRow.issue == issue, ErasureRow.done_at.is_not(None))
            erased = await session.scalar(done)
        if leaf is None and not runs and known is None and not unread:
            raise UnknownError(f"there is no issue {issue} here")
        histories = await self._histories(runs, unread)
        kept = None
        try:
            kept = await self.archive.get_seal(issue)
        except ArchiveError as error:
            unread.append(str(error))
        index = tuple((run.run, run.events, run.ended_at) for run in runs) if len(runs) == len(histories) else ()
        return ArchivedCase(issue, tuple(histories), leaf, rows, kept, tuple(unread), erased is not None, index)

    async def _histories(self, runs: Sequence[ArchiveRow], unread: list[str]) -> list[bytes]:
        histories: list[bytes] = []
        for n, run in enumerate(runs):
            if run.n != n:
                unread.append(f"run {n} is not in the archive's index")
            try:
                stored, history = await self.archive.read_run(run.key)
                histories.append(history)
                if (stored.sha256, stored.size, stored.stored) != (run.sha256, run.size, run.stored):
                    unread.append(f"run {n} is not the one in the archive's index")
            except ArchiveError as error:
                unread.append(str(error))
        return histories

    async def sealed(self, since: datetime | None = None) -> AsyncIterator[tuple[int, str]]:
        """``(position, issue)`` of every leaf in order of position; with `since` only of leaves sealed from that time
        on. Read in chunks.
        """
        last = -1
        while True:
            query: Select[int, str] = (
                select(SealRow.position, SealRow.issue).where(SealRow.position > last).order_by(SealRow.position)
            )
            if since is not None:
                query = query.where(SealRow.sealed_at >= since)
            async with self.database.read() as session:
                found = (await session.execute(query.limit(_CHUNK))).all()
            for position, issue in found:
                yield position, issue
                last = position
            if len(found) < _CHUNK:
                return

    async def leaves(self, most: int | None = None) -> list[Leaf]:
        """All leaves, or the first `most`, in order of position. Salt and record are left out, since a tree needs only
        the hashes.
        """
        async with self.database.read() as session:
            return await session.run_sync(bare_leaves, most)

    async def _leaf(self, session: AsyncSession, issue: str) -> Leaf | None:
        row = await session.scalar(select(SealRow).where(SealRow.issue == issue))
        return None if row is None else leaf_from(row, digest_in)

    async def _rows_of(self, session: AsyncSession, issue: str) -> Rows:
        row = await session.scalar(select(IssueRow).where(IssueRow.id == issue).options(undefer(IssueRow.state)))
        if row is None:
            return Rows({}, [], [], {})
        columns = {column.name: getattr(row, column.name) for column in IssueRow.__table__.columns}
        events = (await session.scalars(select(EventRow).where(EventRow.issue == issue).order_by(EventRow.seq))).all()
        held = await session.scalars(select(ReceiptRow).where(ReceiptRow.issue == issue))
        receipts = {
            each.command_id: dump(Receipt(each.digest, each.outcome, each.seq, each.code, each.params)) for each in held
        }
        voices = await session.scalars(select(VoiceRow).where(VoiceRow.issue == issue))
        return Rows(
            columns,
            [each.body for each in events],
            [(each.digest, each.kind, each.at, each.recorded_at) for each in events],
            receipts,
            {each.person: each.reported for each in voices},
            [each async for each in strange_forms(session, issue)],
        )


async def _read(what: str, work: Awaitable[T], unread: list[str]) -> T | None:
    """The result of `work`, which reads SQL. If a column holds a value that cannot be read, the result is None, and
    `unread` gets the reason.
    """
    try:
        return await work
    except ValueError as error:
        unread.append(f"{what} in SQL cannot be read: {str(error)[:200]}")
        return None


async def _index(session: AsyncSession, issue: str) -> Sequence[ArchiveRow]:
    """The index rows of the issue's chain of runs, in order. Runs that a reset cut off have a number below 0 and are
    left out.
    """
    query = select(ArchiveRow).where(ArchiveRow.issue == issue, ArchiveRow.n >= 0).order_by(ArchiveRow.n)
    return (await session.scalars(query)).all()


def fold_case(case: ArchivedCase) -> Refolded:
    """The issue folded from its archived histories. Raises ArchiveError, RefoldError."""
    return refold(case.issue, [parse_history(f"run {n}", run) for n, run in enumerate(case.runs)])
