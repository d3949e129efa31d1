"""Splits the events of one fold into batches, each of which is stored in one transaction."""

from collections.abc import Iterable
from typing import Any, Final

from domain.wire import canonical

MOST_EVENTS: Final = 100
MOST_BYTES: Final = 256 * 1024


def batches(events: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The dumped events in order, at most 100 events and 256 KiB a batch; a larger event makes a batch alone.

    Workflow and auditor must split the same events alike, since the digest of each batch is in the history.
    """
    found: list[list[dict[str, Any]]] = []
    size = 0
    for event in events:
        weight = len(canonical(event))
        size += weight
        if not found or len(found[-1]) >= MOST_EVENTS or size > MOST_BYTES:
            found.append([])
            size = weight
        found[-1].append(event)
    return found
