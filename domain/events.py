"""The events of an issue: one frozen dataclass per kind, and their envelope.

The class name in snake case is the event's kind on the wire. Fields marked PERSONAL may hold personal data.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from domain.commands import Actor, ContactDetails, Step, Voice
from domain.personal import Personal
from domain.place import Handler, Place
from domain.policy import Policy
from domain.values import Copyable
from domain.vocabulary import (
    Assessment,
    Category,
    Channel,
    ClimbReason,
    CloseKind,
    CompletionKind,
    DeclineReason,
    Holder,
    LegalRoute,
    Level,
    Outcome,
    Request,
    Satisfaction,
    Service,
    Stops,
    Uncounted,
    WaitReason,
)
from domain.wire import PERSONAL, WireError, canonical, digest, dump, load, wire_name
from domain.worktime import Limit, YearCalendar


@dataclass(frozen=True)
class EventBody:
    """The fields of one kind of event."""


@dataclass(frozen=True)
class PolicyRef:
    """Identifies a policy by id, version and digest."""

    id: str
    version: int
    digest: str


@dataclass(frozen=True)
class Reported(EventBody):
    number: str
    place: Place
    category: Category
    policy: PolicyRef
    ladder: tuple[Level, ...]
    """The levels that this issue can reach: the policy's ladder without those that the place lacks."""
    description: Personal = field(metadata=PERSONAL)
    urgent: bool = False
    about_operator: bool = False
    location: Personal = field(default="", metadata=PERSONAL)
    channel: Channel = "web"
    contact: ContactDetails = field(default_factory=ContactDetails, metadata=PERSONAL)
    follows: str | None = None
    rules_version: int = 1
    root: str = ""
    reachable: bool = True
    reporter: str = ""
    """The pseudonym of the resident for whom staff reported."""
    news: Personal = field(default="", metadata=PERSONAL)
    reopened: int = 0
    """How often the matter had been reopened, in an issue that takes up another: the take-up counts as one."""
    taken_by: Actor | None = None
    """Who took the report in for somebody else; that is not the reporter."""
    building: str = ""
    common: bool = False


@dataclass(frozen=True)
class Dispatched(EventBody):
    handler: Handler


@dataclass(frozen=True)
class Led(EventBody):
    """The lead, not the handler, accepted the issue. The status stays, since it tells how far the handler's work is."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Accepted(EventBody):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Commented(EventBody):
    text: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Attached(EventBody):
    digest: str


@dataclass(frozen=True)
class Supplied(EventBody):
    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Urged(EventBody):
    """The resident asked for haste. With `counted_only` it was once too often within an hour: nobody is notified of it."""

    text: Personal = field(default="", metadata=PERSONAL)
    counted_only: bool = False


@dataclass(frozen=True)
class Objected(EventBody):
    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Withdrawn(EventBody):
    """The reporter took the report back. Where somebody follows it, the oldest of them decides from now on."""

    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Followed(EventBody):
    """Another resident joined the issue."""

    rates: bool = False


@dataclass(frozen=True)
class Unfollowed(EventBody):
    """A resident who had joined left the issue."""

    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Confirmed(EventBody):
    """The resident's word on completed work. With `counted` False it counts nowhere, for the reason `because`."""

    outcome: Outcome
    satisfaction: Satisfaction
    comment: Personal = field(default="", metadata=PERSONAL)
    counted: bool = True
    because: Uncounted | None = None


@dataclass(frozen=True)
class Reopened(EventBody):
    """The work begins anew. `own_side`: a follower on the side of those who did it said that it is not done."""

    reason: Personal = field(metadata=PERSONAL)
    own_side: bool = False


@dataclass(frozen=True)
class TakenBack(EventBody):
    """Whoever completed the work took that back, or that staff dropped the issue was undone: it goes on as before."""

    reason: Personal = field(metadata=PERSONAL)
    leaves: str | None = None
    persons: tuple[str, ...] = ()
    """The older issue into which this one had been merged, and the residents who leave that one with it."""


@dataclass(frozen=True)
class CodeRenewed(EventBody):
    """Of the resident who asked for it, only tracking codes of `generation` are valid from now on."""

    generation: int


@dataclass(frozen=True)
class Declined(EventBody):
    """The handler says that the issue is not its task; a ruling is pending, and the clocks run on."""

    reason: DeclineReason
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Ruled(EventBody):
    """The ruling on a decline; if upheld, `handler` does the work from now on."""

    upheld: bool
    handler: Handler | None = None
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Assigned(EventBody):
    person: Personal = field(metadata=PERSONAL)
    note: Personal = field(default="", metadata=PERSONAL)
    appointed: str | None = None


