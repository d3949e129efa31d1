"""The commands to an issue: those that people give, and those that the rules give themselves when a deadline passes.

Each command is a frozen dataclass. Its name in snake case is the name on the wire, in the route and of the Temporal
signal. Fields marked PERSONAL may hold personal data: no rule reads them. Fields marked RESOLVED are filled in by the
API, never by the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, uuid5

from domain.limits import check_id, check_text
from domain.personal import Personal
from domain.place import Handler, Place
from domain.policy import Policy
from domain.values import Copyable
from domain.vocabulary import (
    Assessment,
    Category,
    Channel,
    CloseKind,
    CompletionKind,
    DeclineReason,
    HandlerKind,
    Level,
    Outcome,
    Rating,
    Request,
    Role,
    Service,
    Status,
    WaitReason,
)
from domain.wire import PERSONAL, RESOLVED, WireError, digest, dump, dump_fields, load, wire_name
from domain.worktime import Limit, YearCalendar


@dataclass(frozen=True)
class Actor:
    """The person who gives a command, with his acting role and organisation."""

    person: str
    role: Role
    org: str | None = None

    @property
    def party(self) -> str:
        """The organisation for which the actor acts, or the resident: whoever has a count of commands of its own."""
        return self.org or self.person


ANONYMOUS: Final = "anonymous"
"""The person of whoever reports without a token."""

AuthorityKind = Literal["appointment", "token", "code", "report", "order"]
"""Where an authority comes from: an appointment in the directory, the claims of a token, a tracking code, the report
(its giver is the reporter), or another command that ordered this one."""


@dataclass(frozen=True)
class Authority:
    """A role that the giver of a command held when the API accepted it, from `start`, inclusive, to `end`, exclusive.

    `compound` is the issue's compound if the organisation had its contract then; property staff need it. `street` is
    the issue's street if the organisation worked there then; departments and volunteers need it to report, and staff of
    another company to read. Beside the right to act as a resident stand the appointments that the same human holds as
    staff, since they say on whose side the resident is.
    """

    role: Role
    org: str | None = None
    by: AuthorityKind = "appointment"
    compound: str | None = None
    start: date | None = None
    end: date | None = None
    street: str | None = None
    person: str = ""
    """The name under which a resident holds it as staff; empty where it is the name of the giver itself."""


@dataclass(frozen=True)
class ContactDetails:
    """Name and phone number of the reporter."""

    name: Personal = ""
    phone: Personal = ""


@dataclass(frozen=True)
class Step:
    """One dated step of a plan, to be done by `due`; `owner` is an organisation's code or a role."""

    title: Personal = field(metadata=PERSONAL)
    due: datetime
    owner: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Upload:
    """A picture that was uploaded to the issue: its digest, by whom, and when (UTC)."""

    digest: str
    person: str
    org: str | None
    at: datetime


@dataclass(frozen=True)
class Before:
    """How the issue ended that another one follows: how it closed, which level led it, and who handled it.

    `reopened` is how often it had been reopened. `until` (UTC) is until when it may be taken up; None if it may not.
    """

    kind: CloseKind
    level: Level
    handler: Handler
    reopened: int = 0
    until: datetime | None = None


@dataclass(frozen=True)
class Voice(Copyable):
    """A resident who speaks in an issue that he did not report, or that has an older reporter.

    His tracking code comes from `issue`: from its report if he reported it (`reported`), else from his joining it.
    `rates`: he may rate, as whoever reported may, and whoever joined with a verified phone.
    """

    person: str
    since: datetime
    issue: str
    reported: bool = False
    generation: int = 0
    rates: bool = True
    renewed: int = 0
    """The seq of the event that renewed the code last."""


@dataclass(frozen=True)
class Body:
    """The fields of one kind of command."""


