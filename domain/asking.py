"""Refuses plans, pauses and requests for more time, and rulings on them, that do not fit the policy or the state."""

from datetime import timedelta

import domain.commands as c
from domain.access import above, level_of, milestone_scopes
from domain.clocks import RULE_CLOCKS
from domain.issue import Clock, Issue, Wish, rank
from domain.limits import FARTHEST
from domain.personal import Personal
from domain.refusal import Refusal, no


def more_time(issue: Issue, command: c.Command, actor: c.Actor) -> Refusal | None:
    rule = issue.policy.extend
    match command.body:
        case c.Extend(by=by):
            if issue.wish("extend") is not None:
                return no("extend-asked")
            if above(issue, actor) is None:
                return no("nobody-above", level=issue.level)
            if issue.extended >= rule.times:
                return no("extended-enough", times=rule.times)
            if extendable(issue, actor) is None:
                return no("no-limit-of-yours")
            if by is not None and (by.unit != rule.max.unit or by.amount > rule.max.amount):
                return no("extend-far", longest=rule.max)
        case c.Grant(what=what) | c.Deny(what=what):
            wish = issue.wish(what)
            if wish is None:
                return no("not-asked", what=what)
            if what == "objection" and not _words(command.body):
                return no("ruling-unexplained")
            if (foreign := from_above(issue, wish, actor)) is not None:
                return foreign
            if issue.is_dropped and issue.work is not None and issue.work.person == actor.person:
                return no("rules-on-own")
        case _:
            pass
    return None


def _words(body: c.Grant | c.Deny) -> Personal:
    said = body.note if isinstance(body, c.Grant) else body.reason
    return said.strip() if isinstance(said, str) else said


def from_above(issue: Issue, wish: Wish, actor: c.Actor) -> Refusal | None:
    level = level_of(actor)
    if level not in issue.ladder:
        return no("operator-here", level=wish.ruler)
    if rank(level) < rank(wish.ruler):
        return no("rules-above", level=wish.ruler)
    return None


def wait(issue: Issue, ahead: timedelta) -> Refusal | None:
    if issue.shelved:
        return no("shelved-waits")
    if issue.wish("pause") is not None:
        return no("pause-asked")
    longest = issue.policy.wait.max
    if ahead <= timedelta() or ahead > longest.span:
        return no("review-far", longest=longest)
    return None


def plan(issue: Issue, command: c.Command) -> Refusal | None:
    match command.body:
        case c.Plan(steps=steps):
            if not steps:
                return no("plan-empty")
            dues = [step.due for step in steps]
            if dues != sorted(dues) or dues[0] <= command.at:
                return no("plan-unordered")
            if dues[-1] - command.at > FARTHEST:
                return no("plan-far", days=FARTHEST.days)
        case c.StepDone(step=number):
            if issue.plan is None:
                return no("no-plan")
            if not 1 <= number <= len(issue.plan.steps):
                return no("no-such-step", steps=len(issue.plan.steps))
            if issue.plan.steps[number - 1].done:
                return no("step-done", step=number)
        case _:
            pass
    return None


def extendable(issue: Issue, actor: c.Actor) -> Clock | None:
    """The clock to which `extend` applies: of those that this actor can meet, the one due next, overdue ones last."""
    scopes = (*milestone_scopes(issue, actor), "issue")
    own = (clock for clock in issue.clocks if clock.clause not in RULE_CLOCKS and clock.level in scopes)
    return min(own, key=lambda clock: (clock.overdue, clock.due), default=None)
