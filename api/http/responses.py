"""The shapes of answers that several routes share, made from the domain's values.

A shape that only one route uses stands beside that route. The attribute `example` of a class is the example in the
OpenAPI document. A route returns an instance, so each answer is validated once and serialized once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from db.rows import nested
from db.tables import IssueRow
from domain.access import Sight
from domain.clocks import next_clock, next_step
from domain.commands import Actor
from domain.events import Event
from domain.issue import Issue, Receipt, lead_org
from domain.policy import Policy
from domain.vocabulary import Assessment, Category, CloseKind, Holder, Level, Role, Satisfaction, Status
from domain.wire import format_time
from protocol.catalogue import Word, clauses_in
from protocol.context import LANGUAGE
from protocol.intake import ToldBy
from protocol.masking import mask_person, masked_event
from protocol.reader import Timeline
from protocol.telling import Told
from texts.catalogue import say

T = TypeVar("T")
Moment = Annotated[
    datetime, PlainSerializer(format_time, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A time in an answer, written as RFC 3339 in UTC, with milliseconds."""
ISSUE_ID: Final = "yd3tqvzv5kq3oq6tbi3wq2jmsy"
_COMMAND_ID: Final = "0d6f6a52-0f0e-5a0e-9a57-6f0f2f0f8b11"


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)
    example: ClassVar[Any]

    @classmethod
    def of(cls, value: object, **others: Any) -> Self:
        """An answer made from `value`: each field is the attribute of the same name, unless it is in `others`."""
        return cls.model_validate(
            {name: getattr(value, name) for name in cls.model_fields if name not in others} | others
        )


def etag(version: int) -> str:
    return f'"{version}"'


class WordView(Answer):
    """A value as commands and answers hold it, and what it is called."""

    word: str
    zh: str
    en: str

    example: ClassVar[Any] = {"word": "accept", "zh": "物业签收", "en": "property: accept"}

    @classmethod
    def list_of(cls, words: Sequence[Word]) -> list[Self]:
        return list(map(cls.of, words))


class PolicyView(Answer):
    """The policy that an issue has pinned."""

    id: str
    version: int
    digest: str


class NextView(Answer):
    """The next step of an issue: which organisation must reach which milestone by when, under which clause."""

    milestone: str
    due: Moment
    org: str | None
    clause: str

    example: ClassVar[Any] = {
        "milestone": "accept", "due": "2026-11-21T08:00:10.000Z", "org": "demo-property", "clause": "accept",
    }  # fmt: skip

    @classmethod
    def from_issue(cls, issue: Issue) -> Self | None:
        """The next step of this issue; None when nothing is due."""
        step = next_step(issue)
        return step and cls.of(step)


class ClosedView(Answer):
    """How an issue was closed, and how satisfied its reporter was."""

    kind: CloseKind
    satisfaction: Satisfaction


class IssueView(Answer):
    """The present state of an issue, without personal data."""

    id: str
    number: str
    status: Status
    level: Level
    handler: str
    version: int
    policy: PolicyView
    next: NextView | None
    closed: ClosedView | None
    merged_into: str | None
    taken_often: int | None = None
    """How many reports the same organisation took in under this phone within 30 days, if more than three; for the lead."""
    lead: str
    compound: str
    category: Category
    urgent: bool
    assessment: Assessment | None
    overdue: bool
    warn_at: Moment | None
    """When the light of the next step turns yellow: it is green before, and red where the issue is `overdue`."""
    opened_at: Moment

    example: ClassVar[Any] = {
        "id": ISSUE_ID, "number": "JS-7K2QF-0M3XA", "status": "dispatched", "level": "property",
        "handler": "demo-property", "version": 2,
        "policy": {"id": "demo", "version": 1, "digest": "5f0c1e7b2d9a4c3f8e6b7a1d2c3f4e5a"},
        "next": NextView.example, "closed": None, "merged_into": None, "taken_often": None, "lead": "demo-property", "compound": "demo", "category": "leak",
        "urgent": False, "assessment": None, "overdue": False, "warn_at": "2026-11-21T08:00:07.500Z",
        "opened_at": "2026-11-21T08:00:00.000Z",
    }  # fmt: skip

    @classmethod
    def from_issue(cls, issue: Issue, *, taken_often: int | None = None, **more: str | None) -> Self:
        clock = next_clock(issue)
        return cls.of(
            issue, handler=issue.handler.code, next=NextView.from_issue(issue), lead=lead_org(issue),
            compound=issue.place.compound, overdue=issue.is_overdue, taken_often=taken_often,
            warn_at=clock and clock.warn, **more,
        )  # fmt: skip

    @classmethod
    def from_row(cls, row: IssueRow) -> Self:
        """The view of an issue, made from its row in the read model."""
        return cls.of(row, **nested(row), lead=row.lead_org, taken_often=None)


class TakenView(IssueView):
    """The answer to a report: the issue, the tracking code with which its reporter can open it, and how he hears of it."""

    tracking_code: str | None
    told_by: ToldBy

    example: ClassVar[Any] = IssueView.example | {"tracking_code": "8J5ZC-0QK2M-VT7XD-3H9RA", "told_by": "code"}


class Page(Answer, Generic[T]):
    """One page of a list. `next_cursor` asks for the next page; null on the last page."""

    items: list[T]
    next_cursor: str | None


class AppliedView(Answer):
    """A command took effect. `tracking_code` is a renewed code; `code` and `reason` say that an urge was only counted."""

    outcome: Literal["applied"]
    command_id: str
    issue: IssueView
    code: str = ""
    params: Mapping[str, str] = {}
    reason: str = ""
    tracking_code: str = ""

    example: ClassVar[Any] = {
        "outcome": "applied", "command_id": _COMMAND_ID,
        "issue": IssueView.example | {"status": "accepted", "version": 3},
    }  # fmt: skip


