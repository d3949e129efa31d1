"""The pages by which people come in and go: to sign in, to choose one of several roles, to sign out."""

from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.dependencies import Use
from api.identity.authenticator import appointments
from api.identity.pkce import local_path
from api.routes.session import change_role
from domain.vocabulary import ROLES
from pages.forms import fields_of
from pages.shell import onwards, page, router_of
from pages.story import org_name
from pages.trial import TrialOrNone
from pages.who import InSession, SignedOrNot
from protocol.clock import today
from protocol.errors import Invalid, NotFound
from texts.catalogue import Wrong

router: Final = router_of()


@router.get("/sign-in")
async def sign_in(
    use: Use, who: SignedOrNot, trial: TrialOrNone, next: str = "/"  # noqa: A002 - its name in the address
) -> Response:  # fmt: skip
    """The ways to sign in here, and as whom this browser is signed in already."""
    onwards_to = local_path(next)
    by_provider = use.session is not None and use.session.provider is not None
    by_phone = use.session is not None and use.phones is not None
    return page(
        "sign_in.html", who=who, next=onwards_to, by_provider=by_provider, by_phone=by_phone,
        casts=[] if trial is None else await trial.casts(),
    )  # fmt: skip


@router.get("/roles")
async def roles(use: Use, session: InSession, next: str = "/") -> Response:  # noqa: A002 - its name in the address
    """The roles of this person, to choose one from."""
    directory = await use.directory.get()
    found = appointments(session.person, directory, today(use.now()))
    ways = [(role, org, org_name(org, directory)) for role, org in found] + [("resident", "", "")]
    return page("roles.html", next=local_path(next), ways=ways, token=session.csrf)


@router.post("/roles")
async def choose_role(request: Request, use: Use, session: InSession) -> Response:
    """Takes the role that was chosen for all that follows in this browser."""
    form = await fields_of(request)
    if use.sessions is None:
        raise NotFound
    role, org = form.get("role", ""), form.get("org") or None
    if role not in ROLES:
        raise Invalid(("role", Wrong("no-such-role")))
    answer = onwards(local_path(form.get("next", "/")))
    use.sessions.keep(answer, await change_role(session, role, org, use, use.sessions))
    return answer


@router.post("/sign-out")
async def sign_out(use: Use, _: InSession) -> Response:
    """Signs this browser out."""
    answer = onwards("/")
    if use.sessions is not None:
        use.sessions.end(answer)
    return answer
