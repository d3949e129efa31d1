"""What an auditor may ask of an installation, once: the command line and the API hand on what it says."""

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
from audit.archive import ArchiveError, parse_history
from audit.case import ArchivedCase, Verdict
from audit.diff import Diff, compare
from audit.holdings import Holdings, UnknownError
from audit.log_check import newest_head, published_heads, tree_of
from audit.log_keys import TrustedKeys
from audit.merges import check_merge
from audit.mining.traces import IssueTrace
from audit.notes import NoteError, TreeHead
from audit.refold import Refolded, refold
from audit.roots import check_root, read_roots
from audit.runs import LostRunError, fold_runs, runs_of
from audit.selection import Selection, moment_of
from audit.verify import verify
from db.pinned import calendars_of, policy_of
from db.tables import EventRow, IssueRow
from domain.events import Event, load_event
from domain.issue import Issue
from domain.wire import format_time
from security.namespace import NamespaceError

T = TypeVar("T")
_LONGEST_NUMBER: Final = 10
"""Digits of the number of an event."""


class NotYetError(LookupError):
    """The issue is there, and what was asked for is not yet: it is open, or no head covers it. Says which."""


@dataclass(frozen=True)
class AuditService:
    """Over what is held; `heads` is the export folder, `temporal` where the history of an open issue is asked for."""

    holdings: Holdings
    heads: Path
    temporal: Client | None = None

    async def verdict(self, issue: str, *, commands: bool = True) -> Verdict:
        """Strict replay of one archived issue. Raises UnknownError, NotYetError."""
        case = await self.holdings.case(issue)
        if case.leaf is None:  # of an open issue runs may be archived already: they end in the middle
            raise NotYetError(f"issue {issue} is not sealed yet: it is open, or was closed a moment ago")
        # In a thread and a loop of its own: a replay would hold up whoever else is served by this one.
        (verdict,) = await asyncio.to_thread(asyncio.run, verify([case], commands=commands))
        return check_root(await check_merge(self.holdings, verdict), await asyncio.to_thread(self._told))

    async def view(self, issue: str, at: str) -> dict[str, Any]:
        """The issue after event number `at`, or as it was known at the time `at`.

        Raises UnknownError, ArchiveError, RefoldError, timeline.MomentError, selection.SelectionError.
        """
        states = await self.states(issue)
        if at.isascii() and at.isdigit() and len(at) < _LONGEST_NUMBER:
            return timeline.shown(timeline.at_event(states, int(at)))
        return timeline.shown(timeline.at_time(states, moment_of(at)))

    async def states(self, issue: str) -> list[tuple[Event, Issue]]:
        """Each event with the state after it: from the archive, for an open issue from SQL.

        Raises UnknownError, ArchiveError, RefoldError.
        """
        folded = _folded(await self.holdings.case(issue))
        return list(folded.states()) if folded is not None else await self._states_in_sql(issue)

    async def difference(self, issue: str) -> Diff:
        """Temporal's history, the archive and SQL beside each other. Raises UnknownError, ArchiveError, RefoldError."""
        case = await self.holdings.case(issue)
        return compare(case, await self._in_temporal(issue), _folded(case))

    async def proof(self, issue: str) -> dict[str, Any]:
        """That the issue is in the log of the newest published head: record, salt, place, siblings, the head itself.

        Raises UnknownError, NotYetError, UnlikeError.
        """
        leaf = (await self.holdings.case(issue)).leaf
        if leaf is None:
            raise NotYetError(f"issue {issue} is not sealed yet: it is open, or was closed a moment ago")
        found = await self._newest()
        if found is None or found[0].size <= leaf.position:
            raise NotYetError(f"no published head covers issue {issue} yet: one is published each day")
        head, note = found
        tree = tree_of(await self.holdings.leaves(head.size), head)
        proof = tree.inclusion_proof(leaf.position, head.size)
        return {
            "issue": issue, "record": leaf.record, "salt": leaf.salt.hex() if leaf.salt is not None else None,
            "leaf": leaf.leaf.hex(), "position": leaf.position, "size": head.size, "root": head.root.hex(),
            "proof": [each.hex() for each in proof], "head": note,
        }  # fmt: skip

    async def head(self) -> dict[str, Any]:
        """``{size, root, at, note}`` of the newest published head. Raises NotYetError."""
        found = await self._newest()
        if found is None:
            raise NotYetError("no head was published yet: one is published each day")
        head, note = found
        return {"size": head.size, "root": head.root.hex(), "at": format_time(head.at), "note": note}

    async def export(self, issues: Sequence[str], target: Path) -> int:
        """A bundle in a new folder. Raises UnknownError, UnlikeError, ArchiveError, bundle.BundleError."""
        return await bundle.export(self.holdings, issues, self.heads, target)

    async def closed(self, selection: Selection) -> AsyncIterator[Refolded]:
        """Every sealed issue of a selection, folded from its history. Raises ArchiveError, RefoldError."""
        async for issue in selection.sealed.issues(self.holdings.database):
            folded = _folded(await self.holdings.case(issue))
            if folded is not None:
                yield folded

    async def told(self, selection: Selection) -> AsyncIterator[IssueTrace]:
        """Every issue of a selection, open ones as well, as SQL tells it."""
        async for issue in selection.issues(self.holdings.database):
            found = await self._in_sql(issue)
            if found is not None:
                yield IssueTrace(issue, timeline.states(*found))

    def _told(self) -> Mapping[str, datetime] | None:
        """The roots that lie beside the heads, by the key that lies there."""
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
        """By Temporal's history; None once it has forgotten it, or where it is not there."""
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
    """From the archive; None while it does not hold all of the issue, or no more. Raises ArchiveError, RefoldError."""
    if case.leaf is None or case.leaf.record is None:
        return None
    if case.unread:
        raise ArchiveError(f"issue {case.issue}: {case.unread[0]}")
    return refold(case.issue, [parse_history(f"run {n}", run) for n, run in enumerate(case.runs)])


_END: Final = object()


async def in_thread(work: Callable[[Iterator[T]], Any], items: AsyncIterator[T]) -> Any:
    """The result of blocking work on items that are read one at a time from the event loop, never all at once."""
    loop = asyncio.get_running_loop()

    async def following() -> Any:
        return await anext(items, _END)

    def pulled() -> Iterator[T]:
        while (item := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not _END:
            yield item

    return await asyncio.to_thread(lambda: work(pulled()))
