"""The page by which a resident follows an issue, live, and speaks in it."""

import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from api.http.headers import uuid_key
from api.http.problems import faults, problem_of
from api.http.requests import COMMANDS
from api.routes.commands import given
from api.routes.streams import events
from domain.access import may_take_up
from domain.issue import ended
from pages import story
from pages.actions import OF_RESIDENTS, may_attach, possible
from pages.forms import by_script, check_ours, fields_of
from pages.outbox import done
from pages.resident import Visiting
from pages.shell import fragment, page, router_of, with_headers_of
from pages.who import Visitor, code_in
from protocol.caller import Caller
from protocol.commands import Applied, CommandDraft
from protocol.context import LANGUAGE
from protocol.errors import Invalid, KeyReused, NotFound, ProtocolError, Refused, TooMany, Unavailable
from protocol.hub import Watched, stamp_at
from protocol.pending import Queued
from protocol.reader import VisibleIssue
from protocol.telling import told, told_before
from texts.catalogue import named as word_of
from texts.catalogue import say

router: Final = router_of()
_VERSION: Final = re.compile(r"[0-9]{1,9}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Waiting:
    """A command that had no receipt yet when it was sent: its id, and what has become of it."""

    id: str = ""
    state: str = ""
    """``queued``, ``refused`` or ``applied``; empty if nothing was sent."""
    why: str = ""


@dataclass(frozen=True)
class Faults:
    """What was wrong with what a form sent, and the words in it."""

    command: str = ""
    reasons: list[str] = field(default_factory=list[str])
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    key: str = ""
    """That of the form, if the same may be sent again: it counts once."""
    heading: str = "fault"
    """The key of the text above the reasons: something is missing, or it was not taken."""


@router.get("/i/{issue}")
async def tracking(who: Visiting, use: Use, queued: str = "") -> Response:
    """The issue: whose turn it is until when, what has happened, and what this resident may do now."""
    return await _page(who, use, queued)


@router.get("/i/{issue}/live", response_class=EventSourceResponse)
async def live(
    issue: str, who: Visiting, use: Use, request: Request, queued: str = "", v: str = ""
) -> AsyncIterator[ServerSentEvent]:  # fmt: skip
    """The part of the page that changes, as HTML, whenever it does. A page that shows version `v` is not told it again."""

    async def again() -> Caller:
        if who.member is None:
            return Caller(None, code_in(request), use.secret)
        return await use.authenticator.again(request)

    async def html(caller: Caller) -> str:
        seen = await use.reader.readable(caller, issue, record=True)
        return fragment("issue.html", await _told(seen, use, who.token, await _waiting(use, caller, queued)))

    last = request.headers.get("last-event-id") or (stamp_at(int(v)) if _VERSION.fullmatch(v) else None)
    async with aclosing(events(use, Watched("issue", issue), again, html, last, is_named=False)) as found:
        async for event in found:
            yield event


@router.post("/i/{issue}/{command}")
async def act(issue: str, command: str, who: Visiting, use: Use, request: Request) -> Response:
    """Gives a command, and shows the issue: with what has come of it, why it is refused, or that it is queued."""
    form = await fields_of(request)
    check_ours(request, form.pop("token", ""), who.token)
    key = uuid_key(form.pop("key", None))
    if command not in OF_RESIDENTS:
        raise NotFound
    try:
        found = await _given(use, who, issue, command, form, key)
    except (Invalid, Refused, KeyReused, TooMany, Unavailable) as error:
        if by_script(request):
            raise
        problem, language = problem_of(error), LANGUAGE.get()
        reasons = [each["reason"] for each in error.errors(language)] if isinstance(error, Invalid) else []
        kept = key if isinstance(error, TooMany | Unavailable) else ""
        heading = "fault" if reasons else "work-not-taken"
        wrong = Faults(command, reasons or [error.told(language) or problem.titled(language)], form, kept, heading)
        return with_headers_of(error, await _page(who, use, "", wrong, problem.status))
    if isinstance(found, Queued):
        return done(request, f"/i/{issue}?queued={found.command_id}", queued=True)
    return done(request, f"/i/{issue}?queued={found.command_id}")


async def _given(
    use: Services, who: Visitor, issue: str, command: str, form: Mapping[str, str], key: str
) -> Applied | Queued:
    shape = COMMANDS[command]
    try:
        body = shape.model.model_validate(form)
    except ValidationError as error:
        raise Invalid(*faults(error.errors())) from None
    return await given(use, who.caller, issue, shape, lambda: CommandDraft(shape.read(body), key))


async def _waiting(use: Services, caller: Caller, command: str) -> Waiting:
    """What has become of a command that was queued; nothing is said of one that this caller cannot have given."""
    if not _UUID.fullmatch(command):
        return Waiting()
    try:
        found = await use.commands.receipt(caller, command)
    except ProtocolError:
        return Waiting()
    if isinstance(found, Queued):
        return Waiting(command, "queued")
    receipt = found.issue.receipts[command]
    why = say("refusals", receipt.code, LANGUAGE.get(), receipt.named) if receipt.code else ""
    return Waiting(command, receipt.outcome, why)


_NO_FAULTS: Final = Faults()
_NOTHING: Final = Waiting()


async def _page(who: Visitor, use: Services, queued: str, wrong: Faults = _NO_FAULTS, status: int = 200) -> Response:
    shown = await _told(who.seen, use, who.token, await _waiting(use, who.caller, queued), wrong)
    return page("track.html", status, who=who.member, **shown)


async def _told(
    seen: VisibleIssue, use: Services, token: str, waiting: Waiting = _NOTHING, wrong: Faults = _NO_FAULTS
) -> dict[str, Any]:  # fmt: skip
    """What the page shows."""
    language, now, issue = LANGUAGE.get(), use.now(), seen.issue
    directory = await use.directory.get()
    found = await told(seen, use.reader, use.access)
    older = await told_before(seen, use.reader, use.access, use.attachments)
    before = ended(issue)
    return {
        "issue": issue, "token": token, "photo_path": f"/i/{issue.id}/photo", "now_ms": int(now.timestamp() * 1000),
        "key": lambda: str(uuid.uuid4()), "waiting": waiting, "wrong": wrong,
        "turn": story.turn(issue, directory, now, language),
        "closed": issue.closed and word_of(issue.closed.kind, language),
        "plan": story.plan(issue, found.timeline.events, found.sight, language),
        "lines": story.lines(found.timeline.events, found.sight, directory, language),
        "before": [
            (each.issue.number, story.lines(each.timeline.events, each.sight, directory, language)) for each in older
        ],
        "may": possible(seen, OF_RESIDENTS, now), "photos": may_attach(seen, now),
        "takes_up": before and before.until and may_take_up(before, now) and story.moment(before.until, language),
    }  # fmt: skip
