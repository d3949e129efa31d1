"""Refuses to join, merge and split issues where somebody would lose by it."""

from collections.abc import Iterable

import domain.commands as c
from domain.access import level_of
from domain.followers import MOST_FOLLOWERS, MOST_UNVERIFIED, joinable
from domain.issue import Issue, rank
from domain.refusal import Refusal, no


def follow(issue: Issue, actor: c.Actor, *, rates: bool) -> Refusal | None:
    if issue.merged_into is not None:
        return no("merged", into=issue.merged_into)
    if not joinable(issue):
        return no("joined-by-staff")
    unverified = sum(not each.voice.rates for each in issue.followers.values())
    if not rates and actor.person not in issue.followers and unverified >= MOST_UNVERIFIED:
        return no("unverified-full", most=MOST_UNVERIFIED)
    return crowded(len({*issue.followers, actor.person}))


def crowded(followers: int) -> Refusal | None:
    return no("followers-full", most=MOST_FOLLOWERS) if followers > MOST_FOLLOWERS else None


def merge(issue: Issue, other: str, older_survives: bool) -> Refusal | None:
    if not older_survives:
        return no("older-takes-in")
    if other == issue.id:
        return no("merged-with-itself")
    if other in issue.adopted:
        return no("taken-in-before")
    return None


def slower(issue: Issue, body: c.Adopt, actor: c.Actor) -> Refusal | None:
    """Refuses to take in what cannot go, is more urgent or has climbed higher: by a merge nothing waits longer."""
    if body.status in ("completed", "closed"):
        return no("other-status", issue=body.issue, status=body.status)
    if body.overruled is not None and rank(level_of(actor)) <= rank(body.overruled):
        return no("other-overruled", issue=body.issue, level=body.overruled)
    if issue.shelved:
        return no("shelved-takes-none")
    if body.urgent and not issue.urgent:
        return no("other-urgent", issue=body.issue)
    if rank(body.level) > rank(issue.level):
        return no("other-higher", issue=body.issue, level=body.level)
    return None


def dropped_again(issue: Issue, actor: c.Actor) -> Refusal | None:
    """Refuses to drop once more what goes on: only a level above those who dropped it before may."""
    undone, level = issue.overruled, level_of(actor)
    if undone is None or rank(level) > rank(undone):
        return None
    if level == undone == issue.ladder[-1] and actor.person not in issue.overruled_persons:
        return None  # nobody is above: another person sees to it that it is no whim
    return no("overruled", level=undone)


def split(issue: Issue, body: c.Split, actor: c.Actor, grants: Iterable[c.Authority]) -> Refusal | None:
    """Only the order that follows from a split lets residents go; a split itself is for whoever merged, or above."""
    if body.issue is not None:
        if any(grant.by == "order" for grant in grants):
            known = (body.through or body.issue) in issue.came
            return None if known else no("not-taken-in", issue=body.issue)
        return no("split-younger", issue=body.issue)
    if actor.role == "admin":
        return no("split-by-merger")
    if issue.merged_into is None:
        return no("not-merged")
    assert issue.work is not None
    if rank(level_of(actor)) < rank(issue.work.level):
        return no("split-from-above", level=issue.work.level)
    return None
