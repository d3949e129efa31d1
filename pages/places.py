"""The pages of places: to find a compound and a building, to follow the code on a door, and the public board of a compound."""

from datetime import datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response

from api.dependencies import Use
from domain.place_search import LONGEST
from domain.worktime import SHANGHAI
from pages.shell import fragment, onwards, page, router_of
from pages.story import moment
from protocol.context import LANGUAGE
from protocol.errors import NotFound
from texts.catalogue import Language, say

_TO_THE_HOUR: Final = timedelta(hours=24)
"""What is due within so long is told to the hour; what is due later, or was long ago, to the day."""


async def _counted(request: Request, use: Use) -> None:
    """Counts the request for its network address. Raises TooMany beyond the rate."""
    use.authenticator.count_address(request)


router: Final = router_of()
router.dependencies.append(Depends(_counted))


@router.get("/places")
async def places(use: Use, q: str = "", compound: str = "") -> Response:
    """Finds compounds and buildings; a plain GET form, so that it works without script and bears a link."""
    return await _searched(use, q, compound)


@router.get("/places/found")
async def found(use: Use, q: str = "", compound: str = "") -> Response:
    """The list of that page alone, for the script of the report form."""
    values = {"q": q.strip()[:LONGEST], "places": await use.places.find(q, compound)}
    return HTMLResponse(fragment("places_found.html", values))


@router.get("/r/{compound}")
async def at_compound(compound: str, use: Use) -> Response:
    """Where the code at a compound's gate leads: to a report that knows its place."""
    return await _reporting(use, compound)


@router.get("/r/{compound}/{building}")
async def at_building(compound: str, building: str, use: Use) -> Response:
    """Where the code on a door leads."""
    return await _reporting(use, compound, building)


async def _reporting(use: Use, compound: str, building: str = "") -> Response:
    try:
        place = await use.places.at(compound, building)
    except NotFound as error:
        known = compound if error.code == "no-building" else ""
        return await _searched(use, "", known, error.told(LANGUAGE.get()))
    return onwards(f"/report?at={quote(place.at)}")


async def _searched(use: Use, typed: str, compound: str, fault: str = "") -> Response:
    typed = typed.strip()[:LONGEST]
    places = await use.places.find(typed, compound)
    return page("places.html", 404 if fault else 200, q=typed, compound=compound, places=places, fault=fault)


@router.get("/board/{compound}")
async def board(compound: str, use: Use) -> Response:
    """The public board: the open issues of a compound, whose turn each is until when, and nothing personal."""
    found, language = await use.boards.of(compound), LANGUAGE.get()
    told, day = partial(moment, language=language), partial(_day, language=language)

    def due(at: datetime) -> str:
        return told(at) if abs(at - found.at) < _TO_THE_HOUR else day(at)

    return page("board.html", board=found, moment=told, day=day, due=due)


def _day(at: datetime, language: Language) -> str:
    """The day in China; not the minute, by which a neighbour might know who it was."""
    local = at.astimezone(SHANGHAI)
    return say(
        "pages", "day", language, {"month": f"{local:%b}" if language == "en" else local.month, "day": local.day}
    )
