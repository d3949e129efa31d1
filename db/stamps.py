"""Stamps: short texts that change whenever an issue, or the open issues of an organisation, have changed.

No stamp is made of a time by the rules alone, which may lie in the past, nor of a serial number, which another
transaction may overtake: each counts versions.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import IssueRow

_CHUNK: Final = 500
_T = TypeVar("_T")


async def of_issues(session: AsyncSession, issues: Sequence[str]) -> dict[str, str]:
    """The stamp of each of these issues that has a row: how often it was rewritten, and its version."""
    columns = (IssueRow.id, IssueRow.fence, IssueRow.version)
    found: dict[str, str] = {}
    for some in _chunks(issues):
        rows = await session.execute(select(*columns).where(IssueRow.id.in_(some)))
        found.update((issue, f"{fence}.{version}") for issue, fence, version in rows)
    return found


async def of_worklists(session: AsyncSession, orgs: Sequence[str]) -> dict[str, str]:
    """The stamp of the open issues that each of these organisations leads or handles.

    Besides the sums it holds the last change, lest one issue go as another of the same version comes.
    """
    open_ones = IssueRow.closed_at.is_(None)
    sums = (func.count(), func.sum(IssueRow.version), func.sum(IssueRow.fence), func.max(IssueRow.changed_at))
    found: defaultdict[str, list[str]] = defaultdict(lambda: ["-", "-"])
    for some in _chunks(orgs):
        for n, whose in enumerate((IssueRow.lead_org, IssueRow.handler)):
            query = select(whose, *sums).where(open_ones, whose.in_(some)).group_by(whose)
            for org, *counts in await session.execute(query):
                found[org][n] = ",".join(map(str, counts))
    return {org: "/".join(found[org]) for org in orgs}


def _chunks(these: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (these[begin : begin + _CHUNK] for begin in range(0, len(these), _CHUNK))
