"""Finds compounds and buildings by what people type: a name, a code, ``3幢``, ``三号楼`` or ``体验小区 3``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from domain.building import before_building, building, one_form
from domain.directory import Building, Compound, Directory

LONGEST: Final = 100
"""Of what somebody types, so many characters are looked at."""
_BY_PART, _BY_COMMUNITY, _BY_BUILDING = 1, 2, 3
"""How a compound fits that is not named in full."""
_MOST_KEPT: Final = 100_000
"""Of so many compounds and buildings it is kept how they are found: more than a district has."""
_BETWEEN: Final = re.compile(r"[\s,，、。.·]+")


@dataclass(frozen=True)
class Spot:
    """A compound, or one building of it; `building` is None for the compound as a whole."""

    compound: Compound
    building: Building | None = None

    @property
    def at(self) -> str:
        """How addresses name it: ``demo`` or ``demo/3``."""
        return self.compound.code if self.building is None else f"{self.compound.code}/{self.building.code}"


def spots(directory: Directory, typed: str, most: int, compound: str = "") -> Sequence[Spot]:
    """The first `most` places that fit, the best first; with `compound` only those of this compound.

    Where no building of a compound fits, the compound itself is offered: the building can still be told in words.
    """
    text = typed[:LONGEST]
    compounds = [each for each in directory.compounds if compound in ("", each.code)]
    ranked = sorted(_ranked(directory, compounds, text, is_chosen=bool(compound)), key=lambda each: each[0])
    if ranked and ranked[0][0] < _BY_BUILDING:  # the compound is named: others that have such a building are not meant
        worst = _BY_COMMUNITY if ranked[0][0] > 0 else ranked[0][0]
        ranked = [each for each in ranked if each[0] <= worst]
    is_alone = len(ranked) == 1
    found: list[Spot] = []
    for rank, each, wanted in ranked:
        found += _inside(directory, each, wanted, lists_all=is_alone or rank <= 0)
        if len(found) >= most:
            break
    return found[:most]


def _ranked(
    directory: Directory, compounds: Sequence[Compound], text: str, *, is_chosen: bool
) -> Iterator[tuple[int, Compound, str]]:
    """Each compound that fits, with how well (the least is best) and what is left of the text to name a building."""
    key, place = _folded(text), _folded(before_building(text))
    number = _number(key)
    if not key and not is_chosen:
        return
    for each in compounds:
        name, code = _label(each.name), _label(each.code)
        community = directory.community(each.community)
        said = next((label for label in sorted((name, code), key=len, reverse=True) if label in key), None)
        if said is not None:
            yield -len(said), each, key.replace(said, "", 1)  # demo-society is not demo
        elif is_chosen:
            yield 0, each, key
        elif place and (place in name or code.startswith(place)):
            yield _BY_PART, each, key.removeprefix(place)
        elif place and community is not None and place in _label(community.name):
            yield _BY_COMMUNITY, each, key.removeprefix(place)
        elif any(_fits(one, key, number) for one in directory.buildings_of(each.code)):
            yield _BY_BUILDING, each, key


def _inside(directory: Directory, compound: Compound, wanted: str, *, lists_all: bool) -> list[Spot]:
    """The buildings that are wanted; the compound itself if none is, and all of them if it is the one that is meant."""
    buildings = directory.buildings_of(compound.code)
    number = _number(wanted)
    if wanted and (fitting := [Spot(compound, each) for each in buildings if _fits(each, wanted, number)]):
        return fitting
    return [Spot(compound), *(Spot(compound, each) for each in buildings if lists_all and not wanted)]


def _fits(each: Building, wanted: str, number: str) -> bool:
    code, numbered, name = _labels(each)
    return number in (code, numbered) or wanted == name


def _number(wanted: str) -> str:
    """The number of the building that is wanted, found once a search: it is compared with all buildings."""
    return _folded(building(wanted)) or wanted


def _folded(text: str) -> str:
    return _BETWEEN.sub("", one_form(text))


@lru_cache(maxsize=_MOST_KEPT)
def _label(text: str) -> str:
    """The same, for what the directory holds: it is asked for at each search."""
    return _folded(text)


@lru_cache(maxsize=_MOST_KEPT)
def _labels(each: Building) -> tuple[str, str, str]:
    """The code of a building, the number that its name tells, and its name."""
    return _folded(each.code), _folded(building(each.name)), _folded(each.name)
