"""Refuses what residents say of the work, and taking it back, where it is not theirs to say, or has been said."""

from collections.abc import Iterable
from typing import Final

import domain.commands as c
from domain.access import capacities
from domain.issue import Issue
from domain.judging import acted_here
from domain.refusal import Refusal, no


def unproved(issue: Issue, actor: c.Actor) -> Refusal | None:
    """Refuses what takes something from the other residents, if nothing but a click stands behind the follower."""
    follower = issue.followers.get(actor.person)
    if actor.role != "resident" or actor.person == issue.reporter or follower is None or follower.voice.rates:
        return None
    return no("objects-unverified")


def objection(issue: Issue, actor: c.Actor) -> Refusal | None:
    """Refuses an objection to nothing: a question, an interim answer, a plan, a rejection or a merge, each once."""
    if (found := unproved(issue, actor)) is not None:
        return found
    if issue.status == "suspended" or (issue.said and issue.status != "completed"):
        return None
    if issue.is_dropped and issue.wish("objection") is None:
        return _against_drop(issue, actor)
    if issue.status == "completed" and not issue.is_dropped:
        return no("reopen-instead")
    return no("nothing-to-object")


def _against_drop(issue: Issue, actor: c.Actor) -> Refusal | None:
    """Refuses an objection to a rejection or a merge by whom it does not concern, or who has been heard."""
    assert issue.completion is not None
    follower = issue.followers.get(actor.person) if actor.person != issue.reporter else None
    if follower is not None and follower.voice.since >= issue.marks[issue.completion].at:
        return no("joined-after-drop", status=issue.completion)
    if actor.person in issue.objected:
        return no("objected-already")
    if issue.work is not None and actor.org is not None and actor.org == issue.work.by:
        return no("another-counter", org=actor.org)
    return None


def takes_back(issue: Issue, actor: c.Actor) -> bool:
    """Whether the actor belongs to the organisation that completed the work, and so takes it back."""
    return actor.role != "resident" and issue.work is not None and issue.work.by == actor.org


_OBJECT_INSTEAD: Final = no("object-instead")


JUDGED: Final = no("judged-already")


def reopen(issue: Issue, actor: c.Actor) -> Refusal | None:
    if takes_back(issue, actor):
        if issue.merged_into is not None:
            return no("split-instead")
        return JUDGED if issue.judged is not None else None
    if issue.is_dropped:
        return _OBJECT_INSTEAD
    if capacities(issue, actor).isdisjoint({"reporter", "counter"}):
        return no("completed-elsewhere")
    if issue.reopened < (times := issue.policy.reopen.times):
        return None
    return no("reopened-enough", times=times)


def confirm(issue: Issue, body: c.Confirm, grants: Iterable[c.Authority]) -> Refusal | None:
    if issue.is_dropped:
        return _OBJECT_INSTEAD
    if body.outcome == "not":
        if body.satisfaction == "satisfied":
            return no("unsolved-satisfies")
        return None
    if acted_here(issue, grants):
        return no("acted-here")
    return None


def rate(issue: Issue, body: c.Confirm, actor: c.Actor) -> Refusal | None:
    if actor.person == issue.reporter:
        return JUDGED if issue.heard > issue.marks["completed"].seq and body.outcome != "not" else None
    follower, done = issue.followers[actor.person], issue.marks["completed"]
    if not follower.voice.rates:
        return no("rates-unverified")
    if follower.voice.since >= done.at:
        return no("joined-after-completion")
    return no("rated-already") if follower.rated > done.seq else None
