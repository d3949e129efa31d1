"""The pages of those who do the work: their list, one job with what can be done now, and each command as a plain form."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Final, cast, get_args

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from starlette.responses import Response

from api.container import Services
from api.dependencies import Use
from api.http.headers import command_key
from api.http.problems import faults, problem_of
from api.http.requests import COMMANDS
from api.routes.commands import given
from api.routes.streams import events
from domain.light import Light
from domain.vocabulary import CATEGORIES
from pages.actions import OF_STAFF, possible
from pages.cards import card_views
from pages.command_forms import plain_of
from pages.forms import by_script, fields_of
from pages.job import job_of, opened_form
from pages.outbox import done
from pages.shell import fragment, page, router_of, with_headers_of
from pages.who import Member, Signed
from protocol.caller import Caller
from protocol.cards import PAGE, Cards, Wanted
from protocol.commands import Applied, CommandDraft
from protocol.context import LANGUAGE
from protocol.errors import Invalid, KeyReused, NotFound, ProtocolError, Refused, Stale, TooMany, Unavailable
from protocol.hub import Watched
from protocol.naming import issue_named
from protocol.pending import Queued
from protocol.reader import VisibleIssue
from texts.catalogue import say

router: Final = router_of()

_WORKERS: Final = frozenset({"property", "community", "street", "department", "volunteer"})
_COMMAND_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUIET: Final = frozenset(
    {
        "attached", "commented", "urged", "followed", "unfollowed", "code_renewed", "refused", "warned", "overdue", "reminded",
        "calendar_published",
    }
)  # fmt: skip
"""Events that change nothing for whoever is about to give a command: his own photo must not make his form out of date."""


async def _worker(who: Signed) -> Member:
    """Somebody who works on issues. Raises NotFound for everybody else."""
    if who.role not in _WORKERS:
        raise NotFound
    return who


Worker = Annotated[Member, Depends(_worker)]


async def _job(issue: str, who: Worker, use: Use) -> VisibleIssue:
    """The issue that the path names, by its id or its number, as this person sees it."""
    return await use.reader.readable(who.caller, await issue_named(use.model, use.reader, who.caller, issue))


Job = Annotated[VisibleIssue, Depends(_job)]


# The list


async def _wanted(light: str = "", category: str = "", start: str = "") -> Wanted:
    """What the list is narrowed to; what is no light, category or number narrows nothing."""
    return Wanted(
        cast("Light", light) if light in get_args(Light) else None,
        category if category in CATEGORIES else None, int(start) if re.fullmatch("[0-9]{1,4}", start) else 0,
    )  # fmt: skip


Narrowed = Annotated[Wanted, Depends(_wanted)]


@router.get("/work")
async def worklist(who: Worker, use: Use, wanted: Narrowed) -> Response:
    """The open issues of this person's organisation: his own first, then red, yellow, green, by the time left."""
    at = await use.hub.stamp(Watched("org", who.caller.staff.org or ""))
    return page("work.html", who=who, categories=CATEGORIES, at=at or "", **await _list(who.caller, use, wanted))


@router.get("/work/live", response_class=EventSourceResponse)
async def live_list(who: Worker, use: Use, wanted: Narrowed, request: Request) -> AsyncIterator[ServerSentEvent]:
    """The list itself as HTML, whenever one of its issues changes."""

    async def html(caller: Caller) -> str:
        return fragment("cards.html", await _list(caller, use, wanted))

    async with aclosing(_stream(use, Watched("org", who.caller.staff.org or ""), html, request)) as found:
        async for event in found:
            yield event


async def _list(caller: Caller, use: Services, wanted: Wanted) -> dict[str, Any]:
    viewer, now = caller.staff, use.now()
    found = await Cards(use.model, use.keys.vault, use.directory, use.now).worklist(viewer, viewer.org or "", wanted)
    narrowed = {"light": wanted.light or "", "category": wanted.category or ""}
    return {
        "cards": card_views(found.cards, await use.directory.get(), now, LANGUAGE.get()), "lights": found.lights,
        "total": found.total, "plus": "" if found.is_whole else "+", "wanted": narrowed, "now_ms": int(now.timestamp() * 1000),
        "start": wanted.start, "next": wanted.start + PAGE, "query": "&".join(f"{k}={v}" for k, v in narrowed.items()),
    }  # fmt: skip


