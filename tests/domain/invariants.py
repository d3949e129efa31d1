"""Invariants of an issue and its events, checked event by event on a second fold."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from domain.clocks import ALWAYS, RULE_CLOCKS, RULING, Deadline, next_climb, next_deadline, next_step
from domain.commands import Command
from domain.events import Event, Returned, dump_event, load_event
from domain.issue import Clock, Issue, rank
from domain.pauses import is_granted, stops
from domain.rules import evolve
from domain.worktime import service_time

PAUSED = ("suspended", "waiting")
_FIRED = {"warn": ("warned",), "limit": ("overdue", "resumed", "reminded", "closed", "taken_back"), "climb": ("escalated",),
          "remind": ("reminded",)}  # fmt: skip


class Watcher:
    """Folds the events of one issue again, from their wire form, and checks each against the state before it."""

    def __init__(self, issue: Issue) -> None:
        self.state = issue
        self.given: dict[str, Command] = {}
        self._answered: dict[str, list[Event]] = {}
        self._climbed: set[tuple[str, int | datetime, int]] = set()
        self._lit: set[tuple[str, str, int | datetime]] = set()
        self._held_ms = 0
        self._counted_to: datetime | None = None

    def saw(self, inbox: Sequence[Command], events: Sequence[Event], after: Issue, now: datetime) -> None:
        """One batch was folded at `now` and led to the state `after`."""
        for event in events:
            self._event(load_event(dump_event(event)), now)
        for command in inbox:
            if command.id:
                self.given.setdefault(command.id, command)
        assert self.state == after, "the events fold to another state"
        self._receipts(after, {event.command.id for event in events if event.command})
        check_shape(after)
        due = next_deadline(after, now)
        assert due is None or due.at > now - after.policy.grace.span, f"{due} was left behind at {now}"

    def _event(self, event: Event, now: datetime) -> None:
        before = self.state
        assert event.seq == before.version + 1
        assert event.command is None or event.command.id not in before.receipts or self._goes_on(event)
        assert event.at >= before.since
        assert event.at <= now
        if before.is_closed:
            assert event.kind in ("refused", "rejected_signal")
        if event.seq > 1 and rank(event.level) < rank(before.level):
            assert event.kind == "returned"
        if event.recorded_at is not None:
            self._fired(before, event, now)
        else:
            assert event.actor is not None or event.kind == "rejected_signal"
        if isinstance(event.body, Returned) and event.body.undoes is not None:
            undone = before.last_climb
            assert undone is not None
            assert undone.wrong
            self._climbed.discard((undone.clause, undone.start.seq, undone.step))  # it is still to come
        self.state = after = evolve(before, event)
        self._lights(after)
        step = next_step(after)
        if event.seq > 1:
            assert event.due == (step.due if step else None)
        if event.command is not None:
            self._answered.setdefault(event.command.id, []).append(event)
        self._minutes(before, event)

    def _fired(self, before: Issue, event: Event, now: datetime) -> None:
        """The clock acted: because the earliest deadline had passed, and for no other reason."""
        assert event.recorded_at == now
        deadline = next_deadline(before, now)
        assert deadline is not None
        assert event.kind in _FIRED[deadline.what]
        assert event.clause == deadline.clause
        assert deadline.at <= now, "recorded before its deadline"
        assert event.at == max(deadline.at, before.since)
        if deadline.clause == "top":
            assert before.paused is None or not is_granted(before.paused), "reminded in a pause that somebody granted"
            return
        clock = next(clock for clock in before.clocks if clock.clause == deadline.clause)
        self._not_stopped(before, clock, deadline)
        assert event.was_due == clock.due
        if event.kind == "warned":
            assert clock.due > now, "warned of a moment past"
        if event.kind in ("warned", "overdue"):
            self._once(self._lit, (event.kind, *_identity(clock)))
        if event.kind == "escalated":
            assert rank(event.level) > rank(before.level)
            assert clock.overdue or clock.due > deadline.at, "at a tie overdue comes first"
            self._once(self._climbed, (*_identity(clock), deadline.step))

    @staticmethod
    def _not_stopped(before: Issue, clock: Clock, deadline: Deadline) -> None:
        """The clock did not act in a pause that stops it: a clock of days on no day that was paused as a whole."""
        stop = before.paused
        if stop is None or clock.clause in ("ask", "review") or not stops(stop, clock.milestone):
            return
        assert clock.clause not in ("appointment", "plan-step", "plan-update"), "its date moves after the pause"
        hours = before.policy.service_hours
        if any(clause.id == clock.clause and not clause.limit.in_days for clause in before.policy.clause):
            begun = deadline.at > stop.begin and service_time(stop.begin, deadline.at, hours) > timedelta()
            assert deadline.at >= stop.end or not begun, f"{clock.clause} stood still"

    def _lights(self, after: Issue) -> None:
        """A light goes out only where its moment has moved ahead; then it may go on once more."""
        for clock in after.clocks:
            for kind, is_on, moment in (("warned", clock.warned, clock.warn), ("overdue", clock.overdue, clock.due)):
                key = (kind, *_identity(clock))
                if key in self._lit and not is_on:
                    assert moment is not None
                    assert moment > after.since, f"{kind} of {clock.clause} went out by itself"
                    self._lit.remove(key)

    def _goes_on(self, event: Event) -> bool:
        """Whether the event before is of the same command: one command may lead to several, in one piece."""
        return event.command is not None and self._answered[event.command.id][-1].seq == event.seq - 1

    @staticmethod
    def _once(seen: set, key: object) -> None:
        assert key not in seen, f"{key} happened twice"
        seen.add(key)

    def _minutes(self, before: Issue, event: Event) -> None:
        """Held milliseconds add up to the time since the report: no minute counts twice or is lost.

        While the resident looks at completed work, or at a question, it is open whose time that is.
        """
        self._held_ms += sum(part.ms for part in event.held)
        assert all(part.ms > 0 for part in event.held)
        asked = before.status == self.state.status == "suspended" and before.holding == self.state.holding
        open_yet = asked and before.holding is not None and before.holding.holder == "resident"
        if (
            before.is_closed
            or open_yet
            or (before.status == self.state.status == "completed" and event.kind != "objected")
        ):
            assert event.held == ()
            return
        seen = event.kind in ("escalated", "resumed", "taken_back") and event.recorded_at is not None
        reached = event.recorded_at if seen else event.at
        self._counted_to = max(self._counted_to or reached, reached)
        assert timedelta(milliseconds=self._held_ms) == self._counted_to - self.state.opened_at

    def _receipts(self, after: Issue, new: set[str]) -> None:
        """Each command that arrived has one receipt, and it names what became of it."""
        assert after.receipts.keys() == self.given.keys()
        assert sum(after.given.values()) == len(after.receipts), "each receipt counts for whoever gave the command"
        for name in sorted(new):
            receipt, events = after.receipts[name], self._answered[name]
            assert receipt.digest == self.given[name].digest == events[-1].command.digest  # pyright: ignore[reportOptionalMemberAccess]
            assert receipt.seq == events[-1].seq
            assert [event.seq for event in events] == list(range(events[0].seq, receipt.seq + 1)), "in one piece"
            assert (receipt.outcome == "refused") == (events[0].kind == "refused")
            less = receipt.outcome == "refused" or getattr(events[-1].body, "counted_only", False)
            assert bool(receipt.code) == less


def _identity(clock: Clock) -> tuple[str, int | datetime]:
    """What makes two clocks the same promise: a step of a plan is due once, whatever happened to other steps."""
    return clock.clause, clock.due if clock.clause == "plan-step" else clock.start.seq


def work_of(issue: Issue) -> Issue:
    """The issue without what every event changes: who gave commands, and when."""
    marks, term = (
        {kind: mark for kind, mark in each.items() if kind != "taken_back"} for each in (issue.marks, issue.term)
    )
    # In a pause the dates of a plan wait until it is over.
    waits = () if issue.paused is None else ("plan-step", "plan-update")
    clocks = [clock for clock in issue.clocks if clock.clause not in waits]
    return replace(
        issue,
        version=0,
        since=issue.opened_at,
        holding=None,
        receipts={},
        given={},
        acted={},
        marks=marks,
        term=term,
        clocks=tuple(sorted(clocks, key=lambda clock: clock.clause)),
    )


def check_shape(issue: Issue) -> None:
    """What one state must be like by itself."""
    assert issue.level in issue.ladder
    assert issue.is_closed == (next_step(issue) is None), "of every open issue it is known who must act next"
    assert issue.handler.code
    assert (issue.status == "closed") == issue.is_closed
    assert (issue.status in PAUSED) == issue.is_paused == (issue.interrupted is not None)
    assert not issue.shelved or issue.status == "waiting"
    running = [clock.clause for clock in issue.clocks]
    assert len(running) == len(set(running)), "a clause runs once"
    objected = issue.is_dropped and "rule-objection" in running  # the word of whoever must rule is waited for instead
    assert ("silence" in running or objected) == (issue.status == "completed")
    assert (issue.completion is not None) == (issue.status == "completed") or issue.is_closed
    assert ("ask" in running) == (issue.status == "suspended")
    assert ("review" in running) == (issue.status == "waiting")
    in_force = issue.plan is not None and not issue.is_closed
    assert ("plan-update" in running) == ("plan-step" in running) == in_force
    assert issue.proposed is None or issue.status != "completed"
    wishes = [wish.what for wish in issue.wishes]
    assert len(wishes) == len(set(wishes)), "one wish of a kind"
    for wish in issue.wishes:  # what a climb took the clock of is still to be ruled on
        assert wish.clause is None or wish.clause in running or wish.asked.seq < issue.term["led"].seq
    assert {f"rule-{what}" for what in wishes} == {name for name in running if name in RULING} - {"rule-size"}
    assert issue.is_closed or (issue.wish("plan") is not None) == (issue.proposed is not None)
    if issue.is_closed:
        assert running == []
        assert next_deadline(issue) is None
        assert (issue.resting, issue.reminder, issue.wishes, issue.paused) == ((), None, (), None)
    assert issue.is_closed or next_deadline(issue) is not None, "forgotten"
    if not issue.is_closed and issue.status != "completed":
        at_the_top = issue.level == issue.ladder[-1]
        assert at_the_top or any(next_climb(issue, clock) for clock in issue.clocks), "the lead would stay for ever"
    assert all(stop.begin <= stop.end for stop in issue.pauses)
    assert all(one.end <= other.begin for one, other in pairwise(issue.pauses)), "no moment is paused twice"
    assert all(begin <= end for begin, end in issue.looked)
    for clock in (*issue.clocks, *issue.resting):
        assert clock.climbed <= len(clock.climbs)
        levels = ("issue", issue.level, *((issue.left.level,) if issue.left else ()))
        comes_back = clock in issue.resting and clock.start in [issue.term.get(kind) for kind in ALWAYS]
        assert clock.clause in RULE_CLOCKS or clock.level in levels or comes_back
    assert {clock.clause for clock in issue.resting}.isdisjoint(RULE_CLOCKS)