@dataclass(frozen=True)
class Report(Body):
    """A new issue is reported; the API has resolved the place and assigned the number."""

    number: str
    place: Place
    category: Category
    description: Personal = field(metadata=PERSONAL)
    urgent: bool = False
    about_operator: bool = False
    location: Personal = field(default="", metadata=PERSONAL)
    channel: Channel = "web"
    contact: ContactDetails = field(default_factory=ContactDetails, metadata=PERSONAL)
    follows: str | None = None
    """The closed issue of which this one is a recurrence."""
    news: Personal = field(default="", metadata=PERSONAL)
    """What is new since that issue was closed."""
    takes_up: bool = False
    """Whether this one takes up the followed issue, which silence closed: it goes on where that one stood."""
    before: Before | None = field(default=None, metadata=RESOLVED)
    """How the followed issue ended."""
    root: str = field(default="", metadata=RESOLVED)
    """The public key, in base64url, that anchors the signatures of this issue's commands."""
    reachable: bool = field(default=True, metadata=RESOLVED)
    """Whether somebody can answer a question: a tracking code was given out, or a phone number."""
    reporter: str = field(default="", metadata=RESOLVED)
    """The pseudonym of the phone of the resident for whom staff report; empty if none can be told anything by phone."""
    pins: str = field(default="", metadata=RESOLVED)
    """`domain.pins.pins_digest` of policy, calendars and rules, so that the report's signature covers them."""
    building: str = field(default="", metadata=RESOLVED)
    """The building that the report names, without unit and door; see `domain.building`."""
    common: bool = field(default=False, metadata=RESOLVED)
    """Whether it is about what neighbours share, and not the inside of a flat: once sealed, no rule can read that."""


@dataclass(frozen=True)
class Comment(Body):
    """A remark, which changes nothing."""

    text: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Attach(Body):
    """A picture was added to the issue, which changes nothing else; `digest` is that of its sealed bytes.

    The API gives this command with each upload, so that the history says which pictures there are.
    """

    digest: str


@dataclass(frozen=True)
class Supply(Body):
    """The resident answers a question; the clocks of the issue run again."""

    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Urge(Body):
    """The resident asks for haste."""

    text: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Object(Body):
    """The resident objects to what was done or said; a question that stopped the clocks ends as needless."""

    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Withdraw(Body):
    """The resident takes the report back; the issue closes once nobody is left who follows it."""

    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Follow(Body):
    """Another resident has the same problem and joins the issue."""

    rates: bool = field(default=False, metadata=RESOLVED)
    """Whether he may rate: he has a token, which stands for a verified phone, so nobody rates twice."""


@dataclass(frozen=True)
class Unfollow(Body):
    """A resident who joined the issue leaves it."""


@dataclass(frozen=True)
class Confirm(Body):
    """The resident says what became of it, and rates it; the issue closes once those who follow it have been heard."""

    outcome: Outcome
    satisfaction: Rating
    comment: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Reopen(Body):
    """The resident says that completed work is not done; or whoever completed it takes the completion back."""

    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class RenewCode(Body):
    """Issues a new tracking code and revokes the previous one."""


