"""Who reads of a closed issue in the one that takes it up, or only follows it."""

from dataclasses import replace
from typing import Final

import pytest

from domain.access import Sight
from domain.before import sight_before
from domain.commands import Actor, Authority, Voice
from domain.issue import Follower, Issue
from tests.domain.play import AUDITOR, COMMUNITY, COMPANY, REPORTER, STREET, Stage, local, place

AT: Final = local("2026-11-20 12:00")
NEIGHBOUR: Final = Actor("r-neighbour", "resident")
STRANGER: Final = Actor("r-stranger", "resident")
NEXT: Final = Actor("n", "property", "company-b")
"""Of the company that has had the contract since the old issue was closed."""
OLD: Final = replace(Stage().issue, followers={NEIGHBOUR.person: Follower(Voice(NEIGHBOUR.person, AT, "old"))})
NEW: Final = replace(Stage().issue, place=replace(place(), operator=NEXT.org), reporter=NEIGHBOUR.person)
WORDS: Final = Sight(text=True, phone=False)
MASKED: Final = Sight(text=False, phone=False)


def seen(viewer: Actor, *, taken_up: bool, old: Issue = OLD, new: Issue = NEW) -> Sight | None:
    org = viewer.org if viewer.role == "property" else None
    compound = new.place.compound if org == new.place.operator else None
    grants = (Authority(viewer.role, viewer.org, compound=compound),)
    return sight_before(new, old, viewer, grants, AT, taken_up=taken_up)


@pytest.mark.parametrize(
    ("viewer", "taken_up", "follows"),
    [
        (NEXT, WORDS, None), (COMPANY, None, None), (COMMUNITY, WORDS, WORDS), (STREET, WORDS, WORDS),
        (AUDITOR, MASKED, MASKED),
        (REPORTER, Sight(text=True, phone=True, own=REPORTER.person), Sight(text=True, phone=True, own=REPORTER.person)),
        (NEIGHBOUR, replace(MASKED, own=NEIGHBOUR.person), replace(MASKED, own=NEIGHBOUR.person)),
        (STRANGER, None, None),
    ],
)  # fmt: skip
def test_what_is_taken_up_is_read_by_today_and_what_only_came_back_by_its_own(
    viewer: Actor, taken_up: Sight | None, follows: Sight | None
) -> None:
    assert seen(viewer, taken_up=True) == taken_up
    assert seen(viewer, taken_up=False) == follows


def test_a_complaint_about_the_company_stays_one_when_it_is_taken_up() -> None:
    about = replace(OLD, about_operator=True)
    assert seen(NEXT, taken_up=True, old=about) is None
    assert seen(COMMUNITY, taken_up=True, old=about) == WORDS
    assert seen(NEXT, taken_up=True, new=replace(NEW, about_operator=True)) is None


def test_whoever_joins_reads_only_what_was_a_matter_of_neighbours_before_as_well() -> None:
    """What staff wrote to the resident of a flat was told to nobody else."""
    assert seen(STRANGER, taken_up=True, old=replace(OLD, common=True)) == replace(MASKED, own=STRANGER.person)
    assert seen(STRANGER, taken_up=True, old=replace(OLD, common=True, category="care")) is None
