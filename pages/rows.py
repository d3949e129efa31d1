"""Rows of the lists of a desk: where and what an issue is, why it is listed, whose turn it is, and by when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.clocks import RULING, next_clock
from domain.directory import Directory
from domain.events import Escalated
from domain.issue import Clock, lead_org
from domain.light import Light, light
from pages.story import left, moment, org_name
from protocol.cards import Card
from protocol.catalogue import clause_named
from texts.catalogue import Language, named


@dataclass(frozen=True)
class Row:
    """An issue in a list: where and what it is, why it is there, whose turn it is, and by when something is due."""

    id: str
    number: str
    category: str
    place: str
    what: str
    why: Sequence[str]
    who: str
    due: str
    left: str
    light: Light
    may: Sequence[str] = ()


@dataclass(frozen=True)
class RowWriter:
    """Puts cards into rows, in a language."""

    directory: Directory
    now: datetime
    language: Language

    def climbed(self, card: Card, climb: object, at: datetime) -> Row:
        """By its last climb, which happened at `at`."""
        assert isinstance(climb, Escalated)
        levels = f"{self._word(climb.from_level)} → {self._word(card.issue.level)}"
        return self._row(card, [moment(at, self.language), levels, self._word(climb.by)], next_clock(card.issue))

    def due(self, card: Card, clocks: Sequence[Clock], may: Sequence[str] = ()) -> Row:
        """By these clocks, of which the first is due first; `may` are the commands that are offered."""
        first, issue = clocks[0], card.issue
        why = [clause_named(each.clause, issue.policy, self.language) for each in clocks]
        wishes = [issue.wish(RULING[each.clause]) for each in clocks if each.clause in RULING]
        why += [org_name(each.org, self.directory) for each in wishes if each is not None and each.org]
        return self._row(card, list(dict.fromkeys(why)), first, may)

    def lit(self, card: Card) -> Row:
        """By what is due next."""
        clock = next_clock(card.issue)
        why = [] if clock is None else [clause_named(clock.clause, card.issue.policy, self.language)]
        return self._row(card, why, clock)

    def _row(self, card: Card, why: Sequence[str], clock: Clock | None, may: Sequence[str] = ()) -> Row:
        issue = card.issue
        shown = card.light
        if clock is not None:
            shown = light(overdue=clock.overdue, due=clock.due, warn_at=clock.warn, now=self.now)
        compound = self.directory.compound(issue.place.compound)
        name = compound.name if compound is not None and compound.name else issue.place.compound
        return Row(
            issue.id, issue.number, self._word(issue.category), f"{name} {card.where or issue.building}".strip(), card.what,
            why, " · ".join(dict.fromkeys(org_name(each, self.directory) for each in (lead_org(issue), issue.handler.code))),
            "" if clock is None else moment(clock.due, self.language),
            "" if clock is None else left(clock.due - self.now, self.language), shown or "green", may,
        )  # fmt: skip

    def _word(self, word: str) -> str:
        return named(word, self.language)
