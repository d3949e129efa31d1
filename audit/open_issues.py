"""Compares the rows of open issues with their histories in Temporal, which nobody has sealed yet."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from audit.archive import ArchiveError, parse_history
from audit.case import ArchivedCase, Finding, Verdict
from audit.content import Contents, looked
from audit.holdings import Holdings, UnknownError
from audit.refold import Refolded, RefoldError
from audit.runs import LostRunError, WorkflowRun, fold_runs, runs_of
from audit.stored_batches import count_recorded
from audit.verify import check_rows
from db.tables import ArchiveRow, IssueRow
from runtime.executions import OPEN, listed
from security.namespace import NamespaceError
from workflows.contract import PREFIX

_TRIES: Final = 5
_PAUSE: Final = 0.2
"""How often an issue that is just being recorded is looked at, and how many seconds lie between two looks."""


@dataclass(frozen=True)
class OpenIssues:
    """What is compared: rows and archived runs of `holdings`, histories of `client`, keys and pictures of `contents`."""

    holdings: Holdings
    client: Client
    contents: Contents

    async def compare(self) -> AsyncIterator[tuple[str, Sequence[Finding] | None]]:
        """For each issue that is open in SQL or in Temporal what does not hold; None if it was on the move at each look.

        Raises RPCError, SQLAlchemyError.
        """
        running = {
            each.id.removeprefix(PREFIX) async for each in listed(self.client, f'WorkflowType="Issue" AND {OPEN}')
        }
        async with self.holdings.database.read() as session:
            in_sql = set(await session.scalars(select(IssueRow.id).where(IssueRow.closed_at.is_(None))))
        for issue in sorted(running | in_sql):
            yield issue, await self._compared(issue)

    async def _compared(self, issue: str) -> Sequence[Finding] | None:
        for n in range(_TRIES):
            if n:
                await asyncio.sleep(_PAUSE)
            try:
                found = await self._looked(issue)
            except LostRunError as error:
                return [Finding("rows", issue, "row", f"SQL holds it as open, and Temporal has lost {error}")]
            except (RefoldError, ArchiveError, NamespaceError) as error:
                return [Finding("fold", issue, "history", str(error))]
            if found is not None:
                return found
        return None

    async def _looked(self, issue: str) -> list[Finding] | None:
        """What does not hold; None if the issue moved on meanwhile, so that its rows are of another moment."""
        runs = await runs_of(self.client, issue, self._forgotten)
        folded = fold_runs(issue, runs)
        if folded is None:  # nobody reported it, so nothing of it is on record
            return []
        if count_recorded(folded, [run.events for run in runs]) != len(folded.events):
            return None
        found = await self._compared_rows(issue, folded)
        if found and _end(await runs_of(self.client, issue, self._forgotten)) != _end(runs):
            return None
        return [*found, *(await looked(self.contents, folded, Verdict(issue))).findings]

    async def _compared_rows(self, issue: str, folded: Refolded) -> list[Finding]:
        try:
            case = await self.holdings.case(issue)
        except UnknownError:
            case = ArchivedCase(issue)
        if case.rows is None or not case.rows.columns:
            why = case.unread[0] if case.unread else "Temporal holds it, and SQL does not"
            return [Finding("rows", issue, "row", why)]
        return [*check_rows(folded, [each.digest for each in folded.written], case.rows)]

    async def _forgotten(self, run_id: str) -> list[HistoryEvent] | None:
        async with self.holdings.database.read() as session:
            key = await session.scalar(select(ArchiveRow.key).where(ArchiveRow.run == run_id))
        return None if key is None else parse_history(key, await self.holdings.archive.get_run(key))


def _end(runs: Sequence[WorkflowRun]) -> tuple[str, int]:
    """Where the history ends: the newest run, and the number of its history events."""
    return runs[-1].id, len(runs[-1].events)
