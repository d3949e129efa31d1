"""The state of one issue: a single frozen value, used by continue-as-new, the read model and the auditor.

Only `domain.evolve` derives a new state from an old one. The pinned policy and calendars are part of the value but
not of its serialized form, which names them by digest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from domain.commands import Actor, Before, Voice
from domain.events import Event, PolicyRef
from domain.limits import MOST_URGES, URGED_WITHIN
from domain.personal import Personal
from domain.place import Handler, Place
from domain.policy import Policy
from domain.values import Copyable
from domain.vocabulary import (
    DROPS,
    LEVELS,
    Assessment,
    Category,
    CloseKind,
    CompletionKind,
    Drop,
    Goal,
    Holder,
    Level,
    Matter,
    Role,
    Satisfaction,
    Scope,
    Status,
    Stops,
    WaitReason,
)
from domain.wire import digest, dump, dump_fields, load_fields
from domain.worktime import Limit, Pause, YearCalendar

RULES_VERSION: Final = 1
"""The version of the rules (a key of `domain.rules.VERSIONS`) under which new issues begin."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PINNED: Final = ("policy", "calendars")
"""Fields that the serialized state names by digest only."""


PROMPT: Final = timedelta(minutes=1)
"""What is recorded so soon after its deadline counts days from the day of the deadline: a climb at the end of a day is
recorded a second after midnight, which takes no day off the next limit."""


@dataclass(frozen=True)
class Mark:
    """The time (UTC) and seq of an event; `due` is the deadline that caused it, if it was recorded promptly."""

    at: datetime
    seq: int
    due: datetime | None = None

    @classmethod
    def of(cls, event: Event) -> "Mark":
        """The mark of an event, at the time at which it happened."""
        return cls(event.at, event.seq)

    @classmethod
    def recorded(cls, event: Event) -> "Mark":
        """The mark of an event that nobody could know of before it was recorded."""
        if event.recorded_at is None:
            return cls.of(event)
        return cls(event.recorded_at, event.seq, event.at if event.recorded_at - event.at <= PROMPT else None)

    def counts(self, limit: Limit) -> datetime:
        """The moment (UTC) from which a limit counts that starts here."""
        return self.due or self.at if limit.in_days else self.at


@dataclass(frozen=True)
class Clock(Copyable):
    """One running clause of this issue, or one of the clocks that the rules themselves start.

    The clocks of the rules are ``silence``, ``ask``, ``review``, ``plan-step``, ``plan-update``, ``appointment``,
    ``progress`` and, for each open wish, ``rule-`` with its matter.
    """

    clause: str
    level: Scope
    milestone: str
    start: Mark
    due: datetime
    warn: datetime | None = None
    climbs: tuple[datetime, ...] = ()
    provisional: bool = False
    round: bool = False
    """Whether the limit is at the end of a day. Many issues share that moment, so their wake-ups are spread."""
    climbs_round: bool = False
    """Whether climbs are at a moment that many issues share: the end of a day, or the opening of service hours."""
    warned: bool = False
    overdue: bool = False
    climbed: int = 0


@dataclass(frozen=True)
class Reminder(Copyable):
    """The next reminder, after `count` sent ones, of an overdue issue that can climb no further.

    It is due at `at` (UTC), one interval after `since`: the deadline of the one before, or of what they are about.
    """

    at: datetime
    since: datetime
    count: int = 0


@dataclass(frozen=True)
class Climb(Copyable):
    """The climb by which the lead got the issue, if a deadline caused it: its clause, the start of that clause's clock,
    the index of the climb in the clause, and when it happened (UTC).
    """

    clause: str
    start: Mark
    step: int
    at: datetime
    from_level: Level
    wrong: bool = False
    """Whether, by a calendar published since, it was not due yet: it stays on record, but the lead may undo it by
    returning the issue to `from_level`, which counts as no transfer."""


@dataclass(frozen=True)
class Holding:
    """The party for which time counts now, and the time (UTC) since which it does."""

    holder: Holder
    org: str | None
    since: datetime


@dataclass(frozen=True)
class PlanStep(Copyable):
    due: datetime
    owner: Personal = ""
    done: bool = False


@dataclass(frozen=True)
class PlanState:
    """The steps of the plan in force."""

    steps: tuple[PlanStep, ...]


@dataclass(frozen=True)
class Proposal(Copyable):
    """A plan that waits to be granted and has no effect until then."""

    steps: tuple[PlanStep, ...]
    needs: Level
    """The lowest level that may grant the plan."""
    scopes: tuple[Scope, ...]
    """The levels of the plan's author: the plan meets clauses of these levels once it is granted."""
    before: Status
    """The status before the plan was proposed, to which the issue returns if the plan is denied."""


