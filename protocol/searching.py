"""The search of staff: a page of the issues that they may see, as cards, by the list behind `GET /v1/issues`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from db import queries
from db.queries import CursorError, Filters
from domain.commands import Actor
from domain.light import Light, light
from domain.vocabulary import Category, Level, Status
from protocol.cards import Card, Cards
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import Invalid, Unavailable
from protocol.read_model import ReadModel, SqlDown
from texts.catalogue import Wrong

PAGE: Final = 30


@dataclass(frozen=True)
class Sought:
    """What is looked for. None: any. `until` is not included."""

    q: str | None = None
    category: Category | None = None
    compound: str | None = None
    level: Level | None = None
    status: Status | None = None
    light: Light | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Found:
    """A page of what was found. It may be short, even empty, and still have a next one: it looked so far."""

    cards: Sequence[Card]
    next_cursor: str | None


class Search:
    """Searches issues."""

    def __init__(self, model: ReadModel, cards: Cards, directory: DirectoryCache, now: Now) -> None:
        self._model = model
        self._cards = cards
        self._directory = directory
        self._now = now

    async def page(self, viewer: Actor, sought: Sought, cursor: str | None) -> Found:
        """A page of issues, the newest first. Raises Invalid for a cursor of nobody's, Unavailable."""
        now = self._now()
        works = await self._directory.works(viewer, today(now))
        # Yellow and green follow from the time of day and are no columns, so a page of them may be short.
        overdue = None if sought.light is None else sought.light == "red"
        filters = Filters(
            sought.level, sought.status, None, sought.compound, sought.category, overdue, sought.q, sought.since,
            sought.until, now,
        )  # fmt: skip
        try:
            async with self._model.read() as session:
                found = await queries.list_issues(
                    session, filters, viewer=viewer, works=works, cursor=cursor, limit=PAGE
                )
        except CursorError:
            raise Invalid(("cursor", Wrong("cursor-unknown"))) from None
        except SqlDown:
            raise Unavailable("lists-away") from None
        shown = [
            row.id
            for row in found.items
            if sought.light in (None, light(overdue=row.overdue, due=row.due, warn_at=row.warn_at, now=now))
        ]
        return Found(await self._cards.of(viewer, shown), found.next_cursor)
