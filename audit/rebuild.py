"""Refills the read model in SQL from the histories in Temporal, and reports every difference that it found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from temporalio.client import Client
from temporalio.service import RPCError

from audit.refold import RefoldError
from audit.runs import LostRunError, fold_runs, issues_of, runs_of
from audit.stored_batches import count_recorded
from db import projector
from db.engine import Database
from db.tables import EventRow
from domain.events import event_digest
from domain.limits import shown
from domain.wire import dump
from security.namespace import NamespaceError

_MOST: Final = 300
"""How many characters of a reason are told."""


@dataclass
class Rebuilt:
    """The report of a rebuild: the number of issues; how many of them have a history that cannot be read or that nobody
    reported (`unread`); and each difference in words.
    """

    issues: int = 0
    unread: int = 0
    differences: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class RecordedIssue:
    """What SQL must hold of an issue: the plain events that its history says were stored, and the pins of its start.

    `pins` are the arguments `policy` and `calendars` of `projector.record`. `has_ended` says that the issue's last run
    has ended, so no further events will follow; `is_forged` that its start is none of the API's, so nothing is recorded.
    """

    issue: str
    events: Sequence[dict[str, Any]]
    pins: Mapping[str, Any]
    has_ended: bool
    is_forged: bool = False


async def rebuild(client: Client, database: Database, now: datetime) -> Rebuilt:
    """Folds every issue that Temporal still knows, and stores in SQL what was missing or different.

    Notices that belong to restored events are not sent again. An issue whose history cannot be read or folded is
    reported and left as it is. Raises RPCError and SQLAlchemyError. An issue that Temporal has forgotten is left as it is without a report.
    """
    report = Rebuilt()
    async for issue in issues_of(client):
        report.issues += 1
        try:
            recorded = await read_recorded(client, issue)
            async with database.write() as session:
                found = await session.run_sync(_restore, recorded, now)
        except (RPCError, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whoever may start workflows writes what he likes into their histories
            report.unread += 1
            report.differences.append(f"issue {shown(issue, _MOST)}: {_why(error)}")
            continue
        report.differences += found
        if recorded.is_forged:
            report.unread += 1
            report.differences.append(f"issue {shown(issue, _MOST)}: its start is forged, so nothing of it is recorded")
    return report


def _why(error: Exception) -> str:
    """The reason on one line, without control characters."""
    named = isinstance(error, (LostRunError, NamespaceError, RefoldError))
    return shown(str(error) if named else f"{type(error).__name__}: {error}", _MOST)


async def read_recorded(client: Client, issue: str) -> RecordedIssue:
    """What SQL must hold of the issue, by its history in Temporal. Raises LostRunError, NamespaceError, RefoldError."""
    runs = await runs_of(client, issue)
    folded = fold_runs(issue, runs)
    if folded is None:
        return RecordedIssue(issue, [], {}, has_ended=True, is_forged=True)
    has_ended = runs[-1].has_ended and not runs[-1].is_continued
    events = [each.plain for each in folded.written]
    if not has_ended:  # the others are on their way: their workflow stores them, and sends the notices
        events = events[: count_recorded(folded, [run.events for run in runs])]
    pins = {"policy": dump(folded.policy), "calendars": dump(folded.calendars)}
    return RecordedIssue(issue, events, pins, has_ended)


def _restore(session: Session, recorded: RecordedIssue, now: datetime) -> list[str]:
    """Stores the issue's events that SQL lacks, replaces those that differ from the history, and deletes those that the
    history does not have. Returns the differences in words.

    If they differ while the issue's workflow is recording further events, nothing is changed.
    """
    issue, events = recorded.issue, recorded.events
    projector.lock(session, issue)  # before reading: its workflow may go on recording
    rows = session.execute(select(EventRow.seq, EventRow.body).where(EventRow.issue == issue))
    stored = {seq: event_digest(body) for seq, body in rows}
    found = _compare(issue, events, stored)
    beyond = sorted(seq for seq in stored if seq > len(events))
    if recorded.has_ended:
        found += [f"issue {issue}: event {seq} never was" for seq in beyond]
    elif found and beyond:
        # The history was read a moment ago: to rewrite now could undo what was recorded since.
        return [*found, f"issue {issue}: it is being recorded at this moment and was left alone, run it again"]
    if not events:
        return found
    if found:
        projector.record(session, issue, events, now=now, restoring=True, **recorded.pins)
    # The events are right; the row and the receipts computed from them may not be.
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
