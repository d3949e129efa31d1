"""Routes by which a browser signs in and out, and learns who it is signed in as."""

from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import urlencode, urlsplit

from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api.container import Services
from api.http.answers import SessionView
from api.http.bodies import FIT
from api.http.openapi import SIGNED_IN, answers
from api.http.problems import TooLarge
from api.identity.authenticator import acting, appointments
from api.identity.oidc import is_loopback
from api.identity.session import Session, Sessions, expiry
from api.identity.tokens import Claims
from api.routes.issues import Use
from domain.vocabulary import Role
from protocol.clock import today
from protocol.errors import ChooseRole, Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable

_EXAMPLE: Final = {
    "person": "x1", "role": "community", "org": "demo-community",
    "roles": [{"role": "community", "org": "demo-community"}, {"role": "property", "org": "demo-property"}],
    "csrf_token": "b7Ww2mX0...", "expires": "2026-03-02T09:00:00Z",
}  # fmt: skip
_ACTING: Final = {"role": "community", "org": "demo-community"}


class ActingBody(BaseModel):
    """In which of the caller's roles the session goes on; a resident has no organisation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Role
    org: Annotated[str, Field(max_length=128, json_schema_extra={"pattern": FIT})] | None = None


def _sessions(use: Services) -> Sessions:
    if use.door.sessions is None:
        raise NotFound
    return use.door.sessions


async def login(request: Request, use: Use, next: str = "/") -> Response:  # noqa: A002 - its name in the address
    """Sends the browser to where it signs in; `next` is a path of ours."""
    sessions = _sessions(use)
    use.door.count_address(request)
    public = urlsplit(sessions.parts.public_url)
    # `localhost` and 127.0.0.1 are two hosts to a browser: the cookie has to be where it comes back.
    if is_loopback(public.hostname) and request.url.netloc != public.netloc and is_loopback(request.url.hostname):
        return RedirectResponse(f"{sessions.parts.public_url}/session/login?{urlencode({'next': next})}", 302)
    answer = RedirectResponse("/", 302)
    answer.headers["location"] = await sessions.begin(next, answer)
    return answer


async def callback(request: Request, use: Use) -> Response:
    """Where the browser comes back to, with a code that is worth a session to it alone."""
    sessions = _sessions(use)
    use.door.count_address(request)
    session, onwards = await sessions.finish(request)
    answer = RedirectResponse(onwards, 303)
    sessions.keep(answer, session)
    return answer


async def logout(request: Request, use: Use) -> Response:
    """Ends the session of this browser."""
    sessions = _sessions(use)
    session = sessions.of(request)
    if session is not None:
        sessions.check_csrf(request, session)
    answer = Response(status_code=204)
    sessions.end(answer)
    return answer


def signed_in(request: Request, use: Use) -> Session:
    """The session of this browser; what changes it has to come from a page of ours."""
    use.door.count_address(request)
    sessions = _sessions(use)
    session = sessions.of(request)
    if session is None:
        raise Unauthenticated
    sessions.check_csrf(request, session)
    return session


SignedIn = Annotated[Session, Depends(signed_in)]


async def who(session: SignedIn, use: Use) -> Response:
    """As whom this browser is signed in, among which roles the person may choose, and the token for what changes things.

    `role` and `org` are those in which requests are meant that name none; null as long as one has to be chosen.
    """
    return JSONResponse(await _view(session, use))


async def act(
    session: SignedIn, use: Use, body: Annotated[ActingBody, Body(openapi_examples={"community": {"value": _ACTING}})]
) -> Response:
    """Goes on in another of the person's roles: the session has one at a time."""
    sessions = _sessions(use)
    chosen = replace(session, role=body.role, org=body.org)
    if sessions.parts.trusts_roles:
        raise Forbidden("here a session is for the role with which it began")
    await _acting(chosen, use)
    answer = JSONResponse(await _view(chosen, use))
    sessions.keep(answer, chosen)
    return answer


async def _acting(session: Session, use: Services) -> tuple[Role, str | None]:
    """In which role the session's requests are meant. Raises Forbidden, and ChooseRole if that is open."""
    own = _sessions(use).parts.trusts_roles
    claims = Claims(session.person, session.role, session.org, own_grant=own)
    actor, _ = acting(claims, {}, await use.directory.get(), today(use.now()), use.secret)
    return actor.role, actor.org


async def _view(session: Session, use: Services) -> dict[str, object]:
    try:
        role, org = await _acting(session, use)
    except (ChooseRole, Forbidden):
        role, org = None, None
    roles = appointments(session.person, await use.directory.get(), today(use.now()))
    return {
        "person": session.person,
        "role": role,
        "org": org,
        "roles": [{"role": role, "org": org} for role, org in roles],
        "csrf_token": session.csrf,
        "expires": expiry(session, use.now).isoformat().replace("+00:00", "Z"),
    }


def register(app: FastAPI) -> None:
    """Adds the routes. Those to which a browser is sent are no part of the API's description."""
    app.get("/session/login", include_in_schema=False)(login)
    app.get("/session/callback", include_in_schema=False)(callback)
    app.post("/session/logout", include_in_schema=False)(logout)
    problems = (Unauthenticated, TooMany, Unavailable)
    options: dict[str, Any] = {"tags": ["session"], "openapi_extra": SIGNED_IN}
    shown = answers(200, _EXAMPLE, "Signed in", *problems, model=SessionView)
    app.get("/session", responses=shown, operation_id="session", **options)(who)
    chosen = answers(200, _EXAMPLE, "Chosen", *problems, Forbidden, TooLarge, Invalid, model=SessionView)
    app.post("/session/acting", responses=chosen, operation_id="session_acting", **options)(act)
