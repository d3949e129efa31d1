"""The caller of a page of one issue: whoever opened it by its tracking code, which a cookie of that issue keeps."""

from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.container import Services
from pages.forms import token_of
from protocol.caller import Caller
from protocol.errors import NotFound, Unauthenticated
from protocol.reader import VisibleIssue

_COOKIE: Final = "jiesu-code"
_DAYS: Final = 90


@dataclass(frozen=True)
class Visitor:
    """Somebody who looks at an issue, and how."""

    caller: Caller
    seen: VisibleIssue
    token: str
    """What the forms of this page bear."""


def code_in(request: Request) -> str:
    """The tracking code that this browser keeps for the issue of this page. Raises Unauthenticated if it keeps none."""
    code = request.cookies.get(_COOKIE, "")
    if not code:
        raise Unauthenticated
    return code


async def visitor(request: Request, use: Services, issue: str, code: str | None = None) -> Visitor:
    """The visitor of this issue by a code, or by the one that the browser keeps.

    Raises Unauthenticated without a code, NotFound if the code opens nothing, TooMany after too many guesses.
    """
    code = code_in(request) if code is None else code
    caller = use.authenticator.by_code(request, code)
    await use.access.may_guess()
    try:
        seen = await use.reader.readable(caller, issue, record=True)
    except NotFound:
        await use.access.guessed()
        raise
    return Visitor(caller, seen, token_of(use.secret, code))


def keep(request: Request, answer: Response, issue: str, code: str) -> None:
    """Has the browser keep the code, for the pages of this issue only."""
    answer.set_cookie(
        _COOKIE, code, max_age=_DAYS * 86400, path=f"/i/{issue}", secure=request.url.scheme == "https", httponly=True,
        samesite="lax",
    )  # fmt: skip
