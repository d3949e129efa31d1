"""Lists and worklists, page by page, of what the caller's organisation may see and nothing else; who saw what, too."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator

from api.container import Services
from api.http import examples, views
from api.http.answers import AccessView, IssueView
from api.http.answers import Page as PageView
from api.http.bodies import FIT, unfit
from api.http.openapi import STAFF, answers
from api.routes.issues import Known, Use
from db import access_log, queries
from db.queries import CursorError, Filters, Page
from domain.access import reads_access_log
from domain.commands import Actor
from domain.vocabulary import Category, Level, Status
from domain.wire import WireError, format_time, parse_time
from protocol.clock import today
from protocol.errors import Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from protocol.read_model import SqlDown

_LONGEST: int = 200
Word = Annotated[str | None, Query(max_length=_LONGEST, json_schema_extra={"pattern": FIT})]
Limit = Annotated[int, Query(ge=1, le=200)]


def _time(text: Any) -> datetime:
    """No number, which would be taken for seconds since 1970, and no day without a zone."""
    try:
        return parse_time(text)
    except WireError:
        raise ValueError("a time with its zone is expected, e.g. 2027-01-01T00:00:00Z") from None


Moment = Annotated[datetime | None, BeforeValidator(_time), Query(alias="from")]
Until = Annotated[datetime | None, BeforeValidator(_time), Query()]


def filters(
    *,
    level: Level | None = None,
    status: Status | None = None,
    org: Word = None,
    compound: Word = None,
    category: Category | None = None,
    overdue: bool | None = None,
    q: Word = None,
) -> Filters:
    """What the list is narrowed down to. Raises Invalid for text that no database could hold."""
    for name, value in (("org", org), ("compound", compound), ("q", q)):
        if value is not None and (reason := unfit(value)):
            raise Invalid((name, reason))
    return Filters(level, status, org, compound, category, overdue, q)


async def listed(
    who: Known, use: Use, wanted: Annotated[Filters, Depends(filters)], cursor: Word = None, limit: Limit = queries.PAGE
) -> Response:
    """Issues that the caller may see, newest first.

    `q` is the beginning of a number, or words; for those who may not read what people wrote, a number only.
    """
    viewer = who.staff
    try:
        async with use.model.read() as session:
            page = await queries.list_issues(session, wanted, viewer=viewer, cursor=cursor, limit=limit)
    except (SqlDown, CursorError) as error:
        raise _problem(error) from None
    return JSONResponse(_view(page))


async def worklist(
    who: Known, use: Use, org: Word = None, cursor: Word = None, limit: Limit = queries.PAGE
) -> Response:
    """Open issues that the organisation leads or handles, least time left first: its own, or one below the caller's."""
    viewer = who.staff
    wanted = await _org(use, viewer, org)
    try:
        async with use.model.read() as session:
            page = await queries.worklist(session, wanted, viewer=viewer, cursor=cursor, limit=limit)
    except (SqlDown, CursorError) as error:
        raise _problem(error) from None
    return JSONResponse(_view(page))


async def _org(use: Services, viewer: Actor, org: str | None) -> str:
    """Whose worklist it is; NotFound for an organisation outside the caller's subtree."""
    wanted = org or viewer.org
    if wanted is None or unfit(wanted):
        raise NotFound
    if not (await use.directory.get()).oversees(viewer, wanted, today(use.now())):
        raise NotFound
    return wanted


async def access(
    who: Known, use: Use, issue: Annotated[str | None, Query(pattern="^[0-9a-z-]{1,64}$")] = None, person: Word = None,
    since: Moment = None, until: Until = None, cursor: Word = None, limit: Limit = access_log.PAGE,
) -> Response:  # fmt: skip
    """Who saw or tried what in the street of this auditor or administrator, the newest first.

    Times need a zone. `result` is shown, masked, forbidden or not-found.
    """
    viewer = who.staff
    if not reads_access_log(viewer.role) or viewer.org is None:
        raise NotFound
    if person is not None and (reason := unfit(person)):
        raise Invalid(("person", reason))
    wanted = access_log.Wanted(viewer.org, issue, person, since, until)
    try:
        async with use.model.read() as session:
            page = await access_log.listed(session, wanted, cursor=cursor, limit=limit)
    except (SqlDown, CursorError) as error:
        raise _problem(error) from None
    items = [
        {
            "at": format_time(row.at), "person": row.person, "role": row.role, "org": row.org, "what": row.what,
            "issue": row.issue, "result": row.result, "address": row.address,
        }
        for row in page.items
    ]  # fmt: skip
    return JSONResponse({"items": items, "next_cursor": page.next_cursor})


def _problem(error: Exception) -> Exception:
    return (
        Invalid(("cursor", "no list has given it out"))
        if isinstance(error, CursorError)
        else Unavailable("lists cannot be read at the moment")
    )


def _view(page: Page) -> dict[str, Any]:
    return {"items": [views.row_view(row) for row in page.items], "next_cursor": page.next_cursor}


def register(app: FastAPI) -> None:
    """Adds the routes."""
    options: dict[str, Any] = {"tags": ["lists"], "openapi_extra": STAFF}
    problems = (Unauthenticated, Invalid, TooMany, Unavailable)
    shown = answers(200, examples.PAGE, "A page", *problems, model=PageView[IssueView])
    app.get("/v1/issues", responses=shown, operation_id="issues", **options)(listed)
    shown = answers(200, examples.PAGE, "A page", *problems, NotFound, model=PageView[IssueView])
    app.get("/v1/worklist", responses=shown, operation_id="worklist", **options)(worklist)
    shown = answers(200, examples.ACCESS, "A page", *problems, NotFound, model=PageView[AccessView])
    app.get("/v1/access", responses=shown, operation_id="access", **options)(access)
