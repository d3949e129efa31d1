"""The shapes of answers to auditors, for the OpenAPI document. The routes return plain values that `audit` makes."""

from typing import Any, ClassVar

from pydantic import BaseModel

from api.http.responses import ISSUE_ID, Answer, Moment
from domain.vocabulary import Level, Status


class _Part(BaseModel):
    """The base of shapes that describe only some fields of an answer; the answer holds further ones."""

    example: ClassVar[Any]


class HeadView(Answer):
    """A published head of the Merkle log: size, root (in hexadecimal), time, and the signed note that states them."""

    size: int
    root: str
    at: Moment
    note: str

    example: ClassVar[Any] = {
        "size": 1042, "root": "5f0c" * 16, "at": "2026-11-24T16:05:00.000Z",
        "note": "city.example/jiesu\n1042\n...\ntime 2026-11-24T16:05:00.000Z\n\n— city.example/jiesu ...\n",
    }  # fmt: skip


class FindingView(Answer):
    """One finding of an audit: what does not hold, and where."""

    step: str
    issue: str | None
    where: str
    what: str

    example: ClassVar[Any] = {
        "step": "rows", "issue": ISSUE_ID, "where": "event 4",
        "what": "the row holds another event than the history leads to",
    }  # fmt: skip


class OrderView(Answer):
    """What an issue did by order of another one."""

    kind: str
    issue: str
    persons: list[str]

    example: ClassVar[Any] = {"kind": "merged", "issue": ISSUE_ID, "persons": []}


class VerdictView(Answer):
    """The result of strict replay of one issue: how much was compared, and the findings, which say what does not hold.

    `root` is the signing root that the issue names, not a root of the Merkle log. Texts that were `opened` and `pictures`
    were compared; those `unopened` and `unseen` were not, since the server has no keys or no store of pictures.
    """

    holds: bool
    issue: str
    runs: int
    commands: int
    events: int
    opened: int
    unopened: int
    pictures: int
    unseen: int
    findings: list[FindingView]
    erased: bool
    root: str
    begun_at: Moment | None
    orders: list[OrderView]

    example: ClassVar[Any] = {
        "holds": False, "issue": ISSUE_ID, "runs": 1, "commands": 7, "events": 8, "erased": False, "opened": 2, "unopened": 0, "pictures": 1, "unseen": 0,
        "root": "PNtX9LDjE0a7", "begun_at": "2026-11-21T08:00:00.000Z", "orders": [],
        "findings": [FindingView.example],
    }  # fmt: skip


class VerdictsView(Answer):
    """A page of verdicts. The next page begins after the issue `next_after`; null on the last page."""

    items: list[VerdictView]
    next_after: str | None

    example: ClassVar[Any] = {"items": [VerdictView.example], "next_after": None}


class ProofView(Answer):
    """The proof that the record of an issue is in the Merkle log.

    It holds the record, its leaf, the leaf's position, and the sibling digests up to the root of the published head.
    """

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
    """The issue as it was at an earlier moment, or after an earlier event."""

    status: Status
    level: Level
    responsible: dict[str, Any]

    example: ClassVar[Any] = {"status": "accepted", "level": "property", "responsible": {"lead": "demo-property"}}


class LineView(_Part):
    """One event, as each witness (Temporal's history, the archive, SQL) holds it. `same` says whether all agree."""

    seq: int
    same: bool


class DiffView(Answer):
    """What each witness (Temporal's history, the archive, SQL) holds of an issue, event by event."""

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
    """The control of a what-if study: the issues folded again under the policy that really applied, without outages.

    `agreeing` counts the issues in which the control matches what happened, `differing` the others, and `first` names
    the first of those that differ.
    """

    agreeing: int
    differing: int
    first: list[str]


class FiguresView(_Part):
    """What would have happened under another policy.

    Besides the described fields, the answer holds the groups of figures that `jiesu audit whatif --json` prints.
    """

    issues: int
    control: ControlView

    example: ClassVar[Any] = {"issues": 12, "control": {"agreeing": 12, "differing": 0, "first": []}}