@dataclass(frozen=True)
class Scheduled(EventBody):
    time: datetime
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Attempted(EventBody):
    count: int
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Contacted(EventBody):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Arrived(EventBody):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Assessed(EventBody):
    assessment: Assessment
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Mitigated(EventBody):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Planned(EventBody):
    """A plan was made; `needs` is the level that must grant it (None: in force at once)."""

    steps: tuple[Step, ...]
    needs: Level | None = None
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class StepDone(EventBody):
    step: int
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Answered(EventBody):
    """`interim`: the work is neither completed nor planned, so this meets no limit."""

    text: Personal = field(metadata=PERSONAL)
    interim: bool = False


@dataclass(frozen=True)
class Suspended(EventBody):
    """A question was put to the resident; the clocks that it stops stand still until `until` at the latest."""

    until: datetime
    provisional: bool = False
    stops: Stops = "work"
    question: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Waited(EventBody):
    """A party stopped the clocks by itself for a coded reason, until the review date at the latest.

    `stops` is ``nothing`` where that goes beyond what a party may take off and nobody is above to grant it.
    """

    reason: WaitReason
    review: datetime
    stops: Stops = "all"
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Resumed(EventBody):
    """The clocks run again. `needless`: the question was not needed, and took nothing off any clock."""

    needless: bool = False
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Requested(EventBody):
    """Somebody above is asked for more time for one clause, or for a pause until the review date.

    A plan that needs a grant is requested by `Planned`. Until the ruling the clocks run as before.
    """

    what: Request = "extend"
    clause: str | None = None
    by: Limit | None = None
    waits_for: WaitReason | None = None
    review: datetime | None = None
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Extended(EventBody):
    """More time was granted for one clause."""

    clause: str
    by: Limit
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Granted(EventBody):
    """A plan or a pause was granted; it counts from the request."""

    what: Request
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Denied(EventBody):
    what: Request
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Completed(EventBody):
    kind: CompletionKind
    silent_until: datetime
    """If the resident does not respond, the issue closes at this moment as not rated."""
    provisional: bool = False
    """Whether the moment depends on a year without a calendar: then it is the latest that any calendar could give."""
    answer: Personal = field(default="", metadata=PERSONAL)
    evidence: tuple[Personal, ...] = field(default=(), metadata=PERSONAL)
    """Digests of attachments, or references to evidence outside the system."""
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Referred(EventBody):
    service: Service
    receipt: Personal = field(default="", metadata=PERSONAL)
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Escalated(EventBody):
    """The lead moved up from `from_level`. `wish_open`: while a wish of the handler waited for its ruling."""

    from_level: Level
    by: ClimbReason
    wish_open: bool = False
    """Whether somebody above still had to rule on a request when time moved the lead."""
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Sat(EventBody):
    note: Personal = field(default="", metadata=PERSONAL)
    parties: tuple[Personal, ...] = field(default=(), metadata=PERSONAL)


@dataclass(frozen=True)
class Redispatched(EventBody):
    handler: Handler
    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Returned(EventBody):
    from_level: Level
    reason: Personal = field(metadata=PERSONAL)
    undoes: str | None = None
    """The clause whose climb this takes back, since by a calendar published later it was not due: no transfer."""


@dataclass(frozen=True)
class Supervised(EventBody):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Instructed(EventBody):
    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Adopted(EventBody):
    """The younger issue `issue` was taken in; its residents follow this one."""

    issue: str
    voices: tuple[Voice, ...] = ()
    unheard: bool = False


@dataclass(frozen=True)
class Merged(EventBody):
    """The older issue `into` has taken this one in. It closes at `silent_until`, unless its residents object before."""

    into: str
    silent_until: datetime
    provisional: bool = False
    """Whether that depends on a year without a calendar."""


@dataclass(frozen=True)
class Split(EventBody):
    """The younger issue `issue` goes on by itself again, and these residents leave this one with it.

    `through`: the issue with which it had come, if it came with another one. `onward`: the issue into which this one is
    merged, and which they leave as well.
    """

    issue: str
    persons: tuple[str, ...] = ()
    through: str | None = None
    onward: str | None = None


@dataclass(frozen=True)
class Rejected(EventBody):
    """The issue is none. It closes at `silent_until`, unless the resident objects before.

    `provisional`: that depends on a year without a calendar.
    """

    silent_until: datetime
    reason: Personal = field(metadata=PERSONAL)
    provisional: bool = False


@dataclass(frozen=True)
class Shelved(EventBody):
    review: datetime
    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Corrected(EventBody):
    note: Personal = field(metadata=PERSONAL)
    category: Category | None = None
    urgent: bool | None = None


@dataclass(frozen=True)
class PolicyChanged(EventBody):
    policy: Policy
    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class CalendarPublished(EventBody):
    """The working days of a year became known, or other ones than before."""

    calendar: YearCalendar
    wrong: str | None = None
    """The clause by which the lead got the issue, if by this calendar that climb was not due yet."""


