"""The pages of a report: one form in three steps, a view to check it, and similar open issues that one may follow instead.

The idempotency key lives in the address, `/report?k=UUID`: Back and sending again is the same report, and leads to one issue.
"""

import hmac
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import ValidationError
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from api.http.headers import uuid_key
from api.http.problems import faults, problem_of
from api.http.requests import COMMANDS, ReportBody
from api.routes.commands import given
from domain.commands import Follow
from domain.suggestion import WORDS, suggested
from domain.vocabulary import CATEGORIES, Category
from pages import story
from pages.forms import by_script, check_ours, fields_of, token_of
from pages.outbox import done
from pages.shell import fragment, onwards, page, router_of, with_headers_of
from pages.who import Member, keep, member_or_nobody
from protocol.caller import Caller
from protocol.candidates import candidates
from protocol.commands import Applied, CommandDraft
from protocol.context import LANGUAGE
from protocol.errors import Forbidden, Invalid, KeyReused, NotFound, TooMany, Unavailable
from protocol.intake import ReportDraft
from protocol.text_rules import unfit
from texts.catalogue import Wrong, say

router: Final = router_of()
FIELDS: Final[Sequence[str]] = (
    "compound",
    "building",
    "where",
    "description",
    "category",
    "urgent",
    "about",
    "phone",
)
_BY_NAME: Final[Mapping[str, Category]] = {str(each): each for each in CATEGORIES}
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OF_MODEL: Final = {"location": "where", "about_operator": "about"}
"""Fields of the API's report that the form calls otherwise."""


@dataclass(frozen=True)
class Author:
    """Whoever reports: a resident who is signed in, or anybody. Staff report here as anybody, too."""

    caller: Caller
    token: str
    """What the form bears. That of an anonymous report derives from its key: it stays one whoever signs in meanwhile."""
    member: Member | None


async def _author(request: Request, use: Use, k: str = "") -> Author:
    token = token_of(use.secret, f"report {k}")
    if request.method == "POST":
        sent = (await fields_of(request)).get("token", "")
        if hmac.compare_digest(sent.encode(), token.encode()):
            check_ours(request, sent, token)
            return Author(use.authenticator.by_code(request, None), token, None)
    who = await member_or_nobody(request, use)
    if who is not None and who.role == "resident":
        return Author(who.caller, who.token, who)
    if request.method == "POST":
        raise Forbidden("foreign-form")
    return Author(use.authenticator.by_code(request, None), token, None)


Reporting = Annotated[Author, Depends(_author)]


@router.get("/report")
async def form(use: Use, who: Reporting, k: str = "", at: str = "") -> Response:
    """The form; without a key it first gets one, and so an address of its own. `at` names compound and building."""
    if not _UUID.fullmatch(k):
        return onwards("/report?" + urlencode({"k": str(uuid.uuid4()), **({"at": at} if at else {})}))
    return page("report.html", who=who.member, **await _shown(use, who, k, await _place(use, at)))


@router.post("/report")
async def send(request: Request, use: Use, who: Reporting, k: str = "") -> Response:
    """Shows the report to be checked, or takes it in, as the field `step` says."""
    key, sent = uuid_key(k), await fields_of(request)
    words = {name: sent.get(name, "") for name in FIELDS}
    if sent.get("step") == "edit":
        return page("report.html", who=who.member, **await _shown(use, who, key, words))
    try:
        draft = _draft(words)
        if sent.get("step") == "send":
            return await _taken(request, use, who, draft, key)
        return await _check(use, who, key, words, draft)
    except Invalid as error:
        if by_script(request):
            raise
        found = error.errors(LANGUAGE.get())
        return page("report.html", 422, who=who.member, **await _shown(use, who, key, words, found))
    except KeyReused:
        return _sent_before(request, use, who, key)
    except (TooMany, Unavailable) as error:
        if by_script(request):
            raise
        problem, language = problem_of(error), LANGUAGE.get()
        why = [{"field": "", "reason": error.told(language) or problem.titled(language)}]
        kept = page("report.html", problem.status, who=who.member, **await _shown(use, who, key, words, why))
        return with_headers_of(error, kept)


@router.get("/report/similar")
async def similar(
    use: Use, who: Reporting, k: str = "", compound: str = "", category: str = "", building: str = ""
) -> Response:  # fmt: skip
    """The list of similar open issues alone, for the script of the form."""
    if any(map(unfit, (compound, category, building))):
        raise NotFound
    found = await _similar(use, compound, category or "other", building)
    return HTMLResponse(fragment("similar.html", {"similar": found, "k": k, "token": who.token}))


