"""A policy pack: the promises of a district as data, with limits, climbs and other numbers.

A policy is identified by id, version and digest, and is pinned to an issue when it starts; only a recorded
command changes it. The TOML form and its validation are in `policies.loader`.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from domain.vocabulary import (
    ASSESSMENTS,
    CATEGORIES,
    Assessment,
    Category,
    Goal,
    Level,
    Matter,
    Milestone,
    Scope,
)
from domain.wire import digest, dump
from domain.worktime import Limit, ServiceHours


@dataclass(frozen=True)
class Clause:
    """One promise: reach `milestone` within `limit` of the event `starts`; after `climb` the lead moves up.

    `starts` is an event kind, or ``led``: the level got the lead (dispatched, climbed, returned), counted from the
    moment at which that change was recorded. `when` holds assessments, ``urgent`` or categories, all optional: the
    first clause of a scope and milestone that matches applies. The k-th entry of `climb` moves the lead k rungs above
    the clause's level (for the whole issue: above the policy's first level).
    """

    id: str
    level: Scope
    milestone: Milestone
    starts: str
    limit: Limit
    climb: tuple[Limit, ...] = ()
    when: tuple[str, ...] = ()
    ends: str = "day"
    """When a limit in days ends on its last day: ``day`` at 23:59:59, ``service`` at the close of service hours."""
    ask: str | None = None
    """The measure that the red light demands, e.g. ``reassess``."""
    source: str = ""

    @cached_property
    def goal(self) -> Goal:
        """Scope and milestone of this clause: the key of `Issue.met` under which reaching it is noted."""
        return self.level, self.milestone

    def applies(self, assessment: Assessment | None, urgent: bool, category: Category) -> bool:
        """Whether the issue fits `when`: assessment, urgency and category each match where `when` names any."""
        sizes = [word for word in self.when if word in ASSESSMENTS]
        subjects = [word for word in self.when if word in CATEGORIES]
        return (
            (not sizes or assessment in sizes)
            and (not subjects or category in subjects)
            and ("urgent" not in self.when or urgent)
        )


@dataclass(frozen=True)
class Silence:
    """How long after completion an issue closes as not rated if the resident does not respond."""

    within: Limit


@dataclass(frozen=True)
class Reopen:
    """How often an issue may be reopened; from reopening number `climbs_from` on it also climbs.

    `refusal` tells what a resident does who confirms work as not solved: ``reopens`` the issue, or ``closes`` it as not
    settled, as a refusal ends a mediation.
    """

    times: int
    climbs_from: int
    refusal: str = "reopens"


@dataclass(frozen=True)
class Transfers:
    """Declines, redispatches and returns, counted together: from number `climbs_from` on each makes an issue climb."""

    climbs_from: int


@dataclass(frozen=True)
class Extend:
    """How often the limits may be extended, and by how much at most each time."""

    times: int
    max: Limit


@dataclass(frozen=True)
class Ask:
    """How often the resident may be asked, and how long the clocks may stop each time."""

    times: int
    max: Limit


@dataclass(frozen=True)
class Wait:
    """How far ahead the review date of a wait may lie."""

    max: Limit


@dataclass(frozen=True)
class Shelve:
    """How often the street's long list is reviewed."""

    review: Limit


@dataclass(frozen=True)
class PlanRule:
    """Rules for plans: how often an update is due, and beyond which length community or street must grant a plan."""

    update: Limit
    community_over: Limit
    street_over: Limit


@dataclass(frozen=True)
class Top:
    """Reminders for an overdue issue that can climb no further; they never end.

    The first is due after `remind`; each later interval is twice the last, up to `doubling_to`. After `times` of them
    one is due every `then`.
    """

    remind: Limit
    doubling_to: Limit
    times: int
    then: Limit = field(default_factory=lambda: Limit(30, "nd"))


@dataclass(frozen=True)
class PauseRule:
    """What a judged party may take off the clocks of an issue by itself, in sum; more is a wish."""

    own: Limit


@dataclass(frozen=True)
class Progress:
    """The clock that runs wherever no clause with a climb does: its limit, its climb, and both for urgent issues."""

    within: Limit
    climb: Limit
    urgent: Limit


