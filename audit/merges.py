"""Checks merges by order: if an issue was merged because another issue ordered it, the other issue must have adopted
it.

The check is needed because nobody but the worker vouches for the order.
"""

from dataclasses import replace

from sqlalchemy import select

from audit.archive import ArchiveError
from audit.case import Finding, Verdict
from audit.holdings import Holdings, fold_case
from audit.refold import Refolded, RefoldError
from db.tables import EventRow
from domain.commands import Merge
from domain.events import Adopted, load_event
from domain.wire import WireError


def ordered_merge(folded: Refolded) -> str | None:
    """The issue that ordered this issue to be merged into it, None if no such order was applied."""
    for taken in folded.commands:
        command = taken.command
        by_order = any(grant.by == "order" for grant in command.grants)
        if isinstance(command.body, Merge) and by_order and folded.state.receipts[command.id].outcome == "applied":
            return command.body.into
    return None


async def check_merge(holdings: Holdings, verdict: Verdict) -> Verdict:
    """The verdict, with a finding added if the issue was merged by order of another issue that never adopted it.

    The other issue is judged by its archived history or, if it is open, by its rows in SQL.
    """
    if verdict.merged_into is None or await _adopted(holdings, verdict.merged_into, verdict.issue):
        return verdict
    what = f"it was merged by order of {verdict.merged_into}, which has not adopted it"
    return replace(verdict, findings=(*verdict.findings, Finding("fold", verdict.issue, "merged", what)))


async def _adopted(holdings: Holdings, older: str, younger: str) -> bool:
    async with holdings.database.read() as session:
        query = select(EventRow.body).where(EventRow.issue == older, EventRow.kind == "adopted")
        bodies = (await session.scalars(query)).all()
    try:
        case = await holdings.case(older)
        events = list(map(load_event, bodies)) if case.leaf is None else fold_case(case).events
    except (LookupError, ArchiveError, RefoldError, WireError):
        return False
    return any(isinstance(event.body, Adopted) and event.body.issue == younger for event in events)
