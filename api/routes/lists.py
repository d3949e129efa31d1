"""The routes of lists, page by page: issues, worklists and the access log.

Each list holds only what the caller may see.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from fastapi import Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from api.container import Services
from api.dependencies import Known, Use, anybody, router_of
from api.http.openapi import ANYBODY, STAFF, answers
from api.http.requests import Fit, timed
from api.http.responses import ISSUE_ID, Answer, IssueView, Moment, NextView, Page
from db import access_log, queries
from db.queries import CursorError, Filters
from db.rows import nested
from domain.access import reads_access_log
from domain.vocabulary import Category, Level, Status
from protocol import sheets
from protocol.candidates import candidates as find_candidates
from protocol.clock import today
from protocol.errors import Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from protocol.read_model import SqlDown
from protocol.text_rules import FIT, unfit
from texts.catalogue import Wrong

router: Final = router_of("lists")

_LONGEST: Final = 200
_PROBLEMS: Final = (Unauthenticated, Invalid, TooMany, Unavailable)
_PAGE: Final = {"items": [IssueView.example], "next_cursor": None}
Word = Annotated[str | None, Query(max_length=_LONGEST, json_schema_extra={"pattern": FIT})]
FitWord = Annotated[
    Annotated[str, StringConstraints(max_length=_LONGEST), Fit] | None, Query(json_schema_extra={"pattern": FIT})
]
"""An optional query parameter that goes into a query of the database.

Text that `unfit` refuses (NUL, lone surrogates, bidirectional controls) is answered as invalid.
"""
Limit = Annotated[int, Query(ge=1, le=200)]


Since = Annotated[datetime | None, BeforeValidator(timed), Query(alias="from")]
Until = Annotated[datetime | None, BeforeValidator(timed), Query()]


async def filters(
    level: Level | None = None, status: Status | None = None, org: FitWord = None, compound: FitWord = None,
    category: Category | None = None, overdue: bool | None = None, q: FitWord = None, since: Since = None,
    until: Until = None,
) -> Filters:  # fmt: skip
    """The filters of a list of issues, from the query parameters."""
    return Filters(level, status, org, compound, category, overdue, q, since, until)


@router.get(
    "/issues", operation_id="issues", openapi_extra=STAFF,
    responses=answers(200, _PAGE, "A page", *_PROBLEMS),
)  # fmt: skip
async def listed(
    who: Known, use: Use, wanted: Annotated[Filters, Depends(filters)], cursor: Word = None, limit: Limit = queries.PAGE
) -> Page[IssueView]:
    """Issues that the caller may see, newest first.

    `q` is the beginning of an issue's number, or any part of its place or text. Callers who may not read what people wrote
    can search by number only. A page of a search may be short, even empty, while `next_cursor` says that there are more.
    `from` and `until` bound the time of the report; they need a zone.
    """
    viewer = who.staff
    works = await use.directory.works(viewer, today(use.now()))
    async with _reading(use) as session:
        return _page(await queries.list_issues(session, wanted, viewer=viewer, works=works, cursor=cursor, limit=limit))


@router.get(
    "/issues.csv", operation_id="issues_csv", openapi_extra=STAFF,
    responses=answers(200, None, "A file", *_PROBLEMS, files={"text/csv": {"schema": {"type": "string"}}}),
)  # fmt: skip
async def sheet(
    who: Known, use: Use, wanted: Annotated[Filters, Depends(filters)], of: sheets.Of = "issues"
) -> Response:
    """The same issues as one CSV file for spreadsheets, or with `of=timelines` their events; without personal data.

    UTF-8 with a byte order mark; times are China's. More than 10,000 issues are refused: narrow them down by `from` and
    `until`. How many files one may take is limited, and the access log says who took one.
    """
    viewer = who.staff
    works = await use.directory.works(viewer, today(use.now()))
    await use.access.sheet(viewer, f"{of}.csv")
    text = await sheets.csv_of(use.model, wanted, viewer, works, of)
    headers = {"Content-Disposition": f'attachment; filename="{of}.csv"'}
    return Response(text, media_type="text/csv", headers=headers)


@router.get(
    "/issues.xlsx", operation_id="issues_xlsx", openapi_extra=STAFF,
    responses=answers(
        200, None, "A file", *_PROBLEMS, files={sheets.XLSX: {"schema": {"type": "string", "format": "binary"}}}
    ),
)  # fmt: skip
async def workbook(
    who: Known, use: Use, wanted: Annotated[Filters, Depends(filters)], of: sheets.Of = "issues"
) -> StreamingResponse:
    """The same as `/v1/issues.csv`, as an .xlsx file: times are times, in China, and texts are texts."""
    viewer = who.staff
    works = await use.directory.works(viewer, today(use.now()))
    file = await sheets.xlsx_of(use.model, wanted, viewer, works, of)
    headers = {"Content-Disposition": f'attachment; filename="{of}.xlsx"'}
    return StreamingResponse(sheets.chunks(file), media_type=sheets.XLSX, headers=headers)


async def worklist_org(who: Known, use: Use, org: Word = None) -> str:
    """The organisation whose worklist is read: the one named, or the caller's.

    Raises NotFound unless it is the caller's organisation or one below it.
    """
    viewer = who.staff
    wanted = org or viewer.org
    if wanted is None or unfit(wanted):
        raise NotFound
    if not (await use.directory.get()).oversees(viewer, wanted, today(use.now())):
        raise NotFound
    return wanted


WorklistOrg = Annotated[str, Depends(worklist_org)]


@router.get(
    "/worklist", operation_id="worklist", openapi_extra=STAFF,
    responses=answers(200, _PAGE, "A page", *_PROBLEMS, NotFound),
)  # fmt: skip
async def worklist(
    who: Known, use: Use, org: WorklistOrg, cursor: Word = None, limit: Limit = queries.PAGE
) -> Page[IssueView]:
    """Open issues that an organisation leads or handles, least time left first.

    `org` is the caller's organisation (the default) or one below it.
    """
    viewer = who.staff
    works = await use.directory.works(viewer, today(use.now()))
    async with _reading(use) as session:
        return _page(await queries.worklist(session, org, viewer=viewer, works=works, cursor=cursor, limit=limit))


class CandidateView(Answer):
    """An open issue of neighbours: nobody's words, pictures or name."""

    id: str
    category: Category
    building: str
    opened_at: Moment
    next: NextView | None

    example: ClassVar[Any] = {
        "id": ISSUE_ID, "category": "facility", "building": "3", "opened_at": "2026-11-21T08:00:00.000Z", "next": NextView.example,
    }  # fmt: skip


