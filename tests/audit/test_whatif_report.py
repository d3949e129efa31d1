"""What-if reports: no formula, script or control sequence, and no figure is lost."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

import domain.commands as c
from audit.whatif.page import as_html
from audit.whatif.report import as_csv, as_json, as_text, json_text, rows, span, table, width
from audit.whatif.study import Study
from domain.cells import neutral
from tests.audit.whatif_cases import LATER, Recorded, accepted_at_seven, altered
from tests.domain.play import CALENDARS, COMPANY, FRIDAY, REPORTER, pack, place
from texts.whatif import ASSUMPTIONS

EVIL = '=HYPERLINK("http://x","<script>alert(1)</script>")'


def studied(operator: str = EVIL) -> Study:
    """Two issues of a company with a name that means harm, one under a shorter limit late by two minutes."""
    study = Study(replace(altered("accept", "5sm"), title="<b>新</b>"), None, LATER)
    study.add(accepted_at_seven().case())
    stage = Recorded(where=replace(place(), operator=operator))
    stage.give(replace(COMPANY, org=operator), c.Accept())
    stage.give(REPORTER, c.Withdraw("自己修了"))
    study.add(stage.case())
    return study


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x", " =1", "\ufeff=1", "−1"],
)
def test_no_cell_is_a_formula(cell: str) -> None:
    assert neutral(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "物业", "a=b", "52022-strict", "'x"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert neutral(cell) == cell


def test_the_csv_holds_every_figure_and_no_formula() -> None:
    text = as_csv(studied())
    assert text.startswith("\ufeff")
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    head = next(n for n, line in enumerate(lines) if line[0] == "dimension")
    assert [line[0] for line in lines[:head]][-1].endswith(ASSUMPTIONS[-1][1])
    found = {(line[0], line[1], line[3], line[4]): line[6:] for line in lines[head + 1 :]}
    assert len(found) == len(lines) - head - 1 == len(list(rows(studied())))
    assert found["total", "", "late", ""] == ["0", "0", "1", "1"]
    assert found["total", "", "late_max", ""] == ["", "", "2.0", ""]
    assert found["total", "", "due", ""] == ["5", "5", "5", "0"]
    assert found["company", f"'{EVIL}", "late", ""] == ["0", "0", "0", "0"]
    for line in lines:
        for cell in line:
            assert re.fullmatch(r"-?[0-9.]+", cell) or neutral(cell) == cell or cell.startswith("'")


def test_a_figure_below_zero_stays_a_number() -> None:
    stage = Recorded()
    stage.let_pass(FRIDAY + timedelta(minutes=15))
    stage.give(COMPANY, c.Accept(), after=0)
    study = Study(altered("accept", "20sm"), None, stage.now)
    study.add(stage.case())
    assert "total,,合计,late,,,1,1,0,-1\r\n" in as_csv(study)


def test_the_json_report_has_the_figures_of_the_study() -> None:
    plain = json.loads(json_text(studied()))
    assert plain == as_json(studied())
    total = plain["groups"]["total"][""]
    assert total["late"] == {
        "unit": "", "happened": 0, "control": 0, "whatif": 1, "change": 1,
        "by": {"accept": {"happened": 0, "control": 0, "whatif": 1, "change": 1}},
    }  # fmt: skip
    assert total["late_p50"]["whatif"] == 2.0
    assert plain["policy"]["digest"] == studied().policy.digest  # pyright: ignore[reportOptionalMemberAccess]
    assert plain["control"] == {"agreeing": 2, "differing": 0, "first": []}


class Page(HTMLParser):
    """Which elements there are, what they say, and whether each that was opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.names[tag] += 1
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.names[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.said += data


def test_the_html_report_is_self_contained_and_escapes_names() -> None:
    text = as_html(studied())
    page = Page(text)
    assert page.open == []
    assert not page.names.keys() & {"script", "link", "img", "iframe", "a", "b", "object", "form"}
    assert page.names["svg"] >= 5
    assert not [each for each in page.attributes if each[0].startswith("on") or each[0] in ("href", "src", "style")]
    assert "url(" not in text
    assert "@import" not in text
    assert EVIL in page.said
    assert "<b>新</b>" in page.said
    for chinese, english in ASSUMPTIONS:
        assert chinese in page.said
        assert english in page.said


def test_a_page_of_no_issue_says_so() -> None:
    assert "共 0 件诉求" in Page(as_html(Study(pack("52022"), CALENDARS, LATER))).said


def test_a_chart_of_many_companies_says_how_many_it_leaves_to_the_table() -> None:
    study = Study(None, None, LATER)
    for number in range(15):
        study.add(Recorded(where=replace(place(), operator=f"company-{number}")).case())
    text = as_html(study)
    assert "另有 3 个见下表" in text
    assert text.count("company-14") >= 1


def test_the_table_for_a_terminal_keeps_its_columns_and_steers_nothing() -> None:
    lines = table([["物业 company", "数 n"], ["北苑物业", "1"], ["\x1b[31m", "1234567"]])
    assert {width(line) for line in lines} == {width(lines[1])}
    assert "\x1b" not in as_text(studied("a\x1b[31mb"))
    text = as_text(studied())
    assert text.isascii() is False
    for chinese, english in ASSUMPTIONS:
        assert chinese in text
        assert english in text


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "0 s"), (0.75, "45 s"), (-0.001, "0 s"), (12.4, "12 min"), (185, "3 h 05"), (-3000, "-2 d 2 h")],
)
def test_spans_as_people_say_them(minutes: float, said: str) -> None:
    assert span(minutes) == said


def test_where_there_is_nothing_to_measure_there_is_a_dash() -> None:
    line = next(line for line in as_text(studied()).splitlines() if line.startswith("最长超时"))
    assert line.split()[-4:] == ["–", "–", "2", "min"] or line.split()[-5:] == ["–", "–", "2", "min", "–"]
