"""The case of one issue, which is everything that is held of it for an auditor to verify; and the verdict, with a
finding for everything that does not hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Self

from temporalio.api.history.v1 import HistoryEvent

Step = Literal["archive", "commands", "fold", "time", "rows", "texts", "pictures", "seal", "head"]
"""A step of verification. ``archive``: the bytes in the archive; ``commands``: the commands that the workflow's code
gives; ``fold``: the events folded from the signals; ``time``: the times of commands against the server's; ``rows``: the
rows in SQL; ``texts``: the issue's key, and the sealed texts that it opens; ``pictures``: the stored pictures; ``seal``:
the issue's leaf in the log; ``head``: the log against its published heads.
"""
STEPS: Final[tuple[Step, ...]] = (
    "archive", "commands", "fold", "time", "rows", "texts", "pictures", "seal", "head",
)  # fmt: skip


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
    `receipts` are the plain receipts by command id. `voices` are the residents who follow it, and whether each reported it.
    """

    columns: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    beside: Sequence[tuple[str, str, datetime, datetime | None]]
    receipts: Mapping[str, Mapping[str, Any]]
    voices: Mapping[str, bool] = field(default_factory=dict[str, bool])
    forms: Sequence[tuple[str, str]] = ()
    """``(table, column)`` of each value that is stored in another form than Jiesu writes."""


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
    index: tuple[tuple[str, int, datetime], ...] = ()
    """What SQL's index of the archive says of each run beside its digest: Temporal's id, number of events, end."""

    @property
    def is_bare(self) -> bool:
        """Whether the issue's leaf is all that is left of it: there are no histories, no seal in the archive and no
        row.
        """
        return not self.runs and not self.unread and self.kept is None and (self.rows is None or not self.rows.columns)


Runs = Sequence[Sequence[HistoryEvent]]
"""The parsed histories of an issue's runs, the oldest first."""


@dataclass(frozen=True)
class Order:
    """What an issue did by order of another one, `issue`: it was ``merged`` into that, or ``split`` from it, and let these
    residents go with it.
    """

    kind: Literal["merged", "split"]
    issue: str
    persons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The result of verifying one issue: how much was compared, and what does not hold.

    `root` is the root of trust of signing keys that the issue's report names (not the root of the Merkle log).
    `begun_at` is the server's time of the issue's start, None if that cannot be read. `erased` says that the key of the
    issue's texts was destroyed; everything else is verified as usual.
    """

    issue: str
    runs: int = 0
    commands: int = 0
    events: int = 0
    findings: tuple[Finding, ...] = ()
    erased: bool = False
    root: str = ""
    begun_at: str | None = None
    orders: tuple[Order, ...] = ()
    """What it did by order of other issues."""
    opened: int = 0
    unopened: int = 0
    """How many sealed texts were opened, and how many not, since the auditor has no keys."""
    pictures: int = 0
    unseen: int = 0
    """How many pictures that the history names were compared, and how many not, since the auditor has no store of them."""

    @property
    def holds(self) -> bool:
        return not self.findings

    def plain(self) -> dict[str, Any]:
        """The fields of the verdict and `holds` as plain values, ready for JSON."""
        return {"holds": self.holds, **asdict(self)}
