"""The pages where everybody begins: the start, the language, and to find an issue by its number and code."""

from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.dependencies import Use
from api.identity.embedded_provider import chosen
from api.identity.pkce import local_path
from api.identity.tokens import Claims
from pages.forms import fields_of
from pages.shell import LANGUAGE_COOKIE, onwards, page, router_of
from pages.trial import TrialOrNone, Trying, other_address
from pages.who import SignedOrNot, first_page, is_there, keep
from protocol.errors import NotFound
from protocol.naming import issue_named
from texts.catalogue import LANGUAGES

router: Final = router_of()

_YEAR: Final = 365 * 86400


@router.get("/")
async def start(request: Request, use: Use, who: SignedOrNot, trial: TrialOrNone) -> Response:
    """Where everybody begins: to report, to find an issue, to sign in; in a trial, to choose a role."""
    return page(
        "start.html", who=who, reports=is_there(request, "report"), mine=is_there(request, "mine"),
        signs_in=use.sessions is not None, first=who and first_page(request, who.role),
        casts=[] if trial is None else await trial.casts(), next="", other=other_address(request),
    )  # fmt: skip


@router.post("/sign-in/as")
async def take_role(request: Request, use: Use, _: Trying) -> Response:
    """Signs this browser in as anybody in any role, in a trial only."""
    form = await fields_of(request)
    given = (form.get("person", ""), form.get("role", ""), form.get("org", ""))
    person, role, org = chosen(*given, await use.directory.get())
    if use.sessions is None:
        raise NotFound
    answer = onwards(local_path(form.get("next") or first_page(request, role)))
    use.sessions.keep(answer, use.sessions.session(Claims(person, role, org)))
    return answer


@router.post("/demo")
async def play(trial: Trying) -> Response:
    """Has a few demo issues reported and begun, in a trial only; they are the same ones however often it is asked."""
    await trial.play()
    return onwards("/")


@router.get("/language/{language}")
async def choose(language: str, request: Request) -> Response:
    """Keeps the language that this browser wants, and shows the page again from which it came."""
    if language not in LANGUAGES:
        raise NotFound
    answer = onwards(_from(request))
    answer.set_cookie(
        LANGUAGE_COOKIE, language, max_age=_YEAR, secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
    return answer


def _from(request: Request) -> str:
    """The page of ours from which the browser came; the start if it does not say."""
    origin, _, path = request.headers.get("referer", "").partition(f"//{request.url.netloc}/")
    return local_path(f"/{path}") if origin == f"{request.url.scheme}:" else "/"


@router.get("/find")
async def ask(who: SignedOrNot) -> Response:
    """Where one names an issue by its number and code."""
    return page("find.html", who=who, fault="", number="")


@router.post("/find")
async def find(request: Request, use: Use) -> Response:
    """Opens an issue to whoever names its number and its code, or the code alone."""
    form = await fields_of(request)
    number, code = form.get("number", ""), form.get("code", "")
    caller = use.authenticator.by_code(request, code)
    await use.access.may_guess()
    try:
        issue = await issue_named(use.model, use.reader, caller, number or "mine")
        await use.reader.readable(caller, issue, record=True)
    except NotFound:
        await use.access.guessed()
        return page("find.html", 404, fault="not-found", number=number[:40])
    answer = onwards(f"/i/{issue}")
    keep(request, answer, issue, code)
    return answer
