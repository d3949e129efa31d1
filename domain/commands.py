"""Everything that people, and the clock, may ask of an issue: one frozen dataclass per command.

The class name in snake case is the name on the wire, in the route and of the Temporal signal. Fields marked
PERSONAL may hold personal data: no rule reads them. Fields marked RESOLVED come from the API's directory
look-up, never from the caller.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, uuid5

from domain.limits import check_id, check_text
from domain.personal import Personal
from domain.place import Place
from domain.policy import Policy
from domain.vocabulary import (
    Assessment,
    Category,
    Channel,
    CompletionKind,
    DeclineReason,
    HandlerKind,
    Level,
    Outcome,
    Rating,
    Request,
    Role,
    Service,
    WaitReason,
)
from domain.wire import PERSONAL, RESOLVED, WireError, digest, dump, dump_fields, load
from domain.worktime import Limit, YearCalendar


@dataclass(frozen=True)
class Actor:
    """Who gives a command, in the one role in which it is given, for which organisation."""

    person: str
    role: Role
    org: str | None = None


AuthorityKind = Literal["appointment", "token", "code", "report", "order"]
"""By what somebody may act: an appointment in the directory, the word of a token, a tracking code, being the one who
reports, or another command that orders this one."""


@dataclass(frozen=True)
class Authority:
    """A role that the giver of a command held when it was accepted, from `start`, inclusive, to `end`, exclusive.

    Of what the organisation did then, two facts about the issue's place: `compound` if it had the contract there, as
    property staff need it; `street` if it worked in that street, as departments and volunteers need it to report.
    """

    role: Role
    org: str | None = None
    by: AuthorityKind = "appointment"
    compound: str | None = None
    start: date | None = None
    end: date | None = None
    street: str | None = None


@dataclass(frozen=True)
class ContactDetails:
    """How to reach the person who reports."""

    name: Personal = ""
    phone: Personal = ""


@dataclass(frozen=True)
class Step:
    """One dated step of a plan. `due` is the moment by which it must be done; `owner` an org code or a role."""

    title: Personal = field(metadata=PERSONAL)
    due: datetime
    owner: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Body:
    """What is special to one kind of command."""


@dataclass(frozen=True)
class Report(Body):
    """A resident issue is handed in; the API has resolved the place and the number."""

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
    root: str = field(default="", metadata=RESOLVED)
    """The public key, in base64url, from which the signatures of this issue's commands descend."""
    pins: str = field(default="", metadata=RESOLVED)
    """`domain.pins.pins_digest` of what the issue begins under, so that the signature of the report covers it."""


@dataclass(frozen=True)
class Comment(Body):
    text: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Supply(Body):
    """The resident answers a question; the clock goes on."""

    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Urge(Body):
    text: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Withdraw(Body):
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Confirm(Body):
    outcome: Outcome
    satisfaction: Rating
    comment: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Reopen(Body):
    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class RenewCode(Body):
    """Another tracking code; the one before opens nothing any more."""


@dataclass(frozen=True)
class Accept(Body):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Decline(Body):
    """The handler says "not ours"; the community rules on it, and until then the clock runs."""

    reason: DeclineReason
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Assign(Body):
    """The handler names who goes."""

    person: Personal = field(metadata=PERSONAL)
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Schedule(Body):
    """An appointment with the resident."""

    time: datetime
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Attempt(Body):
    """Somebody went or called and reached nobody."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Contact(Body):
    """First contact with the resident, or with a side of a dispute."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Arrive(Body):
    assessment: Assessment | None = None
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Assess(Body):
    """A second assessment needs a reason."""

    assessment: Assessment
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Mitigate(Body):
    """Made safe: the valve is shut, the place fenced off."""

    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Plan(Body):
    """Dated steps; the next one that is not done is the next deadline."""

    steps: tuple[Step, ...]
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class StepDone(Body):
    """`step` counts from 1."""

    step: int
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Answer(Body):
    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Ask(Body):
    """A question to the resident; the clock stops until it is answered, within what the policy allows."""

    question: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Wait(Body):
    """The clock stops for a coded reason, until the review date at the latest."""

    reason: WaitReason
    review: datetime
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Resume(Body):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Extend(Body):
    """A request for more time, granted or denied from above; until then the old clock runs."""

    reason: Personal = field(metadata=PERSONAL)
    by: Limit | None = None
    """None asks for as much as the policy allows at once."""


@dataclass(frozen=True)
class Complete(Body):
    kind: CompletionKind = "solved"
    answer: Personal = field(default="", metadata=PERSONAL)
    evidence: tuple[Personal, ...] = field(default=(), metadata=PERSONAL)
    """Attachments by digest, or the names under which evidence lies elsewhere."""
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Refer(Body):
    """Danger to life goes to an emergency service at once; the issue stays for the repair."""

    service: Service
    receipt: Personal = field(default="", metadata=PERSONAL)
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Escalate(Body):
    """By hand: the lead moves up one level, with a reason."""

    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Sit(Body):
    """A sitting took place: consultation, mediation or joint meeting."""

    note: Personal = field(default="", metadata=PERSONAL)
    parties: tuple[Personal, ...] = field(default=(), metadata=PERSONAL)


@dataclass(frozen=True)
class Redispatch(Body):
    """Give it to another handler."""

    handler: str
    reason: Personal = field(metadata=PERSONAL)
    handler_kind: HandlerKind = field(default="company", metadata=RESOLVED)
    handler_streets: tuple[str, ...] | None = field(default=None, metadata=RESOLVED)
    """The streets in which it worked on that day; None if it never had a contract that says where."""


