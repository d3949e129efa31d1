"""What climbs by the clock leave on the account of whoever does the work.

After a climb the minutes of `domain.minutes` count for the level that leads. The handler is still at work; the time that
it takes from there stands here, beside the minutes of the lead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import domain.events as e
from domain.minutes import seen_at
from domain.place import Place
from domain.plans import STEP
from domain.policy import Policy
from domain.promise import promised
from domain.vocabulary import Assessment, Category, Level
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
    it took the lead from the handler, or missed a step of its plan. One during which a wish of the handler waited for
    its ruling is so only once a wish has been denied.
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
    on_account: bool
    since: datetime | None
    """Since when (UTC) the handler's time runs; None while it does not."""
    ms: int = 0
    completed: bool = False
    planned: bool = False

    def stop(self, at: datetime) -> None:
        if self.since is not None:
            self.ms += max(at - self.since, timedelta()) // _MILLISECOND
            self.since = None

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
    entries: list[_Entry] = field(default_factory=list[_Entry])
    open: list[_Entry] = field(default_factory=list[_Entry])
    """Entries of the handler's present work; its time stands still while the work is completed."""
    last: datetime | None = None

    def enter(self, event: e.Event) -> None:
        self.last = event.at
        self._note(event)
        match event.body:
            case e.Dispatched(handler=handler) | e.Redispatched(handler=handler):
                self._hand_over(handler.code, event.at)
            case e.Ruled(upheld=upheld, handler=handler):
                self._rule(granted=upheld)
                if handler is not None:
                    self._hand_over(handler.code, event.at)
            case e.Escalated(by="deadline") as body:
                self._climb(event, body)
            case e.Returned() if self._is_own(event.level):
                self._end(event.at)
            case e.Completed():
                self._complete(event)
            case e.Reopened():  # so the work had not been completed
                for entry in self.open:
                    entry.completed, entry.since = False, event.at
            case e.Planned(needs=needs) if _org(event) == self.handler:
                self.proposed_at = event.at
                if needs is None:
                    self._plan(event.at)
            case e.Extended() | e.Granted():
                self._rule(granted=True)
                if isinstance(event.body, e.Granted) and event.body.what == "plan" and self.proposed_at is not None:
                    self._plan(self.proposed_at)  # a grant counts from the moment of asking
            case e.Denied():
                self._rule(granted=False)
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
            if entry.on_account
        )

    def _note(self, event: e.Event) -> None:
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

    def _climb(self, event: e.Event, body: e.Escalated) -> None:
        if not (self._is_own(body.from_level) or event.clause == STEP):
            return
        seen = seen_at(event)
        entry = _Entry(
            self.handler, event.seq, event.clause or "", event.at, self._accept_limit(event.level, seen),
            on_account=not body.wish_open, since=seen,
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

    def _complete(self, event: e.Event) -> None:
        by_handler = _org(event) == self.handler
        for entry in self.open:
            entry.completed = by_handler and entry.is_before_limit(event.at)
            entry.stop(event.at)

    def _plan(self, at: datetime) -> None:
        for entry in self.open:
            entry.planned = entry.planned or entry.is_before_limit(at)

    def _rule(self, *, granted: bool) -> None:
        """The first ruling after a climb that a wish marked decides: a grant takes it off the account for good."""
        waiting = [entry for entry in self.open if not entry.on_account]
        if granted:
            self.open = [entry for entry in self.open if entry.on_account]
        for entry in waiting:
            entry.on_account = not granted

    def _hand_over(self, handler: str, at: datetime) -> None:
        self._end(at)
        self.handler, self.proposed_at = handler, None

    def _end(self, at: datetime) -> None:
        for entry in self.open:
            entry.stop(at)
        self.open = []


def _org(event: e.Event) -> str | None:
    return None if event.actor is None else event.actor.org
