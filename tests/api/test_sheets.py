"""The files of issues and timelines, CSV and .xlsx, hold what lists show the caller: no other issue, no word, no formula."""

import contextlib
import csv
import io
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from db.queries import Filters
from domain.cells import neutral
from domain.commands import Actor, Urge
from domain.directory import Works
from protocol.errors import Invalid, Unavailable
from protocol.read_model import ReadModel
from protocol.sheets import XLSX, Of, csv_of, xlsx_of
from protocol.workbook import Book, FullError
from support.stories import PLACE, START, STREET, Story, store
from support.system import System

NUMBER = "编号 number"
ID = "内部号 id"
Lines = list[dict[str, str]]


async def told(system: System, story: Story) -> Story:
    """The story from report to close, in SQL."""
    await store(system.database, story, [*story.reported(), *story.until_closed()])
    return story


async def lines(system: System, headers: Mapping[str, str], **query: str) -> Lines:
    answer = await system.client.get("/v1/issues.csv", headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{query.get("of", "issues")}.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf"), "Excel takes it for GBK"
    return read(answer.content.decode("utf-8-sig"))


def read(text: str) -> Lines:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_a_file_holds_the_issues_of_the_caller_as_a_spreadsheet_reads_them(system: System) -> None:
    here, there = await told(system, Story()), await told(system, Story(place=replace(PLACE, street="other-street")))
    found = {line[ID]: line for line in await lines(system, system.street)}
    assert here.id in found
    assert there.id not in found
    assert found[here.id] == {
        NUMBER: here.issue.number, "上报时间 opened_at (Asia/Shanghai)": "2026-03-02 09:00:00", "街道 street": "demo-street",
        "社区 community": "demo-community", "小区 compound": "demo", "类别 category": "漏水 leak", "紧急 urgent": "否 no",
        "状态 status": "已结案 closed", "层级 level": "物业 property", "牵头单位 lead": "demo-property",
        "办理单位 handler": "demo-property", "研判 assessment": "minor", "下一步 next": "", "责任单位 next_org": "",
        "期限 due (Asia/Shanghai)": "", "超期 overdue": "否 no", "结案时间 closed_at (Asia/Shanghai)": "2026-03-02 09:00:04", "结案方式 closed": "solved",
        "满意度 satisfaction": "satisfied", "并入 merged_into": "", "政策 policy": "demo/1", ID: here.id,
    }  # fmt: skip


async def test_a_file_of_timelines_has_a_line_for_each_event_and_no_word_of_anybody(system: System) -> None:
    story = Story(category="noise", description="半夜装修", location="7幢")
    story.reporter = Actor("resident-of-sheets", "resident")
    await told(system, story)
    found = [
        line for line in await lines(system, system.street, of="timelines", category="noise") if line[ID] == story.id
    ]
    assert [int(line["序号 seq"]) for line in found] == [event["seq"] for event in story.told]
    assert [line["事件 kind"] for line in found] == [event["kind"] for event in story.told]
    by = {line["事件 kind"]: (line["人员 person"], line["角色 role"], line["单位 org"]) for line in found}
    assert by["reported"] == ("***", "居民 resident", "")
    assert by["accepted"] == ("worker-1", "物业 property", "demo-property")
    minutes = sum(float(line["operator_minutes"] or 0) for line in found)
    ms = sum(part["ms"] for event in story.told for part in event.get("held", ()) if part["holder"] == "operator")
    assert minutes == pytest.approx(ms / 60_000, abs=0.01 * len(found))
    assert minutes > 0
    for secret in ("半夜", "7幢", "resident-of-sheets"):
        assert secret not in str(found)


async def test_a_file_is_narrowed_as_the_list_is(system: System) -> None:
    story = await told(system, Story(category="greening"))
    first, next_ = START, START + timedelta(milliseconds=1)
    for query, there in (
        ({"category": "greening"}, True), ({"category": "fees"}, False), ({"status": "closed"}, True),
        ({"status": "accepted"}, False), ({"q": story.issue.number}, True), ({"q": "JS-00000-00000"}, False),
        ({"from": first.isoformat()}, True), ({"from": next_.isoformat()}, False),
        ({"until": next_.isoformat()}, True), ({"until": first.isoformat()}, False),
    ):  # fmt: skip
        assert (story.id in {line[ID] for line in await lines(system, system.street, **query)}) is there, query
        page = await system.get("/v1/issues", system.street, limit=200, **query)
        assert (story.id in {item["id"] for item in page["items"]}) is there, query


async def test_no_cell_is_a_formula(system: System) -> None:
    story = await told(system, Story(place=replace(PLACE, compound="=1+1", street="street-of-formulas")))
    officer = Actor("officer-9", "street", "street-of-formulas")
    await store(system.database, story, story.give(Urge(), replace(story.reporter)))
    for of in ("issues", "timelines"):
        text = await csv_of(ReadModel(system.database), Filters(), officer, Works(), of)
        cells = [cell for line in read(text) for cell in line.values()]
        assert story.id in cells
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'=1+1" in await csv_of(ReadModel(system.database), Filters(), officer, Works())


async def test_pages_come_together_and_too_many_issues_are_refused_not_cut(system: System) -> None:
    street = replace(STREET, org="street-of-many")
    place = replace(PLACE, street="street-of-many")
    made = [await told(system, Story(place=place)) for _ in range(5)]
    model = ReadModel(system.database)
    for size in (1, 2, 5, 6):
        found = read(await csv_of(model, Filters(), street, Works(), page=size, most=5))
        assert sorted(line[ID] for line in found) == sorted(story.id for story in made)
    with pytest.raises(Invalid, match="more than 4 issues"):
        await csv_of(model, Filters(), street, Works(), most=4)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_files_are_for_tokens(system: System, form: str) -> None:
    assert (await system.get(f"/v1/issues.{form}")).status == 401
    assert (await system.get(f"/v1/issues.{form}", system.street, limit=5)).status == 422, "one file, no pages"


# .xlsx, by a reader that shares no code with the writer

CellValue = int | float | str | bool | date | time | datetime | timedelta
Table = list[list[CellValue]]


def cells(content: bytes) -> Table:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    (name,) = book.sheet_names
    return book.get_sheet_by_name(name).to_python(skip_empty_area=False)


def written(value: CellValue) -> str:
    """A cell as the CSV file has it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def unquoted(text: str) -> str:
    """A cell of the CSV file without the apostrophe that takes a formula's effect."""
    return text[1:] if text[:1] == "'" and neutral(text[1:]) == text else text


async def both(
    system: System, viewer: Actor, of: Of = "issues", wanted: Filters | None = None
) -> tuple[Table, list[list[str]]]:
    model, asked = ReadModel(system.database), wanted or Filters()
    text = await csv_of(model, asked, viewer, Works(), of)
    with await xlsx_of(model, asked, viewer, Works(), of, page=2) as file:
        return cells(file.read()), [*csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))]


