"""One issue on a stage: the actors of the tests, and short ways to give commands and let time pass."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, Final

import domain.commands as c
import domain.events as e
from calendars import load_all
from domain.advance import advance
from domain.clocks import next_deadline, wake_after
from domain.commands import Actor, Body, Command
from domain.completion import answers
from domain.events import Event, dump_event, load_event
from domain.issue import Clock, Issue, dump_issue, load_issue
from domain.minutes import totals
from domain.place import Place
from domain.policy import Policy
from domain.rules import evolve
from domain.vocabulary import Assessment, OperatorKind
from domain.wire import canonical
from domain.worktime import SHANGHAI, YearCalendar
from policies.loader import load_pack
from support.completions import ANSWER
from support.grants import granted
from texts.catalogue import say

REPORTER: Final = Actor("resident-1", "resident")
NEIGHBOUR: Final = Actor("resident-2", "resident")
COMPANY: Final = Actor("staff-1", "property", "company-a")
RIVAL: Final = Actor("staff-2", "property", "company-b")
COMMUNITY: Final = Actor("officer-1", "community", "elm")
ELSEWHERE: Final = Actor("officer-2", "community", "oak")
STREET: Final = Actor("officer-3", "street", "north")
FAR_STREET: Final = Actor("officer-4", "street", "south")
DEPARTMENT: Final = Actor("officer-5", "department", "enforcement")
VOLUNTEERS: Final = Actor("helper-1", "volunteer", "helpers")
AUDITOR: Final = Actor("auditor-1", "auditor", "north")
ADMIN: Final = Actor("admin-1", "admin", "north")

CASTING: Final = {
    "reporter": REPORTER, "neighbour": NEIGHBOUR, "company": COMPANY, "rival": RIVAL, "community": COMMUNITY,
    "elsewhere": ELSEWHERE, "street": STREET, "far street": FAR_STREET, "department": DEPARTMENT,
    "volunteers": VOLUNTEERS, "auditor": AUDITOR, "admin": ADMIN,
}  # fmt: skip
"""Everybody who may turn up, by a word for it."""

CALENDARS: Final[tuple[YearCalendar, ...]] = load_all()
SETTLED_2027: Final = YearCalendar(2027, 1, off=(), on=(), source="made up for tests: every weekday works")


def place(operator_kind: OperatorKind | None = "company") -> Place:
    """The compound of the tests; `operator_kind` None is a compound without a contract."""
    operator = COMPANY.org if operator_kind else None
    return Place("garden", "elm", "north", operator, operator_kind, name="花园小区")


@cache
def pack(policy_id: str) -> Policy:
    return load_pack(policy_id)


def local(text: str) -> datetime:
    """``2026-11-20 10:00[:05]`` on Shanghai's clock, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


DONE: Final = c.Complete(answer=ANSWER, evidence=("照片",))
"""A completion with all that one may need, given by somebody who has been on site."""

FRIDAY: Final = local("2026-11-20 10:00")
"""A working day, inside service hours."""


