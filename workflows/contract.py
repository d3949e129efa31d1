"""The names and types that workflows, activities and the API share. Imports the standard library only."""

from dataclasses import dataclass
from typing import Any, Final

TASK_QUEUE: Final = "jiesu"
PREFIX: Final = "issue-"
"""A workflow's id is this prefix and the issue's id."""
RECORD: Final = "record"
"""The activity that stores a batch of events; returns ``chain`` over the digests of the stored events."""
RECONCILE: Final = "reconcile"
"""The activity that compares Temporal with database and archive once, to find workflows changed from outside and issues
not archived."""
SEAL_DAY: Final = "seal_day"
"""The activity that signs the head of the log and publishes it outside the database."""
RETAIN: Final = "retain"
"""The activity that erases personal texts past their retention period or on request."""


@dataclass(frozen=True)
class Start:
    """The input of an issue's workflow: the report, and the pins that the API resolved for it.

    `policy` and `calendars` are plain bodies (`domain.wire`), `rules_version` names the rules of the issue. After
    continue-as-new `state` carries the whole issue and `report` is None.
    """

    issue: str
    policy: dict[str, Any]
    calendars: list[dict[str, Any]]
    rules_version: int
    report: dict[str, Any] | None = None
    state: dict[str, Any] | None = None

    def forget(self) -> None:
        """Empties the plain bodies, once they are read: the SDK keeps a workflow's input as long as the workflow."""
        for body in (self.policy, self.calendars, self.report, self.state):
            if body is not None:
                body.clear()


@dataclass(frozen=True)
class Batch:
    """Events of one issue in order, as `domain.events.dump_event` gives them.

    The pinned policy and calendars come along only where the first event has seq 1.
    """

    issue: str
    events: list[dict[str, Any]]
    policy: dict[str, Any] | None = None
    calendars: list[dict[str, Any]] | None = None
