"""How the events of one fold are parted into batches, each of which is stored in one transaction."""

from collections.abc import Iterable
from typing import Any, Final

from domain.wire import canonical

MOST_EVENTS: Final = 100
MOST_BYTES: Final = 256 * 1024


def batches(events: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The dumped events in order, at most 100 and 256 KiB together; a larger one is alone.

    The shell records by it and the auditor compares by it: the digest of each batch is in the history.
    """
    parted: list[list[dict[str, Any]]] = []
    size = 0
    for event in events:
        weight = len(canonical(event))
        size += weight
        if not parted or len(parted[-1]) >= MOST_EVENTS or size > MOST_BYTES:
            parted.append([])
            size = weight
        parted[-1].append(event)
    return parted