PROGRESS: Final = Progress(Limit(7, "nd"), Limit(7, "nd"), Limit(24, "h"))
"""The progress clock of a pack that has none of its own."""
RULE_URGENT: Final = Limit(30, "m")
"""By when somebody rules on a wish of an urgent issue, unless the pack's `rule` is shorter (assumed)."""


@dataclass(frozen=True)
class Policy:
    """A whole pack. `warn_at` is the share of a limit, on its own clock, at which the yellow light goes on."""

    id: str
    version: int
    title: str
    source: str
    ladder: tuple[Level, ...]
    service_hours: ServiceHours
    silence: Silence
    reopen: Reopen
    transfers: Transfers
    extend: Extend
    ask: Ask
    plan: PlanRule
    top: Top
    clause: tuple[Clause, ...]
    climb_lands: str = "at once"
    """When an ordinary climb outside service hours takes effect: ``opening`` (at the next opening) or ``at once``."""
    warn_at: float = 0.8
    grace: Limit = field(default_factory=lambda: Limit(1, "s"))
    """How long a timer waits after a deadline for commands stamped in time but delivered late; wall time."""
    wait: Wait = field(default_factory=lambda: Wait(Limit(92, "nd")))
    """A wait is reviewed within a quarter of a year (assumed)."""
    shelve: Shelve = field(default_factory=lambda: Shelve(Limit(30, "nd")))
    """The street reviews its long list monthly."""
    pause: PauseRule = field(default_factory=lambda: PauseRule(Limit(2, "nd")))
    rule: Limit = field(default_factory=lambda: Limit(1, "wd"))
    """By when somebody rules on a wish (assumed); on one of an urgent issue within `RULE_URGENT`."""
    objection: Limit = field(default_factory=lambda: Limit(2, "wd"))
    """By when somebody rules on an objection of a resident (assumed)."""
    take_up: Limit = field(default_factory=lambda: Limit(5, "wd"))
    """For how long a resident may take up an issue that silence closed (assumed)."""
    evidence: tuple[Category, ...] = ()
    """Categories in which work that is completed as solved, wholly or partly, needs a picture."""
    progress: Progress | None = None
    """The pack's own numbers of the progress clock; None takes `PROGRESS`."""
    day_off: str = "keep"
    """What a limit in natural days does that ends on a day off: ``keep``, or ``next_working_day`` (Civil Code 203)."""
    provisional: Limit = field(default_factory=lambda: Limit(15, "nd"))
    """How much later a climb, or the silence that closes, acts at the latest while the calendar of a year is missing
    (assumed): no calendar that could be published gives a later moment."""

    @cached_property
    def progressing(self) -> Progress:
        """The numbers of the progress clock: the pack's own, or those built in."""
        return self.progress or PROGRESS

    def ruled_within(self, what: Matter, urgent: bool) -> Limit:
        """By when somebody rules on this matter."""
        if what == "objection":
            return self.objection
        if urgent and (self.rule.timescale != "wall" or self.rule.span > RULE_URGENT.span):
            return RULE_URGENT
        return self.rule

    def applying(
        self, level: Level, assessment: Assessment | None, urgent: bool, category: Category
    ) -> tuple[Clause, ...]:
        """The clauses of the level and of the whole issue that apply: for each milestone the first that matches."""
        key = (level, assessment, urgent, category)
        if (known := self._applying.get(key)) is None:
            found: dict[Goal, Clause] = {}
            for clause in self.clause:
                if clause.level in ("issue", level) and clause.applies(assessment, urgent, category):
                    found.setdefault(clause.goal, clause)
            known = self._applying[key] = tuple(found.values())
        return known

    @cached_property
    def _applying(self) -> dict[tuple[Level, Assessment | None, bool, Category], tuple[Clause, ...]]:
        """Results of `applying` by its arguments, kept since every event asks for them."""
        return {}

    @cached_property
    def digest(self) -> str:
        """The digest of the whole pack, which identifies its exact content."""
        return digest(dump(self))
