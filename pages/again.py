"""The page by which a resident takes up an issue that silence closed, or reports that its problem has come back."""

import re
import uuid
from typing import Final

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from api.http.headers import uuid_key
from api.http.problems import faults, problem_of
from api.http.requests import LONGEST_WORD, ReportBody
from domain.access import may_take_up
from domain.events import Reported
from domain.issue import ended
from pages.forms import by_script, check_ours, fields_of, token_of
from pages.outbox import done
from pages.resident import Visiting
from pages.shell import onwards, page, router_of, with_headers_of
from pages.who import Visitor, keep
from protocol.context import LANGUAGE
from protocol.errors import Invalid, KeyReused, NotFound, TooMany, Unavailable
from protocol.intake import ReportDraft
from protocol.telling import told
from texts.catalogue import say

router: Final = router_of()
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@router.get("/i/{issue}/again")
async def asked(issue: str, who: Visiting, use: Use, k: str = "") -> Response:
    """Asks what is not done, or what has come back. The key of the new report lives in the address, as that of any report."""
    _check(who)
    if not _UUID.fullmatch(k):
        return onwards(f"/i/{issue}/again?k={uuid.uuid4()}")
    return _shown(who, use, k, "", [])


@router.post("/i/{issue}/again")
async def sent(who: Visiting, use: Use, request: Request, k: str = "") -> Response:
    """Takes in the report that follows the issue; the new one goes on where that one stood if it is taken up."""
    _check(who)
    form, key = await fields_of(request), uuid_key(k)
    check_ours(request, form.get("token", ""), who.token)
    language = LANGUAGE.get()
    try:
        await use.access.may_report(who.caller)
        taken = await use.intake.take(who.caller, await _draft(who, use, form.get("text", "")), key)
    except (Invalid, KeyReused, TooMany, Unavailable) as error:
        if by_script(request):
            raise
        reasons = [each["reason"] for each in error.errors(language)] if isinstance(error, Invalid) else []
        problem = problem_of(error)
        reasons = reasons or [error.told(language) or problem.titled(language)]
        return with_headers_of(error, _shown(who, use, k, form.get("text", ""), reasons, problem.status))
    code = taken.tracking_code or ""
    token = who.token if who.member is not None else token_of(use.secret, code)
    answer = done(request, f"/i/{taken.issue.id}/sent", photos=f"/i/{taken.issue.id}/photo", token=token)
    if who.member is None:
        keep(request, answer, taken.issue.id, code)
    return answer


def _check(who: Visitor) -> None:
    if not who.seen.issue.is_closed or not who.caller.reported(who.seen.issue):
        raise NotFound


def _shown(who: Visitor, use: Services, k: str, text: str, reasons: list[str], status: int = 200) -> Response:
    title = say("pages", "take-up" if _takes_up(who, use) else "came-back", LANGUAGE.get())
    values = {"issue": who.seen.issue, "k": k, "token": who.token, "text": text, "reasons": reasons, "title": title}
    return page("again.html", status, who=who.member, **values)


def _takes_up(who: Visitor, use: Services) -> bool:
    return may_take_up(ended(who.seen.issue), use.now())


async def _draft(who: Visitor, use: Services, text: str) -> ReportDraft:
    """The report that follows: of the same place and category, with the place in words if this reader may read it."""
    issue, takes_up = who.seen.issue, _takes_up(who, use)
    found = await told(who.seen, use.reader, use.access)
    first = found.timeline.events[0].body
    where = str(first.location) if isinstance(first, Reported) and found.sight.text else ""
    fields = {
        "compound": issue.place.compound, "category": issue.category, "description": text, "location": where,
        "urgent": issue.urgent, "about_operator": issue.about_operator, "follows": issue.id, "takes_up": takes_up,
        "news": "" if takes_up else text[:LONGEST_WORD],
    }  # fmt: skip
    try:
        return ReportBody.model_validate(fields).draft
    except ValidationError as error:
        raise Invalid(*(("text", wrong) for _, wrong in faults(error.errors()))) from None
