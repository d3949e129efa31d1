"""Refills the read model from the histories, and says everything in which it differed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from temporalio.client import Client

from audit.history import Derived, HistoryError, derive, issues_of, runs_of
from db import projector
from db.engine import Database
from db.projector import record
from db.tables import EventRow
from domain.events import event_digest


@dataclass
class Rebuilt:
    """How many issues were derived, and each difference that was found, in words."""

    issues: int = 0
    differences: list[str] = field(default_factory=list[str])


async def rebuild(client: Client, database: Database, now: datetime) -> Rebuilt:
    """Derives every issue that Temporal still knows and stores what was missing or different.

    Notices of what is restored are not sent again. An issue whose history Temporal has forgotten is left as it is;
    one whose history does not fit this code is reported and left as it is.
    """
    report = Rebuilt()
    async for issue in issues_of(client):
        report.issues += 1
        try:
            derived = await derive(issue, await runs_of(client, issue))
        except HistoryError as error:
            report.differences.append(str(error))
            continue
        report.differences += await _restore(database, derived, now)
    return report


async def _restore(database: Database, derived: Derived, now: datetime) -> list[str]:
    """Stores what the record lacks. Events that are on their way are left to their workflow, which also tells people."""
    events = derived.events[: derived.recorded]
    async with database.read() as session:
        rows = await session.execute(select(EventRow.seq, EventRow.body).where(EventRow.issue == derived.issue))
        stored = {seq: event_digest(body) for seq, body in rows}
    found = _compare(derived.issue, events, stored)
    if found and len(events) < max(stored, default=0):
        # The history was read a moment before: to rewrite now could undo what was recorded since.
        return [*found, f"issue {derived.issue}: it is being recorded at this moment and was left alone, run it again"]
    if not events:
        return found
    async with database.write() as session:
        if found:
            await session.run_sync(
                record, derived.issue, events, now=now, policy=derived.policy, calendars=derived.calendars,
                notify=False,
            )  # fmt: skip
        # By now the events are right; what was worked out from them may not be.
        elif await session.run_sync(projector.rebuild, derived.issue):
            found.append(f"issue {derived.issue}: its row or receipts were not what its events lead to")
    return found


def _compare(issue: str, events: Sequence[Mapping[str, Any]], stored: Mapping[int, str]) -> list[str]:
    found: list[str] = []
    for event in events:
        held = stored.get(event["seq"])
        if held is None:
            found.append(f"issue {issue}: event {event['seq']} ({event['kind']}) was missing")
        elif held != event_digest(event):
            found.append(f"issue {issue}: event {event['seq']} ({event['kind']}) was another one")
    # What is stored beyond the history may be an event that is being recorded at this moment.
    return found
