"""The case of one issue, which is everything that is held of it for an auditor to verify; and the verdict, with a
finding for everything that does not hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Self

from temporalio.api.history.v1 import HistoryEvent

Step = Literal["archive", "commands", "fold", "time", "rows", "seal", "head"]
"""A step of verification. ``archive``: the bytes in the archive; ``commands``: the commands that the workflow's code
gives; ``fold``: the events folded from the signals; ``time``: the times of commands against the server's; ``rows``: the
rows in SQL; ``seal``: the issue's leaf in the log; ``head``: the log against its published heads.
"""
STEPS: Final[tuple[Step, ...]] = ("archive", "commands", "fold", "time", "rows", "seal", "head")


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold: in which step, of which issue (None: of the log), at which place, in words."""

    step: Step
    issue: str | None
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.issue or 'log'}: {self.step}: {self.where}: {self.what}"


@dataclass(frozen=True)
class Rows:
    """What SQL holds of one issue.

    `columns` are the values of the issue's row by column, `events` the plain bodies of its events in order of `seq`.
    `beside` gives for each event the columns that repeat part of its body (digest, kind, `at`, `recorded_at`).
    `receipts` are the plain receipts by command id.
    """

    columns: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    beside: Sequence[tuple[str, str, datetime, datetime | None]]
    receipts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Leaf:
    """An issue's leaf in the Merkle log. `salt` and `record` are None if SQL does not hold them, or if they were not
    read.
    """

    position: int
    leaf: bytes
    salt: bytes | None
    record: Mapping[str, Any] | None

    @classmethod
    def of_seal(cls, seal: Mapping[str, Any]) -> Self:
        """The leaf that a seal in the archive holds. Raises LookupError, TypeError, ValueError if the seal is
        malformed.
        """
        return cls(seal["position"], bytes.fromhex(seal["leaf"]), bytes.fromhex(seal["salt"]), seal["record"])

    def seal(self) -> dict[str, Any]:
        """The leaf as the seal ``{position, leaf, salt, record}`` that the archive holds, digests in hexadecimal."""
        salt = self.salt.hex() if self.salt is not None else None
        return {"position": self.position, "leaf": self.leaf.hex(), "salt": salt, "record": self.record}


@dataclass(frozen=True)
class ArchivedCase:
    """One issue as the auditor reads it: the serialized histories of its runs, the oldest first, with its leaf and its
    rows if there are any.

    `unread` gives the reason for each part that could not be read. `kept` is the seal in the archive. `erased` says
    whether SQL notes that the issue's texts were erased.
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
        """Whether the issue's leaf is all that is left of it: there are no histories, no seal in the archive and no
        row.
        """
        return not self.runs and not self.unread and self.kept is None and (self.rows is None or not self.rows.columns)


Runs = Sequence[Sequence[HistoryEvent]]
"""The parsed histories of an issue's runs, the oldest first."""


@dataclass(frozen=True)
class Verdict:
    """The result of verifying one issue: how much was compared, and what does not hold.

    `root` is the root of trust of signing keys that the issue's report names (not the root of the Merkle log).
    `begun_at` is the server's time of the issue's start, None if that cannot be read. `erased` says that the key of the
    issue's texts was destroyed; everything else is verified as usual. `merged_into` is the other issue that ordered
    this issue to be merged into it, None if there is none.
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
        """The fields of the verdict and `holds` as plain values, ready for JSON."""
        return {"holds": self.holds, **asdict(self)}