@pytest.mark.parametrize("of", ["issues", "timelines"])
async def test_a_workbook_has_the_cells_of_the_csv_file(system: System, of: Of) -> None:
    """Texts that a spreadsheet would take for a formula, a link or a number among them."""
    street = f"street-of-workbooks-{of}"
    for compound in (*STRANGE, "demo"):
        await told(system, Story(place=replace(PLACE, compound=compound, street=street)))
    open_one = Story(place=replace(PLACE, street=street))
    await store(system.database, open_one, open_one.reported())
    found, told_by_csv = await both(system, Actor("officer-9", "street", street), of)
    assert [[written(value) for value in line] for line in found] == [list(map(unquoted, line)) for line in told_by_csv]
    assert len(found) > len(STRANGE) + 2

    head, *body = found
    for n, name in enumerate(head):
        kinds = {type(line[n]) for line in body} - ({str} if any(line[n] == "" for line in body) else set())
        is_number = str(name).endswith("minutes") or name == "序号 seq"
        wanted = datetime if str(name).endswith("(Asia/Shanghai)") else float if is_number else str
        assert kinds <= {wanted}, name
    if of == "issues":
        assert {line[head.index("小区 compound")] for line in body} == {*STRANGE, "demo"}


STRANGE = (
    "=1+1", "+1", "-1", "@SUM(A1)", "{=A1}", "http://evil.example/", "mailto:a@b", "internal:Sheet1!A1", "007", "1.38E+10", " 1", "2026-03-02",
    "TRUE", "<a&b>\"'", "_x0041_", "垃\u0001圾",
)  # fmt: skip


async def test_a_workbook_is_scoped_and_narrowed_as_the_list_is(system: System) -> None:
    story = await told(system, Story(category="greening"))
    there = await told(system, Story(category="greening", place=replace(PLACE, street="yet-another-street")))
    for query, is_in in (({"category": "greening"}, True), ({"category": "fees"}, False), ({"of": "timelines"}, True)):
        answer = await system.client.get("/v1/issues.xlsx", headers=system.street, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == XLSX
        name = f"{query.get('of', 'issues')}.xlsx"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        ids = {line[-1] for line in cells(answer.content)}
        assert (story.id in ids) is is_in
        assert there.id not in ids


async def test_too_many_issues_or_lines_are_refused_not_cut(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    street = replace(STREET, org="street-of-many-lines")
    await told(system, Story(place=replace(PLACE, street=street.org)))
    await told(system, Story(place=replace(PLACE, street=street.org)))
    model = ReadModel(system.database)
    with pytest.raises(Invalid, match="more than 1 issues"):
        await xlsx_of(model, Filters(), street, Works(), most=1)
    monkeypatch.setattr("protocol.workbook.MOST_ROWS", 3)
    with await xlsx_of(model, Filters(), street, Works()) as file:
        assert len(cells(file.read())) == 3
    with pytest.raises(Invalid, match="a sheet has 3 rows at most"):
        await xlsx_of(model, Filters(), street, Works(), "timelines")


@pytest.mark.parametrize("text", ["a" * 32_768, "𠮷" * 16_384])
def test_a_text_that_a_cell_would_cut_is_refused(text: str) -> None:
    with contextlib.closing(Book("issues", ["place"])) as book:
        book.add([[text[:-1]]])
        with pytest.raises(FullError):
            book.add([[text]])


async def test_no_temporary_file_is_left_whatever_happens(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    street = replace(STREET, org="street-without-traces")
    await told(system, Story(place=replace(PLACE, street=street.org)))
    model = ReadModel(system.database)
    with await xlsx_of(model, Filters(), street, Works()) as file:
        assert file.read(2) == b"PK"
    with pytest.raises(Invalid):
        await xlsx_of(model, Filters(), street, Works(), most=0)
    assert [*tmp_path.rglob("*")] == []  # noqa: ASYNC240
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(Unavailable, match="cannot be written"):
        await xlsx_of(model, Filters(), street, Works())


def test_memory_does_not_grow_with_the_file() -> None:
    """Ten times as many rows take no more of it."""
    used: list[int] = []
    for rows in (2_000, 20_000):
        tracemalloc.start()
        book = Book("issues", ["text", "number", "time"])
        for n in range(rows):
            book.add([[f"{n} 栋楼道灯不亮" * 4, n, START.replace(tzinfo=None)]])
        with book.finished() as file:
            assert file.read(2) == b"PK"
        book.close()
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert used[1] < used[0] * 1.5
