"""A directory kept in a spreadsheet is read as it is, and what a spreadsheet spoilt is named by its cell."""

import csv
import shutil
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.errors import Failure
from cli.install import EXAMPLE, read_directory
from cli.workbook import sheets
from domain.directory import Directory
from support.xlsx import Cell, with_parts, write_xlsx

Sheets = dict[str, list[list[Cell]]]


def example() -> Sheets:
    """The example directory as people keep it in a workbook: dates are dates, numbers are numbers."""

    def kept(cell: str) -> Cell:
        if cell.isdigit():
            return int(cell)
        return date.fromisoformat(cell) if cell.count("-") == 2 and cell[:2] == "20" else cell or None

    return {
        path.stem: [[kept(cell) for cell in row] for row in csv.reader(path.read_text("utf-8").splitlines())]
        for path in sorted(EXAMPLE.glob("*.csv"))
    }


def refused(place: Path, **options: Any) -> list[str]:
    with pytest.raises(Failure) as caught:
        read_directory(place, **options)
    first, *lines = str(caught.value).splitlines()
    assert first == f"nothing was imported from {place}"
    return lines


@pytest.fixture(scope="module")
def wanted() -> Directory:
    return read_directory(EXAMPLE)


def test_a_workbook_of_ten_sheets_is_a_directory(tmp_path: Path, wanted: Directory) -> None:
    notes: Sheets = {"说明": [["只是说明"]]}
    assert read_directory(write_xlsx(tmp_path / "名录.xlsx", notes | example())) == wanted


def test_files_of_a_folder_may_be_spreadsheets(tmp_path: Path, wanted: Directory) -> None:
    folder = tmp_path / "directory"
    shutil.copytree(EXAMPLE, folder)
    for name in ("compounds", "appointments"):
        (folder / f"{name}.csv").unlink()
        write_xlsx(folder / f"{name}.xlsx", {"Sheet1": example()[name]})
    (folder / "~$compounds.xlsx").write_bytes(b"open elsewhere")
    assert read_directory(folder) == wanted
    shutil.copy(EXAMPLE / "compounds.csv", folder)
    assert refused(folder) == ["compounds.csv: is there twice: compounds.xlsx as well"]


def appointed(tmp_path: Path, *row: Cell) -> Path:
    """The example with one row more, the second, in the sheet `appointments`."""
    given = example()
    head, *rows = given["appointments"]
    *cells, phone = row
    given["appointments"] = [[*head, "phone"], [*cells, None, None, phone], *rows]
    return write_xlsx(tmp_path / "directory.xlsx", given)


DAY = date(2026, 1, 1)


def test_a_building_that_is_wrong_is_named_by_its_cell(tmp_path: Path) -> None:
    given = example()
    given["buildings"] += [["demo", "甲", "甲楼"], ["demo", 1, "又一幢"]]
    line = len(given["buildings"])
    assert refused(write_xlsx(tmp_path / "directory.xlsx", given)) == [
        f"buildings:{line - 1}: code (B{line - 1}): '甲' is not a code (up to 64 ASCII letters, digits, dots, - and _)",
        f"buildings:{line}: code: '1' is taken by line 2 for 'demo'",
    ]


@pytest.mark.parametrize("phone", [1.38e10, "1.38E+10", "1.38E10", "1,38E+10", "1.38e+010"])
def test_a_phone_that_was_cut_short_is_refused_with_its_cell(tmp_path: Path, phone: Cell) -> None:
    (told,) = refused(appointed(tmp_path, "p9", "property", "demo-property", DAY, None, phone))
    assert told.startswith("appointments:2: phone (H2): '1")
    assert "cut short" in told


