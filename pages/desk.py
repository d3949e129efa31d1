"""The morning page of community and street: what climbed and why, what waits for them, what they promised, what is late.

Issues of its lists are reminded together: each is instructed by a command of its own, whose key derives from that of the form.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from api.http.headers import uuid_key
from api.http.problems import faults
from api.http.requests import COMMANDS
from api.routes.commands import given
from domain.access import sight
from domain.clocks import RULING
from domain.issue import Clock
from pages.forms import fields_of
from pages.rows import Row, RowWriter
from pages.shell import page, router_of
from pages.story import moment
from pages.trials import working
from pages.who import Member, Signed
from protocol.cards import Card, Cards
from protocol.commands import Applied, CommandDraft
from protocol.context import LANGUAGE
from protocol.desk import Desk, Morning
from protocol.errors import Invalid, NotFound, ProtocolError
from protocol.reader import LoadedIssue, VisibleIssue
from texts.catalogue import Language, say

router: Final = router_of()

_AT_ONCE: Final = 6
_REMINDER: Final = COMMANDS["instruct"]
_MARK: Final = "issue-"
"""What the names of the fields begin with that say which issues are meant."""


@dataclass(frozen=True)
class Reminded:
    """What became of the reminder of one issue, which is the command `instruct`; `why` says why nothing did."""

    id: str
    number: str
    outcome: str
    why: str


@router.get("/desk")
async def morning(who: Signed, use: Use) -> Response:
    """The desk of the officer who is signed in."""
    return await _desk(who, use)


@router.post("/desk/remind")
async def remind(who: Signed, use: Use, request: Request) -> Response:
    """Instructs the handlers of the issues that were ticked, each once however often the form is sent; says what became of each."""
    form = await fields_of(request)
    key, text = uuid_key(form.get("key")), form.get("text", "")
    wanted = [name.removeprefix(_MARK) for name in form if name.startswith(_MARK)]
    if not wanted or not text:
        language = LANGUAGE.get()
        fault = say("pages", "desk-pick", language) if text else say("pages", "desk-say", language)
        return await _desk(who, use, fault=fault, text=text, picked=wanted)
    try:
        body = _REMINDER.read(_REMINDER.model.model_validate({"text": text}))
    except ValidationError as error:
        fault = Invalid(*faults(error.errors())).errors(LANGUAGE.get())[0]["reason"]
        return await _desk(who, use, fault=fault, text=text, picked=wanted)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(issue: str) -> Reminded:
        async with turns:
            return await _reminded(who, use, issue, CommandDraft(body, str(uuid.uuid5(uuid.UUID(key), issue))))

    found = await asyncio.gather(*map(one, wanted))
    return page("reminded.html", who=who, found=found)


async def _reminded(who: Member, use: Services, issue: str, draft: CommandDraft) -> Reminded:
    language = LANGUAGE.get()
    try:
        number = (await use.reader.readable(who.caller, issue)).issue.number
    except ProtocolError as error:
        return Reminded("", "", "refused", _why(error, language))
    try:
        done = await given(use, who.caller, issue, _REMINDER, lambda: draft)
    except ProtocolError as error:
        return Reminded(issue, number, "refused", _why(error, language))
    return Reminded(issue, number, "applied" if isinstance(done, Applied) else "queued", "")


def _why(error: ProtocolError, language: Language) -> str:
    return say("pages", "nothing-here", language) if isinstance(error, NotFound) else error.told(language)


async def _desk(who: Member, use: Services, *, fault: str = "", text: str = "", picked: Sequence[str] = ()) -> Response:
    language, directory = LANGUAGE.get(), await use.directory.get()
    cards = Cards(use.model, use.keys.vault, use.directory, use.now)
    found = await Desk(use.model, cards, use.calendars, use.now).morning(who.caller)
    write = RowWriter(directory, use.now(), language)
    return page(
        "desk.html", 422 if fault else 200, who=who, fault=fault, picked=picked, key=str(uuid.uuid4()),
        text=text or say("pages", "desk-remind-words", language), since=moment(found.since, language), more=found.more,
        plus="" if found.is_whole else "+", red=found.red, yellow=found.yellow, lists=_lists(write, found, who),
    )  # fmt: skip


def _lists(write: RowWriter, found: Morning, who: Member) -> dict[str, list[Row]]:
    awaited = [
        write.due(each.card, each.clocks, _decisions(_as_seen(each.card, who), each.clocks, write.now))
        for each in found.awaited
    ]
    return {
        "climbed": [write.climbed(each.card, each.climb.body, each.climb.at) for each in found.climbed],
        "awaited": awaited,
        "promised": [write.due(each.card, each.clocks) for each in found.promised],
        "lit": [write.lit(each) for each in found.lit],
    }


def _decisions(seen: VisibleIssue, clocks: Sequence[Clock], now: datetime) -> list[str]:
    """The commands by which the viewer may decide now on what waits for him: each is tried on the issue as it is."""
    asked = [RULING[each.clause] for each in clocks]
    about = {name: [*working(seen, name, now)] for name in ("rule", "grant", "deny", "return")}
    return [
        name for name, bodies in about.items() if any(getattr(body, "what", None) in (None, *asked) for body in bodies)
    ]


def _as_seen(card: Card, who: Member) -> VisibleIssue:
    actor = who.caller.staff
    return VisibleIssue(LoadedIssue(card.issue, "row"), actor, who.caller.grants, sight(card.issue, actor))