@router.post("/report/follow")
async def follow(request: Request, use: Use, who: Reporting, k: str = "") -> Response:
    """Joins an open issue instead of reporting the same once more."""
    key, issue = uuid_key(k), (await fields_of(request)).get("issue", "")
    shape = COMMANDS["follow"]
    given_now = await given(use, who.caller, issue, shape, lambda: CommandDraft(Follow(), key))
    if not isinstance(given_now, Applied):
        raise Unavailable("being-followed")  # the same form may be sent again
    answer = done(request, f"/i/{issue}/sent")
    if who.member is None and given_now.tracking_code is not None:
        keep(request, answer, issue, given_now.tracking_code)
    return answer


async def _taken(request: Request, use: Services, who: Author, draft: ReportDraft, key: str) -> Response:
    """Takes the report in; the answer leads to the page that tells number and code."""
    await use.access.may_report(who.caller)
    taken = await use.intake.take(who.caller, draft, key)
    issue, code = taken.issue.id, taken.tracking_code or ""
    token = who.token if who.member is not None else token_of(use.secret, code)
    answer = done(request, f"/i/{issue}/sent", photos=f"/i/{issue}/photo", token=token)
    if who.member is None:
        keep(request, answer, issue, code)
    return answer


def _sent_before(request: Request, use: Services, who: Author, key: str) -> Response:
    """The answer where this form was sent before, with other words: it is not sent once more."""
    issue, number = use.intake.named(who.caller, key)
    if not by_script(request):
        return page("sent_before.html", 422, who=who.member, issue=issue, number=number)
    reason = say("pages", "sent-before", LANGUAGE.get(), {"number": number})
    return JSONResponse({"reason": reason, "to": f"/i/{issue}"}, 422)


async def _check(use: Services, who: Author, key: str, words: dict[str, str], draft: ReportDraft) -> Response:
    """The view to check the report before it is sent, with similar open issues. Raises Invalid."""
    compound = (await use.directory.get()).compound(draft.compound)
    if compound is None:
        raise Invalid(("compound", Wrong("no-such-compound")))
    shown: dict[str, Any] = {
        "k": key, "token": who.token, "words": {**words, "category": draft.category}, "is_guess": not words["category"],
        "categories": CATEGORIES, "place": f"{compound.name} {draft.location}".strip(),
        "similar": await _similar(use, draft.compound, draft.category, words["building"]),
    }  # fmt: skip
    return page("check.html", who=who.member, **shown)


async def _similar(use: Services, compound: str, category: str, building: str) -> list[dict[str, Any]]:
    """Similar open issues: category, building, since when, whose turn; nobody's words or pictures."""
    chosen = _BY_NAME.get(category)
    if chosen is None or not compound:
        return []
    directory, language = await use.directory.get(), LANGUAGE.get()
    return [
        {
            "id": row.id, "category": row.category, "building": row.building,
            "since": story.moment(row.opened_at, language), "what": row.next_milestone,
            "who": row.next_org and story.org_name(row.next_org, directory),
            "due": row.due and story.moment(row.due, language),
        }
        for row in await candidates(use.model, compound, chosen, building, use.now())
    ]  # fmt: skip


async def _place(use: Services, at: str) -> dict[str, str]:
    """The fields of the place that an address names, as far as there is such a place."""
    compound, _, building = at.partition("/")
    words: dict[str, str] = dict.fromkeys(FIELDS, "")
    try:
        found = await use.places.at(compound, building)
    except NotFound:
        return words
    return {**words, "compound": compound, "building": found.building}


async def _shown(
    use: Services, who: Author, key: str, words: Mapping[str, str], found: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:  # fmt: skip
    compounds = sorted((await use.directory.get()).compounds, key=lambda each: each.name)
    return {
        "k": key, "token": who.token, "words": words, "faults": found, "compounds": compounds, "categories": CATEGORIES,
        "speaks": WORDS,
    }  # fmt: skip


def _draft(words: Mapping[str, str]) -> ReportDraft:
    """The report that these fields make. Raises Invalid."""
    building, where = words["building"], words["where"]
    if building.isascii() and building.isalnum():
        building += "号楼"
    fields = {
        "compound": words["compound"], "description": words["description"], "location": f"{building} {where}".strip(),
        "category": words["category"] or suggested(words["description"]) or "other", "urgent": bool(words["urgent"]),
        "about_operator": bool(words["about"]), "contact": {"phone": words["phone"]},
    }  # fmt: skip
    try:
        return ReportBody.model_validate(fields).draft
    except ValidationError as error:
        raise Invalid(*((_OF_MODEL.get(name, name), wrong) for name, wrong in faults(error.errors()))) from None