@pytest.mark.parametrize(
    "phone", [13812345678, "13812345678", "138 1234 5678", "１３８１２３４５６７８", "\xa013812345678\u3000"]
)
def test_a_phone_that_is_whole_is_taken_as_number_and_as_text(tmp_path: Path, phone: Cell) -> None:
    found = read_directory(appointed(tmp_path, "p9", "property", "demo-property", DAY, None, phone))
    assert [each.phone for each in found.appointments if each.person == "p9"] == ["+8613812345678"]


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ("1.38E+10", "cut short"),
        (3.20102199001011e17, "cut short"),
        ("张三", "is not the code of a person"),
        ("p 9", "is not the code of a person"),
        (True, ""),
        (4711.5, ""),
        (4711, ""),
        ("ｐ９", ""),
        ("auth0|5f7c8ec7c33c6c004bbafe82", ""),
    ],
)
def test_codes_of_persons_are_checked(tmp_path: Path, person: Cell, reason: str) -> None:
    place = appointed(tmp_path, person, "property", "demo-property", DAY, None, None)
    if not reason:
        read_directory(place)
        return
    (told,) = refused(place)
    assert told.startswith("appointments:2: person (A2): ")
    assert reason in told


@pytest.mark.parametrize("value", ["1e999", "-1e999", "nan"])
def test_a_number_that_is_none_is_a_mistake_like_others(tmp_path: Path, value: str) -> None:
    part = "xl/worksheets/sheet1.xml"
    file = write_xlsx(tmp_path / "a.xlsx", {"a": [[4711]]})
    with zipfile.ZipFile(file) as packed:
        sheet = packed.read(part).decode()
    assert sheets(with_parts(file, {part: sheet.replace("4711", value)})) == {"a": [[repr(float(value))]]}


def test_mistakes_are_named_by_sheet_line_and_cell(tmp_path: Path) -> None:
    given = example()
    given["streets"] += [[], ["west", "西街道", 3.2e11], ["demo-street", "又一街道", None], ["x", "y", "z", "w"]]
    given["contracts"].append(["demo-property", "demo", "2026/1/1", None])
    del given["grids"]
    last = len(given["streets"])
    lines = refused(write_xlsx(tmp_path / "directory.xlsx", given))
    assert lines == [
        f"streets:{last - 2}: division_code (C{last - 2}): '3.2E+11' is not a division code (up to 12 digits)",
        f"streets:{last - 1}: code: 'demo-street' is taken by streets:2",
        f"streets:{last}: has 4 cells instead of 3",
        "grids: the file is missing",
        f"contracts:{len(given['contracts'])}: from (C{len(given['contracts'])}): '2026/1/1' is not a date of the form "
        "2026-01-31",
    ]


def test_what_is_no_workbook_is_said_in_one_line(tmp_path: Path) -> None:
    for name, content in (("a.xlsx", b""), ("b.xlsx", b"PK\x03\x04" + b"\0" * 60), ("c.xlsx", b"code,name")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Failure, match=r"no \.xlsx that can be read") as caught:
            read_directory(tmp_path / name)
        assert str(caught.value).isprintable()
    for place in (tmp_path / "none.xlsx", tmp_path / "none", EXAMPLE / "streets.csv"):
        with pytest.raises(Failure, match=r"neither a folder nor an \.xlsx file"):
            read_directory(place)


def test_a_file_that_unpacks_to_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.workbook._MOST_BYTES", 1000)
    with pytest.raises(Failure, match="unpacks to more than"):
        sheets(write_xlsx(tmp_path / "large.xlsx", {"a": [["x" * 2000]]}))


def encoded(tmp_path: Path, encoding: str) -> Path:
    for path in EXAMPLE.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_text("utf-8").encode(encoding))
    return tmp_path


def test_a_folder_in_gb18030_is_read_when_it_is_named(tmp_path: Path, wanted: Directory) -> None:
    folder = encoded(tmp_path, "gb18030")
    assert "is not UTF-8 (save the file as CSV UTF-8, or name its encoding)" in refused(folder)[0]
    assert read_directory(folder, "gb18030") == wanted


def test_utf_8_is_not_taken_for_gb18030(tmp_path: Path) -> None:
    told = refused(encoded(tmp_path, "utf-8"), encoding="gb18030")
    assert told
    assert any("reads as UTF-8 as well as GB18030" in line for line in told)
    assert not [line for line in told if "reads as UTF-8" not in line and "is not GB18030" not in line]
