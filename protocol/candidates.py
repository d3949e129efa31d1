"""Open issues that neighbours may join: what a resident is shown before he reports the same once more."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from db import queries
from db.tables import IssueRow
from domain.building import building as building_of
from domain.vocabulary import Category
from protocol.errors import Unavailable
from protocol.read_model import ReadModel, SqlDown

_WITHIN: Final = timedelta(days=30)


async def candidates(
    model: ReadModel, compound: str, category: Category, building: str, now: datetime
) -> Sequence[IssueRow]:
    """Issues of the last 30 days of one compound, category and building, oldest first. Raises Unavailable.

    Of a row nothing may be shown but category, building, since when it is open, and its next step.
    """
    try:
        async with model.read() as session:
            where = (compound, category, building_of(building) or building)
            return await queries.candidates(session, *where, now - _WITHIN)
    except SqlDown:
        raise Unavailable("lists-away") from None
