"""The archiver handles the job ``archive``: it puts an issue's histories into the archive and, once the issue is
closed, a leaf into the log.

Temporal deletes histories after a while, so each run is archived as soon as it has ended, even if its issue goes on in
another run. Every step can be repeated: a job that was killed between two steps runs again, and ends with the same
leaf.

Histories are archived without the encryption under which Temporal stores them, so that an audit years later needs no
namespace key. The texts in the histories stay sealed by the key of the issue.
"""

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from activities.notices import NotTriedError, Now, UndeliveredError, now_utc
from audit import log as merkle_log
from audit.archive import Archive, ArchiveError, ContentConflictError, StoredHistory, history_bytes, parse_history
from audit.case import ArchivedCase, Leaf, Verdict
from audit.log_check import largest_published
from audit.merkle import HASH_BYTES
from audit.record import SealedRun, build, code_versions, places
from audit.refold import Refolded, RefoldError, refold
from audit.replaying import ReplayError, UnendedReplayError
from audit.runs import LostRunError, WorkflowRun, resets, run_of, runs_of
from audit.verify import verify
from db.alarms import close_of, put_alarm_once
from db.engine import Database
from db.outbox import Entry
from db.tables import ArchiveRow, IssueRow
from domain.wire import truncate
from runtime.executions import listed
from runtime.failpoints import hit
from security.namespace import NamespaceError
from workflows.contract import PREFIX

_NAMED: Final = 5
"""How many findings an alarm names; the sealed record names more."""
PATIENCE: Final = 5.0
"""How many seconds of a job are spent on waiting for a replay; a longer one goes on, and a later try takes its verdict."""
QUEUE: Final = 32
"""How many replays there may be that wait or go on. Each keeps its histories in memory."""
_NEXT: Final = timedelta(seconds=1)
_LATER: Final = timedelta(seconds=10)
"""`_NEXT`, `_LATER`: after which time a job asks again whose replay waits for its turn, or found the queue full."""
_UNENDED: Final = "replay-unended"
_UNQUOTABLE: Final = frozenset("'\"\\`")

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class _Archived:
    """A run that is in the archive. `n` is the run's place in the chain (the runs that continue each other up to the
    newest), None for a run outside of the chain.
    """

    run: WorkflowRun
    stored: StoredHistory
    n: int | None = None


