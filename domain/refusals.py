"""Reasons to refuse a command: authority, status, conflict of interest and the limits of the policy."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Final

import domain.commands as c
from domain import completion
from domain.access import above, assignable, capacities, conflict, holds, level_of, may_give, milestone_scopes
from domain.clocks import RULE_CLOCKS
from domain.issue import Clock, Issue, Wish, next_rung, rank
from domain.limits import MOST_COMMANDS
from domain.personal import Personal
from domain.vocabulary import Assessment, Level, Status
from domain.worktime import YearCalendar


@dataclass(frozen=True)
class Refusal:
    """Why a command has no effect; `reason` is for people, `code` for programs.

    The codes are stale, closed, not-yours, conflict-of-interest, not-now, limit and invalid.
    """

    code: str
    reason: str


_WORKING: Final[tuple[Status, ...]] = ("accepted", "arrived", "planned", "answered")
_PAUSED: Final[tuple[Status, ...]] = ("suspended", "waiting")
_OPEN: Final[tuple[Status, ...]] = ("dispatched", *_WORKING, *_PAUSED)
_ALL: Final[tuple[Status, ...]] = (*_OPEN, "completed")
WHEN: Final[Mapping[str, tuple[Status, ...]]] = MappingProxyType(
    {
        "comment": _ALL, "object": _ALL, "supply": ("suspended",), "urge": _OPEN, "withdraw": _ALL, "confirm": ("completed",),
        "renew_code": _ALL,
        "reopen": ("completed",), "accept": _OPEN, "decline": ("dispatched", "accepted", "arrived"),
        "assign": _OPEN, "schedule": (*_WORKING, *_PAUSED),
        "attempt": (*_WORKING, *_PAUSED), "contact": (*_WORKING, *_PAUSED),
        "arrive": ("accepted", "planned", "answered"), "assess": (*_WORKING, *_PAUSED),
        "mitigate": (*_WORKING, *_PAUSED), "plan": _WORKING, "step_done": (*_WORKING, "waiting"),
        "answer": (*_WORKING, *_PAUSED, "completed"), "ask": _WORKING, "wait": (*_WORKING, "waiting"), "resume": _PAUSED,
        "extend": ("dispatched", *_WORKING), "complete": (*_WORKING, *_PAUSED), "refer": _ALL, "escalate": _OPEN,
        "sit": _OPEN, "redispatch": _OPEN, "return": _ALL, "supervise": _ALL, "instruct": _ALL,
        "grant": _OPEN, "deny": _OPEN, "rule": _OPEN, "adopt": _ALL, "merge": _ALL, "reject": _OPEN,
        "shelve": _OPEN, "correct": _ALL, "change_policy": _ALL, "calendar_published": _ALL,
    }
)  # fmt: skip
"""Command -> the statuses in which it applies. A lead above `property` need not wait until the handler has accepted."""
TALK: Final = frozenset(
    {
        "comment",
        "urge",
        "object",
        "renew_code",
        "assign",
        "schedule",
        "attempt",
        "contact",
        "mitigate",
        "sit",
        "supervise",
        "instruct",
        "refer",
    }
)
"""Commands that never advance the issue."""


def refusal(issue: Issue, command: c.Command) -> Refusal | None:
    """The first reason to refuse the command, a stale version before all others; None if the command applies."""
    if command.expected_version is not None and command.expected_version != issue.version:
        return Refusal("stale", f"the issue is at version {issue.version}, not {command.expected_version}")
    if isinstance(command.body, c.Report):
        return Refusal("not-now", "the issue has been reported already") if issue.version else None
    if (found := against(issue, command.actor, command.name, command.grants, command.at)) is not None:
        return found
    assert command.actor is not None
    if (side := conflict(issue, command.actor, command.name)) is not None:
        did = f"conflict-of-interest: {command.actor.person} acted as {side} here and may not decide as {command.actor.role}"
        return Refusal("conflict-of-interest", did)
    if len(issue.receipts) >= MOST_COMMANDS and _is_talk(issue, command, command.actor):
        return Refusal("limit", f"{MOST_COMMANDS} commands have been given; {command.name} is not taken any more")
    return (
        _out_of_order(issue, command, command.actor)
        or _blank(command.body)
        or _against_policy(issue, command, command.actor)
    )


def against(
    issue: Issue, actor: c.Actor | None, name: str, grants: Iterable[c.Authority], at: datetime
) -> Refusal | None:
    """The reason why this actor may not give any command of this name, or `attach` a picture; None if he may.

    Reasons are a closed issue, and an actor who lacks the capacity or whose `grants` lack the role at `at` (UTC).
    """
    if issue.closed is not None:
        return Refusal("closed", f"the issue is closed as {issue.closed.kind}")
    if actor is None or not may_give(issue, actor, name):
        return Refusal("not-yours", f"{name} is not for this role and organisation to give here")
    if not holds(actor, grants, issue.place, at):
        return Refusal("not-yours", "nobody had given this person the role in which the command was given")
    return None


def _is_talk(issue: Issue, command: c.Command, actor: c.Actor) -> bool:
    """Whether the command could be repeated without end and never advance the issue."""
    match command.body:
        case c.Correct(category=None, urgent=None):
            return True
        case c.Answer() if issue.plan is None and issue.status != "completed":
            return True  # an interim one
        case c.Answer():
            return is_interim(issue) or all(
                (scope, "answer") in issue.met for scope in (*milestone_scopes(issue, actor), "issue")
            )
        case c.Wait():
            return issue.status == "waiting"
        case c.Reopen():
            return actor.role != "resident"
        case _:
            return command.name in TALK


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
            return Refusal("not-now", f"{name} comes after accept: nobody has accepted the issue yet")
    if status in _PAUSED and "accepted" in WHEN[name]:
        return Refusal("not-now", f"the issue is {status}: resume first, then {name}")
    if name == "arrive" and status == "arrived" and issue.assessment is None:
        return Refusal("not-now", "somebody has arrived already: say with assess how serious the problem is")
    if status == "completed":
        return Refusal("not-now", f"the work is completed; {name} does not apply unless the issue is reopened")
    return Refusal("not-now", f"{name} does not apply while the issue is {status}")


@cache
def _texts(kind: type[c.Body]) -> tuple[str, ...]:
    """The fields that must not be blank: text without a default."""
    return tuple(each.name for each in fields(kind) if each.type in (str, Personal) and each.default is MISSING)


def _blank(body: c.Body) -> Refusal | None:
    for name in _texts(type(body)):
        text: Personal = getattr(body, name)
        if isinstance(text, str) and not text.strip():
            return Refusal("invalid", f"{name} must not be empty")
    return None


def _leads_above(issue: Issue, actor: c.Actor) -> bool:
    return issue.level != "property" and "lead" in capacities(issue, actor)


def _against_policy(issue: Issue, command: c.Command, actor: c.Actor) -> Refusal | None:
    """The reason why the content of the command does not fit the policy or the state; None if it fits."""
    match command.body:
        case c.Accept():
            return _accept(issue, actor)
        case c.Decline() if issue.declined:
            return Refusal("not-now", "a decline awaits its ruling already")
        case c.Return() | c.Redispatch() | c.Resume() if (shelved := _shelved(issue, actor)) is not None:
            return shelved
        case c.Rule() as body:
            return _rule(issue, body, actor)
        case c.Correct() as body:
            return _correct(issue, body, actor)
        case c.Assess(assessment=assessment) if sized(issue, assessment):
            return Refusal("not-now", f"the issue is assessed as {assessment} already")
        case c.Assess(assessment=assessment, reason="") | c.Arrive(assessment=assessment, note="") if resized(
            issue, assessment
        ):
            return Refusal("invalid", "another assessment needs a reason; on arrival the note is one")
        case c.Plan() | c.StepDone():
            return _plan(issue, command)
        case c.Ask() if issue.asked >= issue.policy.ask.times:
            return Refusal("limit", f"the resident may be asked {issue.policy.ask.times} times, and has been")
        case c.Wait(review=review):
            return _wait(issue, review - command.at)
        case c.Schedule(time=time) if time <= command.at:
            return Refusal("invalid", "an appointment lies in the future")
        case c.Schedule(time=time) if time - command.at > FARTHEST:
            return Refusal("invalid", f"an appointment lies within {FARTHEST.days} days")
        case c.Extend() | c.Grant() | c.Deny():
            return _more_time(issue, command, actor)
        case c.Complete() as body:
            return _complete(issue, body, actor)
        case c.Reopen():
            return _reopen(issue, actor)
        case c.Escalate() if next_rung(issue) is None:
            return Refusal("not-now", f"{issue.level} is the top of the ladder")
        case c.Redispatch() as body:
            return _given_to(issue, body)
        case c.Return(to=to):
            return _return(issue, to)
        case c.Adopt(issue=other, opened=opened):
            return _merge(issue, other, opened is None or (issue.opened_at, issue.id) <= (opened, other))
        case c.Merge(into=other, opened=opened):
            return _merge(issue, other, opened is None or (opened, other) <= (issue.opened_at, issue.id))
        case c.ChangePolicy(body=body) if body is None:
            return Refusal("invalid", "there is no policy of that id")
        case c.CalendarPublished(calendar=calendar):
            return _calendar(issue, calendar)
        case _:
            return None


def _complete(issue: Issue, body: c.Complete, actor: c.Actor) -> Refusal | None:
    if not completion.answers(body):
        said = f"tell the resident in `answer`, in at least {completion.SHORTEST_ANSWER} characters, what was done"
        return Refusal("invalid", said)
    if completion.lacks_arrival(issue, body):
        return Refusal("not-now", f"{body.kind} comes after arrive: nobody has been on site for the present handler")
    if completion.lacks_picture(issue, body, actor):
        said = f"to complete {issue.category} as {body.kind} takes a picture that {actor.org} uploads to this issue"
        return Refusal(
            "invalid", f"{said} after it accepted (POST .../attachments) and names by its digest in `evidence`"
        )
    return None


def _reopen(issue: Issue, actor: c.Actor) -> Refusal | None:
    if actor.role == "resident":
        if issue.reopened < (times := issue.policy.reopen.times):
            return None
        return Refusal("limit", f"an issue may be reopened {times} times; report it anew")
    if issue.work is None or issue.work.by != actor.org:
        return Refusal("not-yours", "a completion is taken back by the organisation that completed")
    return None


def _shelved(issue: Issue, actor: c.Actor) -> Refusal | None:
    if issue.shelved and actor.role != "street":
        return Refusal("not-yours", "the street shelved it; only the street takes it up again")
    return None


def _rule(issue: Issue, body: c.Rule, actor: c.Actor) -> Refusal | None:
    wish = issue.wish("decline")
    if wish is None:
        return Refusal("not-now", "there is no decline to rule on")
    if (foreign := _from_above(issue, wish, actor)) is not None:
        return foreign
    return (_given_to(issue, body) or _shelved(issue, actor)) if body.upheld else None


def _given_to(issue: Issue, body: c.Redispatch | c.Rule) -> Refusal | None:
    """The reason why the issue cannot be given to the named organisation; None if it can."""
    if body.handler == issue.handler.code:
        return Refusal("not-now", f"{body.handler} handles it already")
    if body.handler is not None and not assignable(body.handler_kind, body.handler_streets, issue.place):
        return Refusal("invalid", f"{body.handler} does not work in {issue.place.street}")
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
    return Refusal("not-yours", "only a level above those whom it binds changes the category or lowers the urgency")


def _calendar(issue: Issue, calendar: YearCalendar) -> Refusal | None:
    if (problem := next(calendar.problems(), None)) is not None:
        return Refusal("invalid", problem)
    known = max((each.version for each in issue.calendars if each.year == calendar.year), default=0)
    newer = f"version {known} of {calendar.year} is known already"
    return Refusal("not-now", newer) if known > calendar.version else None


def _accept(issue: Issue, actor: c.Actor) -> Refusal | None:
    mine = capacities(issue, actor)
    if "handler" in mine and issue.stands == "dispatched":
        return None
    if "lead" in mine and not _taken(issue):
        return None
    done = "the lead has taken over already" if "lead" in mine else f"the issue was accepted; it is {issue.stands}"
    return Refusal("not-now", done)


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


def extendable(issue: Issue, actor: c.Actor) -> Clock | None:
    """The clock to which `extend` applies: of those that this actor can meet, the one due next, overdue ones last."""
    scopes = (*milestone_scopes(issue, actor), "issue")
    own = (clock for clock in issue.clocks if clock.clause not in RULE_CLOCKS and clock.level in scopes)
    return min(own, key=lambda clock: (clock.overdue, clock.due), default=None)


def _plan(issue: Issue, command: c.Command) -> Refusal | None:
    match command.body:
        case c.Plan(steps=steps):
            if not steps:
                return Refusal("invalid", "a plan has at least one step")
            dues = [step.due for step in steps]
            if dues != sorted(dues) or dues[0] <= command.at:
                return Refusal("invalid", "the steps of a plan lie in the future, one after the other")
            if dues[-1] - command.at > FARTHEST:
                return Refusal("invalid", f"a plan ends within {FARTHEST.days} days")
        case c.StepDone(step=number):
            if issue.plan is None:
                return Refusal("not-now", "no plan is in force")
            if not 1 <= number <= len(issue.plan.steps):
                return Refusal("invalid", f"the plan has steps 1 to {len(issue.plan.steps)}")
            if issue.plan.steps[number - 1].done:
                return Refusal("not-now", f"step {number} is done already")
        case _:
            pass
    return None


FARTHEST: Final = timedelta(days=3660)
"""How far ahead a date in a command may lie: as far as the longest limit. Adding pauses to such a date does not
overflow the year 9999."""


def _wait(issue: Issue, ahead: timedelta) -> Refusal | None:
    if issue.shelved:
        return Refusal("not-now", "the issue is shelved: the street reviews it monthly")
    if issue.wish("pause") is not None:
        return Refusal("not-now", "a pause has been asked for already")
    longest = issue.policy.wait.max
    if ahead <= timedelta() or ahead > longest.span:
        return Refusal("invalid", f"the review date lies ahead, by {longest} at most")
    return None


def _more_time(issue: Issue, command: c.Command, actor: c.Actor) -> Refusal | None:
    rule = issue.policy.extend
    match command.body:
        case c.Extend(by=by):
            if issue.wish("extend") is not None:
                return Refusal("not-now", "more time has been asked for already")
            if above(issue, actor) is None:
                return Refusal("not-now", f"nobody is above the {issue.level} who could grant more time")
            if issue.extended >= rule.times:
                return Refusal("limit", f"the policy extends {rule.times} times, and has")
            if extendable(issue, actor) is None:
                return Refusal("not-now", "no limit is running that is yours to keep")
            if by is not None and (by.unit != rule.max.unit or by.amount > rule.max.amount):
                return Refusal("limit", f"the policy extends by {rule.max} at most")
        case c.Grant(what=what) | c.Deny(what=what):
            wish = issue.wish(what)
            if wish is None:
                return Refusal("not-now", f"nobody has asked for this ({what})")
            return _from_above(issue, wish, actor)
        case _:
            pass
    return None


def _from_above(issue: Issue, wish: Wish, actor: c.Actor) -> Refusal | None:
    level = level_of(actor)
    if level not in issue.ladder:
        return Refusal(
            "not-yours", f"here the community is the operator itself; the {wish.ruler} rules on its requests"
        )
    if rank(level) < rank(wish.ruler):
        return Refusal("not-yours", f"this is for the {wish.ruler} to rule on, above whoever asked")
    return None


def returns_to(issue: Issue, to: Level | None) -> Level:
    """The level that leads after a return: the one named, or that of which a wrong climb took it, or the lowest."""
    last = issue.last_climb
    return to or (last.from_level if last is not None and last.wrong else issue.ladder[0])


def _return(issue: Issue, to: Level | None) -> Refusal | None:
    target = returns_to(issue, to)
    if target not in issue.ladder or rank(target) > rank(issue.level):
        return Refusal("invalid", f"{target} is not a level of this issue below its lead")
    if target == issue.level and issue.status == "dispatched":
        return Refusal("not-now", "the work has not begun: there is nothing to do again")
    return None


def _merge(issue: Issue, other: str, older_survives: bool) -> Refusal | None:
    if not older_survives:
        return Refusal("invalid", "the older issue takes in the younger one")
    if other == issue.id:
        return Refusal("invalid", "an issue cannot be merged with itself")
    if other in issue.adopted:
        return Refusal("not-now", "that issue was merged into this one already")
    return None
