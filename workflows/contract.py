"""The names and types by which workflows refer to activities: standard library and domain only."""

from dataclasses import dataclass
from typing import Any, Final

TASK_QUEUE: Final = "jiesu"
PREFIX: Final = "issue-"
"""Before an issue's id it makes that of its workflow."""
RECORD: Final = "record"
"""Stores a batch of events; returns ``chain`` over the digests of what is stored for it."""
RECONCILE: Final = "reconcile"
"""Looks once for what was altered from outside and for what is not archived."""
SEAL_DAY: Final = "seal_day"
"""Signs the head of the log and puts it outside the database."""

RETAIN: Final = "retain"
"""Erases what was kept for as long as it may be, and what people have asked for."""


@dataclass(frozen=True)
class Start:
    """The input of an issue's workflow: the first command, and what the API resolved for it.

    `policy` and `calendars` are plain bodies (`domain.wire`), `rules_version` the rules it is folded by. After
    continue-as-new `state` carries the whole issue and `report` is None.
    """

    issue: str
    policy: dict[str, Any]
    calendars: list[dict[str, Any]]
    rules_version: int
    report: dict[str, Any] | None = None
    state: dict[str, Any] | None = None


@dataclass(frozen=True)
class Batch:
    """Events of one issue in order, as `domain.events.dump_event` gives them.

    The pinned policy and calendars come along only where the first event has seq 1.
    """

    issue: str
    events: list[dict[str, Any]]
    policy: dict[str, Any] | None = None
    calendars: list[dict[str, Any]] | None = None
