"""Residents who follow an issue: who may join, who speaks in it, and who decides once the reporter has withdrawn."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Final

from domain.clocks import silence_from
from domain.commands import ANONYMOUS, Adopt, Voice
from domain.issue import Follower, Issue
from domain.values import copy_with
from domain.vocabulary import Category
from domain.worktime import Due

MOST_FOLLOWERS: Final = 200
"""How many residents may follow one issue, those who left it included, since each stays in its state for ever."""
MOST_UNVERIFIED: Final = 20
"""How many of them may have joined without a verified phone, so that nobody alone takes up all places."""
PRIVATE: Final[tuple[Category, ...]] = ("dispute", "care")
"""Categories in which not even a neighbour may know that there is an issue."""


def joinable(issue: Issue) -> bool:
    """Whether neighbours may find the issue and join it. All others are joined only where staff merge two of them."""
    return issue.merged_into is None and issue.common and not issue.about_operator and issue.category not in PRIVATE


def present(issue: Issue) -> dict[str, Follower]:
    """Those who follow the issue now, but for the one who decides, by person."""
    return {
        person: follower
        for person, follower in issue.followers.items()
        if not follower.left and person != issue.reporter
    }


def awaited(issue: Issue) -> bool:
    """Whether somebody who follows the issue may still say, before it closes, that the completed work is not done.

    That has the work done again once only, so afterwards nobody is waited for.
    """
    done = issue.marks["completed"]
    return not issue.asked_again and any(
        each.voice.rates and each.voice.since < done.at and each.rated < done.seq and person not in issue.acted
        for person, each in present(issue).items()
    )


def denial_closes(issue: Issue, at: datetime) -> bool:
    """Whether the issue, which staff dropped, closes if the open objection is denied at `at` (UTC).

    One of those who follow it does not speak for the others: they may object until silence had closed it.
    """
    wish = issue.wish("objection")
    return wish is None or wish.person not in present(issue) or at >= dropped_until(issue).at


def dropped_until(issue: Issue) -> Due:
    """When silence closes the issue, which staff dropped."""
    assert issue.completion is not None
    return silence_from(issue, issue.marks[issue.completion].at)


def heir(issue: Issue) -> str | None:
    """Who decides if the reporter withdraws: the oldest of those who follow with a verified phone, else of all; None if
    nobody does.
    """
    left = present(issue)
    return min(left, key=lambda person: (not left[person].voice.rates, left[person].voice.since, person), default=None)


def voices(issue: Issue) -> Iterator[Voice]:
    """All who have a tracking code of the issue: the reporter, and those who follow it or did."""
    if issue.reporter and issue.reporter not in issue.followers:
        yield _reporter(issue)
    for follower in issue.followers.values():
        yield follower.voice


def speaking(issue: Issue) -> tuple[Voice, ...]:
    """Those whom an older issue takes over if this one is merged into it.

    A reporter without a token gets a name of his own, since all of them are called the same.
    """
    left = {person for person, follower in issue.followers.items() if follower.left}
    return tuple(
        copy_with(voice, person=f"merged-{issue.id}") if voice.person == ANONYMOUS else voice
        for voice in voices(issue)
        if voice.person and voice.person not in left
    )


def adoption(younger: Issue) -> Adopt:
    """The command by which an older issue takes this one in, with those who speak in it."""
    unheard = not younger.reporter or bool(younger.unheard)
    return Adopt(
        younger.id, younger.opened_at, speaking(younger), unheard, younger.urgent, younger.level, younger.status,
        younger.overruled,
    )  # fmt: skip


def joined(issue: Issue, *new: Voice) -> Mapping[str, Follower]:
    """The followers of the issue with the new ones; whoever speaks in it already keeps his place."""
    here, known = {issue.reporter, *present(issue)}, issue.followers
    back = {
        voice.person: copy_with(known.get(voice.person) or Follower(voice), voice=voice, left=False) for voice in new
    }
    return {**known, **{person: follower for person, follower in back.items() if person not in here}}


def followed(issue: Issue, voice: Voice) -> Mapping[str, Follower]:
    """The followers after somebody joined; who joins once more keeps his tracking code."""
    known = issue.followers.get(voice.person)
    if known is not None:
        voice = copy_with(known.voice, since=voice.since, rates=known.voice.rates or voice.rates)
    return {**issue.followers, voice.person: Follower(voice)}


def parted(issue: Issue, person: str) -> Mapping[str, Follower]:
    """The followers after the person, who may be the reporter, left."""
    known = issue.followers.get(person) or Follower(_reporter(issue))
    return {**issue.followers, person: copy_with(known, left=True)}


def taken_in(issue: Issue, younger: str, new: tuple[Voice, ...], *, unheard: bool) -> Issue:
    """The issue after it has taken in a younger one with these residents."""
    return copy_with(
        issue, adopted=(*issue.adopted, younger), followers=joined(issue, *new),
        came={**issue.came, younger: tuple([voice.person for voice in new])},
        unheard=(*issue.unheard, younger) if unheard else issue.unheard,
    )  # fmt: skip


def let_go(issue: Issue, younger: str, persons: Collection[str], through: str | None) -> Issue:
    """The issue after these residents left it with the younger one, but for those who came in another way as well.

    Whoever decides is followed by his heir; without one he stays.
    """
    by = through or younger
    rest = {} if through is None else {by: tuple([each for each in issue.came[by] if each not in persons])}
    came = {**{each: known for each, known in issue.came.items() if each != by}, **rest}
    here = {person for known in came.values() for person in known}
    gone = {
        person
        for person in persons
        if person not in here and (known := issue.followers.get(person)) and known.voice.issue != issue.id
    }
    followers = {
        person: copy_with(each, left=True) if person in gone and person != issue.reporter else each
        for person, each in issue.followers.items()
    }
    unheard = tuple([each for each in issue.unheard if each in came])
    issue = copy_with(issue, came=came, followers=followers, unheard=unheard)
    if issue.reporter not in gone or (next_one := heir(issue)) is None:
        return issue
    return handed_on(issue, next_one)


def handed_on(issue: Issue, heir: str) -> Issue:
    """The issue in which the heir decides, and whoever decided before has left."""
    return copy_with(issue, reporter=heir, judged=None, heard=0, followers=parted(issue, issue.reporter))


def renewed(issue: Issue, person: str, generation: int, seq: int) -> Issue:
    """The issue with another generation of this person's tracking code, by the event of number `seq`."""
    known = issue.followers.get(person)
    if known is None:
        return copy_with(issue, generation=generation, renewed=seq)
    voice = copy_with(known.voice, generation=generation, renewed=seq)
    return copy_with(issue, followers={**issue.followers, person: copy_with(known, voice=voice)})


def generation_of(issue: Issue, person: str) -> int:
    """The generation of this person's valid tracking code."""
    known = issue.followers.get(person)
    return issue.generation if known is None else known.voice.generation


def _reporter(issue: Issue) -> Voice:
    return Voice(
        issue.reporter, issue.opened_at, issue.id, reported=True, generation=issue.generation, renewed=issue.renewed
    )
