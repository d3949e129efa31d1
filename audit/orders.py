"""Checks what one issue did by order of another one: the other one must have an event that gave the order.

The check is needed because nobody but the worker vouches for such an order.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from audit.archive import ArchiveError
from audit.case import Finding, Order, Verdict
from audit.holdings import Holdings, fold_case
from audit.refold import Refolded, RefoldError
from db.tables import EventRow
from domain.commands import Merge, Split
from domain.events import Adopted, Event, TakenBack, load_event
from domain.wire import WireError


def orders_of(folded: Refolded) -> tuple[Order, ...]:
    """What the issue did by order of other issues, in order: it was merged, or let another issue go."""
    found: list[Order] = []
    for taken in folded.commands:
        command = taken.command
        by_order = any(grant.by == "order" for grant in command.grants)
        if not by_order or folded.state.receipts[command.id].outcome != "applied":
            continue
        match command.body:
            case Merge(into=other):
                found.append(Order("merged", other))
            case Split(issue=str() as other, persons=persons):
                found.append(Order("split", other, persons))
            case _:
                pass
    return tuple(found)


async def check_orders(holdings: Holdings, verdict: Verdict) -> Verdict:
    """The verdict, with a finding for each order that the other issue never gave.

    The other issue is judged by its archived history or, if it is open, by its rows in SQL.
    """
    found: list[Finding] = []
    for order in verdict.orders:
        if not _gave(await _events(holdings, order), order, verdict.issue):
            did = "it was merged" if order.kind == "merged" else f"it let {order.issue} go"
            what = f"{did} by order of {order.issue}, which has no event that says so"
            found.append(Finding("fold", verdict.issue, order.kind, what))
    return replace(verdict, findings=(*verdict.findings, *found)) if found else verdict


async def _events(holdings: Holdings, order: Order) -> Sequence[Event]:
    """The events of the issue that gave the order, of the kind that gives one; none if they cannot be read."""
    kind = "adopted" if order.kind == "merged" else "taken_back"
    async with holdings.database.read() as session:
        query = select(EventRow.body).where(EventRow.issue == order.issue, EventRow.kind == kind)
        bodies = (await session.scalars(query)).all()
    try:
        case = await holdings.case(order.issue)
        return list(map(load_event, bodies)) if case.leaf is None else fold_case(case).events
    except (LookupError, ArchiveError, RefoldError, WireError):
        return ()


def _gave(events: Sequence[Event], order: Order, issue: str) -> bool:
    """Whether one of the events orders this issue to do it."""
    if order.kind == "merged":
        return any(isinstance(event.body, Adopted) and event.body.issue == issue for event in events)
    # Residents of an issue that was merged on leave each issue in which they are, not only the first.
    return any(
        isinstance(event.body, TakenBack) and event.body.leaves and {*order.persons} <= {*event.body.persons}
        for event in events
    )
