"""Cards of a list in the words of a language: where, what, whose turn it is, and by when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.directory import Directory
from domain.light import Light
from pages.story import Turn, turn
from protocol.cards import Card
from texts.catalogue import Language, named


@dataclass(frozen=True)
class CardView:
    """One issue of a list. `where` falls back on what everybody may know of the place."""

    id: str
    number: str
    category: str
    compound: str
    where: str
    what: str
    light: Light | None
    turn: Turn | None
    is_mine: bool
    is_urgent: bool


def card_views(cards: Sequence[Card], directory: Directory, now: datetime, language: Language) -> list[CardView]:
    """The cards as people read them."""
    return [_view(card, directory, now, language) for card in cards]


def _view(card: Card, directory: Directory, now: datetime, language: Language) -> CardView:
    issue = card.issue
    return CardView(
        issue.id, issue.number, issue.category, issue.place.name, card.where or issue.place.name or issue.place.compound,
        card.what, card.light, turn(issue, directory, now, language, resident=named("resident", language)), card.is_mine, issue.urgent,
    )  # fmt: skip