class QueuedView(Answer):
    """The answer to a command that is stored durably, but has not been dealt with yet."""

    outcome: Literal["queued"]
    command_id: str

    example: ClassVar[Any] = {"outcome": "queued", "command_id": _COMMAND_ID}


def said_of(receipt: Receipt) -> dict[str, Any]:
    """Why the command was refused, or had less effect than its giver may think: code, what the text names, and text."""
    if not receipt.code:
        return {}
    table = "refusals" if receipt.outcome == "refused" else "notes"
    reason = say(table, receipt.code, LANGUAGE.get(), receipt.named)
    return {"code": receipt.code, "params": receipt.named, "reason": reason}


class ReceiptView(Answer):
    """What became of a command. If it was refused, or an urge only counted, `code`, `params` and `reason` say why."""

    outcome: Literal["queued", "applied", "refused"]
    command_id: str
    issue_id: str
    version: int = 0
    code: str = ""
    params: Mapping[str, str] = {}
    reason: str = ""
    tracking_code: str = ""
    """The new tracking code, if the command renewed it and the caller sent the code that it replaced; else empty."""

    example: ClassVar[Any] = {"outcome": "applied", "command_id": _COMMAND_ID, "issue_id": ISSUE_ID, "version": 3}

    @classmethod
    def from_issue(cls, command: str, issue: Issue) -> Self:
        """The receipt of a command, from the receipts in the issue's state."""
        receipt = issue.receipts[command]
        plain = {"outcome": receipt.outcome, "command_id": command, "issue_id": issue.id, "version": receipt.seq}
        return cls.model_validate(plain | said_of(receipt))


class ActorView(Answer):
    """Who did something, and in which role. A resident's name is masked for those who may not read personal texts."""

    person: str
    role: Role
    org: str | None

    example: ClassVar[Any] = {"person": "p1", "role": "property", "org": "demo-property"}

    @classmethod
    def from_actor(cls, actor: Actor, sight: Sight) -> Self:
        return cls.of(actor, person=mask_person(actor.person, actor.role, sight))


class HeldView(Answer):
    """How many milliseconds one holder held an issue."""

    holder: Holder
    org: str | None
    ms: int


class MinutesView(HeldView):
    """How long one holder held an issue in all, in milliseconds and in minutes."""

    minutes: float


class EventView(Answer):
    """One event of an issue. Which fields `data` has depends on the kind of event."""

    seq: int
    kind: str
    at: Moment
    recorded_at: Moment | None
    actor: ActorView | None
    level: Level
    clause: str | None
    due: Moment | None
    was_due: Moment | None
    held: list[HeldView]
    command_id: str | None
    data: dict[str, Any]

    @classmethod
    def from_event(cls, event: Event, sight: Sight) -> Self:
        actor = event.actor and ActorView.from_actor(event.actor, sight)
        command = event.command and event.command.id
        return cls.of(event, actor=actor, command_id=command, data=masked_event(event, sight))

    @classmethod
    def from_events(cls, events: Sequence[Event], sight: Sight) -> list[Self]:
        return [cls.from_event(event, sight) for event in events]


class ClimbView(Answer):
    """A climb on the account of a handler, whether it was made good, and the handler's milliseconds since then."""

    seq: int
    clause: str
    at: Moment
    org: str
    made_good: bool
    ms: int


class BeforeView(Answer):
    """A closed issue that another one takes up or follows: what happened in it, and where its pictures are read."""

    id: str
    number: str
    events: list[EventView]
    attachments: list[str]
    clauses: list[WordView]

    @classmethod
    def from_told(cls, old: Told, folder: str) -> Self:
        events = EventView.from_events(old.timeline.events, old.sight)
        clauses = WordView.list_of(clauses_in(old.timeline.events, old.issue.policy))
        return cls.of(old.issue, events=events, attachments=[folder + each for each in old.pictures], clauses=clauses)


class TimelineView(Answer):
    """All events of an issue, how long each holder held it, the climbs on the accounts of its handlers, what was before.

    `clauses` names what the events bear as their clause.
    """

    events: list[EventView]
    minutes: list[MinutesView]
    accounts: list[ClimbView]
    before: list[BeforeView]
    clauses: list[WordView]

    example: ClassVar[Any] = {
        "events": [
            {
                "seq": 3, "kind": "accepted", "at": "2026-11-21T08:00:04.120Z", "recorded_at": None,
                "actor": ActorView.example, "level": "property",
                "clause": "accept", "due": "2026-11-21T08:00:14.120Z", "was_due": "2026-11-21T08:00:10.000Z",
                "held": [{"holder": "operator", "org": "demo-property", "ms": 4120}], "command_id": _COMMAND_ID,
                "data": {"note": "马上到"},
            }
        ],
        "minutes": [{"holder": "operator", "org": "demo-property", "ms": 4120, "minutes": 0.07}], "accounts": [], "before": [],
        "clauses": [WordView.example],
    }  # fmt: skip

    @classmethod
    def from_timeline(
        cls, found: Timeline, sight: Sight, policy: Policy | None, before: Sequence[BeforeView] = ()
    ) -> Self:
        held = sorted(found.minutes.items(), key=lambda item: -item[1])  # the longest time first
        minutes = [MinutesView(holder=who, org=org, ms=ms, minutes=round(ms / 60_000, 2)) for (who, org), ms in held]
        shown, accounts = EventView.from_events(found.events, sight), list(map(ClimbView.of, found.climbs))
        clauses = WordView.list_of(clauses_in(found.events, policy)) if policy else []
        return cls(events=shown, minutes=minutes, accounts=accounts, before=list(before), clauses=clauses)
