"""The shapes of answers, for the OpenAPI document; `views` fills them."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from domain.vocabulary import Assessment, Category, CloseKind, Holder, Level, Role, Satisfaction, Status

T = TypeVar("T")


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PolicyView(Answer):
    """The policy that the issue is pinned to."""

    id: str
    version: int
    digest: str


class NextView(Answer):
    """Who must do what by when."""

    milestone: str
    due: datetime
    org: str | None
    clause: str


class ClosedView(Answer):
    """How the issue ended."""

    kind: CloseKind
    satisfaction: Satisfaction


class IssueView(Answer):
    """An issue as it stands; no personal data in it."""

    id: str
    number: str
    status: Status
    level: Level
    handler: str
    version: int
    policy: PolicyView
    next: NextView | None
    closed: ClosedView | None
    lead: str
    compound: str
    category: Category
    urgent: bool
    assessment: Assessment | None
    overdue: bool
    opened_at: datetime


class TakenView(IssueView):
    """An issue that was handed in, with the code that opens it to its reporter."""

    tracking_code: str


class Page(Answer, Generic[T]):
    """A part of a list; the rest begins where `next_cursor` says."""

    items: list[T]
    next_cursor: str | None


class AppliedView(Answer):
    """What a command came to; with a new tracking code where that was asked for."""

    outcome: Literal["applied"]
    command_id: str
    issue: IssueView
    tracking_code: str = ""


class QueuedView(Answer):
    """A command that is kept and not yet dealt with."""

    outcome: Literal["queued"]
    command_id: str


class ReceiptView(Answer):
    """What became of a command; of a refused one, why."""

    outcome: Literal["queued", "applied", "refused"]
    command_id: str
    issue_id: str
    version: int = 0
    code: str = ""
    reason: str = ""
    tracking_code: str = ""
    """The new one, of a renewal that is asked after by the code before."""


class ActorView(Answer):
    """Who did something; a resident is shown to those who may know."""

    person: str
    role: Role
    org: str | None


class HeldView(Answer):
    """For how long somebody held the issue."""

    holder: Holder
    org: str | None
    ms: int


class MinutesView(HeldView):
    """The same of the whole issue, in minutes as well."""

    minutes: float


class EventView(Answer):
    """One thing that happened; `data` is as the kind of event needs it."""

    seq: int
    kind: str
    at: datetime
    recorded_at: datetime | None
    actor: ActorView | None
    level: Level
    clause: str | None
    due: datetime | None
    was_due: datetime | None
    held: list[HeldView]
    command_id: str | None
    data: dict[str, Any]


class TimelineView(Answer):
    """Everything that happened, and whose minutes they were."""

    events: list[EventView]
    minutes: list[MinutesView]


class AccessView(Answer):
    """Who saw or tried what."""

    at: datetime
    person: str
    role: str
    org: str | None
    what: str
    issue: str | None
    result: Literal["shown", "masked", "forbidden", "not-found"]
    address: str | None


class KeptView(Answer):
    """The name of a picture."""

    attachment: str


class PictureView(KeptView):
    """A picture of an issue."""

    kind: Literal["image/jpeg", "image/png"]
    size: int
    actor: ActorView
    at: datetime


class PicturesView(Answer):
    """The pictures of an issue."""

    items: list[PictureView]


class CodeSentView(Answer):
    """For how many seconds the code is good."""

    valid_for: int


class ProvenView(Answer):
    """A resident's token, and for how many seconds it is good."""

    token: str
    expires_in: int


class AliveView(Answer):
    """The process answers."""

    status: Literal["ok"]


class ReadyView(Answer):
    """Each check with true, or with what is wrong."""

    ready: bool
    checks: dict[str, Literal[True] | str]


class ProblemView(Answer):
    """What a type of problem means."""

    type: str
    title: str
    status: int
    about: str


class HeadView(Answer):
    """A published head: the log's size and root, in hexadecimal digits, and the signed note that says so."""

    size: int
    root: str
    at: datetime
    note: str


class FindingView(Answer):
    """What does not hold."""

    step: str
    issue: str | None
    where: str
    what: str


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
    begun_at: datetime | None
    merged_into: str | None


class VerdictsView(Answer):
    """A page of verdicts."""

    items: list[VerdictView]
    next_after: str | None


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


class ThenView(BaseModel):
    """The issue as it was."""

    status: Status
    level: Level
    responsible: dict[str, Any]


class LineView(BaseModel):
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


class ControlView(BaseModel):
    """In how many issues the same policy leads to what happened."""

    agreeing: int
    differing: int
    first: list[str]


class FiguresView(BaseModel):
    """What would have been; the groups are those of `jiesu simulate --json`."""

    issues: int
    control: ControlView


class RoleView(Answer):
    """One of a person's roles."""

    role: Role
    org: str | None


class SessionView(Answer):
    """As whom a browser is signed in."""

    person: str
    role: Role | None
    org: str | None
    roles: list[RoleView]
    csrf_token: str
    expires: datetime