@dataclass(frozen=True)
class Wish:
    """A matter on which somebody above must rule, and the time and organisation that asked.

    `ruler` is the lowest level that may rule. More time has `clause` and `by`; a pause has `waits_for` and `review`.
    The steps of a plan stand in `Issue.proposed`.
    """

    what: Matter
    asked: Mark
    org: str
    ruler: Level
    clause: str | None = None
    by: Limit | None = None
    waits_for: WaitReason | None = None
    review: datetime | None = None
    person: str = ""
    """Who objected."""


@dataclass(frozen=True)
class Stop(Copyable):
    """A period in which clocks stand still: from `begin`, inclusive, to `end`, exclusive (UTC).

    While it lasts, `end` is the latest moment at which it ends. `by` is the organisation that paused the work; with
    `own` it did so by itself, without a grant.
    """

    begin: datetime
    end: datetime
    stops: Stops = "all"
    by: str | None = None
    own: bool = False


@dataclass(frozen=True)
class Left:
    """The level from which its own act moved the lead, and what had started its clauses, which run on."""

    level: Level
    term: Mapping[str, Mark]


@dataclass(frozen=True)
class Work(Copyable):
    """The work as it stood before `by` completed it. The other fields are those of `Issue` that a completion changes."""

    by: str | None
    """The organisation that completed or dropped it, which may take that back."""
    person: str
    level: Level
    """The person who did, and the level for which that person spoke."""
    status: Status
    interrupted: Status | None
    met: Mapping[Goal, Mark]
    progressed: Mark | None
    pauses: tuple[Stop, ...]
    paused: Stop | None
    own: Mapping[str, int]
    waits_for: WaitReason | None
    shelved: bool
    clocks: tuple[Clock, ...]
    resting: tuple[Clock, ...]
    reminder: Reminder | None
    left: Left | None
    wishes: tuple[Wish, ...]
    transfers: int
    plan: PlanState | None
    planned_since: datetime | None
    proposed: Proposal | None


@dataclass(frozen=True)
class Acted:
    """What one person did here as staff: the organisations for which he acted, and the first role on the property side."""

    orgs: tuple[str, ...] = ()
    side: Role | None = None


@dataclass(frozen=True)
class Closed:
    kind: CloseKind
    satisfaction: Satisfaction = "not_rated"
    until: datetime | None = None
    """Until when (UTC) the resident may take it up, if silence closed it."""


@dataclass(frozen=True)
class Receipt:
    """The outcome of a command: its digest, ``applied`` or ``refused``, and the seq of its last event.

    `code` and `params` say why it was refused, or had less effect than its giver may think (``counted``).
    """

    digest: str
    outcome: str
    seq: int
    code: str = ""
    params: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def named(self) -> Mapping[str, str]:
        """What the text of the code names. That of an urge is not stored, since there may be many."""
        return {"most": str(MOST_URGES)} if self.code == "counted" else self.params


@dataclass(frozen=True)
class Follower(Copyable):
    """A resident who follows the issue, and how he rated the completion of event `rated` or later; 0: not yet.

    Whoever `left` still reads what he could, so that he learns what became of his last command.
    """

    voice: Voice
    left: bool = False
    rating: Satisfaction = "not_rated"
    rated: int = 0


