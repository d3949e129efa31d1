"""Refills the read model from the histories, and says everything in which it differed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from temporalio.client import Client

from audit.history import Derived, HistoryError, derive, issues_of, runs_of
from db import projector
from db.engine import Database
from db.tables import EventRow
from domain.events import event_digest


@dataclass
class Rebuilt:
    """How many issues there are, how many of them were left alone since their histories could not be read, and each
    difference that was found, in words.
    """

    issues: int = 0
    unread: int = 0
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
            report.unread += 1
            report.differences.append(str(error))
            continue
        async with database.write() as session:
            report.differences += await session.run_sync(_restore, derived, now)
    return report


def _restore(session: Session, derived: Derived, now: datetime) -> list[str]:
    """Stores what the record lacks, and takes away what never was.

    Events that are on their way are left to their workflow, which also tells people.
    """
    issue, events = derived.issue, derived.events if derived.ended else derived.events[: derived.recorded]
    projector.lock(session, issue)  # before looking: its workflow may go on recording
    rows = session.execute(select(EventRow.seq, EventRow.body).where(EventRow.issue == issue))
    stored = {seq: event_digest(body) for seq, body in rows}
    found = _compare(issue, events, stored)
    beyond = sorted(seq for seq in stored if seq > len(events))
    if derived.ended:
        found += [f"issue {issue}: event {seq} never was" for seq in beyond]
    elif found and beyond:
        # The history was read a moment before: to rewrite now could undo what was recorded since.
        return [*found, f"issue {issue}: it is being recorded at this moment and was left alone, run it again"]
    if not events:
        return found
    if found:
        projector.record(
            session, issue, events, now=now, policy=derived.policy, calendars=derived.calendars,
            restoring=True,
        )  # fmt: skip
    # By now the events are right; what was worked out from them may not be.
    elif projector.rebuild(session, issue):
        found.append(f"issue {issue}: its row or receipts were not what its events lead to")
    return found


def _compare(issue: str, events: Sequence[Mapping[str, Any]], stored: Mapping[int, str]) -> list[str]:
    found: list[str] = []
    for event in events:
        held = stored.get(event["seq"])
        if held is None:
            found.append(f"issue {issue}: event {event['seq']} ({event['kind']}) was missing")
        elif held != event_digest(event):
            found.append(f"issue {issue}: event {event['seq']} ({event['kind']}) was another one")
    return found
