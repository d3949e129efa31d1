"""Reasons to refuse a command: authority, status, conflict of interest and the limits of the policy."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Final

import domain.commands as c
from domain import asking, completion, hearing, merging
from domain.access import (
    assignable,
    capacities,
    conflict,
    holds,
    level_of,
    may_give,
    may_take_up,
    milestone_scopes,
)
from domain.followers import joined
from domain.issue import Issue, lead_org, next_rung, rank
from domain.limits import FARTHEST, MOST_COMMANDS, MOST_OF_FOLLOWER, MOST_RECEIPTS
from domain.personal import Personal
from domain.refusal import Refusal, no
from domain.resolving import change
from domain.vocabulary import Assessment, Level, Status
from domain.worktime import YearCalendar

_WORKING: Final[tuple[Status, ...]] = ("accepted", "arrived", "planned", "answered")
_PAUSED: Final[tuple[Status, ...]] = ("suspended", "waiting")
_OPEN: Final[tuple[Status, ...]] = ("dispatched", *_WORKING, *_PAUSED)
_ALL: Final[tuple[Status, ...]] = (*_OPEN, "completed")
WHEN: Final[Mapping[str, tuple[Status, ...]]] = MappingProxyType(
    {
        "comment": _ALL, "attach": _ALL, "object": _ALL, "supply": ("suspended",), "urge": _OPEN, "withdraw": _ALL, "confirm": ("completed",),
        "renew_code": _ALL, "follow": _ALL, "unfollow": _ALL,
        "reopen": ("completed",), "accept": _OPEN, "decline": ("dispatched", "accepted", "arrived"),
        "assign": _OPEN, "schedule": (*_WORKING, *_PAUSED),
        "attempt": (*_WORKING, *_PAUSED), "contact": (*_WORKING, *_PAUSED),
        "arrive": ("accepted", "planned", "answered"), "assess": (*_WORKING, *_PAUSED),
        "mitigate": (*_WORKING, *_PAUSED), "plan": _WORKING, "step_done": (*_WORKING, "waiting"),
        "answer": (*_WORKING, *_PAUSED, "completed"), "ask": _WORKING, "wait": (*_WORKING, "waiting"), "resume": _PAUSED,
        "extend": ("dispatched", *_WORKING), "complete": (*_WORKING, *_PAUSED), "refer": _ALL, "escalate": _OPEN,
        "sit": _OPEN, "redispatch": _OPEN, "return": _ALL, "supervise": _ALL, "instruct": _ALL,
        "grant": _ALL, "deny": _ALL, "rule": _OPEN, "adopt": _OPEN, "merge": _OPEN, "split": _ALL, "reject": _OPEN,
        "shelve": _OPEN, "correct": _ALL, "change_policy": _ALL, "calendar_published": _ALL,
        "directory_changed": _ALL,
    }
)  # fmt: skip
"""Command -> the statuses in which it applies. A lead above `property` need not wait until the handler has accepted."""
MILESTONES: Final = frozenset({"accept", "contact", "arrive", "assess", "sit", "plan", "answer"})
"""Commands named after the milestone that they reach."""
ENDLESS: Final = frozenset(
    {"refer", "renew_code", "return", "redispatch", "adopt", "change_policy", "calendar_published"}
)
"""Commands that are not to wait for a count either, though one party could repeat them without end: they have their own."""
BOUNDED: Final = frozenset(
    {"supply", "withdraw", "confirm", "complete", "escalate", "grant", "deny", "rule", "merge", "split", "reject"}
)
"""Commands of which nobody can give many by himself: each ends something that others, or counted commands, began."""


def refusal(issue: Issue, command: c.Command) -> Refusal | None:
    """The first reason to refuse the command, a stale version before all others; None if the command applies."""
    if command.expected_version is not None and command.expected_version != issue.version:
        return no("stale", version=issue.version, expected=command.expected_version)
    if isinstance(command.body, c.Report):
        return _report(issue, command.body, command.at)
    if (found := against(issue, command.actor, command.name, command.grants, command.at)) is not None:
        return found
    assert command.actor is not None
    if (side := conflict(issue, command.actor, command.name)) is not None:
        return no("conflict-of-interest", side=side, role=command.actor.role)
    return (
        _too_many(issue, command, command.actor)
        or _out_of_order(issue, command, command.actor)
        or _blank(command.body)
        or _against_policy(issue, command, command.actor)
    )


def _report(issue: Issue, body: c.Report, at: datetime) -> Refusal | None:
    if issue.version:
        return no("reported-already")
    if body.takes_up and not may_take_up(body.before, at):
        return no("not-taken-up")
    return None


def against(
    issue: Issue, actor: c.Actor | None, name: str, grants: Iterable[c.Authority], at: datetime
) -> Refusal | None:
    """The reason why this actor may not give any command of this name; None if he may.

    Reasons are a closed issue, and an actor who lacks the capacity or whose `grants` lack the role at `at` (UTC).
    """
    if issue.closed is not None:
        if issue.merged_into is not None:
            return no("closed-merged", into=issue.merged_into)
        return no("closed", kind=issue.closed.kind)
    if actor is None or not may_give(issue, actor, name):
        if name == "follow" and actor is not None and not capacities(issue, actor).isdisjoint({"reporter", "follower"}):
            return no("hears-already")
        return no("not-yours", command=name)
    if not holds(actor, grants, issue.place, at):
        return no("no-authority")
    return None


def _too_many(issue: Issue, command: c.Command, actor: c.Actor) -> Refusal | None:
    """Refuses what a party that has given many commands gives further; None for what the work needs.

    Each command leaves a receipt for ever, and all receipts must fit into what one run hands to the next. So each party
    has a count of its own, which locks nobody else. What the work needs is taken whatever the count says: its state
    bounds how often that can be.
    """
    given = issue.given.get(actor.party, 0)
    follows = actor.role == "resident" and actor.person != issue.reporter
    most = MOST_OF_FOLLOWER if follows else MOST_RECEIPTS if command.name in ENDLESS else MOST_COMMANDS
    if given < most or _is_needed(issue, command.body, command.name, actor):
        return None
    return no("too-many-commands", given=given, command=command.name)


def _is_needed(issue: Issue, body: c.Body, name: str, actor: c.Actor) -> bool:
    """Whether the work needs the command, which then cannot be repeated before something else happens."""
    match body:
        case c.Mitigate():
            return "mitigated" not in issue.marks
        case c.Shelve():
            return not issue.shelved
        case c.Reopen():
            return actor.role == "resident"  # as often as the policy says
        case c.Answer() if is_interim(issue):
            return False
        case c.Plan() if "proposed" in issue.term:
            return False  # until it is granted a plan reaches nothing
        case _:
            return name in BOUNDED or (name in MILESTONES and _is_missing(issue, actor, name))


def _is_missing(issue: Issue, actor: c.Actor, milestone: str) -> bool:
    """Whether the actor's work has not reached the milestone since the lead's term began, or a clock waits for it."""
    scopes = (*milestone_scopes(issue, actor), "issue")
    marks = [issue.met.get((scope, milestone)) for scope in scopes]
    led = issue.term.get("led")
    return any(mark is None or (led is not None and mark.seq < led.seq) for mark in marks) or any(
        clock.milestone == milestone and clock.level in scopes for clock in issue.clocks
    )


def _out_of_order(issue: Issue, command: c.Command, actor: c.Actor) -> Refusal | None:
    status = issue.status
    name = command.name
    if status in WHEN[name]:
        return None
    if name == "arrive" and status == "arrived" and any(clock.clause == "appointment" for clock in issue.clocks):
        return None  # another visit was agreed on
    if status == "dispatched":
        if _leads_above(issue, actor) and "accepted" in WHEN[name]:
            return None
        if name == "assess" and issue.assessment is not None and "senior" in capacities(issue, actor):
            return None  # the lead said how serious it is; those above may set that right
        if "accepted" in WHEN[name]:
            return no("accept-first", command=name)
    if status in _PAUSED and "accepted" in WHEN[name]:
        return no("resume-first", status=status, command=name)
    if name == "arrive" and status == "arrived" and issue.assessment is None:
        return no("assess-instead")
    if status == "completed":
        if issue.merged_into is not None:
            return no("merged-first", into=issue.merged_into, command=name)
        return no("rejected-first" if issue.is_dropped else "completed-first", command=name)
    return no("wrong-status", command=name, status=status)


@cache
def _texts(kind: type[c.Body]) -> tuple[str, ...]:
    """The fields that must not be blank: text without a default."""
    return tuple(each.name for each in fields(kind) if each.type in (str, Personal) and each.default is MISSING)


def _blank(body: c.Body) -> Refusal | None:
    for name in _texts(type(body)):
        text: Personal = getattr(body, name)
        if isinstance(text, str) and not text.strip():
            return no("blank", field=name)
    return None


def _leads_above(issue: Issue, actor: c.Actor) -> bool:
    return issue.level != "property" and "lead" in capacities(issue, actor)


def _against_policy(issue: Issue, command: c.Command, actor: c.Actor) -> Refusal | None:
    """The reason why the content of the command does not fit the policy or the state; None if it fits."""
    match command.body:
        case c.Accept():
            return _accept(issue, actor)
        case c.Decline() if issue.declined:
            return no("decline-waits")
        case c.Return() | c.Redispatch() | c.Resume() if (shelved := _shelved(issue, actor)) is not None:
            return shelved
        case c.Rule() as body:
            return _rule(issue, body, actor)
        case c.Correct() as body:
            return _correct(issue, body, actor)
        case c.Assess(assessment=assessment) if sized(issue, assessment):
            return no("assessed-already", assessment=assessment)
        case c.Assess(assessment=assessment, reason="") | c.Arrive(assessment=assessment, note="") if resized(
            issue, assessment
        ):
            return no("assessment-unexplained")
        case c.Plan() | c.StepDone():
            return asking.plan(issue, command)
        case c.Ask() if issue.asked >= issue.policy.ask.times:
            return no("asked-enough", times=issue.policy.ask.times)
        case c.Wait(review=review):
            return asking.wait(issue, review - command.at)
        case c.Schedule(time=time) if time <= command.at:
            return no("appointment-past")
        case c.Schedule(time=time) if time - command.at > FARTHEST:
            return no("appointment-far", days=FARTHEST.days)
        case c.Extend() | c.Grant() | c.Deny():
            return asking.more_time(issue, command, actor)
        case c.Complete() as body:
            return _complete(issue, body, actor)
        case c.Object():
            return hearing.objection(issue, actor)
        case c.Supply():
            return hearing.unproved(issue, actor)
        case c.Reject():
            return merging.dropped_again(issue, actor)
        case c.Reopen():
            return hearing.reopen(issue, actor)
        case c.Follow(rates=rates):
            return merging.follow(issue, actor, rates=rates)
        case c.Confirm() as body:
            return hearing.confirm(issue, body, command.grants) or hearing.rate(issue, body, actor)
        case c.Escalate() if next_rung(issue) is None:
            return no("top-of-ladder", level=issue.level)
        case c.Redispatch() as body:
            return _given_to(issue, body)
        case c.Return(to=to):
            return _return(issue, to, actor)
        case c.Adopt(issue=other, opened=opened) as body:
            is_older = opened is None or (issue.opened_at, issue.id) <= (opened, other)
            return (
                merging.merge(issue, other, is_older)
                or merging.slower(issue, body, actor)
                or merging.crowded(len(joined(issue, *body.voices)))
            )
        case c.Merge(into=other, opened=opened):
            is_older = opened is None or (opened, other) <= (issue.opened_at, issue.id)
            return merging.merge(issue, other, is_older) or merging.dropped_again(issue, actor)
        case c.RenewCode() if issue.merged_into is not None:
            return no("merged", into=issue.merged_into)
        case c.Split() as body:
            return merging.split(issue, body, actor, command.grants)
        case c.ChangePolicy(body=body) if body is None:
            return no("no-such-policy")
        case c.CalendarPublished(calendar=calendar):
            return _calendar(issue, calendar)
        case c.DirectoryChanged() as body:
            return _directory(issue, body)
        case _:
            return None


def _directory(issue: Issue, body: c.DirectoryChanged) -> Refusal | None:
    if body.place is None or body.place.compound != issue.place.compound:
        return no("no-such-compound", compound=issue.place.compound)
    if change(issue, body) is None:
        return no("directory-unchanged")
    return None


def _complete(issue: Issue, body: c.Complete, actor: c.Actor) -> Refusal | None:
    if not completion.answers(body):
        return no("answer-short", least=completion.SHORTEST_ANSWER)
    if completion.lacks_arrival(issue, body):
        return no("arrive-first", kind=body.kind)
    if completion.lacks_picture(issue, body, actor):
        return no("picture-missing", category=issue.category, kind=body.kind, org=actor.org)
    return None


def _shelved(issue: Issue, actor: c.Actor) -> Refusal | None:
    if issue.shelved and actor.role != "street":
        return no("shelved-by-street")
    return None


def _rule(issue: Issue, body: c.Rule, actor: c.Actor) -> Refusal | None:
    wish = issue.wish("decline")
    if wish is None:
        return no("no-decline")
    if (foreign := asking.from_above(issue, wish, actor)) is not None:
        return foreign
    return (_given_to(issue, body) or _shelved(issue, actor)) if body.upheld else None


def _given_to(issue: Issue, body: c.Redispatch | c.Rule) -> Refusal | None:
    """The reason why the issue cannot be given to the named organisation; None if it can."""
    if body.handler == issue.handler.code:
        return no("handles-already", org=body.handler)
    if body.handler is not None and not assignable(body.handler_kind, body.handler_streets, issue.place):
        return no("works-elsewhere", org=body.handler, street=issue.place.street)
    return None


def _correct(issue: Issue, body: c.Correct, actor: c.Actor) -> Refusal | None:
    """Refuses a correction that changes limits unless it comes from above: not from those whom the limits bind.

    At the top nobody is above, and nothing climbs any more.
    """
    if body.category is None and body.urgent is not False:
        return None
    if "senior" in capacities(issue, actor):
        is_above = rank(level_of(actor)) > rank(issue.level) and actor.org != issue.handler.code
        if is_above or level_of(actor) == issue.ladder[-1]:
            return None
    return no("corrected-from-above")


def _calendar(issue: Issue, calendar: YearCalendar) -> Refusal | None:
    if (problem := next(calendar.problems(), None)) is not None:
        return no("calendar-faulty", problem=problem)
    known = max((each.version for each in issue.calendars if each.year == calendar.year), default=0)
    return no("calendar-older", version=known, year=calendar.year) if known > calendar.version else None


def _accept(issue: Issue, actor: c.Actor) -> Refusal | None:
    mine = capacities(issue, actor)
    if "handler" in mine and issue.stands == "dispatched":
        return None
    if "lead" in mine and not _taken(issue):
        return None
    return no("lead-taken") if "lead" in mine else no("accepted-already", status=issue.stands)


def _taken(issue: Issue) -> bool:
    """Whether the level that leads has accepted the issue since it got the lead."""
    met, led = issue.met.get((issue.level, "accept")), issue.term.get("led")
    return met is not None and (led is None or met.seq > led.seq)


def sized(issue: Issue, assessment: Assessment) -> bool:
    """Whether the issue was assessed as `assessment` since the present level got the lead."""
    return issue.assessment == assessment and f"assessed:{assessment}" in issue.term


def is_interim(issue: Issue) -> bool:
    """Whether an answer given now is an interim one: the work is not completed, nor does a plan stand for it."""
    return issue.status != "completed" and issue.plan is None


def resized(issue: Issue, assessment: Assessment | None) -> bool:
    """Whether `assessment` differs from an assessment that the issue already has."""
    return None not in (issue.assessment, assessment) and issue.assessment != assessment


def returns_to(issue: Issue, to: Level | None) -> Level:
    """The level that leads after a return: the one named, or that of which a wrong climb took it, or the lowest."""
    last = issue.last_climb
    return to or (last.from_level if last is not None and last.wrong else issue.ladder[0])


def _return(issue: Issue, to: Level | None, actor: c.Actor) -> Refusal | None:
    if issue.judged is not None and actor.org in (issue.handler.code, lead_org(issue)):
        return hearing.JUDGED
    if issue.is_dropped:  # or the work would begin anew, with the whole time, and an older issue would not know of it
        return no("split-instead" if issue.merged_into is not None else "take-back-instead")
    target = returns_to(issue, to)
    if target not in issue.ladder or rank(target) > rank(issue.level):
        return no("not-below", level=target)
    if target == issue.level and issue.status == "dispatched":
        return no("not-begun")
    return None