@dataclass(frozen=True)
class Issue(Copyable):
    """The state of one issue. `version` is the seq of the last event, `since` its time (UTC)."""

    id: str
    policy: Policy
    calendars: tuple[YearCalendar, ...] = ()
    rules_version: int = 1
    version: int = 0
    number: str = ""
    place: Place = field(default_factory=lambda: Place("", "", ""))
    category: Category = "other"
    urgent: bool = False
    about_operator: bool = False
    building: str = ""
    common: bool = False
    """Whether it is about what neighbours share, and not the inside of a flat."""
    reporter: str = ""
    """The resident who decides: who reported it or, once he has withdrawn, the oldest who follows it. Empty if staff took it
    in for somebody who cannot be told anything by phone.
    """
    taken_by: Actor | None = None
    """Who took the report in for somebody else."""
    followers: Mapping[str, Follower] = field(default_factory=dict[str, Follower])
    """Person -> what is known of a resident who follows the issue, or did; also of a reporter who followed it before."""
    follows: str | None = None
    root: str = ""
    """The public key, in base64url, that anchors the signatures of the issue's commands."""
    generation: int = 0
    """The generation of the valid tracking code; codes of earlier generations are revoked."""
    renewed: int = 0
    """The seq of the event that renewed the reporter's code last."""
    ladder: tuple[Level, ...] = LEVELS
    status: Status = "dispatched"
    interrupted: Status | None = None
    """During a pause (``suspended``, ``waiting``), the status to which the issue returns afterwards; else None."""
    level: Level = "property"
    handler: Handler = field(default_factory=lambda: Handler("", "company"))
    assessment: Assessment | None = None
    completion: CompletionKind | Drop | None = None
    """How the issue closes by the resident's silence, once it is completed; a dropped one (`is_dropped`) is so, too."""
    judged: Closed | None = None
    """How it closes by the word of whoever decides, once those who follow it have been heard."""
    heard: int = 0
    """The seq of the last word of whoever decides on completed work, counted or not."""
    work: Work | None = None
    """The work as it stood before it was completed or dropped, until somebody answers that."""
    closed: Closed | None = None
    opened_at: datetime = EPOCH
    since: datetime = EPOCH
    holding: Holding | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict[str, Mark])
    """Kind of event -> time and seq of the first event of that kind; work that starts over forgets some of them."""
    term: Mapping[str, Mark] = field(default_factory=dict[str, Mark])
    """Kind of event -> the first of that kind since the present level got the lead; ``led`` -> when it got the lead."""
    met: Mapping[Goal, Mark] = field(default_factory=dict[Goal, Mark])
    """Scope and milestone -> when that milestone was last reached in that scope."""
    progressed: Mark | None = None
    """The last step forward: the lead moved, work began anew, a milestone was reached for the first time, or a step of
    the plan was done. The progress clock counts from it."""
    reachable: bool = True
    """Whether somebody can answer a question to the resident."""
    pauses: tuple[Stop, ...] = ()
    looked: tuple[Pause, ...] = ()
    """Periods in which the resident reviewed completed work that was then done again; only ``answer`` clauses ran."""
    paused: Stop | None = None
    """The present pause."""
    own: Mapping[str, int] = field(default_factory=dict[str, int])
    """Organisation -> milliseconds that it took off the clocks by itself, where a day taken off counts as 24 hours."""
    keeps_until: datetime | None = None
    """Until when (UTC) the level that got the lead by a deadline keeps it: time moves the lead on no sooner."""
    floors: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    """Clause -> the earliest moment (UTC) of its climbs, after a correction by the handler."""
    left: Left | None = None
    clocks: tuple[Clock, ...] = ()
    resting: tuple[Clock, ...] = ()
    """Clocks that stopped after they had shown a light or climbed, and may run again from the same start."""
    reminder: Reminder | None = None
    last_climb: Climb | None = None
    extensions: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict[str, tuple[Limit, ...]])
    """Clause -> the extensions of its limit, in order."""
    extended: int = 0
    wishes: tuple[Wish, ...] = ()
    """Matters on which somebody above must rule, at most one of each kind."""
    plan: PlanState | None = None
    planned_since: datetime | None = None
    """When the first plan of the present work came into force; the length of later plans counts from then."""
    proposed: Proposal | None = None
    waits_for: WaitReason | None = None
    shelved: bool = False
    transfers: int = 0
    reopened: int = 0
    asked_again: bool = False
    asked_by_side: bool = False
    """Whether the work began anew because somebody who follows the issue said that it is not done; that happens once, and
    once more for those on the side of whoever did it."""
    asked: int = 0
    attempts: int = 0
    overruled: Level | None = None
    overruled_persons: tuple[str, ...] = ()
    """The highest level that dropped the issue, which was undone, and who did: only a level above may drop it again, and at
    the top another person."""
    objected: tuple[str, ...] = ()
    """Those who follow the issue and whose objection to its being dropped was denied."""
    said: bool = False
    """Whether there is an interim answer or a plan to which the resident has not objected."""
    adopted: tuple[str, ...] = ()
    came: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Issue that is merged into this one -> the residents who came with it."""
    unheard: tuple[str, ...] = ()
    """Those of them whose resident can be told nothing by phone: the counter speaks for him."""
    merged_into: str | None = None
    """The older issue that has taken this one in, unless that was undone."""
    acted: Mapping[str, Acted] = field(default_factory=dict[str, Acted])
    """Person -> what that person did here as staff."""
    receipts: Mapping[str, Receipt] = field(default_factory=dict[str, Receipt])
    given: Mapping[str, int] = field(default_factory=dict[str, int])
    """Party (see `Actor.party`) -> the number of its commands that have a receipt."""
    urged: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict[str, tuple[datetime, ...]])
    """Resident -> when (UTC) he urged within the last hour, without the urges that were only counted."""
    assigned: str | None = None
    """The person who will go, if he is appointed for the handler."""
    former: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    """Organisation that lost the issue because the directory changed -> when (UTC). No rule of the clock reads it."""
    resolved: int = 0
    """How many times the directory changed the people of the issue."""

    @classmethod
    def new(
        cls, id: str, policy: Policy, calendars: Sequence[YearCalendar], rules_version: int = RULES_VERSION
    ) -> "Issue":
        """An issue to which nothing has happened yet."""
        return cls(id=id, policy=policy, calendars=tuple(calendars), rules_version=rules_version)

    @property
    def is_closed(self) -> bool:
        return self.closed is not None

    @property
    def stands(self) -> Status:
        """The status of the work: during a pause, the status to which the issue returns."""
        return self.interrupted or self.status

    @property
    def is_overdue(self) -> bool:
        """Whether the limit of a running clock has passed."""
        return not self.is_closed and any(clock.overdue for clock in self.clocks)

    @property
    def is_paused(self) -> bool:
        return self.paused is not None

    @property
    def is_dropped(self) -> bool:
        """Whether staff rejected the issue, or merged it into another one."""
        return self.completion in DROPS

    @property
    def declined(self) -> bool:
        """Whether a decline awaits its ruling."""
        return self.wish("decline") is not None

    def wish(self, what: Matter) -> Wish | None:
        """The open wish of this kind, or None."""
        return next((wish for wish in self.wishes if wish.what == what), None)


def urges(issue: Issue, at: datetime) -> dict[str, tuple[datetime, ...]]:
    """The value of `Issue.urged` at `at`: each resident with the urges since an hour before, none without any."""
    recent = {
        person: tuple([each for each in moments if at - each < URGED_WITHIN]) for person, moments in issue.urged.items()
    }
    return {person: moments for person, moments in recent.items() if moments}


def policy_ref(policy: Policy) -> PolicyRef:
    return PolicyRef(policy.id, policy.version, policy.digest)


def ended(issue: Issue) -> Before | None:
    """How the issue ended; None if it is open."""
    closed = issue.closed
    return closed and Before(closed.kind, issue.level, issue.handler, issue.reopened, closed.until)


def org_of(issue: Issue, level: Level) -> str:
    """The code of the organisation that answers at this level."""
    match level:
        case "property":
            return issue.place.operator or issue.handler.code
        case "community":
            return issue.place.community
        case "street":
            return issue.place.street


def lead_org(issue: Issue) -> str:
    """The code of the organisation that answers for the issue now."""
    return org_of(issue, issue.level)


def rank(level: Level) -> int:
    return LEVELS.index(level)


def lowest(ladder: Sequence[Level], least: int) -> Level | None:
    """The lowest level of a ladder whose rank is at least `least`; None if there is none."""
    for level in ladder:
        if rank(level) >= least:
            return level
    return None


def rung(issue: Issue, at_least: Level) -> Level | None:
    """The lowest level of the issue's ladder above the lead and not below `at_least`; None if there is none."""
    return lowest(issue.ladder, max(rank(issue.level) + 1, rank(at_least)))


