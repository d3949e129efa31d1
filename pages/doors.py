"""The sheets to print with a code for each building: whoever scans one reports about that place."""

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import segno
from starlette.responses import Response

from api.dependencies import Use
from pages.shell import page, router_of
from pages.who import Signed
from protocol.errors import NotFound
from protocol.places import FoundPlace

router: Final = router_of()


@dataclass(frozen=True)
class Door:
    """A place, the address that its code holds, and the code as SVG without style, which the policy of pages forbids."""

    place: FoundPlace
    address: str
    code: str


@router.get("/qr/{compound}")
async def codes(compound: str, who: Signed, use: Use) -> Response:
    """The codes of a compound, one for its gate and one for each building, for staff who work there."""
    if use.session is None:
        raise NotFound
    places = await use.places.doors(who.caller.staff, compound)
    addresses = [f"{use.session.public_url}/r/{quote(each.at)}" for each in places]
    codes_ = await asyncio.to_thread(lambda: [*map(_drawn, addresses)])  # hundreds take seconds
    doors = [Door(*each) for each in zip(places, addresses, codes_, strict=True)]
    return page("doors.html", who=who, doors=doors, name=places[0].compound)


@lru_cache(maxsize=2_000)
def _drawn(address: str) -> str:
    # M stands a scratch of 15 % of its area; the quiet zone of 4 is that of the standard.
    return segno.make_qr(address, error="m").svg_inline(omitsize=True, svgclass="code", lineclass=None, border=4)