@dataclass(frozen=True)
class Accept(Body):
    """The handler takes the order; or the level that leads takes over."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Decline(Body):
    """The handler says that the issue is not its task; a higher level rules on that, and the clocks run on."""

    reason: DeclineReason
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Assign(Body):
    """The handler names the person who will go."""

    person: Personal = field(metadata=PERSONAL)
    note: Personal = field(default="", metadata=PERSONAL)
    appointed: str | None = field(default=None, metadata=RESOLVED)
    """The person, if the directory appoints somebody of that name for the organisation: once `person` is sealed, no
    rule can compare it."""


@dataclass(frozen=True)
class Schedule(Body):
    """An appointment with the resident."""

    time: datetime
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Attempt(Body):
    """A visit or a call that did not reach the resident."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Contact(Body):
    """First contact with the resident, or with a party of a dispute."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Arrive(Body):
    """Somebody has come to the place; `assessment` says at once how serious the problem is."""

    assessment: Assessment | None = None
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Assess(Body):
    """Says how serious the problem is; an assessment that differs from the previous one needs a reason."""

    assessment: Assessment
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Mitigate(Body):
    """The danger is removed, for example the valve shut or the place fenced off."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Plan(Body):
    """Dated steps of long work; the next open step is the next deadline."""

    steps: tuple[Step, ...]
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class StepDone(Body):
    """A step of the plan is done; `step` is its number in the plan, counted from 1."""

    step: int
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Answer(Body):
    """Tells the resident what will be done; an interim answer meets no limit."""

    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Ask(Body):
    """A question to the resident; the clocks stop until it is answered, at most as long as the policy allows."""

    question: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Wait(Body):
    """The work is to wait for a coded reason, until the review date at the latest.

    The clocks stop at once as far as the policy lets a party stop them by itself; beyond that it is a request.
    """

    reason: WaitReason
    review: datetime
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Resume(Body):
    """The work goes on, and the clocks run again."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Extend(Body):
    """A request for more time, which a higher level grants or denies; until it decides, the old limit holds."""

    reason: Personal = field(metadata=PERSONAL)
    by: Limit | None = None
    """How much more time; None asks for the most that the policy allows at one time."""


@dataclass(frozen=True)
class Complete(Body):
    """The work is done: the answer tells the resident what was done or why nothing more can be."""

    kind: CompletionKind = "solved"
    answer: Personal = field(default="", metadata=PERSONAL)
    evidence: tuple[Personal, ...] = field(default=(), metadata=PERSONAL)
    """Digests of attachments, or references to evidence outside the system."""
    note: Personal = field(default="", metadata=PERSONAL)
    answers: bool = field(default=False, metadata=RESOLVED)
    """Whether `answer` is long enough: once it is sealed, no rule can count its characters."""
    pictures: tuple[Upload, ...] = field(default=(), metadata=RESOLVED)
    """What is known of the pictures of this issue that `evidence` names."""


@dataclass(frozen=True)
class Refer(Body):
    """The danger was handed to an emergency service; the issue stays open for the repair."""

    service: Service
    receipt: Personal = field(default="", metadata=PERSONAL)
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Escalate(Body):
    """Moves the lead up one level by hand, with a reason."""

    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Sit(Body):
    """A meeting took place: consultation, mediation or joint meeting."""

    note: Personal = field(default="", metadata=PERSONAL)
    parties: tuple[Personal, ...] = field(default=(), metadata=PERSONAL)


@dataclass(frozen=True)
class Redispatch(Body):
    """Gives the issue to another handler."""

    handler: str
    reason: Personal = field(metadata=PERSONAL)
    handler_kind: HandlerKind = field(default="company", metadata=RESOLVED)
    handler_streets: tuple[str, ...] | None = field(default=None, metadata=RESOLVED)
    """The streets in which the new handler worked on the day of the command; None if it never had a contract."""


@dataclass(frozen=True)
class Return(Body):
    """Sends the work back, unless staff dropped the issue: the handler must do it again, and the lead may move down."""

    reason: Personal = field(metadata=PERSONAL)
    to: Level | None = None
    """The level that leads from now on, not above the lead; None is the lowest of the issue's ladder."""