def next_rung(issue: Issue) -> Level | None:
    """The level above the lead on the issue's ladder; None if the lead is at the top."""
    return rung(issue, "property")


def dump_issue(issue: Issue) -> dict[str, Any]:
    """The plain JSON value of the state, without the content of policy and calendars, which it only identifies."""
    plain = dump_fields(issue, without=PINNED)
    plain["policy"] = dump(policy_ref(issue.policy))
    plain["calendars"] = calendars_digest(issue.calendars)
    return plain


def load_issue(plain: Mapping[str, Any], policy: Policy, calendars: Sequence[YearCalendar]) -> Issue:
    """The inverse of `dump_issue`. Raises ValueError if the state names another policy or other calendars."""
    if plain["policy"]["digest"] != policy.digest:
        raise ValueError(f"state is under policy {plain['policy']}, not {policy.id} {policy.version} {policy.digest}")
    if plain["calendars"] != calendars_digest(calendars):
        raise ValueError(f"state is under calendars {plain['calendars']}, not {calendars_digest(calendars)}")
    rest = {key: value for key, value in plain.items() if key not in PINNED}
    return Issue(policy=policy, calendars=tuple(calendars), **load_fields(Issue, rest))


def calendars_digest(calendars: Sequence[YearCalendar]) -> str:
    """The digest that identifies a set of calendars."""
    return _calendars_digest(tuple(calendars))


@lru_cache(maxsize=256)
def _calendars_digest(calendars: tuple[YearCalendar, ...]) -> str:
    return digest(dump(calendars))