def _stream(use: Services, what: Watched, html: Any, request: Request) -> Any:
    """The events of a stream: what is newer than what the page shows (`at`), or than what came last."""
    last = request.headers.get("last-event-id") or request.query_params.get("at")
    return events(use, what, lambda: use.authenticator.again(request), html, last, is_named=False)


# One job


@router.get("/work/{issue}")
async def job(seen: Job, who: Worker, use: Use, given: str = "") -> Response:
    """One job; after a command (`given`) also what became of it."""
    outcome, why = await _outcome(given, who, use)
    return await _shown(seen, who, use, 200, outcome=outcome, alert=why)


@router.get("/work/{issue}/live", response_class=EventSourceResponse)
async def live_job(seen: Job, who: Worker, use: Use, request: Request) -> AsyncIterator[ServerSentEvent]:
    """The part of the job's page that changes, as HTML, whenever it does."""

    async def html(caller: Caller) -> str:
        now = await use.reader.readable(caller, seen.issue.id)
        return fragment("job.html", await job_of(now, use, who))

    async with aclosing(_stream(use, Watched("issue", seen.issue.id), html, request)) as found:
        async for event in found:
            yield event


@router.post("/work/{issue}/phone")
async def reveal(seen: Job, who: Worker, use: Use) -> Response:
    """The job with the phone number shown whole: logged and limited as by the API. It is not kept: the next look masks it."""
    return await _shown(seen, who, use, 200, outcome="", alert="", reveals=True)


@router.get("/work/{issue}/{command}")
async def ask(command: str, seen: Job, who: Worker, use: Use) -> Response:
    """The form of a command, if it is possible now; else the job."""
    if command not in OF_STAFF:
        raise NotFound
    return await _form(command, seen, who, use, 200)


@router.post("/work/{issue}/{command}")
async def act(command: str, seen: Job, who: Worker, use: Use, request: Request) -> Response:
    """Gives a command. A refusal is a page too, with the reason, what was written, and what can be done now."""
    if command not in OF_STAFF:
        raise NotFound
    form = await fields_of(request)
    try:
        await use.access.may_write(who.caller, f"command.{command}", seen.issue.id)
        done_ = await _give(command, form, seen, who, use)
    except (Refused, Invalid, KeyReused, TooMany, Unavailable) as error:
        if by_script(request):
            fresh = await use.reader.readable(who.caller, seen.issue.id)
            return _told_script(error, f"/work/{seen.issue.id}/{command}", fresh.issue.version)
        return await _refused(command, form, error, seen, who, use)
    queued = isinstance(done_, Queued)
    return done(request, f"/work/{seen.issue.id}?given={done_.command_id}", queued=queued)


async def _give(
    command: str, form: Mapping[str, str], seen: VisibleIssue, who: Member, use: Services
) -> Applied | Queued:
    shape, issue, plain = COMMANDS[command], seen.issue.id, plain_of(command, form)
    if "into" in plain:
        plain["into"] = await _number(plain["into"], who, use)
    try:
        body = shape.read(shape.model.model_validate(plain))
    except ValidationError as error:
        raise Invalid(*faults([{**each, "loc": ("body", *each["loc"])} for each in error.errors()])) from None
    key, version = command_key(form.get("key"), who.caller), await _expected(form.get("version", ""), seen, use)
    return await given(use, who.caller, issue, shape, lambda: CommandDraft(body, key, version))


async def _number(name: str, who: Member, use: Services) -> str:
    """The id of the issue that somebody names by its number; the name itself if there is none, which the rules refuse."""
    try:
        return await issue_named(use.model, use.reader, who.caller, name)
    except NotFound:
        return name


