"""No cell of a CSV file is a formula, whatever a place, a title or a person is called."""

import ast
import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

import domain.commands as c
from audit.whatif.report import as_csv
from audit.whatif.study import Study
from domain.cells import neutral
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


def test_row_18_every_writer_of_csv_is_known_here() -> None:
    """A new one has to use `neutral`, and to be tried above."""
    folders = ("activities", "api", "audit", "cli", "db", "domain", "policies", "security", "workflows")
    found = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("writer", "DictWriter")
        and ast.unparse(node).startswith("csv.")
    }
    assert found == {"audit/whatif/report.py"}
