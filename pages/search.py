"""The search of staff: a form that works without script, and pages by cursor."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final, get_args
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from domain.light import Light
from domain.vocabulary import CATEGORIES, LEVELS, STATUSES
from domain.worktime import SHANGHAI
from pages.rows import RowWriter
from pages.shell import page, router_of
from pages.who import Member, Signed
from protocol.cards import Cards
from protocol.clock import today
from protocol.context import LANGUAGE
from protocol.errors import NotFound
from protocol.searching import Found, Search, Sought
from protocol.text_rules import unfit
from texts.catalogue import Language, say

router: Final = router_of()

_LONGEST: Final = 200
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "category": CATEGORIES, "level": LEVELS, "status": STATUSES, "light": get_args(Light),
}  # fmt: skip
_DAYS: Final = ("from", "until")
_FIELDS: Final = ("q", "compound", *_CHOICES, *_DAYS)


@router.get("/search")
async def search(who: Signed, use: Use, request: Request) -> Response:
    """The form, and what was found with it. Without any field: everything that the viewer may see, the newest first."""
    if who.caller.staff.role == "resident":
        raise NotFound
    language, now = LANGUAGE.get(), use.now()
    sent = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
    found, faults = Found((), None), _faults(sent, language)
    if not faults:
        cards = Cards(use.model, use.keys.vault, use.directory, use.now)
        searching = Search(use.model, cards, use.directory, use.now)
        found = await searching.page(who.caller.staff, _sought(sent), request.query_params.get("cursor") or None)
    write = RowWriter(await use.directory.get(), now, language)
    return page(
        "search.html", 422 if faults else 200, who=who, sent=sent, faults=faults, choices=_CHOICES,
        compounds=await _compounds(who, use), found=[write.lit(each) for each in found.cards],
        onwards=_onwards(sent, found.next_cursor) if found.next_cursor else "",
    )  # fmt: skip


def _onwards(sent: Mapping[str, str], cursor: str) -> str:
    return "/search?" + urlencode({**{name: value for name, value in sent.items() if value}, "cursor": cursor})


def _faults(sent: Mapping[str, str], language: Language) -> dict[str, str]:
    """What is wrong, by field."""
    found: dict[str, str] = {}
    for name, value in sent.items():
        if len(value) > _LONGEST or unfit(value) is not None:
            found[name] = say("pages", "search-unfit", language)
        elif value and name in _CHOICES and value not in _CHOICES[name]:
            found[name] = say("pages", "search-unknown", language)
        elif value and name in _DAYS and _day(value) is None:
            found[name] = say("pages", "search-day", language)
    return found


def _day(value: str) -> datetime | None:
    """The beginning of a day in China; None if it is none of this or the last century."""
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return datetime.combine(day, time(), SHANGHAI) if 1900 <= day.year < 2100 else None


def _sought(sent: Mapping[str, str]) -> Sought:
    chosen: dict[str, Any] = {name: sent[name] or None for name in ("q", "compound", *_CHOICES)}
    since, until = _day(sent["from"]), _day(sent["until"])
    return Sought(**chosen, since=since, until=until and until + timedelta(days=1))


async def _compounds(who: Member, use: Services) -> dict[str, str]:
    """The compounds among which the viewer chooses, with their names: those where his organisation works."""
    directory = await use.directory.get()
    works = await use.directory.works(who.caller.staff, today(use.now()))
    found = ((code, directory.compound(code)) for code in sorted(works.compounds))
    return {code: compound.name or code for code, compound in found if compound is not None}
