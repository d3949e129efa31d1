"""What an auditor looks at: everything that is held of one issue, and what does not hold of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Self

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

    `events` are the bodies in order of `seq`; `beside` what stands beside each: digest, kind, `at`, `recorded_at`.
    """

    columns: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    beside: Sequence[tuple[str, str, datetime, datetime | None]]
    receipts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Leaf:
    """An issue's place in the log. `salt` and `record` are None once its content was erased."""

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
    """One issue: the bytes of its runs, the oldest first, its leaf and its rows, as far as there are any.

    `unread` says, for each run that could not be had, why; `kept` is the leaf as it lies in the archive; `erased` whether
    it is on record that the key of its texts was destroyed.
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
        """Whether nothing is left of it but its leaf."""
        return not self.runs and not self.unread and self.kept is None and (self.rows is None or not self.rows.columns)


Runs = Sequence[Sequence[HistoryEvent]]
"""The histories of an issue's runs, parsed."""


@dataclass(frozen=True)
class Verdict:
    """What came of verifying one issue: what was compared, and what does not hold.

    `erased`: what people wrote can be read by nobody any more. All the rest is verified all the same.
    """

    issue: str
    runs: int = 0
    commands: int = 0
    events: int = 0
    findings: tuple[Finding, ...] = ()
    erased: bool = False
    root: str = ""
    begun_at: str | None = None
    """Under which root it was begun, and when by the server's time; None where that cannot be told."""

    merged_into: str | None = None
    """On whose order it was merged."""

    @property
    def holds(self) -> bool:
        return not self.findings

    def plain(self) -> dict[str, Any]:
        """The fields and `holds`, ready for JSON."""
        return {"holds": self.holds, **asdict(self)}
