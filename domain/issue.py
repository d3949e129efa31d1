"""The state of one issue: a single frozen value that continue-as-new, the read model and the auditor can carry.

Only `domain.evolve` makes a new one from an old one. The pinned policy and calendars are part of the value but
not of its serialized form, which names them by digest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from domain.events import PolicyRef
from domain.personal import Personal
from domain.place import Handler, Place
from domain.policy import Policy
from domain.values import Copyable
from domain.vocabulary import (
    LEVELS,
    Assessment,
    Category,
    CloseKind,
    CompletionKind,
    Goal,
    Holder,
    Level,
    Role,
    Satisfaction,
    Scope,
    Status,
    WaitReason,
)
from domain.wire import digest, dump, dump_fields, load_fields
from domain.worktime import Limit, Pause, YearCalendar

RULES_VERSION: Final = 1
"""The version of the rules that new issues get, of those in `domain.rules`."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PINNED: Final = ("policy", "calendars")
"""Fields that the serialized state names by digest only."""


@dataclass(frozen=True)
class Mark:
    """When something happened, and as which event."""

    at: datetime
    seq: int


@dataclass(frozen=True)
class Clock(Copyable):
    """One running clause of this issue, or one of the clocks that the rules themselves start.

    Those are ``silence``, ``ask``, ``review``, ``plan-step``, ``plan-update``, ``appointment`` and ``idle``.
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
    """The limit falls on the end of a day, which many issues share, so wake-ups may be spread after it."""
    climbs_round: bool = False
    """The climbs do so, or at opening."""
    warned: bool = False
    overdue: bool = False
    climbed: int = 0


@dataclass(frozen=True)
class Reminder(Copyable):
    """The next reminder at the top of the ladder, after `count` that were sent."""

    at: datetime | None
    """None once the policy's number of reminders is used up."""
    count: int = 0


@dataclass(frozen=True)
class Holding:
    """Whose minutes are running, and since when."""

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
    """A plan that waits to be granted: nothing of it counts until then."""

    steps: tuple[PlanStep, ...]
    needs: Level
    """The least level that may grant it."""
    scopes: tuple[Scope, ...]
    """The levels for which its maker speaks, whose clauses it meets once it is granted."""
    before: Status
    """Where the work stood, and stands again if it is denied."""


@dataclass(frozen=True)
class Pending:
    """A request for more time that nobody has decided yet; `level` is the rank from which it was made."""

    clause: str
    by: Limit
    level: Level


@dataclass(frozen=True)
class Closed:
    kind: CloseKind
    satisfaction: Satisfaction = "not_rated"


@dataclass(frozen=True)
class Receipt:
    """What became of a command: its digest, ``applied`` or ``refused``, and the seq of its last event."""

    digest: str
    outcome: str
    seq: int
    code: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Issue(Copyable):
    """See the module. `version` is the seq of the last event, `since` the moment of the last change (UTC)."""

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
    reporter: str = ""
    follows: str | None = None
    root: str = ""
    """The public key, in base64url, from which the signatures of its commands descend."""
    generation: int = 0
    """Of the tracking code that opens it: a higher one revokes those before."""
    ladder: tuple[Level, ...] = LEVELS
    status: Status = "dispatched"
    interrupted: Status | None = None
    """What ``suspended`` and ``waiting`` go back to."""
    level: Level = "property"
    handler: Handler = field(default_factory=lambda: Handler("", "company"))
    assessment: Assessment | None = None
    completion: CompletionKind | None = None
    closed: Closed | None = None
    opened_at: datetime = EPOCH
    since: datetime = EPOCH
    holding: Holding | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict[str, Mark])
    """The first event of each kind."""
    term: Mapping[str, Mark] = field(default_factory=dict[str, Mark])
    """The first event of each kind since this level got the lead; ``led`` is when it got it."""
    met: Mapping[Goal, Mark] = field(default_factory=dict[Goal, Mark])
    """When each milestone was last reached by whom it concerns."""
    pauses: tuple[Pause, ...] = ()
    looked: tuple[Pause, ...] = ()
    """While the resident was looking at work that was then done again; only an answer was still owed."""
    paused_at: datetime | None = None
    clocks: tuple[Clock, ...] = ()
    resting: tuple[Clock, ...] = ()
    """Clocks that stopped after they had shown a light or climbed, and may run on from the same start."""
    reminder: Reminder | None = None
    extensions: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict[str, tuple[Limit, ...]])
    """Clause -> what was granted on top of its limit, each in turn."""
    extended: int = 0
    pending: Pending | None = None
    declined: bool = False
    """A decline awaits its ruling."""
    plan: PlanState | None = None
    planned_since: datetime | None = None
    """When the first plan of the work that is under way came into force: later ones only prolong it."""
    proposed: Proposal | None = None
    waits_for: WaitReason | None = None
    shelved: bool = False
    transfers: int = 0
    reopened: int = 0
    asked: int = 0
    attempts: int = 0
    adopted: tuple[str, ...] = ()
    acted: Mapping[str, Role] = field(default_factory=dict[str, Role])
    """Who did something on the property side, and first in which role."""
    receipts: Mapping[str, Receipt] = field(default_factory=dict[str, Receipt])

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
        """How far the work is, whether or not the clock stands still."""
        return self.interrupted or self.status

    @property
    def is_overdue(self) -> bool:
        """Whether a limit has passed that nobody has kept yet."""
        return not self.is_closed and any(clock.overdue for clock in self.clocks)

    @property
    def is_paused(self) -> bool:
        return self.paused_at is not None


def policy_ref(policy: Policy) -> PolicyRef:
    return PolicyRef(policy.id, policy.version, policy.digest)


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
    """The first level of a ladder whose rank is at least `least`."""
    for level in ladder:
        if rank(level) >= least:
            return level
    return None


def rung(issue: Issue, at_least: Level) -> Level | None:
    """The lowest level of this issue's ladder that is above the lead and not below `at_least`."""
    return lowest(issue.ladder, max(rank(issue.level) + 1, rank(at_least)))


def next_rung(issue: Issue) -> Level | None:
    """The level above the lead, None at the top."""
    return rung(issue, "property")


def dump_issue(issue: Issue) -> dict[str, Any]:
    """The plain state; policy and calendars only by reference."""
    plain = dump_fields(issue, without=PINNED)
    plain["policy"] = dump(policy_ref(issue.policy))
    plain["calendars"] = calendars_digest(issue.calendars)
    return plain


def load_issue(plain: Mapping[str, Any], policy: Policy, calendars: Sequence[YearCalendar]) -> Issue:
    """The inverse of `dump_issue`; ValueError if policy or calendars are not those that the state names."""
    if plain["policy"]["digest"] != policy.digest:
        raise ValueError(f"state is under policy {plain['policy']}, not {policy.id} {policy.version} {policy.digest}")
    if plain["calendars"] != calendars_digest(calendars):
        raise ValueError(f"state is under calendars {plain['calendars']}, not {calendars_digest(calendars)}")
    rest = {key: value for key, value in plain.items() if key not in PINNED}
    return Issue(policy=policy, calendars=tuple(calendars), **load_fields(Issue, rest))


def calendars_digest(calendars: Sequence[YearCalendar]) -> str:
    """Identifies a set of calendars."""
    return _calendars_digest(tuple(calendars))


@lru_cache(maxsize=256)
def _calendars_digest(calendars: tuple[YearCalendar, ...]) -> str:
    return digest(dump(calendars))
