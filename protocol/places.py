"""Finds the place of a report: a compound and a building, by what people type or by the code on a door."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.commands import Actor
from domain.directory import Directory
from domain.place_search import Spot, spots
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import NotFound

MOST: Final = 20
"""So many places one search gives."""


@dataclass(frozen=True)
class FoundPlace:
    """A place as people choose it; `building` is empty for a compound as a whole."""

    at: str
    """How addresses name it: ``demo/3``."""
    compound: str
    community: str
    building: str


class Places:
    """Searches the directory in force. Its methods raise Unavailable while none can be read."""

    def __init__(self, directory: DirectoryCache, now: Now) -> None:
        self._directory = directory
        self._now = now

    async def find(self, typed: str, compound: str = "", most: int = MOST) -> Sequence[FoundPlace]:
        """The places that fit what somebody typed, the best first; with `compound` only those of this one."""
        directory = await self._directory.get()
        return [_told(each, directory) for each in spots(directory, typed, most, compound)]

    async def at(self, compound: str, building: str = "") -> FoundPlace:
        """The place of these codes. Raises NotFound: `no-compound` or `no-building`."""
        directory = await self._directory.get()
        found = directory.compound(compound)
        if found is None:
            raise NotFound("no-compound")
        if not building:
            return _told(Spot(found), directory)
        for each in directory.buildings_of(compound):
            if each.code.casefold() == building.casefold():
                return _told(Spot(found, each), directory)
        raise NotFound("no-building")

    async def doors(self, viewer: Actor, compound: str) -> Sequence[FoundPlace]:
        """The compound as a whole and each of its buildings. Raises NotFound for whoever does not work there today."""
        directory = await self._directory.get()
        found = directory.compound(compound)
        if found is None or compound not in directory.works(viewer.org, today(self._now())).compounds:
            raise NotFound
        spots_ = [Spot(found), *(Spot(found, each) for each in directory.buildings_of(compound))]
        return [_told(each, directory) for each in spots_]


def _told(spot: Spot, directory: Directory) -> FoundPlace:
    community = directory.community(spot.compound.community)
    building = spot.building.name if spot.building else ""
    return FoundPlace(spot.at, spot.compound.name, community.name if community else "", building)
