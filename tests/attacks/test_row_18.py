"""No cell of a CSV file is a formula, whatever a place, a title or a person is called."""

import ast
import contextlib
import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import domain.commands as c
from audit.whatif.report import as_csv
from audit.whatif.study import Study
from db.engine import Database
from db.queries import Filters
from domain.cells import Sheet, neutral
from domain.directory import Works
from protocol.read_model import ReadModel
from protocol.sheets import csv_of
from protocol.workbook import Book
from support.stories import PLACE, STREET, Story, store
from tests.audit.whatif_cases import LATER, Recorded, altered
from tests.domain.play import COMPANY, REPORTER, place

ROOT = Path(__file__).resolve().parents[2]
FORMULAS = [
    '=HYPERLINK("http://evil")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1",
    "－1", "＠SUM(A1)", " =1", "\u3000＝1", "\ufeff=1", "−1", "\u00a0+1",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_row_18_a_formula_in_a_cell_is_neutralised(text: str) -> None:
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("operator", FORMULAS)
def test_row_18_no_export_holds_a_formula(operator: str) -> None:
    study = Study(altered("accept", "5sm"), None, LATER)
    stage = Recorded(where=replace(place(), operator=operator))
    stage.give(replace(COMPANY, org=operator), c.Accept())
    stage.give(REPORTER, c.Withdraw("自己修了"))
    study.add(stage.case())
    cells = [cell for row in csv.reader(io.StringIO(as_csv(study).removeprefix("\ufeff"))) for cell in row]
    assert f"'{operator}" in cells
    assert operator not in cells


@pytest.mark.parametrize("text", FORMULAS)
def test_row_18_no_sheet_holds_a_formula(text: str) -> None:
    sheet = Sheet()
    sheet.add([text, -1, "漏水"])
    assert [*csv.reader(io.StringIO(sheet.text.removeprefix("\ufeff"), newline=""))] == [[f"'{text}", "-1", "漏水"]]


async def test_row_18_no_file_of_issues_holds_a_formula(database: Database) -> None:
    story = Story(place=replace(PLACE, compound="=1+1"))
    await store(database, story, story.reported())
    text = await csv_of(ReadModel(database), Filters(), STREET, Works(), "issues")
    cells = [cell for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")) for cell in row]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("text", FORMULAS)
def test_row_18_in_a_workbook_it_is_a_text(text: str) -> None:
    book = Book("issues", ["place"])
    book.add([[text]])
    with contextlib.closing(book), book.finished() as file:
        packed = zipfile.ZipFile(file).read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in packed
    assert packed.count('t="inlineStr"') == 2


def test_row_18_every_writer_of_csv_is_known_here() -> None:
    """A new one has to use `Sheet`; what `jiesu directory import` reads back must come back as it was."""
    folders = ("activities", "api", "audit", "cli", "db", "domain", "policies", "protocol", "security", "workflows")
    found = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("writer", "DictWriter")
        and ast.unparse(node).startswith("csv.")
    }
    assert found == {"domain/cells.py", "domain/directory_files.py"}
