"""Whether what was merged on the order of another issue was adopted by it: the order is the worker's word alone."""

from dataclasses import replace

from sqlalchemy import select

from audit.archive import ArchiveError, parse_history
from audit.case import Finding, Verdict
from audit.holdings import Holdings
from audit.refold import Refolded, RefoldError, refold
from db.tables import EventRow
from domain.commands import Merge
from domain.events import Adopted, Event, load_event
from domain.wire import WireError


def ordered_merge(folded: Refolded) -> str | None:
    """The issue on whose order this one was merged into it, None where that did not happen."""
    for taken in folded.commands:
        command = taken.command
        by_order = any(grant.by == "order" for grant in command.grants)
        if isinstance(command.body, Merge) and by_order and folded.state.receipts[command.id].outcome == "applied":
            return command.body.into
    return None


async def check_merge(holdings: Holdings, verdict: Verdict) -> Verdict:
    """The verdict, with a finding where the other issue never adopted this one: by its history, else by its rows."""
    if verdict.merged_into is None or await _adopted(holdings, verdict.merged_into, verdict.issue):
        return verdict
    what = f"it was merged by order of {verdict.merged_into}, which has not adopted it"
    return replace(verdict, findings=(*verdict.findings, Finding("fold", verdict.issue, "merged", what)))


async def _adopted(holdings: Holdings, older: str, younger: str) -> bool:
    return any(
        isinstance(event.body, Adopted) and event.body.issue == younger for event in await _events(holdings, older)
    )


async def _events(holdings: Holdings, issue: str) -> list[Event]:
    async with holdings.database.read() as session:
        query = select(EventRow.body).where(EventRow.issue == issue, EventRow.kind == "adopted")
        bodies = (await session.scalars(query)).all()
    try:
        case = await holdings.case(issue)
        if case.leaf is not None:
            return refold(issue, [parse_history(f"run {n}", run) for n, run in enumerate(case.runs)]).events
        return [load_event(body) for body in bodies]
    except (LookupError, ArchiveError, RefoldError, WireError):
        return []