class Stage:
    """An issue from its report on. Every batch is checked: events fold to the state, both survive the wire."""

    def __init__(
        self,
        policy: str | Policy = "52022",
        *,
        at: datetime = FRIDAY,
        where: Place | None = None,
        calendars: Sequence[YearCalendar] = CALENDARS,
        report: bool = True,
        category: str = "leak",
        **details: Any,
    ) -> None:
        self._ids = count(1)
        self.now = at
        self.issue = Issue.new("issue-1", pack(policy) if isinstance(policy, str) else policy, calendars)
        self.events: list[Event] = []
        self.uploads: dict[str, c.Upload] = {}
        if report:
            body = c.Report("JS-1", where or place(), category, "厨房漏水", **details)  # pyright: ignore[reportAttributeAccessIssue]
            self.give(REPORTER, body, after=0)

    def give(self, actor: Actor, body: Body, after: float = 60, **head: Any) -> list[Event]:
        """The events after the command, given `after` seconds from now."""
        self.now += timedelta(seconds=after)
        return self.fold([self.command(actor, body, **head)])

    def upload(self, actor: Actor, picture: str = "照片", after: float = 0) -> None:
        """The actor adds a picture to the issue."""
        self.now += timedelta(seconds=after)
        self.uploads[picture] = c.Upload(picture, actor.person, actor.org, self.now)

    def command(self, actor: Actor, body: Body, **head: Any) -> Command:
        if isinstance(body, c.Complete):
            body = self._resolved(actor, body)
        grants = granted(actor, self.issue.place)
        plain = Command(f"command-{next(self._ids)}", self.now, actor, body, grants=grants)
        return replace(plain, **head)  # pyright: ignore[reportAttributeAccessIssue]

    def _resolved(self, actor: Actor, body: c.Complete) -> c.Complete:
        """What the protocol fills in. Whoever completes has just uploaded what nobody else did."""
        for picture in map(str, body.evidence):
            if picture not in self.uploads:
                self.upload(actor, picture)
        pictures = tuple(self.uploads[str(each)] for each in body.evidence)
        return replace(body, answers=answers(body), pictures=pictures)

    def fold(self, inbox: Sequence[Command] = (), now: datetime | None = None) -> list[Event]:
        """What the inbox leads to when it is folded at `now`."""
        self.now = max(self.now, now or self.now)
        before = self.issue
        self.issue, events = advance(before, inbox, self.now)
        for event in events:
            assert load_event(dump_event(event)) == event
            before = evolve(before, event)
        assert before == self.issue
        assert reloaded(self.issue) == self.issue
        self.events += events
        return events

    def let_pass(self, until: datetime | float) -> list[Event]:
        """Wakes as the shell would, at each deadline and a grace, until the moment (or for so many seconds)."""
        end = until if isinstance(until, datetime) else self.now + timedelta(seconds=until)
        events: list[Event] = []
        while (deadline := next_deadline(self.issue, self.now)) is not None:
            wake = max(self.now, deadline.at + wake_after(self.issue, deadline))
            if wake > end:
                break
            events += self.fold(now=wake)
        self.now = end
        return events

    def outage(self, until: datetime | float) -> list[Event]:
        """Nobody wakes until the moment; then everything is caught up with at once."""
        end = until if isinstance(until, datetime) else self.now + timedelta(seconds=until)
        return self.fold(now=end)

    def running(self) -> set[str]:
        return {clock.clause for clock in self.issue.clocks}

    def clock(self, clause: str) -> Clock:
        return next(clock for clock in self.issue.clocks if clock.clause == clause)

    def minutes(self) -> dict[tuple[str, str | None], float]:
        return {key: ms / 60_000 for key, ms in totals(self.events).items()}


def reloaded(issue: Issue) -> Issue:
    """The issue as continue-as-new would find it: through canonical JSON and back."""
    return load_issue(json.loads(canonical(dump_issue(issue))), issue.policy, issue.calendars)


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def refused(events: Sequence[Event]) -> str | None:
    """The code, if the command was refused."""
    return next((event.body.code for event in events if event.kind == "refused"), None)  # pyright: ignore[reportAttributeAccessIssue]


def said(event: Event) -> str:
    """The refusal in words."""
    assert isinstance(event.body, e.Refused)
    return say("refusals", event.body.code, "en", event.body.params)


def climbs(stage: Stage) -> list[tuple[str | None, str]]:
    """Under which clause, and to which level, the lead has moved up."""
    return [(event.clause, event.level) for event in stage.events if event.kind == "escalated"]


def arrived(size: Assessment | None = "complex", policy: str | Policy = "52022", **details: Any) -> Stage:
    """An issue that the company accepted at 10:01 and was on site for at 10:02."""
    stage = Stage(policy, **details)
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive(size))
    return stage
