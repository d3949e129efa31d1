"""The audit service: answers the questions of auditors, which they ask through the command line or the API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import undefer
from temporalio.client import Client
from temporalio.service import RPCError

from audit import bundle, timeline
from audit.archive import ArchiveError
from audit.case import ArchivedCase, Finding, Verdict
from audit.content import NOWHERE, Places
from audit.diff import Diff, compare
from audit.holdings import Holdings, NotYetError, UnknownError, fold_case
from audit.log_check import newest_head, published_heads, tree_of
from audit.log_keys import TrustedKeys
from audit.mining.traces import IssueTrace
from audit.notes import NoteError, TreeHead
from audit.open_issues import OpenIssues
from audit.orders import check_orders
from audit.refold import Refolded
from audit.roots import check_root, read_roots
from audit.runs import LostRunError, fold_runs, runs_of
from audit.selection import Selection, moment_of
from audit.verify import verify
from db.engine import Database
from db.pinned import calendars_of, policy_of
from db.tables import EventRow, IssueRow
from domain.events import Event, load_event
from domain.issue import Issue
from domain.wire import format_time
from security.namespace import NamespaceError

T = TypeVar("T")
_LONGEST_NUMBER: Final = 10
"""One more than the most digits of an event's number: a longer text is no number of an event."""


