"""What climbs by the clock leave on the account of whoever does the work.

After a climb the minutes of `domain.minutes` count for the level that leads. The handler is still at work; the time that
it takes from there stands here, beside the minutes of the lead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import domain.events as e
from domain.clocks import RULING
from domain.evolve import TAKES_BACK
from domain.minutes import seen_at
from domain.place import Handler, Place
from domain.plans import STEP
from domain.policy import Policy
from domain.promise import promised
from domain.vocabulary import Assessment, Category, Level, Matter
from domain.worktime import YearCalendar

_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Climb:
    """A climb on the account of the handler `org`: event number, clause and time (UTC).

    `made_good`: the handler completed the work, or had a plan in force, before the accept clause of the next level fell
    due. `ms` are the milliseconds from when the climb was known until the work was completed or given to another
    handler, the lead was given back, or the issue was closed; in an open issue until its last event.
    """

    seq: int
    clause: str
    at: datetime
    org: str
    made_good: bool
    ms: int


def accounts(events: Iterable[e.Event], policy: Policy, calendars: Sequence[YearCalendar] = ()) -> tuple[Climb, ...]:
    """The climbs on the accounts of the organisations that handled the issue, from all its events, in order.

    `policy` and `calendars` are those that the issue pinned at its start. A climb is on the account of the handler if
    it took the lead from the handler, or missed a step of its plan. One during which somebody above still had to rule
    on a wish is so only once that was denied, or the handler itself let go of it, and never once it was granted.
    """
    ledger = _Ledger(policy, tuple(calendars))
    for event in events:
        ledger.enter(event)
    return ledger.climbs()


@dataclass
class _Entry:
    org: str
    seq: int
    clause: str
    at: datetime
    limit: datetime | None
    """Until when (UTC) the climb can be made good; None if the next level has no accept clause."""
    since: datetime | None
    """Since when (UTC) the handler's time runs; None while it does not."""
    wishes: set[Matter]
    """What somebody above had to rule on at the climb, and still has to."""
    denied: bool = False
    granted: bool = False
    let_go: bool = False
    """Whether the handler completed the work while somebody above could still rule in time."""
    ms: int = 0
    stopped: datetime | None = None
    completed: bool = False
    planned: bool = False

    @property
    def is_on_account(self) -> bool:
        return not self.granted and (self.denied or self.let_go or not self.wishes)

    def stop(self, at: datetime) -> None:
        if self.since is not None:
            self.ms += max(at - self.since, timedelta()) // _MILLISECOND
            self.since, self.stopped = None, at

    def go_on(self, at: datetime | None) -> None:
        """Counts on from `at`, since the work was not done after all."""
        self.completed, self.since = False, at

    def is_before_limit(self, at: datetime) -> bool:
        return self.limit is not None and self.at <= at < self.limit


