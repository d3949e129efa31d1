"""Completion: what it must show, and how whoever completed takes it back."""

import unicodedata
from dataclasses import fields
from datetime import datetime
from typing import Final

from domain.access import level_of, milestone_scopes
from domain.clocks import find
from domain.commands import Actor, Complete
from domain.events import Event
from domain.issue import Issue, Mark, Work
from domain.values import copy_with
from domain.vocabulary import DROPS

SHORTEST_ANSWER: Final = 10
"""The fewest characters, seen ones, of the answer with which work is completed."""
_DONE: Final = ("solved", "partly")
"""Kinds of completion by which something was done at the place, so that it can be seen there."""
_KEPT: Final = tuple(each.name for each in fields(Work) if each.name not in ("by", "person", "level"))


def answers(body: Complete) -> bool:
    """Whether the answer is long enough: only characters that can be seen count."""
    return _seen(body.answer.strip()) >= SHORTEST_ANSWER if isinstance(body.answer, str) else body.answers


def _seen(text: str) -> int:
    """How many characters can be seen: no space, no control, and no mark that only stands on another character."""
    return sum(unicodedata.category(sign)[0] not in "ZCM" for sign in text)


def lacks_arrival(issue: Issue, body: Complete) -> bool:
    """Whether somebody must have been on site, by the promises of the property, and nobody has.

    An arrival of the present handler counts, or of whoever led while it was the handler.
    """
    if body.kind not in _DONE or "arrived" in issue.marks:
        return False
    promises = issue.policy.applying("property", issue.assessment, issue.urgent, issue.category)
    return any(clause.milestone == "arrive" for clause in promises)


def lacks_picture(issue: Issue, body: Complete, actor: Actor) -> bool:
    """Whether the pack asks for a picture, and the actor and his organisation uploaded none after they accepted."""
    if not needs_picture(issue, body):
        return False
    since = _accepted(issue, actor)
    mine = (picture for picture in body.pictures if picture.org == actor.org or picture.person == actor.person)
    return since is None or not any(picture.at >= since for picture in mine)


def needs_picture(issue: Issue, body: Complete) -> bool:
    """Whether the pack asks for a picture of what was done."""
    return body.kind in _DONE and issue.category in issue.policy.evidence


def _accepted(issue: Issue, actor: Actor) -> datetime | None:
    """When the actor's organisation accepted the present work, or the lead that it has now; None if it did not."""
    led = issue.term.get("led")
    for scope in milestone_scopes(issue, actor):
        met = issue.met.get((scope, "accept"))
        if met is None:
            continue
        if scope == "property" and issue.stands != "dispatched":
            return met.at
        if scope == issue.level and (led is None or met.seq > led.seq):
            return met.at
    return None


def kept(issue: Issue, event: Event) -> Issue:
    """The issue before the event completes or drops it, with its work kept, so that the completion can be taken back."""
    assert event.actor is not None
    by = event.actor
    return copy_with(issue, work=Work(by.org, by.person, level_of(by), *(getattr(issue, name) for name in _KEPT)))


def taken_back(issue: Issue) -> Issue:
    """The issue with its work as it stood before it was completed or dropped.

    What happened since then stays, but for answers, which were about completed work. The clocks still have the times of
    that moment; lights that have gone on since are on.
    """
    work = issue.work
    assert work is not None
    done = issue.marks[issue.completion if issue.completion in DROPS else "completed"]

    def stays(milestone: str, mark: Mark) -> bool:
        return mark.seq < done.seq or (mark.seq > done.seq and milestone not in ("answer", "answered"))

    later = {goal: mark for goal, mark in issue.met.items() if mark.seq > done.seq and stays(goal[1], mark)}
    clocks = tuple([find(issue.clocks, clock.clause, clock.start) or clock for clock in work.clocks])
    before = {name: getattr(work, name) for name in _KEPT} | {"met": {**work.met, **later}, "clocks": clocks}
    return copy_with(
        issue, work=None, completion=None, judged=None,
        marks={kind: mark for kind, mark in issue.marks.items() if stays(kind, mark)},
        term={kind: mark for kind, mark in issue.term.items() if stays(kind, mark)}, **before,
    )  # fmt: skip