@dataclass(frozen=True)
class Supervise(Body):
    """A level above watches the issue."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Instruct(Body):
    """A level above tells the handler what to do."""

    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Grant(Body):
    """A higher level grants what was requested: more time, a plan or a pause. It counts from the request."""

    what: Request = "extend"
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Deny(Body):
    """A higher level denies what was requested."""

    what: Request = "extend"
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Rule(Body):
    """The ruling on a decline. If upheld, `handler` gets the issue (None: the ruling organisation); else it stays."""

    upheld: bool
    handler: str | None = None
    reason: Personal = field(default="", metadata=PERSONAL)
    handler_kind: HandlerKind = field(default="company", metadata=RESOLVED)
    handler_streets: tuple[str, ...] | None = field(default=None, metadata=RESOLVED)
    """The streets in which the named handler worked on the day of the command; None if it never had a contract."""


@dataclass(frozen=True)
class Adopt(Body):
    """The older issue takes in a younger one, which gets the command `Merge` afterwards."""

    issue: str
    opened: datetime | None = field(default=None, metadata=RESOLVED)
    """When the younger issue was opened; None if unknown."""
    voices: tuple[Voice, ...] = field(default=(), metadata=RESOLVED)
    """The residents who speak in the younger issue: from now on they follow the older one."""
    unheard: bool = field(default=False, metadata=RESOLVED)
    """Whether the younger issue is of a resident who can be told nothing by phone."""
    urgent: bool = field(default=False, metadata=RESOLVED)
    level: Level = field(default="property", metadata=RESOLVED)
    status: Status = field(default="dispatched", metadata=RESOLVED)
    overruled: Level | None = field(default=None, metadata=RESOLVED)
    """Of the younger issue: whether it is urgent, which level leads it, its status, and `Issue.overruled`."""


@dataclass(frozen=True)
class Merge(Body):
    """The older issue `into` has taken the issue in: it closes, unless its residents object."""

    into: str
    opened: datetime | None = field(default=None, metadata=RESOLVED)
    """When the older issue was opened; None if unknown."""


@dataclass(frozen=True)
class Split(Body):
    """Undoes a merge: the issue goes on by itself, and the older one, which is told by itself, lets its residents go."""

    reason: Personal = field(default="", metadata=PERSONAL)
    issue: str | None = field(default=None, metadata=RESOLVED)
    """In the older issue: the younger one that leaves it."""
    through: str | None = field(default=None, metadata=RESOLVED)
    """The issue with which that one had come, if it came with another one."""
    persons: tuple[str, ...] = field(default=(), metadata=RESOLVED)
    """The residents who leave with it."""


@dataclass(frozen=True)
class Reject(Body):
    """The issue is none: it closes with a reason, which the resident is told, unless he objects."""

    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Shelve(Body):
    """Puts the issue on the street's long list: its clocks stop, and the street reviews it periodically."""

    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Correct(Body):
    """Corrects what was recorded by an added note, which may change category and urgency; nothing is overwritten."""

    note: Personal = field(metadata=PERSONAL)
    category: Category | None = None
    urgent: bool | None = None


@dataclass(frozen=True)
class ChangePolicy(Body):
    """Gives an open issue another policy pack; every clock is computed anew from its start."""

    policy: str
    reason: Personal = field(metadata=PERSONAL)
    body: Policy | None = field(default=None, metadata=RESOLVED)


@dataclass(frozen=True)
class CalendarPublished(Body):
    """The working days of a year are published; provisional deadlines become final."""

    calendar: YearCalendar


@dataclass(frozen=True)
class DirectoryChanged(Body):
    """The directory names other people for the issue today: whoever is new to it gets it, with the whole time."""

    place: Place | None = field(default=None, metadata=RESOLVED)
    """The place as it is today; None if the directory does not know it any more."""
    handler_streets: tuple[str, ...] | None = field(default=None, metadata=RESOLVED)
    """The streets in which the present handler works today; None if it never had a contract."""
    left: str | None = field(default=None, metadata=RESOLVED)
    """The person who was to go, if nobody appoints him for the handler any more."""


@dataclass(frozen=True)
class DeadlinePassed(Body):
    """Internal, never a signal: the deadline `what` of clause `clause` has passed.

    `recorded_at` is the time of the fold. All reminders that are due up to `until` lead to one event.
    """

    clause: str
    what: str
    recorded_at: datetime
    until: datetime


@dataclass(frozen=True)
class Undecodable(Body):
    """Internal: a signal that could not be decoded. It is recorded, since Temporal has acknowledged the signal."""

    signal: str
    reason: str


