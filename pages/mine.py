"""The pages of a resident who is signed in: all issues of one's own, and one's own data."""

from typing import Final, NamedTuple

from fastapi import Request
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from domain.issue import Issue
from pages.forms import fields_of
from pages.shell import onwards, page, router_of
from pages.story import Turn, moment, turn
from pages.who import Member, Signed
from protocol.context import LANGUAGE
from protocol.forgetting import Forgotten
from texts.catalogue import named

router: Final = router_of()


class Row(NamedTuple):
    """An issue of the list: where and what, whose turn it is, or how it was closed."""

    issue: Issue
    where: str
    what: str
    turn: Turn | None
    closed: str
    opened: str


@router.get("/mine")
async def mine(who: Signed, use: Use) -> Response:
    """What this resident reported or follows, the most pressing first."""
    if who.role != "resident":
        return onwards("/roles?next=/mine")
    language, now, directory = LANGUAGE.get(), use.now(), await use.directory.get()
    rows = [
        Row(
            card.issue, card.where, card.what, turn(card.issue, directory, now, language),
            named(card.issue.closed.kind, language) if card.issue.closed else "",
            moment(card.issue.opened_at, language),
        )
        for card in await use.cards.own(who.caller.staff)
    ]  # fmt: skip
    return page("mine.html", who=who, rows=rows)


@router.get("/me")
async def me(who: Signed, use: Use) -> Response:
    """What this resident can do about his own data: take the codes along to another phone, and ask for erasure."""
    if who.role != "resident":
        return onwards("/roles?next=/me")
    return await _me(who, use)


@router.post("/me/forget")
async def forget(request: Request, who: Signed, use: Use) -> Response:
    """Asks for the erasure of what was written in this resident's issues, once he has said that he is sure."""
    if who.role != "resident":
        return onwards("/roles?next=/me")
    if (await fields_of(request)).get("sure") != "yes":
        return await _me(who, use, is_unsure=True)
    return await _me(who, use, asked=await use.forgetting.ask(who.caller.staff))


async def _me(who: Member, use: Services, *, is_unsure: bool = False, asked: Forgotten | None = None) -> Response:
    cards = await use.cards.own(who.caller.staff)
    codes = [(card.issue.number, code) for card in cards if (code := who.caller.code_in(card.issue))]
    would = await use.forgetting.would(who.caller.staff)
    return page(
        "me.html", 422 if is_unsure else 200, who=who, codes=codes, would=would, asked=asked, is_unsure=is_unsure,
        by_phone=use.phones is not None,
    )  # fmt: skip