async def _expected(sent: str, seen: VisibleIssue, use: Services) -> int | None:
    """The version that the issue must still have: that of the page, unless all that has happened since is quiet."""
    if not sent.isascii() or not sent.isdigit() or len(sent) > 9:
        return None
    if int(sent) >= seen.issue.version:
        return int(sent)
    since = (await use.reader.timeline(seen)).events[int(sent) :]
    return seen.issue.version if all(event.kind in _QUIET for event in since) else int(sent)


async def _outcome(command: str, who: Member, use: Services) -> tuple[str, str]:
    """What became of a command: a key of a text that says so, or why it was refused. Nothing for what is no command."""
    if not _COMMAND_ID.fullmatch(command):
        return "", ""
    try:
        found = await use.commands.receipt(who.caller, command)
    except ProtocolError:
        return "", ""
    if isinstance(found, Queued):
        return say("pages", "work-given-queued", LANGUAGE.get()), ""
    receipt = found.issue.receipts[command]
    if receipt.outcome == "refused":
        return "", _reason(Refused(receipt.code, receipt.params))
    return say("pages", "work-given-applied", LANGUAGE.get()), ""


def _told_script(error: ProtocolError, to: str, version: int) -> Response:
    """The API's problem, with where the form is as it has to be now, and the version that it has to name."""
    problem, language = problem_of(error), LANGUAGE.get()
    body = {**problem.body(error, language), "to": to, "version": version}
    if isinstance(error, Refused):
        body["reason"] = _reason(error)
    return JSONResponse(
        body, problem.status, dict(problem.headers(error)),
        media_type="application/problem+json",
    )  # fmt: skip


async def _refused(
    command: str, form: Mapping[str, str], error: ProtocolError, seen: VisibleIssue, who: Member, use: Services
) -> Response:
    """The page that says why: at the form, with what was written, if the command is still possible, else at the job."""
    language, problem = LANGUAGE.get(), problem_of(error)
    wrong: dict[str, str] = {}
    if isinstance(error, Invalid):
        wrong = {each["field"]: _fault(each) for each in error.errors(language)}
    alert = "" if wrong else _reason(error) or problem.titled(language)
    fresh = await use.reader.readable(who.caller, seen.issue.id)
    keeps = isinstance(error, TooMany | Unavailable)  # the same may be sent again, and counts once
    key = form.get("key") if keeps else None
    return with_headers_of(
        error, await _form(command, fresh, who, use, problem.status, form, wrong, alert, key)
    )  # fmt: skip


def _reason(error: ProtocolError) -> str:
    """Why a command was not taken, in words for people: numbers of versions and names of fields are for programs."""
    language = LANGUAGE.get()
    if isinstance(error, Stale):
        return say("pages", "work-changed-meanwhile", language)
    if error.code == "picture-missing":
        return say("pages", "work-picture-missing", language)
    return error.told(language)


def _fault(each: Mapping[str, Any]) -> str:
    return say("pages", "work-fault-moment", LANGUAGE.get()) if each["code"] == "no-time" else each["reason"]


async def _form(
    command: str, seen: VisibleIssue, who: Member, use: Services, status: int, sent: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None, alert: str = "", key: str | None = None,
) -> Response:  # fmt: skip
    if not possible(seen, (command,), use.now()):
        alert = alert or say("pages", "work-not-possible", LANGUAGE.get())
        return await _shown(seen, who, use, status if status != 200 else 409, outcome="", alert=alert)
    values = await job_of(seen, use, who)
    if key is not None:
        values["key"] = lambda: key
    form = await opened_form(command, seen, use, sent, wrong)
    return page("act.html", status, who=who, form=form, alert=alert, **values)


async def _shown(
    seen: VisibleIssue, who: Member, use: Services, status: int, *, outcome: str, alert: str, reveals: bool = False
) -> Response:
    values = await job_of(seen, use, who, reveals=reveals)
    at = await use.hub.stamp(Watched("issue", seen.issue.id)) or ""
    # What happened while the page was made is told by the stream.
    at = at if at.endswith(f".{seen.issue.version}") else ""
    return page("work_job.html", status, who=who, outcome=outcome, alert=alert, at=at, **values)
