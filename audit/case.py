"""What an auditor verifies: everything that is held of one issue, and the verdict with its findings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Self

from temporalio.api.history.v1 import HistoryEvent

Step = Literal["archive", "commands", "fold", "time", "rows", "seal", "head"]
"""What was verified: the bytes in the archive, the commands that the workflow's code gives, the events folded from the
signals, times against the server's, the rows in SQL, the leaf of the log, the log against its published heads.
"""
STEPS: Final[tuple[Step, ...]] = ("archive", "commands", "fold", "time", "rows", "seal", "head")


@dataclass(frozen=True)
class Finding:
    """Something that does not hold: in which step, of which issue (None: of the log itself), at which place, in words."""

    step: Step
    issue: str | None
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.issue or 'log'}: {self.step}: {self.where}: {self.what}"


@dataclass(frozen=True)
class Rows:
    """What SQL holds of one issue.

    `columns` are the values of its row by column, `events` the plain bodies in order of `seq`, `beside` the columns
    beside each body (digest, kind, `at`, `recorded_at`), `receipts` the plain receipts by command id.
    """

    columns: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    beside: Sequence[tuple[str, str, datetime, datetime | None]]
    receipts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Leaf:
    """An issue's leaf in the log. `salt` and `record` are None if SQL does not hold them, or if they were not read."""

    position: int
    leaf: bytes
    salt: bytes | None
    record: Mapping[str, Any] | None

    @classmethod
    def of_seal(cls, seal: Mapping[str, Any]) -> Self:
        """The leaf that a seal in the archive holds. Raises LookupError, TypeError, ValueError if it is malformed."""
        return cls(seal["position"], bytes.fromhex(seal["leaf"]), bytes.fromhex(seal["salt"]), seal["record"])

    def seal(self) -> dict[str, Any]:
        """``{position, leaf, salt, record}`` as the archive holds it, digests in hexadecimal."""
        salt = self.salt.hex() if self.salt is not None else None
        return {"position": self.position, "leaf": self.leaf.hex(), "salt": salt, "record": self.record}


@dataclass(frozen=True)
class ArchivedCase:
    """One issue: the serialized histories of its runs, the oldest first, with its leaf and its rows if there are any.

    `unread` gives the reason for each part that could not be read. `kept` is the seal in the archive. `erased` says
    whether the erasure of its texts is on record.
    """

    issue: str
    runs: tuple[bytes, ...] = ()
    leaf: Leaf | None = None
    rows: Rows | None = None
    kept: Mapping[str, Any] | None = None
    unread: tuple[str, ...] = field(default=())
    erased: bool = False

    @property
    def is_bare(self) -> bool:
        """Whether nothing of the issue is left but its leaf."""
        return not self.runs and not self.unread and self.kept is None and (self.rows is None or not self.rows.columns)


Runs = Sequence[Sequence[HistoryEvent]]
"""The parsed histories of an issue's runs, the oldest first."""


@dataclass(frozen=True)
class Verdict:
    """The result of verifying one issue: how much was compared, and what does not hold.

    `root` is the signing root that the issue names, `begun_at` the server's time of its start (None if that cannot be
    read). `erased` says that the key of its texts was destroyed; everything else is verified as usual. `merged_into` is
    the issue on whose order it was merged.
    """

    issue: str
    runs: int = 0
    commands: int = 0
    events: int = 0
    findings: tuple[Finding, ...] = ()
    erased: bool = False
    root: str = ""
    begun_at: str | None = None

    merged_into: str | None = None

    @property
    def holds(self) -> bool:
        return not self.findings

    def plain(self) -> dict[str, Any]:
        """The fields and `holds`, ready for JSON."""
        return {"holds": self.holds, **asdict(self)}