class Archiver:
    """The handler of the job ``archive``. Use one archiver in a process: it replays one issue at a time."""

    def __init__(
        self, client: Client, database: Database, archive: Archive, heads: Path | None = None, clock: Now = now_utc
    ) -> None:
        self._client = client
        self._database = database
        self._archive = archive
        self._heads = heads
        self._clock = clock
        self._turn = asyncio.Lock()
        self._verdicts: dict[str, asyncio.Task[Verdict]] = {}
        self._replaying: str | None = None
        """The key of the verdict whose replay goes on, if one does."""

    async def archive(self, entry: Entry) -> None:
        """Archives the issue that the outbox entry names. Raises UndeliveredError if the job must be tried again."""
        issue = entry.payload["issue"]
        try:
            await self._archive_issue(issue, is_asked=entry.seq == 0)
        except LostRunError as error:
            await self._alarm("gone-from-temporal", issue, run=str(error))
            raise UndeliveredError(f"{error} is gone from Temporal, and not in the archive") from None
        except (ArchiveError, NamespaceError) as error:
            raise UndeliveredError(str(error)) from None

    async def _archive_issue(self, issue: str, *, is_asked: bool) -> None:
        """Archives what has ended of the issue, and seals the issue if it is closed.

        `is_asked` says that the reconciler queued the job: then runs outside of the chain are archived too.
        """
        leaf = await self._database.transact(lambda session: merkle_log.leaf_of(session, issue))
        if leaf is not None:
            await self._put_seal(issue, leaf)
        else:
            await self._archive_chain(issue)
        if is_asked:
            await self._archive_strays(issue)

    async def _archive_chain(self, issue: str) -> None:
        chain = await runs_of(self._client, issue, self._forgotten)
        ended = [run for run in chain if run.has_ended]
        archived = [await self._put_run(issue, run, n) for n, run in enumerate(ended)]
        await self._database.transact(lambda session: self._index(session, issue, archived))
        hit("archive-after-rows")
        if not chain[-1].has_ended or chain[-1].is_continued:
            # That is all for an open issue: when it closes it queues this job again.
            if await self._is_closed(issue):
                raise UndeliveredError("the execution has not ended yet")
            return
        if await self._is_behind(issue):
            await self._alarm("log-behind", issue)
            raise UndeliveredError("the archive holds a seal that SQL does not know of: `jiesu audit restore`")
        await self._seal(issue, archived)

    async def _is_behind(self, issue: str) -> bool:
        """Whether SQL lacks leaves that the archive or a published head has. A new leaf would then take the place of a
        missing one.
        """
        if await self._archive.get_seal(issue) is not None:
            return True
        if self._heads is None:
            return False
        size = await self._database.transact(merkle_log.size)
        return size < await asyncio.to_thread(largest_published, self._heads)

    async def _put_run(self, issue: str, run: WorkflowRun, n: int | None) -> _Archived:
        name = -1 if n is None else n
        try:
            stored = await self._archive.put_run(issue, name, run.id, history_bytes(run.events))
        except ContentConflictError:
            await self._alarm("archive-differs", issue, run=run.id)
            raise
        hit("archive-after-run")
        return _Archived(run, stored, n)

    def _index(self, session: Session, issue: str, archived: Sequence[_Archived]) -> None:
        """Adds index rows for archived runs. A run outside of the chain, such as one that a reset cut off, gets a
        number below 0.
        """
        rows = {row.run: row for row in session.scalars(select(ArchiveRow).where(ArchiveRow.issue == issue))}
        chain = {each.run.id for each in archived if each.n is not None}
        aside = itertools.count(min([0, *(row.n for row in rows.values())]) - 1, -1)
        for row in rows.values():
            if chain and row.n >= 0 and row.run not in chain:
                row.n = next(aside)
        session.flush()
        for each in archived:
            if each.run.id not in rows:
                session.add(self._row(issue, each, next(aside) if each.n is None else each.n))
        session.flush()

    def _row(self, issue: str, archived: _Archived, n: int) -> ArchiveRow:
        run, stored = archived.run, archived.stored
        return ArchiveRow(
            run=run.id, issue=issue, n=n, key=stored.key, sha256=stored.sha256, events=len(run.events),
            size=stored.size, stored=stored.stored, ended_at=run.ended_at, archived_at=self._clock(),
        )  # fmt: skip

    async def _seal(self, issue: str, archived: Sequence[_Archived]) -> None:
        runs = [each.run for each in archived]
        verdict = await self._verdict(issue, runs)
        sealed = [SealedRun(each.run.id, each.stored.sha256, len(each.run.events)) for each in archived]
        record = build(sealed, _folded(issue, runs), verdict, code_versions(), truncate(self._clock()))
        leaf = await self._database.transact(lambda session: self._append(session, record, verdict))
        hit("archive-after-leaf")
        await self._put_seal(issue, leaf)
        log.info("issue.sealed", issue=issue, position=leaf.position, holds=verdict.holds)

    async def _verdict(self, issue: str, runs: Sequence[WorkflowRun]) -> Verdict:
        """The verdict on the histories alone, without the rows in SQL: rows may be rebuilt later, but a sealed verdict
        cannot change.

        Raises UndeliveredError while there is none: a replay that was broken off says nothing, and is tried again. One
        that waits for others is no failed try (NotTriedError): many issues may close in one moment.
        """
        histories = tuple(history_bytes(run.events) for run in runs)
        key = hashlib.sha256(b"".join((issue.encode(), *histories))).hexdigest()
        if key not in self._verdicts:
            if len(self._verdicts) >= QUEUE:
                self._forget_ended()
            if len(self._verdicts) >= QUEUE:
                raise NotTriedError("many others are replayed first", _LATER)
            self._verdicts[key] = asyncio.create_task(self._replayed(key, ArchivedCase(issue, histories)))
        task = self._verdicts[key]
        if not task.done() and self._replaying not in (None, key):
            raise NotTriedError("others are replayed first", _NEXT)
        ended, _ = await asyncio.wait([task], timeout=PATIENCE)
        if not ended:
            raise UndeliveredError("its replay has not ended yet")
        self._verdicts.pop(key, None)
        try:
            verdict = task.result()
        except UnendedReplayError as error:
            await self._alarm(_UNENDED, issue, error=str(error))
            raise UndeliveredError("its replay was broken off") from None
        except ReplayError as error:
            raise UndeliveredError(str(error)) from None
        return replace(verdict, findings=(*resets(issue, runs), *verdict.findings))

    def _forget_ended(self) -> None:
        """Drops the verdicts that nobody took: another worker may have sealed these issues meanwhile."""
        ended = {key for key, task in self._verdicts.items() if task.done()}
        for task in map(self._verdicts.pop, ended):
            if not task.cancelled():
                task.exception()  # else asyncio reports that nobody looked

    async def _replayed(self, key: str, case: ArchivedCase) -> Verdict:
        async with self._turn:
            self._replaying = key
            try:
                (verdict,) = await verify([case], must_end=True)
            finally:
                self._replaying = None
        return verdict

    def _append(self, session: Session, record: dict[str, Any], verdict: Verdict) -> Leaf:
        if not verdict.holds:
            found = places(verdict.findings)
            detail = {"findings": found[:_NAMED], "number": len(verdict.findings)}
            put_alarm_once(session, "replay-fails", verdict.issue, detail, self._clock())
        close_of(session, _UNENDED, verdict.issue, self._clock())
        return merkle_log.append(session, verdict.issue, record, secrets.token_bytes(HASH_BYTES), self._clock())

    async def _put_seal(self, issue: str, leaf: Leaf) -> None:
        """Archives the seal of a leaf in SQL; does nothing if the leaf's content is gone from SQL."""
        if leaf.record is None:
            return
        try:
            await self._archive.put_seal(issue, leaf.seal())
        except ContentConflictError:
            await self._alarm("archive-differs", issue, run="seal")
            raise

    async def _archive_strays(self, issue: str) -> None:
        """Archives ended runs outside of the chain: a run that a reset cut off, or one that a reset began after the
        issue was sealed.
        """
        if _UNQUOTABLE & set(issue):
            return
        known = await self._database.transact(lambda session: _archived_runs(session, issue))
        query = f"WorkflowId='{PREFIX}{issue}' AND ExecutionStatus!='Running'"
        ended = [each async for each in listed(self._client, query) if not each.is_open]
        runs = [
            await run_of(self._client, issue, each.run_id, self._forgotten)
            for each in ended
            if each.run_id not in known
        ]
        strays = [await self._put_run(issue, run, None) for run in runs if run.has_ended]
        if strays:
            await self._database.transact(lambda session: self._index(session, issue, strays))

    async def _forgotten(self, run_id: str) -> list[HistoryEvent] | None:
        async with self._database.read() as session:
            key = await session.scalar(select(ArchiveRow.key).where(ArchiveRow.run == run_id))
        return None if key is None else parse_history(key, await self._archive.get_run(key))

    async def _is_closed(self, issue: str) -> bool:
        async with self._database.read() as session:
            closed_at: datetime | None = await session.scalar(select(IssueRow.closed_at).where(IssueRow.id == issue))
        return closed_at is not None

    async def _alarm(self, kind: str, issue: str, **detail: str) -> None:
        now = self._clock()
        await self._database.transact(lambda session: put_alarm_once(session, kind, issue, detail, now, ever=True))


def _folded(issue: str, runs: Sequence[WorkflowRun]) -> Refolded | None:
    try:
        return refold(issue, [run.events for run in runs])
    except RefoldError:  # the verdict has it as a finding
        return None


def _archived_runs(session: Session, issue: str) -> set[str]:
    return set(session.scalars(select(ArchiveRow.run).where(ArchiveRow.issue == issue)))
