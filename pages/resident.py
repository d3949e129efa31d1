"""How a resident comes to an issue: by the address in a message, signed in, after a report, or from one that was merged into it."""

from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.responses import Response

from api.dependencies import Use
from pages import story
from pages.actions import may_attach
from pages.shell import onwards, page, router_of
from pages.who import Visitor, code_in, has_code, keep, member_or_nobody, visitor
from protocol.context import LANGUAGE
from protocol.errors import NotFound

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
    # A code that was renewed, perhaps by himself, counts as a guess: whoever is signed in needs none.
    who = await member_or_nobody(request, use)
    if who is not None and who.role == "resident":
        try:
            return Visitor(who.caller, await use.reader.readable(who.caller, issue, record=True), who.token, who)
        except NotFound:
            if not has_code(request):
                raise
    return await visitor(request, use, issue)


Visiting = Annotated[Visitor, Depends(_visitor)]


@router.get("/i/{issue}/sent")
async def received(who: Visiting, use: Use) -> Response:
    """What a resident is told once, after sending a report or joining one: its number and his code."""
    issue, language = who.seen.issue, LANGUAGE.get()
    turn = story.turn(issue, await use.directory.get(), use.now(), language)
    return page(
        "sent.html", who=who.member, issue=issue, code=who.caller.code_in(issue), turn=turn, token=who.token,
        photo_path=f"/i/{issue.id}/photo", photos=may_attach(who.seen, use.now()),
    )  # fmt: skip


@router.get("/i/{issue}/into")
async def merged(who: Visiting, request: Request) -> Response:
    """Leads on to the issue into which this one was merged, which the same code opens."""
    into = who.seen.issue.merged_into
    if into is None:
        raise NotFound
    answer = onwards(f"/i/{into}")
    if who.member is None:
        keep(request, answer, into, code_in(request))
    return answer