@dataclass(frozen=True)
class Command(Copyable):
    """A command with its envelope: id, time of receipt (UTC), actor, and the version that the caller had seen."""

    id: str
    at: datetime
    actor: Actor | None
    """None only for internal commands."""
    body: Body
    expected_version: int | None = None
    grants: tuple[Authority, ...] = ()
    """The authorities that the actor held when the command was accepted."""

    @property
    def name(self) -> str:
        return NAMES[type(self.body)]

    @property
    def digest(self) -> str:
        """Digest of name and body, which tells a repeat from another command under the same idempotency key.

        RESOLVED fields are left out, since the directory may have changed between a command and its repeat.
        """
        return digest([self.name, dump_fields(self.body, without=_resolved(type(self.body)))])


@cache
def _resolved(body: type[Body]) -> frozenset[str]:
    return frozenset(each.name for each in fields(body) if each.metadata.get("resolved") is True)


SIGNALS: Final[Mapping[str, type[Body]]] = MappingProxyType(
    {
        wire_name(body): body
        for body in (
            Comment, Attach, Supply, Urge, Object, Withdraw, Follow, Unfollow, Confirm, Reopen, RenewCode, Accept, Decline, Assign, Schedule,
            Attempt, Contact, Arrive, Assess, Mitigate, Plan, StepDone, Answer, Ask, Wait, Resume, Extend, Complete, Refer, Escalate,
            Sit, Redispatch, Return, Supervise, Instruct, Grant, Deny, Rule, Adopt, Merge, Split, Reject, Shelve, Correct,
            ChangePolicy, CalendarPublished, DirectoryChanged,
        )
    }
)  # fmt: skip
"""Wire name -> class, for every command that may arrive as a signal."""

NAMES: Final[Mapping[type[Body], str]] = MappingProxyType(
    {body: name for name, body in SIGNALS.items()}
    | {body: wire_name(body) for body in (Report, DeadlinePassed, Undecodable)}
)


def merge_command_id(issue: str, into: str) -> str:
    """The id of the command that merges `issue` into `into`. API and outbox both use it, so the merge happens once."""
    return str(uuid5(NAMESPACE_URL, f"jiesu:merge:{issue}:{into}"))


def split_command_id(issue: str, into: str, seq: int) -> str:
    """The id of the command by which `into` lets `issue` go, after the event `seq` of `issue` undid their merge."""
    return str(uuid5(NAMESPACE_URL, f"jiesu:split:{issue}:{into}:{seq}"))


def calendar_command_id(issue: str, calendar: YearCalendar) -> str:
    """The id of the command that gives `issue` this calendar, so that publishing twice has effect once."""
    return str(uuid5(NAMESPACE_URL, f"jiesu:calendar:{issue}:{digest(dump(calendar))}"))


def directory_command_id(issue: str, resolved: int, body: DirectoryChanged) -> str:
    """The id of the command that tells `issue` what the directory says today, so that sending it twice has effect once.

    `resolved` is how many times that happened before: what was taken back may come again.
    """
    return str(uuid5(NAMESPACE_URL, f"jiesu:directory:{issue}:{resolved}:{digest(dump(body))}"))


def load_command(name: str, plain: Mapping[str, Any]) -> Command:
    """The command of wire name `name` from ``{id, at, actor, body, expected_version?, grants?, proof?}``.

    Raises WireError if the value does not fit. The proof is not verified here.
    """
    check_text(plain)
    kind = Report if name == "report" else SIGNALS.get(name)
    if kind is None:
        raise WireError(f"Command: there is no command {name!r}")
    envelope = load(_Envelope, plain, "Command")
    check_id(envelope.id)
    body = load(kind, envelope.body)
    return Command(envelope.id, envelope.at, envelope.actor, body, envelope.expected_version, envelope.grants)


@dataclass(frozen=True)
class _Envelope:
    id: str
    at: datetime
    actor: Actor
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    expected_version: int | None = None
    grants: tuple[Authority, ...] = ()
    proof: Any = None
    """The signature of the command, which `security.signing` has verified before."""
