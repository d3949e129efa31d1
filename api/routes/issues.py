"""Issues: handing one in, and reading how it stands, what comes next and what happened."""

import re
from typing import Annotated, Any, Final

from fastapi import Body, Depends, FastAPI
from fastapi.responses import JSONResponse, Response

from api.container import Services, anybody, no_guesser, services
from api.http import examples, views
from api.http.answers import IssueView, NextView, TakenView, TimelineView
from api.http.headers import KeyHeader, NoneMatchHeader, uuid_key
from api.http.openapi import ANYBODY, KNOWN, answers, sent
from api.http.problems import KeyMissing, TooLarge
from api.http.requests import ReportBody
from protocol.caller import Caller
from protocol.errors import Forbidden, Invalid, KeyReused, NotFound, TooMany, Unauthenticated, Unavailable

_ID: Final = re.compile(r"[0-9a-z-]{1,64}")
_READING: Final = (Unauthenticated, NotFound, Invalid, TooMany, Unavailable)


def issue_id(issue: str) -> str:
    """The id in the path; what cannot be one is not looked for."""
    if not _ID.fullmatch(issue):
        raise NotFound
    return issue


IssueId = Annotated[str, Depends(issue_id)]
Known = Annotated[Caller, Depends(no_guesser)]
Anybody = Annotated[Caller, Depends(anybody)]
Use = Annotated[Services, Depends(services)]
_Report = Annotated[ReportBody, Body(openapi_examples={"leak": {"value": examples.REPORT}})]


async def report(body: _Report, who: Anybody, use: Use, key: KeyHeader = None) -> Response:
    """Hand in an issue. Anybody may; the same `Idempotency-Key` gives the same issue and tracking code for ever.

    The tracking code is the resident's way back in: keep it. `follows` names a closed issue of the same compound that
    has come back; its reporter proves himself by token or by `X-Tracking-Code`.
    """
    await use.access.may_report(who)
    taken = await use.intake.take(who, body.draft, uuid_key(key))
    view = {**views.issue_view(taken.issue), "tracking_code": taken.tracking_code}
    headers = {"Location": f"/v1/issues/{taken.issue.id}", "ETag": views.etag(taken.issue.version)}
    return JSONResponse(view, 201, headers)


async def read(issue: IssueId, who: Known, use: Use, known: NoneMatchHeader = None) -> Response:
    """How the issue stands. The ETag is its version."""
    seen = await use.reader.readable(who, issue)
    headers = {"ETag": views.etag(seen.issue.version), "Cache-Control": "private, no-cache"}
    if known is not None and headers["ETag"] in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
        return Response(status_code=304, headers=headers)
    return JSONResponse(views.issue_view(seen.issue), headers=headers)


async def following(issue: IssueId, who: Known, use: Use) -> Response:
    """Who must do what next, and by when; null when nothing is due."""
    seen = await use.reader.readable(who, issue)
    return JSONResponse(views.next_view(seen.issue), headers={"ETag": views.etag(seen.issue.version)})


async def timeline(issue: IssueId, who: Known, use: Use) -> Response:
    """Everything that happened, who did it in which role, under which clause, and whose minutes they were.

    Personal data is masked for those who may not see it. What staff see of a phone number is on record and limited: beyond
    that it is masked, and the header `Jiesu-Masked` says why.
    """
    seen = await use.reader.readable(who, issue)
    events = await use.reader.timeline(seen.issue)
    glance = await use.access.sight(seen, events)
    looks, headers = glance.sight, {"ETag": views.etag(events[-1].seq)}
    if glance.masked is not None:
        headers["Jiesu-Masked"] = glance.masked
    view = views.timeline_view(await use.reader.opened(seen.issue.id, events) if looks.text else events, looks)
    return JSONResponse(view, headers=headers)


def register(app: FastAPI) -> None:
    """Adds the routes."""
    taking = answers(
        201, examples.TAKEN, "Taken in", KeyMissing, Unauthenticated, Forbidden, TooLarge, Invalid, KeyReused,
        TooMany, Unavailable, model=TakenView, headers=("Location", "ETag"),
    )  # fmt: skip
    app.post(
        "/v1/issues", status_code=201, responses=taking, tags=["issues"], operation_id="report", openapi_extra=ANYBODY
    )(report)
    options: dict[str, Any] = {"tags": ["issues"], "openapi_extra": KNOWN}
    shown = answers(200, examples.ISSUE, "The issue", *_READING, model=IssueView, headers=("ETag",))
    shown[304] = {"description": "It is as `If-None-Match` says", "headers": sent("ETag")}
    app.get("/v1/issues/{issue}", responses=shown, operation_id="issue", **options)(read)
    shown = answers(200, examples.NEXT, "The next step", *_READING, model=NextView | None, headers=("ETag",))
    app.get("/v1/issues/{issue}/next", responses=shown, operation_id="next", **options)(following)
    shown = answers(200, examples.TIMELINE, "The events", *_READING, model=TimelineView, headers=("ETag",))
    app.get("/v1/issues/{issue}/timeline", responses=shown, operation_id="timeline", **options)(timeline)