@dataclass(frozen=True)
class AuditService:
    """Answers from `holdings`. `heads` is the folder of published heads; `temporal` gives the histories of issues that
    Temporal still knows (None: not connected). `places` says where keys and pictures are.
    """

    holdings: Holdings
    heads: Path
    temporal: Client | None = None
    places: Places = NOWHERE

    async def verdict(self, issue: str, *, commands: bool = True) -> Verdict:
        """The verdict of strict replay on one sealed issue; without `commands` its history is only folded. Raises
        UnknownError, NotYetError.
        """
        case = await self.holdings.case(issue)
        if case.leaf is None:  # some runs of an open issue may be archived already
            raise NotYetError("not-sealed", issue=issue)
        # In a thread with its own event loop: a replay would block the other callers of this one.
        verdict = await asyncio.to_thread(asyncio.run, self._replayed(case, commands=commands))
        return check_root(await check_orders(self.holdings, verdict), await asyncio.to_thread(self._published_roots))

    async def view(self, issue: str, at: str) -> dict[str, Any]:
        """The issue as it was after event number `at`, or as it was known at the time `at`, in the form that
        `timeline.shown` gives, with the climbs on the accounts of its handlers.

        Raises UnknownError, ArchiveError, RefoldError, timeline.MomentError, selection.SelectionError.
        """
        states = await self.states(issue)
        if at.isascii() and at.isdigit() and len(at) < _LONGEST_NUMBER:
            view = timeline.at_event(states, int(at))
        else:
            view = timeline.at_time(states, moment_of(at))
        return {**timeline.shown(view), "accounts": timeline.accounted(states, view)}

    async def states(self, issue: str) -> list[tuple[Event, Issue]]:
        """Each event of the issue with the state after it. They come from the archive once the issue is sealed, until
        then from SQL.

        Raises UnknownError, ArchiveError, RefoldError.
        """
        folded = _folded(await self.holdings.case(issue))
        return list(folded.states()) if folded is not None else await self._states_in_sql(issue)

    async def difference(self, issue: str) -> Diff:
        """The issue's events in Temporal's history, in the archive and in SQL, compared side by side. Raises
        UnknownError, ArchiveError, RefoldError.
        """
        case = await self.holdings.case(issue)
        return compare(case, await self._in_temporal(issue), _folded(case))

    async def proof(self, issue: str) -> dict[str, Any]:
        """The proof that the log of the newest published head includes the issue: plain values with the issue's record
        and salt, the proof and the head.

        Raises UnknownError, NotYetError, LogMismatchError.
        """
        leaf = (await self.holdings.case(issue)).leaf
        if leaf is None:
            raise NotYetError("not-sealed", issue=issue)
        found = await self._newest()
        if found is None or found[0].size <= leaf.position:
            raise NotYetError("not-covered", issue=issue)
        head, note = found
        tree = tree_of(await self.holdings.leaves(head.size), head)
        proof = tree.inclusion_proof(leaf.position, head.size)
        return {
            "issue": issue, "record": leaf.record, "salt": leaf.salt.hex() if leaf.salt is not None else None,
            "leaf": leaf.leaf.hex(), "position": leaf.position, "size": head.size, "root": head.root.hex(),
            "proof": [each.hex() for each in proof], "head": note,
        }  # fmt: skip

    async def head(self) -> dict[str, Any]:
        """The newest published head as ``{size, root, at, note}``. Raises NotYetError if no head was published yet."""
        found = await self._newest()
        if found is None:
            raise NotYetError("no-head")
        head, note = found
        return {"size": head.size, "root": head.root.hex(), "at": format_time(head.at), "note": note}

    async def export(self, issues: Sequence[str], target: Path) -> int:
        """Writes a bundle of the issues into a new folder; returns the number of issues.

        Raises UnknownError, LogMismatchError, ArchiveError, bundle.BundleError.
        """
        return await bundle.export(self.holdings, issues, self.heads, target)

    async def closed(self, selection: Selection) -> AsyncIterator[Refolded]:
        """Every sealed issue of a selection, folded from its history. Raises ArchiveError, RefoldError."""
        async for issue in selection.sealed.issues(self.holdings.database):
            folded = _folded(await self.holdings.case(issue))
            if folded is not None:
                yield folded

    async def traces(self, selection: Selection) -> AsyncIterator[IssueTrace]:
        """Every issue of a selection, open or closed, as a trace of its events in SQL."""
        async for issue in selection.issues(self.holdings.database):
            found = await self._in_sql(issue)
            if found is not None:
                yield IssueTrace(issue, timeline.states(*found))

    async def _replayed(self, case: ArchivedCase, *, commands: bool) -> Verdict:
        database = Database(self.holdings.database.url)  # connections belong to one event loop
        try:
            async with self.places.open(database, rows=self.holdings.rows) as contents:
                (verdict,) = await verify([case], commands=commands, contents=contents)
                return verdict
        finally:
            await database.close()

    async def compare_open(self) -> AsyncIterator[tuple[str, Sequence[Finding] | None]]:
        """For each open issue what does not hold between its rows and its history in Temporal; None if it was on the move
        at each look. Raises RPCError, SQLAlchemyError.
        """
        if self.temporal is None:
            raise NotYetError("open-not-compared")
        async with self.places.open(self.holdings.database) as contents:
            async for each in OpenIssues(self.holdings, self.temporal, contents).compare():
                yield each

    def _published_roots(self) -> Mapping[str, datetime] | None:
        """The published signing roots of commands, each with its time, verified with the key beside the heads; None if
        nothing was published yet.
        """
        try:
            return read_roots(self.heads, TrustedKeys.beside(self.heads))[0]
        except (NoteError, OSError):  # nothing was published yet
            return None

    async def _states_in_sql(self, issue: str) -> list[tuple[Event, Issue]]:
        found = await self._in_sql(issue)
        if found is None:
            raise UnknownError(f"there is no issue {issue} here")
        return list(timeline.states(*found))

    async def _in_sql(self, issue: str) -> tuple[Issue, list[Event]] | None:
        async with self.holdings.database.read() as session:
            row = await session.get(IssueRow, issue, options=[undefer(IssueRow.state)])
            if row is None:
                return None
            policy = await session.run_sync(policy_of, row.first_policy)
            calendars = await session.run_sync(calendars_of, row.first_calendars)
            bodies = await session.scalars(select(EventRow.body).where(EventRow.issue == issue).order_by(EventRow.seq))
            return Issue.new(issue, policy, calendars), [load_event(body) for body in bodies]

    async def _in_temporal(self, issue: str) -> Refolded | None:
        """The issue folded from Temporal's history; None if Temporal has forgotten the issue or is not connected."""
        if self.temporal is None:
            return None
        try:
            runs = await runs_of(self.temporal, issue)
        except (RPCError, LostRunError, NamespaceError):
            return None
        return fold_runs(issue, runs)

    async def _newest(self) -> tuple[TreeHead, str] | None:
        return newest_head((await asyncio.to_thread(published_heads, self.heads)).values())


def _folded(case: ArchivedCase) -> Refolded | None:
    """The issue folded from the archive; None unless it is sealed and its record was not erased. Raises ArchiveError,
    RefoldError.
    """
    if case.leaf is None or case.leaf.record is None:
        return None
    if case.unread:
        raise ArchiveError(f"issue {case.issue}: {case.unread[0]}")
    return fold_case(case)


_END: Final = object()


async def in_thread(work: Callable[[Iterator[T]], Any], items: AsyncIterator[T]) -> Any:
    """The result of `work`, a blocking function, run in a thread. The event loop gives it the items one at a time,
    never all at once.
    """
    loop = asyncio.get_running_loop()

    async def following() -> Any:
        return await anext(items, _END)

    def pulled() -> Iterator[T]:
        while (item := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not _END:
            yield item

    return await asyncio.to_thread(lambda: work(pulled()))
