"""Compares the events folded from the signals with the events that were stored in SQL.

The history says what was stored: it holds the digest of each stored batch of events, and for some batches the events
themselves.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from audit.case import Finding, Runs
from audit.refold import Refolded, SerializedEvent, Turn
from domain.batches import MOST_BYTES, MOST_EVENTS, batches
from domain.events import chain
from workflows.contract import RECORD

_LOCAL: Final = "core_local_activity"
_MARKER: Final = EventType.EVENT_TYPE_MARKER_RECORDED
_SCHEDULED: Final = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
_COMPLETED: Final = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


@dataclass(frozen=True)
class StoredBatch:
    """A batch of events that was stored, by history event `event_id` of run `run`: its digest, and its events if the
    history holds them (else None).
    """

    run: int
    event_id: int
    digest: str
    events: Sequence[dict[str, Any]] | None = None

    @property
    def where(self) -> str:
        return f"run {self.run}, event {self.event_id}"


def check_stored_batches(folded: Refolded, runs: Runs) -> Iterator[Finding]:
    """A finding for each batch where what the history says was stored differs from what follows from the fold."""
    issue, (parts, stored) = folded.issue, _batches(folded, runs)
    for part, held in zip(parts, stored, strict=False):
        if held.events is not None and held.events != (plain := [each.plain for each in part]):
            yield Finding(
                "fold", issue, held.where, f"other events were to be recorded than follow: {_first(plain, held)}"
            )
        if held.digest != chain(each.digest for each in part):
            span = f"events {part[0].plain['seq']} to {part[-1].plain['seq']}"
            yield Finding("fold", issue, held.where, f"{span}: others were recorded than follow from the signals")
    for part in parts[len(stored) :]:
        first = part[0].plain
        yield Finding("fold", issue, "history", f"event {first['seq']} ({first['kind']}) was never recorded")
    for held in stored[len(parts) :]:
        yield Finding("fold", issue, held.where, "events were recorded that follow from nothing")


def count_recorded(folded: Refolded, runs: Runs) -> int:
    """The number of folded events that the history says were stored; they are the first ones."""
    return sum(len(part) for part, _ in zip(*_batches(folded, runs), strict=False))


def _batches(folded: Refolded, runs: Runs) -> tuple[list[Sequence[SerializedEvent]], list[StoredBatch]]:
    """The batches that follow from the fold, and those that the history says were stored."""
    parts = [part for turn in folded.turns for part in _parts(turn)]
    return parts, [each for run, events in enumerate(runs) for each in stored_batches(run, events)]


def _parts(turn: Turn) -> Iterator[Sequence[SerializedEvent]]:
    """The batches of events in which one turn was stored. Nearly always the turn is one batch, which is then not
    measured event by event.
    """
    written = turn.written
    if len(written) <= MOST_EVENTS and sum(len(each.text) for each in written) <= MOST_BYTES:
        if written:
            yield written
        return
    left = iter(written)
    for part in batches(each.plain for each in written):
        yield tuple(islice(left, len(part)))


def stored_batches(run: int, events: Sequence[HistoryEvent]) -> Iterator[StoredBatch]:
    """The batches that a history says were stored, in order."""
    ordered: dict[int, Sequence[dict[str, Any]]] = {}
    for event in events:
        kind = event.event_type
        if kind == _MARKER:
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == _LOCAL and not marker.HasField("failure"):
                yield StoredBatch(run, event.event_id, _digest(marker.details["result"].payloads))
        elif kind == _SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_type.name == RECORD:
                ordered[event.event_id] = json.loads(scheduled.input.payloads[0].data)["events"]
        elif kind == _COMPLETED:
            completed = event.activity_task_completed_event_attributes
            if completed.scheduled_event_id in ordered:
                batch = ordered[completed.scheduled_event_id]
                yield StoredBatch(run, event.event_id, _digest(completed.result.payloads), batch)


def _digest(payloads: Sequence[Any]) -> str:
    try:
        return str(json.loads(payloads[0].data))
    except (IndexError, ValueError):
        return "unreadable"


def _first(part: Sequence[dict[str, Any]], held: StoredBatch) -> str:
    """The first event of the batch that differs from the stored one, with the names of the fields that differ."""
    theirs = list(held.events or ())
    for ours, other in zip(part, theirs, strict=False):
        if ours != other:
            names = sorted(name for name in ours.keys() | other.keys() if ours.get(name) != other.get(name))
            return f"event {ours['seq']} ({ours['kind']}): {', '.join(names)}"
    return f"{len(theirs)} events instead of {len(part)}"
