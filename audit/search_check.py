"""Checks that an issue is found by the words of its report, and by no others once its texts are erased."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from audit.case import Finding
from audit.refold import Refolded
from db.search import terms, words
from db.tables import IssueRow, SearchTerm
from domain.events import Reported
from domain.personal import Personal, Sealed, is_sealed
from security.vault import IssueKey, UnsealError

_AT_ONCE: Final = 500


async def check_words(
    session: AsyncSession, folded: Refolded, key: IssueKey | None, *, is_erased: bool
) -> AsyncIterator[Finding]:
    """Compares the row's words with those of a sealed report, if there is its key, and the index with the row's words.

    Without words a job may still have to work them out. Words of a report in clear follow from the history alone.
    """
    held = await session.scalar(select(IssueRow.words).where(IssueRow.id == folded.issue))
    if not held:
        return
    report = folded.events[0].body if folded.events else None
    if isinstance(report, Reported) and is_sealed(report):
        right = words(*(_opened(key, part) for part in (report.location, report.description))) if key else held
        if is_erased or held != right:
            what = "words of what was erased" if is_erased else "they are not those of the report"
            yield Finding("rows", folded.issue, "column words", what)
            return
    wanted, found = terms(held), 0
    for n in range(0, len(wanted), _AT_ONCE):
        some = SearchTerm.term.in_(wanted[n : n + _AT_ONCE])
        found += await session.scalar(
            select(func.count()).where(some, SearchTerm.opened_at == folded.state.opened_at, SearchTerm.issue == folded.issue)
        ) or 0  # fmt: skip
    if found != len(wanted):
        yield Finding("rows", folded.issue, "search", f"the index has {found} of the {len(wanted)} pairs of its words")


def _opened(key: IssueKey, text: Personal) -> str:
    """As the job that works the words out opens it: what does not open is nothing."""
    try:
        return key.open(text) if isinstance(text, Sealed) else str(text)
    except UnsealError:
        return ""
