"""The pages by which a resident proves a phone and so signs in, with no identity provider."""

from typing import Annotated, Final

from fastapi import BackgroundTasks, Depends, Request
from starlette.responses import Response

from api.dependencies import Use, part
from api.identity.phones import VALID, Phones, normalised
from api.identity.pkce import local_path
from api.identity.session import Sessions
from api.identity.tokens import Claims
from api.routes.phones import proven
from pages.forms import check_ours, fields_of
from pages.shell import onwards, page, router_of
from pages.who import SignedOrNot
from protocol.context import LANGUAGE
from protocol.errors import Invalid, NotFound

router: Final = router_of()
_NEXT: Final = "/mine"


async def _sessions(use: Use) -> Sessions:
    if use.sessions is None:
        raise NotFound
    return use.sessions


Keeping = Annotated[Sessions, Depends(_sessions)]
Proving = Annotated[Phones, part("phones", NotFound)]


@router.get("/phone")
async def ask_phone(_: Keeping, proving: Proving, who: SignedOrNot, next: str = _NEXT) -> Response:  # noqa: A002, ARG001
    """Where a resident names a phone, to sign in by it."""
    return page("phone.html", who=who, next=local_path(next), phone="", sent=False, faults=())


@router.post("/phone")
async def send_code(request: Request, _: Keeping, proving: Proving, afterwards: BackgroundTasks) -> Response:
    """Sends a code to the phone, and asks for it. The answer is the same for every number."""
    form = await _form_of(request)
    phone, onwards_to = form.get("phone", ""), local_path(form.get("next", _NEXT))
    try:
        number = normalised(phone)
    except Invalid as error:
        faults = error.errors(LANGUAGE.get())
        return page("phone.html", 422, next=onwards_to, phone=phone, sent=False, faults=faults)
    await proving.admit()
    # Afterwards, so that not even the time that it takes tells anything.
    afterwards.add_task(proving.send, number)
    return _asking_for_code(proving, phone, onwards_to)


@router.post("/phone/code")
async def take_code(request: Request, use: Use, sessions: Keeping, proving: Proving) -> Response:
    """Signs the owner of the phone in as a resident."""
    form = await _form_of(request)
    phone, code = form.get("phone", ""), form.get("code", "")
    onwards_to = local_path(form.get("next", _NEXT))
    try:
        subject = await proven(use, proving, phone, code)
    except Invalid as error:
        return _asking_for_code(proving, phone, onwards_to, error)
    answer = onwards(onwards_to)
    sessions.keep(answer, sessions.session(Claims(subject, "resident", None)))
    return answer


async def _form_of(request: Request) -> dict[str, str]:
    """The fields of a form that anybody may send who is on a page of ours: without a session there is no token for it.

    A page of somebody else's may not sign a browser in: its owner would report under another's phone.
    """
    check_ours(request, "", "")
    return await fields_of(request)


def _asking_for_code(proving: Phones, phone: str, onwards_to: str, error: Invalid | None = None) -> Response:
    faults = error.errors(LANGUAGE.get()) if error else ()
    minutes = int(VALID.total_seconds() // 60)
    return page(
        "phone.html",
        422 if error else 200,
        phone=phone,
        next=onwards_to,
        sent=True,
        minutes=minutes,
        file=proving.file,
        faults=faults,
    )