@dataclass
class _Ledger:
    policy: Policy
    calendars: tuple[YearCalendar, ...]
    place: Place = field(default_factory=lambda: Place("", "", ""))
    category: Category = "other"
    urgent: bool = False
    assessment: Assessment | None = None
    handler: str = ""
    proposed_at: datetime | None = None
    """When the handler proposed the plan that waits for its grant."""
    wishes: set[Matter] = field(default_factory=set[Matter])
    late: set[Matter] = field(default_factory=set[Matter])
    """Wishes on which nobody ruled in time."""
    entries: list[_Entry] = field(default_factory=list[_Entry])
    open: list[_Entry] = field(default_factory=list[_Entry])
    """Entries of the handler's present work; its time stands still while the work is completed."""
    last: datetime | None = None

    def enter(self, event: e.Event) -> None:
        self.last = event.at
        self._note_facts(event)
        self._note_wishes(event)
        match event.body:
            case (
                e.Dispatched(handler=handler) | e.Redispatched(handler=handler) | e.Ruled(handler=Handler() as handler)
            ):
                self._hand_over(event.at, handler)
            case e.DirectoryChanged(place=place, handler=handler):
                self.place = place
                if handler is not None:
                    self._hand_over(event.at, handler)
            case e.Escalated(by="deadline") as body:
                self._climb(event, body)
            case e.Returned() if self._is_own(event.level):
                self._end(event.at)
            case e.Completed():
                for entry in self.open:
                    entry.completed = _org(event) == self.handler and entry.is_before_limit(event.at)
                    entry.let_go = _org(event) == self.handler and bool(entry.wishes - self.late)
                    entry.stop(event.at)
            case e.CalendarPublished(wrong=str(clause)):  # a holiday announced late: that climb was not due
                for entry in self.open:
                    entry.granted = entry.granted or entry.clause == clause
            case e.Reopened():
                for entry in self.open:
                    entry.go_on(event.at)
            case e.TakenBack():
                for entry in self.open:
                    entry.let_go = False  # the wish waits again
                    entry.go_on(entry.stopped)
            case e.Planned() | e.Granted(what="plan"):
                self._plan(event)
            case e.Closed():
                self._end(event.at)
            case _:
                pass

    def climbs(self) -> tuple[Climb, ...]:
        if self.last is not None:
            self._end(self.last)
        return tuple(
            Climb(entry.seq, entry.clause, entry.at, entry.org, entry.completed or entry.planned, entry.ms)
            for entry in self.entries
            if entry.is_on_account
        )

    def _note_facts(self, event: e.Event) -> None:
        """Notes what decides which accept clause the next level has."""
        match event.body:
            case e.Reported() as body:
                self.place, self.category, self.urgent = body.place, body.category, body.urgent
            case e.Assessed(assessment=size):
                self.assessment = size
            case e.Corrected() as body:
                self.category = body.category or self.category
                self.urgent = self.urgent if body.urgent is None else body.urgent
            case e.PolicyChanged(policy=policy):
                self.policy = policy
            case e.CalendarPublished(calendar=calendar):
                self.calendars = (*(each for each in self.calendars if each.year != calendar.year), calendar)
            case _:
                pass

    def _note_wishes(self, event: e.Event) -> None:
        """Notes what waits for a ruling, and each ruling on the climbs that happened meanwhile."""
        if "decline" in self.wishes and event.kind in TAKES_BACK and _org(event) == self.handler:
            self._rule("decline", granted=False)
        match event.body:
            case e.Requested(what=what):
                self._ask(what)
            case e.Overdue() if event.clause is not None and event.clause in RULING:
                self.late.add(RULING[event.clause])
            case e.Planned(needs=needs):
                self._rule("plan", granted=False)  # another plan takes the place of the one that waited
                if needs is not None:
                    self._ask("plan")
            case e.Declined():
                self._ask("decline")
            case e.Ruled(upheld=upheld):
                self._rule("decline", granted=upheld)
            case e.Extended():
                self._rule("extend", granted=True)
            case e.Granted(what=what):
                self._rule(what, granted=True)
            case e.Denied(what=what):
                self._rule(what, granted=False)
            case e.Returned() | e.Reopened():
                self.wishes.clear()
            case _:
                pass

    def _hand_over(self, at: datetime, handler: Handler) -> None:
        self._end(at)
        self.handler, self.proposed_at = handler.code, None
        self.wishes.clear()

    def _ask(self, what: Matter) -> None:
        self._rule(what, granted=False)  # what was asked before is asked no more
        self.wishes.add(what)

    def _rule(self, what: Matter, *, granted: bool) -> None:
        self.wishes.discard(what)
        self.late.discard(what)
        for entry in self.open:
            if what in entry.wishes:
                entry.wishes.discard(what)
                entry.granted, entry.denied = entry.granted or granted, entry.denied or not granted

    def _climb(self, event: e.Event, body: e.Escalated) -> None:
        if not (self._is_own(body.from_level) or event.clause == STEP):
            return
        seen = seen_at(event)
        entry = _Entry(
            self.handler, event.seq, event.clause or "", event.at, self._accept_limit(event.level, seen), seen,
            set(self.wishes) if body.wish_open else set(),
        )  # fmt: skip
        self.entries.append(entry)
        self.open.append(entry)

    def _is_own(self, level: Level) -> bool:
        """Whether the handler answers for its own work while this level leads."""
        return level == "property" or self.handler == getattr(self.place, level)

    def _accept_limit(self, level: Level, start: datetime) -> datetime | None:
        for clause in self.policy.applying(level, self.assessment, self.urgent, self.category):
            if (clause.level, clause.milestone) == (level, "accept"):
                return promised(clause, self.policy, self.calendars, start, urgent=self.urgent).due
        return None

    def _plan(self, event: e.Event) -> None:
        """A plan in force makes climbs good; a grant counts from the moment of asking."""
        since = event.at if _org(event) == self.handler else None
        if isinstance(event.body, e.Granted):
            since = self.proposed_at
        elif isinstance(event.body, e.Planned) and event.body.needs is not None:
            self.proposed_at, since = since, None
        for entry in self.open:
            entry.planned = entry.planned or (since is not None and entry.is_before_limit(since))

    def _end(self, at: datetime) -> None:
        for entry in self.open:
            entry.stop(at)
        self.open = []


def _org(event: e.Event) -> str | None:
    return None if event.actor is None else event.actor.org