@router.get(
    "/candidates", operation_id="candidates", openapi_extra=ANYBODY,
    responses=answers(200, [CandidateView.example], "The issues", *_PROBLEMS), dependencies=[Depends(anybody)],
)  # fmt: skip
async def candidates(use: Use, compound: FitWord, category: Category, building: FitWord = None) -> list[CandidateView]:
    """Open issues of the last 30 days that may be the same one: same compound, category and building. `follow` joins one."""
    rows = await find_candidates(use.model, compound or "", category, building or "", use.now())
    return [CandidateView.of(row, next=nested(row)["next"]) for row in rows]


class AccessView(Answer):
    """A line of the access log: who saw or tried what."""

    at: Moment
    person: str
    role: str
    org: str | None
    what: str
    issue: str | None
    result: access_log.Result
    address: str | None

    example: ClassVar[Any] = {
        "at": "2026-11-21T08:04:00.000Z", "person": "p1", "role": "property", "org": "demo-property", "what": "phone",
        "issue": ISSUE_ID, "result": "shown", "address": "9f86d081884c7d65",
    }  # fmt: skip


@router.get(
    "/access", operation_id="access", openapi_extra=STAFF,
    responses=answers(
        200, {"items": [AccessView.example], "next_cursor": None}, "A page", *_PROBLEMS, NotFound
    ),
)  # fmt: skip
async def access(
    who: Known, use: Use, issue: Annotated[str | None, Query(pattern="^[0-9a-z-]{1,64}$")] = None, person: FitWord = None,
    since: Since = None, until: Until = None, cursor: Word = None, limit: Limit = access_log.PAGE,
) -> Page[AccessView]:  # fmt: skip
    """The access log of the caller's street, newest first: who saw or tried what. For auditors and administrators only.

    Times in `from` and `until` need a zone. The `result` of a line is shown, masked, forbidden or not-found; an
    operator's export or erasure has two lines, asked and done.
    """
    viewer = who.staff
    if not reads_access_log(viewer.role) or viewer.org is None:
        raise NotFound
    wanted = access_log.LineFilter(viewer.org, issue, person, since, until)
    async with _reading(use) as session:
        page = await access_log.listed(session, wanted, cursor=cursor, limit=limit)
    return Page[AccessView](items=[AccessView.of(row) for row in page.items], next_cursor=page.next_cursor)


@asynccontextmanager
async def _reading(use: Services) -> AsyncGenerator[AsyncSession]:
    """A database session of the read model.

    Errors inside it become Invalid, for a cursor that no list has given out, or Unavailable, while the database is
    down.
    """
    try:
        async with use.model.read() as session:
            yield session
    except CursorError:
        raise Invalid(("cursor", Wrong("cursor-unknown"))) from None
    except SqlDown:
        raise Unavailable("lists-away") from None


def _page(page: queries.Page) -> Page[IssueView]:
    return Page[IssueView](items=[IssueView.from_row(row) for row in page.items], next_cursor=page.next_cursor)
