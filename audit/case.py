"""What an auditor looks at: everything that is held of one issue, and what does not hold of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from temporalio.api.history.v1 import HistoryEvent

Step = Literal["archive", "commands", "fold", "time", "rows", "seal", "head"]
"""What was being verified: the bytes in the archive, the commands that the code gives, the events folded from the
signals, times against the server's, the rows in SQL, the leaf of the log, the log against its published heads."""
STEPS: Final[tuple[Step, ...]] = ("archive", "commands", "fold", "time", "rows", "seal", "head")


@dataclass(frozen=True)
class Finding:
    """What does not hold: in which step, of which issue (None: of the log), at what place, in words."""

    step: Step
    issue: str | None
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.issue or 'log'}: {self.step}: {self.where}: {self.what}"


@dataclass(frozen=True)
class Rows:
    """What SQL holds of one issue: its row, the columns that follow from its state, its events, its receipts.

    `events` are the bodies in order of `seq`, `digests` what stands beside them.
    """

    columns: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    digests: Sequence[str]
    receipts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Leaf:
    """An issue's place in the log. `salt` and `record` are None once its content was erased."""

    position: int
    leaf: bytes
    salt: bytes | None
    record: Mapping[str, Any] | None


@dataclass(frozen=True)
class Case:
    """One issue: the bytes of its runs, the oldest first, its leaf and its rows, as far as there are any.

    `unread` says, for each run that could not be had, why; `kept` is the leaf as it lies in the archive.
    """

    issue: str
    runs: tuple[bytes, ...] = ()
    leaf: Leaf | None = None
    rows: Rows | None = None
    kept: Mapping[str, Any] | None = None
    unread: tuple[str, ...] = field(default=())


Runs = Sequence[Sequence[HistoryEvent]]
"""The histories of an issue's runs, parsed."""
