"""The issues of a list as cards: what was reported and where, as far as the viewer may read it, and whose turn it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, get_args

from db import work
from domain.access import sight
from domain.commands import Actor
from domain.issue import Issue
from domain.light import Light, light, light_of
from domain.vocabulary import Category
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import Unavailable
from protocol.masking import mask
from protocol.read_model import ReadModel, SqlDown
from security.keystore import KeyStoreDown
from security.vault import Vault

PAGE: Final = 30
MOST_OWN: Final = 100
_LONGEST: Final = 80
_ORDER: Final = {"red": 0, "yellow": 1, "green": 2, None: 3}
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Card:
    """One issue of a list. `where` and `what` are empty where there is nothing that its viewer may read."""

    issue: Issue
    light: Light | None
    where: str
    what: str
    """The first line of what was reported."""
    is_mine: bool
    """Whether the viewer is who will go."""


@dataclass(frozen=True)
class Wanted:
    """What a worklist is narrowed to, and how many of its issues are left out at the beginning."""

    light: Light | None = None
    category: Category | None = None
    start: int = 0


@dataclass(frozen=True)
class Worklist:
    """A page of a worklist: how many issues of each light there are of the wanted category, and how many are wanted."""

    cards: Sequence[Card]
    lights: Mapping[Light, int]
    total: int
    is_whole: bool = True
    """False if there are more than are sorted: then the numbers are at least these."""


class Cards:
    """Makes cards: by the same few queries for few issues and for many, and one look at their keys."""

    def __init__(self, model: ReadModel, vault: Vault, directory: DirectoryCache, now: Now) -> None:
        self._model = model
        self._vault = vault
        self._directory = directory
        self._now = now

    async def worklist(self, viewer: Actor, org: str, wanted: Wanted) -> Worklist:
        """Open issues that the organisation leads or handles and the viewer may see.

        The viewer's own come first, then red, yellow and green, of each those with the least time left. Raises
        Unavailable.
        """
        now = self._now()
        works = await self._directory.works(viewer, today(now))
        try:
            async with self._model.read() as session:
                keys = await work.open_keys(session, org, viewer, works)
        except SqlDown:
            raise Unavailable("lists-away") from None
        lit = [
            (light(overdue=key.overdue, due=key.due, warn_at=key.warn_at, now=now), key)
            for key in keys[: work.MOST]
            if wanted.category in (None, key.category)
        ]
        counts = Counter(each for each, _ in lit)
        lit = [each for each in lit if wanted.light in (None, each[0])]
        lit.sort(key=lambda each: (each[1].assigned != viewer.person, _ORDER[each[0]], each[1].due or _NEVER))
        shown = [key.id for _, key in lit[wanted.start : wanted.start + PAGE]]
        lights: dict[Light, int] = {each: counts[each] for each in get_args(Light)}
        return Worklist(await self.of(viewer, shown), lights, len(lit), len(keys) <= work.MOST)

    async def own(self, resident: Actor) -> Sequence[Card]:
        """What a resident reported or follows: red, yellow and green, of each those with the least time left first; then
        the closed ones, the last first. No more than MOST_OWN. Raises Unavailable.
        """
        try:
            async with self._model.read() as session:
                keys = await work.own_keys(session, resident, MOST_OWN)
        except SqlDown:
            raise Unavailable("lists-away") from None
        found = await self.of(resident, [key.id for key in keys])
        return sorted(found, key=lambda card: (card.issue.closed is not None, _ORDER[card.light]))

    async def of(self, viewer: Actor, issues: Sequence[str]) -> Sequence[Card]:
        """The cards of these issues, in their order. The caller has made sure that the viewer may see each. Raises Unavailable."""
        try:
            async with self._model.read() as session:
                states = await work.states(session, issues)
                reports = await work.reports(session, issues)
        except SqlDown:
            raise Unavailable("lists-away") from None
        sights = {issue: sight(state, viewer) for issue, state in states.items()}
        told = {issue: report for issue, report in reports.items() if issue in sights and sights[issue].text}
        with suppress(KeyStoreDown):  # the list is of use without its texts, which stay masked
            told = await self._vault.open_many(told)
        now, found = self._now(), list[Card]()
        for issue in issues:
            if (state := states.get(issue)) is None:
                continue
            report = told.get(issue)
            where, what = ("", "") if report is None else (
                mask(report.location, sights[issue]), mask(report.description, sights[issue])
            )  # fmt: skip
            is_mine = state.assigned is not None and state.assigned == viewer.person
            found.append(Card(state, light_of(state, now), where, _first_line(what), is_mine))
        return found


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0].strip()
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