@dataclass(frozen=True)
class Return(Body):
    """Do it again: the handler must act anew; a lead above gives the lead back."""

    reason: Personal = field(metadata=PERSONAL)
    to: Level | None = None
    """A level below the lead; None is the foot of the issue's ladder."""


@dataclass(frozen=True)
class Supervise(Body):
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Instruct(Body):
    text: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Grant(Body):
    """Yes, from above, to what was asked for: an extension or a long plan."""

    what: Request = "extension"
    note: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Deny(Body):
    """No, from above, to what was asked for."""

    what: Request = "extension"
    reason: Personal = field(default="", metadata=PERSONAL)


@dataclass(frozen=True)
class Rule(Body):
    """The ruling on a decline: upheld, it goes to `handler` (None: the ruling org itself); else it stays."""

    upheld: bool
    handler: str | None = None
    reason: Personal = field(default="", metadata=PERSONAL)
    handler_kind: HandlerKind = field(default="company", metadata=RESOLVED)
    handler_streets: tuple[str, ...] | None = field(default=None, metadata=RESOLVED)
    """As in `Redispatch`."""


@dataclass(frozen=True)
class Adopt(Body):
    """The older issue takes in a younger one; the younger is told by `Merge` afterwards."""

    issue: str
    opened: datetime | None = field(default=None, metadata=RESOLVED)
    """When the other issue was opened, as far as it is known."""


@dataclass(frozen=True)
class Merge(Body):
    """The issue goes on in `into`, which has adopted it."""

    into: str
    opened: datetime | None = field(default=None, metadata=RESOLVED)
    """When the other issue was opened, as far as it is known."""


@dataclass(frozen=True)
class Reject(Body):
    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Shelve(Body):
    """The street's long list: the clock stands still, reviewed monthly."""

    reason: Personal = field(metadata=PERSONAL)


@dataclass(frozen=True)
class Correct(Body):
    """Something on the record was wrong; the correction is appended, nothing is overwritten."""

    note: Personal = field(metadata=PERSONAL)
    category: Category | None = None
    urgent: bool | None = None


@dataclass(frozen=True)
class ChangePolicy(Body):
    policy: str
    reason: Personal = field(metadata=PERSONAL)
    body: Policy | None = field(default=None, metadata=RESOLVED)


@dataclass(frozen=True)
class CalendarPublished(Body):
    """Working days of a year are known now; provisional deadlines are settled by them."""

    calendar: YearCalendar


@dataclass(frozen=True)
class DeadlinePassed(Body):
    """From inside only, never a signal: the clock reached `what` of clause `clause`.

    `recorded_at` is the moment of folding; `until` the moment up to which reminders are counted together.
    """

    clause: str
    what: str
    recorded_at: datetime
    until: datetime


@dataclass(frozen=True)
class Undecodable(Body):
    """From inside only: a signal that could not be read; it is recorded, since Temporal acknowledged it."""

    signal: str
    reason: str


@dataclass(frozen=True)
class Command:
    """A command with its head: identity, time of receipt (UTC), actor, and the version the caller had seen."""

    id: str
    at: datetime
    actor: Actor | None
    """None only for commands from inside."""
    body: Body
    expected_version: int | None = None
    grants: tuple[Authority, ...] = ()
    """What the actor held when the command was accepted."""

    @property
    def name(self) -> str:
        return NAMES[type(self.body)]

    @property
    def digest(self) -> str:
        """Tells a repeat (same id, same digest) from a reused key (same id, other digest).

        What the API looked up is left out: the directory may say something else when the same is sent again.
        """
        return digest([self.name, dump_fields(self.body, but=_resolved(type(self.body)))])


@cache
def _resolved(body: type[Body]) -> frozenset[str]:
    return frozenset(each.name for each in fields(body) if each.metadata.get("resolved") is True)


def _name(body: type[Body]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", body.__name__).lower()


SIGNALS: Final[Mapping[str, type[Body]]] = MappingProxyType(
    {
        _name(body): body
        for body in (
            Comment, Supply, Urge, Withdraw, Confirm, Reopen, RenewCode, Accept, Decline, Assign, Schedule, Attempt, Contact,
            Arrive, Assess, Mitigate, Plan, StepDone, Answer, Ask, Wait, Resume, Extend, Complete, Refer, Escalate,
            Sit, Redispatch, Return, Supervise, Instruct, Grant, Deny, Rule, Adopt, Merge, Reject, Shelve, Correct,
            ChangePolicy, CalendarPublished,
        )
    }
)  # fmt: skip
"""Wire name -> body, for every command that may arrive as a signal."""

NAMES: Final[Mapping[type[Body], str]] = MappingProxyType(
    {body: name for name, body in SIGNALS.items()}
    | {body: _name(body) for body in (Report, DeadlinePassed, Undecodable)}
)


def merge_command_id(issue: str, into: str) -> str:
    """The id of the command that tells `issue` that it goes on in `into`: the same whoever tells it, however often."""
    return str(uuid5(NAMESPACE_URL, f"jiesu:merge:{issue}:{into}"))


def calendar_command_id(issue: str, calendar: YearCalendar) -> str:
    """The id of the command that gives `issue` this calendar: publishing twice tells it once."""
    return str(uuid5(NAMESPACE_URL, f"jiesu:calendar:{issue}:{digest(dump(calendar))}"))


def load_command(name: str, plain: Mapping[str, Any]) -> Command:
    """The command of wire name `name` from ``{id, at, actor, body, expected_version?, grants?, proof?}``.

    Raises WireError if it does not fit. Whether the proof holds is not looked at here.
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
    """Looked at before, by `security.signing`."""
