"""Restores the log in SQL from the archive and the published heads, after a database was lost or put back to an earlier
state.

The log must continue with the same leaves: if other leaves took their places, no published head would hold any more.
"""

import asyncio
import itertools
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from audit.archive import Archive, IssueFiles, parse_history
from audit.case import Leaf
from audit.log import add_head, leaf_row, lock, size
from audit.log_check import largest_published, published_heads
from audit.notes import NoteError, parse
from audit.refold import moment
from db.engine import Database
from db.tables import ArchiveRow, HeadRow, SealRow
from domain.wire import parse_time

_CHUNK: Final = 200


@dataclass
class Restored:
    """How many leaves, index rows of runs, and heads were put back into SQL."""

    leaves: int = 0
    runs: int = 0
    heads: int = 0


class RestoreError(RuntimeError):
    """SQL and the archive contradict each other; the message names the leaf or the head."""


async def is_behind(database: Database, archive: Archive, heads: Path) -> bool:
    """Whether the log in SQL has fewer leaves than the largest published head covers, or than the archive has seals."""
    async with database.read() as session:
        known = await session.run_sync(size)
    if known < await asyncio.to_thread(largest_published, heads):
        return True
    seals = 0
    async for shelf in archive.issues():
        seals += shelf.seal is not None
    return known < seals


async def restore(database: Database, archive: Archive, heads: Path, now: datetime) -> Restored:
    """Adds to SQL the leaves, runs and heads that it lacks, and changes no existing row. Raises RestoreError,
    ArchiveError.

    No worker may seal an issue meanwhile: the new leaf would take the place of a leaf that is still to be restored.
    """
    done = Restored()
    async for shelves in archive.issues_in_chunks(_CHUNK):
        await _put_back(database, archive, shelves, done, now)
    notes = await asyncio.to_thread(published_heads, heads)
    async with database.write() as session:
        known = set(await session.scalars(select(HeadRow.note)))
        for name, note in notes.items():
            if note in known:
                continue
            try:
                head, _ = parse(note)
            except NoteError as error:
                raise RestoreError(f"head {name}: {error}") from None
            if await session.get(HeadRow, (head.size, head.at)) is not None:
                raise RestoreError(f"head {name}: SQL holds another one of this size and time")
            await session.run_sync(add_head, head, note)
            done.heads += 1
    async with database.read() as session:
        held = await session.run_sync(size)
    if held < (covered := await asyncio.to_thread(largest_published, heads)):
        raise RestoreError(
            f"the log has {held} issues, and a head of {covered} was published: is the archive the right one?"
        )
    return done


async def _put_back(
    database: Database, archive: Archive, shelves: list[IssueFiles], done: Restored, now: datetime
) -> None:
    found = [(seal, await _runs(archive, shelf, seal["record"], now)) for shelf in shelves
             if shelf.seal is not None and (seal := await archive.seal_at(shelf.seal)) is not None]  # fmt: skip
    async with database.write() as session:
        await session.run_sync(lock)
        for seal, runs in found:
            done.leaves += await _put_leaf(session, seal)
            for run in runs:
                if await session.get(ArchiveRow, run.run) is None:
                    session.add(run)
                    done.runs += 1
        await session.flush()


async def _put_leaf(session: AsyncSession, seal: dict[str, Any]) -> bool:
    """Adds the leaf of a seal to SQL unless it is there; returns whether it was missing. Raises RestoreError."""
    issue = seal["record"]["issue"]
    row = await session.get(SealRow, seal["position"])
    if row is not None:
        if (row.issue, row.leaf) != (issue, seal["leaf"]):
            what = f"SQL holds issue {row.issue} there, the archive issue {issue}"
            raise RestoreError(f"leaf {seal['position']}: {what}")
        return False
    elsewhere = await session.scalar(select(SealRow.position).where(SealRow.issue == issue))
    if elsewhere is not None:
        raise RestoreError(f"issue {issue} is leaf {elsewhere} in SQL, and leaf {seal['position']} in the archive")
    session.add(leaf_row(issue, Leaf.of_seal(seal), parse_time(seal["record"]["archived_at"])))
    await session.flush()
    return True


async def _runs(archive: Archive, shelf: IssueFiles, record: dict[str, Any], now: datetime) -> list[ArchiveRow]:
    """The index rows of an issue's runs. Sealed runs are numbered from 0 in the order of the record; runs that a reset
    cut off get numbers below 0.
    """
    rows: list[ArchiveRow] = []
    sealed = {run: n for n, run in enumerate(each["run"] for each in record["runs"])}
    aside = itertools.count(-1, -1)
    for (_, run), key in shelf.runs.items():
        n = sealed[run] if run in sealed else next(aside)
        stored, history = await archive.read_run(key)
        events = parse_history(key, history)
        rows.append(
            ArchiveRow(
                run=run, issue=record["issue"], n=n, key=key, sha256=stored.sha256, events=len(events), size=stored.size,
                stored=stored.stored, ended_at=moment(events[-1]), archived_at=now,
            )
        )  # fmt: skip
    return rows