@dataclass(frozen=True)
class DirectoryChanged(EventBody):
    """The directory names other people than before: the place as it is from now on, and what of the issue passes on."""

    place: Place
    ladder: tuple[Level, ...]
    """The levels that the issue can reach from now on."""
    handler: Handler | None = None
    """The new handler; None if the handler stays."""
    lost: tuple[str, ...] = ()
    """The organisations that had the issue and have it no more."""
    got: tuple[str, ...] = ()
    left: str | None = None
    """The person who was to go and is not appointed any more."""


@dataclass(frozen=True)
class Warned(EventBody):
    """The yellow light of a clock went on: its limit is near."""


@dataclass(frozen=True)
class Overdue(EventBody):
    """The red light of a clock went on: its limit has passed. `ask` is the measure that the clause then demands."""

    ask: str | None = None


@dataclass(frozen=True)
class Reminded(EventBody):
    """Reminders fell due: `count` of them since the last event of this kind.

    For a shelved issue the reminder is the review that fell due, and `review` is the date of the next one.
    """

    count: int
    review: datetime | None = None


@dataclass(frozen=True)
class Refused(EventBody):
    """A command had no effect; `code` says why, and `params` what its text in `texts/` names."""

    command: str
    code: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class RejectedSignal(EventBody):
    """A signal could not be decoded; this event tells so, since otherwise the signal would be lost unnoticed."""

    signal: str
    reason: Personal = field(metadata=PERSONAL)
    """Why it could not be decoded; a personal text, since it may quote the signal."""


@dataclass(frozen=True)
class Closed(EventBody):
    kind: CloseKind
    satisfaction: Satisfaction = "not_rated"
    routes: tuple[LegalRoute, ...] = ()
    """The legal ways of which the resident is told, where the matter was not settled."""
    until: datetime | None = None
    """Until when (UTC) the resident may take it up, if silence closed it."""


@dataclass(frozen=True)
class CommandRef:
    """The command that led to an event: its id, and the digest of its name and body."""

    id: str
    digest: str


@dataclass(frozen=True)
class Held:
    """The part of the time since the previous event that counts for one holder, in milliseconds."""

    holder: Holder
    org: str | None
    ms: int


@dataclass(frozen=True)
class Event(Copyable):
    """One event. `seq` counts from 1 without gaps; `level` is the level that leads after the event; times are UTC.

    `at` is the time of the event by the rules. `recorded_at` is the time at which it was folded; only events of a
    deadline have it. `clause` is the clause that caused the event or that the event met, and `was_due` the due time of
    that clause. `due` is the due time of the next step after the event.
    """

    seq: int
    at: datetime
    actor: Actor | None
    level: Level
    body: EventBody
    recorded_at: datetime | None = None
    clause: str | None = None
    due: datetime | None = None
    was_due: datetime | None = None
    command: CommandRef | None = None
    held: tuple[Held, ...] = ()

    @property
    def kind(self) -> str:
        return KINDS[type(self.body)]


EVENTS: Final[Mapping[str, type[EventBody]]] = MappingProxyType(
    {wire_name(body): body for body in EventBody.__subclasses__()}
)
"""Kind of event -> its class."""

KINDS: Final[Mapping[type[EventBody], str]] = MappingProxyType({body: kind for kind, body in EVENTS.items()})


def dump_event(event: Event) -> dict[str, Any]:
    """``{seq, kind, at, actor?, level, clause?, due?, ..., data}``: fields that hold their default are left out."""
    plain: dict[str, Any] = dump(event)
    plain["data"] = plain.pop("body")
    plain["kind"] = event.kind
    return plain


def load_event(plain: Mapping[str, Any]) -> Event:
    """The inverse of `dump_event`. Raises WireError, which names the field that does not fit."""
    rest = dict(plain)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str) or kind not in EVENTS:
        raise WireError(f"Event.kind: unknown kind {kind!r}")
    head = load(_Head, {key: value for key, value in rest.items() if key != "data"}, "Event")
    body = load(EVENTS[kind], rest.get("data", {}))
    return Event(
        head.seq, head.at, head.actor, head.level, body, head.recorded_at, head.clause, head.due, head.was_due,
        head.command, head.held,
    )  # fmt: skip


def event_digest(plain: Mapping[str, Any]) -> str:
    """The digest of one dumped event."""
    return digest(plain)


def chain(digests: Iterable[str]) -> str:
    """One digest over a sequence of digests."""
    return hashlib.sha256(canonical(list(digests))).hexdigest()[:32]


@dataclass(frozen=True)
class _Head:
    seq: int
    at: datetime
    actor: Actor | None
    level: Level
    recorded_at: datetime | None = None
    clause: str | None = None
    due: datetime | None = None
    was_due: datetime | None = None
    command: CommandRef | None = None
    held: tuple[Held, ...] = ()
