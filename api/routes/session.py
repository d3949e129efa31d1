"""Routes by which a browser signs in and out, and learns as whom it is signed in."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from api.container import Services
from api.dependencies import Use
from api.http.openapi import SIGNED_IN, answers
from api.http.problems import TooLarge
from api.http.responses import Answer
from api.identity.authenticator import acting, appointments
from api.identity.oidc import is_loopback
from api.identity.session import Session, Sessions, expiry
from domain.vocabulary import Role
from protocol.clock import today
from protocol.errors import ChooseRole, Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from protocol.text_rules import FIT

router: Final = APIRouter(tags=["session"])
"""The OpenAPI document leaves out sign-in, callback and sign-out, which browsers call rather than programs."""

_ACTING: Final = {"role": "community", "org": "demo-community"}
_PROBLEMS: Final = (Unauthenticated, TooMany, Unavailable)


class RoleView(Answer):
    """One of a person's roles, with the organisation in which the person has it."""

    role: Role
    org: str | None


class SessionView(Answer):
    """As whom a browser is signed in, from which roles the person may choose, and the CSRF token of the session."""

    person: str
    role: Role | None
    org: str | None
    roles: list[RoleView]
    csrf_token: str
    expires: datetime

    example: ClassVar[Any] = {
        "person": "x1", **_ACTING, "roles": [_ACTING, {"role": "property", "org": "demo-property"}],
        "csrf_token": "b7Ww2mX0...", "expires": "2026-03-02T09:00:00Z",
    }  # fmt: skip


class ActingBody(BaseModel):
    """The role, out of the caller's roles, that the session takes from now on. A resident has no organisation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Role
    org: Annotated[str, Field(max_length=128, json_schema_extra={"pattern": FIT})] | None = None


async def _sessions(use: Use) -> Sessions:
    if use.sessions is None:
        raise NotFound
    return use.sessions


Signing = Annotated[Sessions, Depends(_sessions)]


@router.get("/session/login", include_in_schema=False)
async def login(
    request: Request, use: Use, sessions: Signing, next: str = "/"  # noqa: A002 - its name in the address
) -> Response:  # fmt: skip
    """Sends the browser to the identity provider to sign in. `next` is the path on our site to show afterwards."""
    use.authenticator.count_address(request)
    if sessions.parts.provider is None:
        raise NotFound
    public = urlsplit(sessions.parts.public_url)
    # `localhost` and 127.0.0.1 are two hosts to a browser: the cookie has to be where it comes back.
    if is_loopback(public.hostname) and request.url.netloc != public.netloc and is_loopback(request.url.hostname):
        return RedirectResponse(f"{sessions.parts.public_url}/session/login?{urlencode({'next': next})}", 302)
    answer = RedirectResponse("/", 302)
    answer.headers["location"] = await sessions.begin(next, answer)
    return answer


@router.get("/session/callback", include_in_schema=False)
async def callback(request: Request, use: Use, sessions: Signing) -> Response:
    """Where the identity provider sends the browser back to.

    Exchanges the provider's code for a session; only the browser that began the sign-in can do that.
    """
    use.authenticator.count_address(request)
    session, onwards = await sessions.finish(request)
    answer = RedirectResponse(onwards, 303)
    sessions.keep(answer, session)
    return answer


@router.post("/session/logout", include_in_schema=False)
async def logout(request: Request, sessions: Signing) -> Response:
    """Signs this browser out: it deletes its session cookie."""
    session = sessions.of(request)
    if session is not None:
        sessions.check_csrf(request, session)
    answer = Response(status_code=204)
    sessions.end(answer)
    return answer


async def signed_in(request: Request, use: Use, sessions: Signing) -> Session:
    """The session of this browser.

    Raises Unauthenticated without a valid session, Forbidden for a change that a foreign page may have sent.
    """
    use.authenticator.count_address(request)
    session = sessions.of(request)
    if session is None:
        raise Unauthenticated
    sessions.check_csrf(request, session)
    return session


SignedIn = Annotated[Session, Depends(signed_in)]


@router.get(
    "/session", operation_id="session", openapi_extra=SIGNED_IN,
    responses=answers(200, SessionView.example, "Signed in", *_PROBLEMS),
)  # fmt: skip
async def who(session: SignedIn, use: Use, sessions: Signing) -> SessionView:
    """As whom this browser is signed in, and from which roles the person may choose.

    `csrf_token` is the CSRF token that every changing request must send. `role` and `org` apply to requests that name
    none themselves; both are null while there is no role to act in, for example until one of several has been chosen.
    """
    return await _view(session, use, sessions)


@router.post(
    "/session/acting", operation_id="session_acting", openapi_extra=SIGNED_IN,
    responses=answers(200, SessionView.example, "Chosen", *_PROBLEMS, Forbidden, TooLarge, Invalid),
)  # fmt: skip
async def act(
    session: SignedIn, use: Use, sessions: Signing, answer: Response,
    body: Annotated[ActingBody, Body(openapi_examples={"community": {"value": _ACTING}})],
) -> SessionView:  # fmt: skip
    """Changes the role of this session to another of the person's roles. A session has one role at a time."""
    chosen = await change_role(session, body.role, body.org, use, sessions)
    sessions.keep(answer, chosen)
    return await _view(chosen, use, sessions)


async def change_role(session: Session, role: Role, org: str | None, use: Services, sessions: Sessions) -> Session:
    """The session in another of the person's roles. Raises Forbidden for a role that the person does not have."""
    if session.own_grant:
        raise Forbidden("session-of-role")
    chosen = replace(session, role=role, org=org)
    await acting_in(chosen, use, sessions)
    return chosen


async def acting_in(session: Session, use: Services, sessions: Sessions) -> tuple[Role, str | None]:
    """The role and organisation for requests of this session that name none themselves.

    Raises Forbidden if the person does not have the session's role, ChooseRole while none of several is chosen.
    """
    actor, _ = acting(sessions.claims_of(session), {}, await use.directory.get(), today(use.now()), use.secret)
    return actor.role, actor.org


async def _view(session: Session, use: Services, sessions: Sessions) -> SessionView:
    try:
        role, org = await acting_in(session, use, sessions)
    except (ChooseRole, Forbidden):
        role, org = None, None
    roles = appointments(session.person, await use.directory.get(), today(use.now()))
    return SessionView(
        person=session.person, role=role, org=org, roles=[RoleView(role=role, org=org) for role, org in roles],
        csrf_token=session.csrf, expires=expiry(session, use.now),
    )  # fmt: skip
