"""The shapes of answers to auditors, for the OpenAPI document; the plain values come from `audit`."""

from typing import Any, ClassVar

from pydantic import BaseModel

from api.http.responses import ISSUE_ID, Answer, Moment
from domain.vocabulary import Level, Status


class _Part(BaseModel):
    """A shape whose answer holds more than is described."""

    example: ClassVar[Any]


class HeadView(Answer):
    """A published head: the log's size and root, in hexadecimal digits, and the signed note that says so."""

    size: int
    root: str
    at: Moment
    note: str

    example: ClassVar[Any] = {
        "size": 1042, "root": "5f0c" * 16, "at": "2026-11-24T16:05:00.000Z",
        "note": "city.example/jiesu\n1042\n...\ntime 2026-11-24T16:05:00.000Z\n\n— city.example/jiesu ...\n",
    }  # fmt: skip


class FindingView(Answer):
    """What does not hold."""

    step: str
    issue: str | None
    where: str
    what: str

    example: ClassVar[Any] = {
        "step": "rows", "issue": ISSUE_ID, "where": "event 4",
        "what": "the row holds another event than the history leads to",
    }  # fmt: skip


class VerdictView(Answer):
    """What a strict replay compared, and what does not hold."""

    holds: bool
    issue: str
    runs: int
    commands: int
    events: int
    findings: list[FindingView]
    erased: bool
    root: str
    begun_at: Moment | None
    merged_into: str | None

    example: ClassVar[Any] = {
        "holds": False, "issue": ISSUE_ID, "runs": 1, "commands": 7, "events": 8, "erased": False,
        "root": "PNtX9LDjE0a7", "begun_at": "2026-11-21T08:00:00.000Z", "merged_into": None,
        "findings": [FindingView.example],
    }  # fmt: skip


class VerdictsView(Answer):
    """A page of verdicts."""

    items: list[VerdictView]
    next_after: str | None

    example: ClassVar[Any] = {"items": [VerdictView.example], "next_after": None}


class ProofView(Answer):
    """That a record is in the log: its leaf, its place and the siblings up to the head's root."""

    issue: str
    record: Any
    salt: str | None
    leaf: str
    position: int
    size: int
    root: str
    proof: list[str]
    head: str

    example: ClassVar[Any] = {
        "issue": ISSUE_ID, "record": {"v": 1}, "salt": "a70b" * 16, "leaf": "91d2" * 16, "position": 7, "size": 1042,
        "root": HeadView.example["root"], "proof": ["5f0c" * 16], "head": HeadView.example["note"],
    }  # fmt: skip


class ThenView(_Part):
    """The issue as it was."""

    status: Status
    level: Level
    responsible: dict[str, Any]

    example: ClassVar[Any] = {"status": "accepted", "level": "property", "responsible": {"lead": "demo-property"}}


class LineView(_Part):
    """One event, as each witness tells it."""

    seq: int
    same: bool


class DiffView(Answer):
    """The witnesses beside each other."""

    issue: str
    same: bool
    witnesses: list[str]
    events: list[LineView]
    rows: list[str]

    example: ClassVar[Any] = {
        "issue": ISSUE_ID, "same": True, "witnesses": ["archive", "sql"],
        "events": [{"seq": 1, "same": True, "archive": "reported 5f0c1e7b", "sql": "reported 5f0c1e7b"}], "rows": [],
    }  # fmt: skip


class ControlView(_Part):
    """In how many issues the same policy leads to what happened."""

    agreeing: int
    differing: int
    first: list[str]


class FiguresView(_Part):
    """What would have been; the groups are those of `jiesu simulate --json`."""

    issues: int
    control: ControlView

    example: ClassVar[Any] = {"issues": 12, "control": {"agreeing": 12, "differing": 0, "first": []}}
