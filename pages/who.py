"""Who looks at a page: somebody who is signed in, or whoever opened an issue by its tracking code.

A session is a cookie of the whole site; a tracking code lies in a cookie of its issue alone.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from api.http.problems import SessionEnded
from api.identity.session import CSRF_HEADER, Session
from domain.directory import Directory
from domain.vocabulary import Role
from pages.forms import check_ours, fields_of, token_of
from protocol.caller import Caller
from protocol.clock import today
from protocol.errors import ChooseRole, Forbidden, NotFound, Unauthenticated
from protocol.reader import VisibleIssue

_SAFE: Final = frozenset({"GET", "HEAD"})
_FORM: Final = "application/x-www-form-urlencoded"
_DESK: Final = ("desk", "work", "search", "people")
NAVIGATION: Final[Mapping[Role, tuple[str, ...]]] = {
    "resident": ("mine", "report"), "property": ("work", "people"), "volunteer": ("work", "people"),
    "department": ("work", "people"),
    "community": _DESK, "street": _DESK,
}  # fmt: skip
"""The pages that the header offers to each role, the first one being where that role begins."""


class SignInNeeded(Unauthenticated):
    """Nobody is signed in in this browser. `clearing` deletes the cookie of a session that has ended, if it has one."""

    def __init__(self, clearing: str = "") -> None:
        super().__init__()
        self.clearing: Final = clearing


@dataclass(frozen=True)
class Member:
    """Somebody who is signed in, in one role."""

    caller: Caller
    token: str
    """What the forms of a page bear in their field `token`."""
    mark: str
    """Tells people of one browser apart, where it keeps what is not sent yet; it says nothing about them."""
    role: Role
    org: str
    """The name of the organisation; empty for a resident."""
    name: str
    """How the person is called in the directory; empty if it does not say."""
    links: tuple[str, ...]
    """The pages in the header: those of the role that this app has."""
    here: str
    """The first part of the address of this page."""
    may_change: bool
    """Whether there is another role to choose: whoever is appointed may be a resident as well."""


async def session_of(request: Request, use: Use) -> Session:
    """The session of this browser, whatever role it has. Raises SignInNeeded without one.

    A request that may change something has to come from a page of ours, and bears the session's token: in the field
    `token` of its form, or, with anything but a form, in the header X-CSRF-Token. Else it raises Forbidden.
    """
    try:
        session = None if use.sessions is None else use.sessions.of(request)
    except SessionEnded as error:
        use.authenticator.count_address(request)
        raise SignInNeeded(error.clearing) from None
    if session is None:
        use.authenticator.count_address(request)
        raise SignInNeeded
    if request.method not in _SAFE:
        check_ours(request, await _sent(request), session.csrf)
    return session


InSession = Annotated[Session, Depends(session_of)]


async def _sent(request: Request) -> str:
    """The token that a request bears."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        return (await fields_of(request)).get("token", "")
    return request.headers.get(CSRF_HEADER, "")


async def member(request: Request, use: Use, session: InSession) -> Member:
    """Who is signed in. Raises SignInNeeded if nobody is, ChooseRole while none of several roles is chosen."""
    caller = await use.authenticator.by_session(request, session)
    actor = caller.staff
    # Whose session grants its role needs no directory, which may be unavailable.
    directory = Directory() if session.own_grant and actor.org is None else await use.directory.get()
    org = None if actor.org is None else directory.org(actor.org)
    name = "" if actor.org is None else directory.called(actor.person, actor.org)
    mark = hmac.new(use.secret, b"jiesu/1/mark\0" + caller.subject.encode(), hashlib.sha256).hexdigest()[:16]
    found = Member(
        caller, session.csrf, mark, actor.role, (org.name if org is not None else "") or actor.org or "", name,
        pages_of(request, actor.role), request.url.path.split("/")[1],
        not session.own_grant and bool(directory.appointments_of(session.person, today(use.now()))),
    )  # fmt: skip
    request.state.member = found
    return found


Signed = Annotated[Member, Depends(member)]
"""A signed-in person, for pages that need one: without one the browser goes on to where people sign in."""


async def member_or_nobody(request: Request, use: Use) -> Member | None:
    """Who is signed in and has a role here; None for everybody else, for pages that are open to all.

    Raises Forbidden for a form of another page that somebody who is signed in seems to send.
    """
    try:
        session = await session_of(request, use)
    except SignInNeeded:
        return None
    try:
        return await member(request, use, session)
    except (Unauthenticated, Forbidden, ChooseRole):
        return None


SignedOrNot = Annotated[Member | None, Depends(member_or_nobody)]


def is_there(request: Request, name: str) -> bool:
    """Whether this app has the page ``/name``."""
    return any(getattr(route, "path", "") == f"/{name}" for route in request.app.routes)


def pages_of(request: Request, role: Role) -> tuple[str, ...]:
    """The pages of this role that this app has."""
    return tuple(name for name in NAVIGATION.get(role, ()) if is_there(request, name))


def first_page(request: Request, role: Role) -> str:
    """The address where somebody in this role begins who has signed in: the start where the role has no page."""
    return "/" + "".join(pages_of(request, role)[:1])


# Who opened an issue by its code

_COOKIE: Final = "jiesu-code"
_DAYS: Final = 90


@dataclass(frozen=True)
class Visitor:
    """Somebody who looks at an issue, and how."""

    caller: Caller
    seen: VisibleIssue
    token: str
    """What the forms of this page bear."""
    member: Member | None = None
    """Who is signed in, if that is how he opened it."""


def has_code(request: Request) -> bool:
    """Whether this browser keeps a tracking code for the issue of this page."""
    return _COOKIE in request.cookies


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
