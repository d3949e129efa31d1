"""Issues and their timelines as CSV and .xlsx for officers: what lists show, and nothing personal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import IO, Any, Final, Literal, get_args

from db import queries
from db.queries import Filters
from db.tables import IssueRow
from domain.access import Sight
from domain.cells import Sheet
from domain.commands import Actor
from domain.directory import Works
from domain.vocabulary import Holder
from domain.wire import parse_time
from domain.worktime import SHANGHAI
from protocol.errors import Invalid, Unavailable
from protocol.masking import mask_person
from protocol.read_model import ReadModel, SqlDown
from protocol.workbook import Book, FullError, Value
from texts.catalogue import Wrong
from texts.vocabulary import CHINESE

Of = Literal["issues", "timelines"]
"""What a file has a line for: each issue, or each event of each issue."""
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST: Final = 10_000
"""How many issues one file holds: more are refused, never left out in silence."""
_PAGE: Final = 200
_PIECE: Final = 1 << 16
_ZONE: Final = f"({SHANGHAI.key})"
_WRITTEN: Final = "%Y-%m-%d %H:%M:%S"
_NOTHING: Final = Sight(text=False, phone=False)
_HOLDERS: Final[tuple[Holder, ...]] = get_args(Holder)


async def csv_of(
    model: ReadModel, wanted: Filters, viewer: Actor, works: Works, of: Of = "issues", *, most: int = MOST,
    page: int = _PAGE,
) -> str:  # fmt: skip
    """The issues that the viewer may see as CSV, the newest first. Raises Unavailable, and Invalid for more than `most`."""
    sheet = Sheet()
    sheet.add(_header(of))
    async for lines in _pages(model, wanted, viewer, works, of, most, page):
        for line in lines:
            sheet.add(each.strftime(_WRITTEN) if isinstance(each, datetime) else each for each in line)
    return sheet.text


async def xlsx_of(
    model: ReadModel, wanted: Filters, viewer: Actor, works: Works, of: Of = "issues", *, most: int = MOST,
    page: int = _PAGE,
) -> IO[bytes]:  # fmt: skip
    """The same as an .xlsx file of one sheet, to be read and closed: times are times, texts are texts.

    Raises Unavailable, and Invalid for more than `most` issues or more lines than a sheet has.
    """
    try:
        book = await asyncio.to_thread(Book, of, _header(of))
        try:
            async for lines in _pages(model, wanted, viewer, works, of, most, page):
                await asyncio.to_thread(book.add, lines)  # it takes long enough to hold others up
            return await asyncio.to_thread(book.finished)
        finally:
            await asyncio.to_thread(book.close)
    except FullError as error:
        raise Invalid(("from", error)) from None
    except OSError:
        raise Unavailable("file-away") from None


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a file, a piece at a time; closes it."""
    with file:
        while piece := file.read(_PIECE):
            yield piece


async def _pages(
    model: ReadModel, wanted: Filters, viewer: Actor, works: Works, of: Of, most: int, page: int
) -> AsyncIterator[list[list[Value]]]:
    """The lines of a file, as many issues at a time as a page has."""
    cursor, count = None, 0
    while True:
        try:
            async with model.read() as session:  # one page each: a read has little time
                found = await queries.list_issues(
                    session, wanted, viewer=viewer, works=works, cursor=cursor, limit=page
                )
                told = await queries.timelines(session, [row.id for row in found.items]) if of == "timelines" else {}
        except SqlDown:
            raise Unavailable("lists-away") from None
        count, cursor = count + len(found.items), found.next_cursor
        if count > most:
            raise Invalid(("from", Wrong("sheet-large", most=most)))
        if of == "issues":
            yield [[read(row) for read in _ISSUE.values()] for row in found.items]
        else:
            yield [list(_of_event(row, event)) for row in found.items for event in told.get(row.id, ())]
        if cursor is None:
            return


def _header(of: Of) -> list[str]:
    """The names of the columns; that of a column of times names their zone."""
    return list(_ISSUE if of == "issues" else _EVENT)


def _worded(word: str | None) -> str:
    """A word of the vocabulary with its label before it."""
    return f"{CHINESE[word]} {word}" if word in CHINESE else word or ""


def _time(moment: datetime | str | None) -> Value:
    """The time in China to the second, without its zone, of which spreadsheets know nothing."""
    found = parse_time(moment) if isinstance(moment, str) else moment
    return "" if found is None else found.astimezone(SHANGHAI).replace(microsecond=0, tzinfo=None)


def _truth(value: bool) -> str:
    return "是 yes" if value else "否 no"


_ISSUE: Final[Mapping[str, Callable[[IssueRow], Value]]] = MappingProxyType(
    {
        "编号 number": lambda row: row.number,
        f"上报时间 opened_at {_ZONE}": lambda row: _time(row.opened_at),
        "街道 street": lambda row: row.street,
        "社区 community": lambda row: row.community,
        "小区 compound": lambda row: row.compound,
        "类别 category": lambda row: _worded(row.category),
        "紧急 urgent": lambda row: _truth(row.urgent),
        "状态 status": lambda row: _worded(row.status),
        "层级 level": lambda row: _worded(row.level),
        "牵头单位 lead": lambda row: row.lead_org,
        "办理单位 handler": lambda row: row.handler,
        "研判 assessment": lambda row: row.assessment or "",
        "下一步 next": lambda row: _worded(row.next_milestone),
        "责任单位 next_org": lambda row: row.next_org or "",
        f"期限 due {_ZONE}": lambda row: _time(row.due),
        "超期 overdue": lambda row: _truth(row.overdue),
        f"结案时间 closed_at {_ZONE}": lambda row: _time(row.closed_at),
        "结案方式 closed": lambda row: row.closed_kind or "",
        "满意度 satisfaction": lambda row: row.satisfaction or "",
        "并入 merged_into": lambda row: row.merged_into or "",
        "政策 policy": lambda row: f"{row.policy_id}/{row.policy_version}",
        "内部号 id": lambda row: row.id,
    }
)
"""The columns of a file of issues."""
_EVENT: Final = (
    "编号 number", "序号 seq", f"时间 at {_ZONE}", "事件 kind", "人员 person", "角色 role", "单位 org", "层级 level", "条款 clause",
    f"原期限 was_due {_ZONE}", f"下一期限 due {_ZONE}", *(f"{holder}_minutes" for holder in _HOLDERS), "内部号 id",
)  # fmt: skip
"""The columns of a file of timelines. Minutes are those for which a holder had held the issue since the event before."""


def _of_event(row: IssueRow, event: Mapping[str, Any]) -> Iterator[Value]:
    """The cells of a plain event: its head, never what somebody wrote."""
    actor: Mapping[str, Any] = event.get("actor") or {}
    role = actor.get("role") or ""
    yield from (row.number, event["seq"], _time(event["at"]), event["kind"])
    yield mask_person(actor["person"], role, _NOTHING) if actor else ""
    yield from (_worded(role), actor.get("org") or "", _worded(event["level"]), event.get("clause") or "")
    yield from (_time(event.get("was_due")), _time(event.get("due")))
    for holder in _HOLDERS:
        ms = sum(part["ms"] for part in event.get("held", ()) if part["holder"] == holder)
        yield round(ms / 60_000, 2) if ms else ""
    yield row.id
