"""The desk of an officer: what climbed, what waits for a ruling, what was promised, and what is red or yellow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from db import desk
from db.desk import MOST, Officer
from domain.access import may_see
from domain.events import Event
from domain.issue import Clock
from domain.waiting import promises, rulings
from domain.worktime import SHANGHAI, YearCalendar
from protocol.caller import Caller
from protocol.cards import Card, Cards, Wanted
from protocol.clock import Now
from protocol.errors import NotFound, Unavailable
from protocol.read_model import ReadModel, SqlDown

_EVENING: Final = time(17, tzinfo=SHANGHAI)
_FARTHEST: Final = 15
"""No holiday is longer, in days."""


@dataclass(frozen=True)
class Climbed:
    """An issue that climbed, and the climb."""

    card: Card
    climb: Event


@dataclass(frozen=True)
class Due:
    """An issue in which something is due from this desk, and the clocks of that, the first due first."""

    card: Card
    clocks: Sequence[Clock]


@dataclass(frozen=True)
class Some:
    """Whether each list of the desk has more than it shows."""

    climbed: bool
    awaited: bool
    promised: bool


@dataclass(frozen=True)
class Morning:
    """What an officer reads in the morning; climbs are those since `since` (UTC)."""

    since: datetime
    climbed: Sequence[Climbed]
    awaited: Sequence[Due]
    promised: Sequence[Due]
    lit: Sequence[Card]
    more: Some
    is_whole: bool
    """False if more issues are open than are counted: then the numbers of red and yellow are at least these."""
    red: int
    yellow: int


class Desk:
    """Reads desks, by a bounded number of rows each."""

    def __init__(self, model: ReadModel, cards: Cards, calendars: Sequence[YearCalendar], now: Now) -> None:
        self._model = model
        self._cards = cards
        self._calendars = calendars
        self._now = now

    async def morning(self, caller: Caller) -> Morning:
        """The desk of the caller. Raises NotFound unless he acts for a community or a street, Unavailable."""
        viewer, now = caller.staff, self._now()
        if viewer.role not in ("community", "street") or viewer.org is None:
            raise NotFound
        since = evening_before(now, self._calendars)
        try:
            async with self._model.read() as session:
                climbed = await desk.climbed(session, viewer.role, viewer.org, since)
                climbs = await desk.climbs(session, climbed[:MOST], since)
                awaited = await desk.awaited(session, viewer.role, viewer.org)
                promised = await desk.promised(session, viewer.org)
        except SqlDown:
            raise Unavailable("lists-away") from None
        names = [*climbs, *awaited[:MOST], *promised[:MOST]]
        found = await self._cards.of(viewer, list(dict.fromkeys(names)))
        cards = {each.issue.id: each for each in found if may_see(each.issue, viewer, caller.grants, now)}
        work = await self._cards.worklist(viewer, viewer.org, Wanted())
        return Morning(
            since,
            [Climbed(cards[each], climbs[each]) for each in climbed if each in climbs and each in cards],
            _with_clocks(cards, awaited, viewer.role),
            _with_clocks(cards, promised, None),
            [each for each in work.cards if each.light in ("red", "yellow")],
            Some(*(len(each) > MOST for each in (climbed, awaited, promised))),
            work.is_whole, work.lights["red"], work.lights["yellow"],
        )  # fmt: skip


def _with_clocks(cards: dict[str, Card], issues: Sequence[str], level: Officer | None) -> list[Due]:
    """The issues with the rulings that wait for a level, or without one with their promises; none that has none any more."""
    shown = [cards[each] for each in issues[:MOST] if each in cards]
    found = [Due(card, rulings(card.issue, level) if level else promises(card.issue)) for card in shown]
    return [each for each in found if each.clocks]


def evening_before(now: datetime, calendars: Sequence[YearCalendar]) -> datetime:
    """Five o'clock in China on the last working day before the day of `now`: after a weekend, that of Friday."""
    years = {each.year: each for each in calendars}
    day = now.astimezone(SHANGHAI).date() - timedelta(days=1)
    for _ in range(_FARTHEST):
        year = years.get(day.year)
        if year.is_working(day) if year is not None else day.weekday() < 5:
            break
        day -= timedelta(days=1)
    return datetime.combine(day, _EVENING)
