"""The pages of a resident: to start, to find an issue by its number and code, and to follow it and speak in it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from api.http.headers import uuid_key
from api.http.problems import faults
from api.http.requests import COMMANDS
from api.routes.streams import events
from pages import story
from pages.actions import OF_RESIDENTS, may_attach, possible
from pages.forms import check_ours, fields_of
from pages.shell import fragment, onwards, page, router_of
from pages.who import Visitor, code_in, has_code, keep, member_or_nobody, visitor
from protocol.caller import Caller
from protocol.commands import CommandDraft
from protocol.context import LANGUAGE
from protocol.errors import Invalid, NotFound, Unauthenticated
from protocol.hub import Watched
from protocol.reader import VisibleIssue
from protocol.telling import told
from texts.catalogue import named as word_of

router: Final = router_of()


@router.get("/t/{issue}/{code}")
async def opened(issue: str, code: str, request: Request, use: Use) -> Response:
    """Opens an issue by the address in a message, once; from then on the browser keeps the code."""
    await visitor(request, use, issue, code)
    answer = onwards(f"/i/{issue}")
    keep(request, answer, issue, code)
    return answer


async def _visitor(issue: str, request: Request, use: Use) -> Visitor:
    """Whoever opened the issue by its code; else a resident who is signed in, for his own issues."""
    if has_code(request):
        return await visitor(request, use, issue)
    who = await member_or_nobody(request, use)
    if who is None or who.role != "resident":
        raise Unauthenticated
    return Visitor(who.caller, await use.reader.readable(who.caller, issue, record=True), who.token)


Visiting = Annotated[Visitor, Depends(_visitor)]


@router.get("/i/{issue}")
async def tracking(who: Visiting, use: Use) -> Response:
    """The issue: whose turn it is until when, what has happened, and what this resident may do now."""
    return page("track.html", **await _told(who.seen, use, who.token))


@router.get("/i/{issue}/sent")
async def received(who: Visiting, use: Use) -> Response:
    """What a resident is told once, after sending a report or joining one: its number and his code."""
    issue, language = who.seen.issue, LANGUAGE.get()
    turn = story.turn(issue, await use.directory.get(), use.now(), language)
    return page(
        "sent.html", issue=issue, code=who.caller.code_in(issue), turn=turn, token=who.token,
        photo_path=f"/i/{issue.id}/photo", photos=may_attach(who.seen, use.now()),
    )  # fmt: skip


@router.get("/i/{issue}/live", response_class=EventSourceResponse)
async def live(issue: str, who: Visiting, use: Use, request: Request) -> AsyncIterator[ServerSentEvent]:
    """The part of the page that changes, as HTML, whenever it does."""

    async def again() -> Caller:
        if has_code(request):
            return Caller(None, code_in(request), use.secret)
        return await use.authenticator.again(request)

    async def html(caller: Caller) -> str:
        seen = await use.reader.readable(caller, issue, record=True)
        return fragment("issue.html", await _told(seen, use, who.token))

    last = request.headers.get("last-event-id")
    async with aclosing(events(use, Watched("issue", issue), again, html, last, is_named=False)) as found:
        async for event in found:
            yield event


@router.post("/i/{issue}/{command}")
async def act(issue: str, command: str, who: Visiting, use: Use, request: Request) -> Response:
    """Gives a command, and shows the issue; one that is queued shows there, live, once it has taken effect."""
    form = await fields_of(request)
    check_ours(request, form.pop("token", ""), who.token)
    key = uuid_key(form.pop("key", None))
    if command not in OF_RESIDENTS:
        raise NotFound
    shape = COMMANDS[command]
    try:
        body = shape.model.model_validate(form)
    except ValidationError as error:
        raise Invalid(*faults(error.errors())) from None
    await use.access.may_give(who.caller)
    await use.commands.give(who.caller, issue, CommandDraft(shape.read(body), key))
    return onwards(f"/i/{issue}")


async def _told(seen: VisibleIssue, use: Services, token: str) -> dict[str, Any]:
    """What the page shows."""
    language, now, issue = LANGUAGE.get(), use.now(), seen.issue
    directory = await use.directory.get()
    found = await told(seen, use.reader, use.access)
    return {
        "issue": issue, "token": token, "photo_path": f"/i/{issue.id}/photo", "now_ms": int(now.timestamp() * 1000),
        "key": lambda: str(uuid.uuid4()),
        "turn": story.turn(issue, directory, now, language),
        "closed": issue.closed and word_of(issue.closed.kind, language),
        "lines": story.lines(found.timeline.events, found.sight, directory, language),
        "may": possible(seen, OF_RESIDENTS, now),
    }  # fmt: skip
