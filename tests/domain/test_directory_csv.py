"""A directory's files are read whole or refused with every mistake named by file and line."""

from collections.abc import Callable
from datetime import date

import pytest

from domain.directory import Appointment, Binding, Building, Compound, Contract, Directory, Period, Street
from domain.directory_csv import FILES, MOST_BUILDINGS, DirectoryError, parse
from domain.directory_files import csv_files
from domain.directory_sheets import FURTHER
from domain.vocabulary import CATEGORIES
from domain.wire import digest, dump

DAY = date(2026, 6, 1)

SOUND = {
    "streets.csv": "code,name,division_code\nnorth,北街道,\nsouth,南街道,320602001\n",
    "communities.csv": "code,name,street,division_code\nelm,榆社区,north,\nfir,杉社区,south,\n",
    "grids.csv": "code,name,community\ng1,一网格,elm\n",
    "compounds.csv": "code,name,community,grid,buildings\ngarden,花园,elm,g1,12\nlake,湖畔,fir,,\n",
    "buildings.csv": "compound,code,name\ngarden,1,1幢\ngarden,2,2幢\nlake,1,一号楼\n",
    "operators.csv": "code,name,kind\nacme,甲物业,company\nhelpers,志愿者,volunteers\nelm-runs,自管,community\n",
    "departments.csv": "code,name,street\nworks,工务,north\n",
    "contracts.csv": "operator,compound,from,to\nacme,garden,2026-01-01,\n",
    "appointments.csv": "person,role,org,from,to\np1,property,acme,2026-01-01,\ns1,street,north,,\n",
    "bindings.csv": "place,category,policy,from,to\n*,*,12345,,\ngarden,leak,3+3+5,2026-01-01,2027-01-01\n",
}


def problems(files: dict[str, str | bytes], policies: set[str] | None = None) -> list[str]:
    """What `parse` finds wrong with the sound files when these replace theirs."""
    with pytest.raises(DirectoryError) as caught:
        parse({**SOUND, **files}, policies)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return str(caught.value).split("\n")


def added(file: str, *lines: str) -> dict[str, str | bytes]:
    return {file: SOUND[file] + "".join(f"{line}\n" for line in lines)}


def line_after(file: str) -> int:
    return SOUND[file].count("\n") + 1


def test_sound_files_become_a_directory() -> None:
    directory = parse(SOUND, {"12345", "3+3+5"})
    assert directory.streets == (Street("north", "北街道"), Street("south", "南街道", "320602001"))
    assert directory.compounds == (Compound("garden", "花园", "elm", "g1", 12), Compound("lake", "湖畔", "fir"))
    assert directory.buildings_of("garden") == (Building("garden", "1", "1幢"), Building("garden", "2", "2幢"))
    assert directory.contracts == (Contract("acme", "garden", Period(date(2026, 1, 1), None)),)
    assert directory.appointments[1] == Appointment("s1", "street", "north", Period())
    assert directory.bindings[1] == Binding("garden", "leak", "3+3+5", Period(date(2026, 1, 1), date(2027, 1, 1)))
    assert directory.policy_for("garden", "leak", DAY) == "3+3+5"


def wide(line: str) -> str:
    """The line with everything but its commas and brackets as Chinese keyboards type it."""
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" and sign != "," else sign for sign in line)


HABITS: list[Callable[[str], str | bytes]] = [
    lambda text: "\ufeff" + text,
    lambda text: text.encode(),
    lambda text: text.encode("utf-8-sig"),
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\r"),
    lambda text: text.rstrip("\n"),
    lambda text: text + "\n,,,\n \n",
    lambda text: text.replace(",", " , "),
    lambda text: text.replace(",", "\xa0,\u3000"),
    lambda text: "\n".join([text.split("\n")[0], *map(wide, text.split("\n")[1:])]),
    lambda text: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()),
]


@pytest.mark.parametrize(
    "write",
    HABITS,
    ids=[
        "bom",
        "bytes",
        "bytes with bom",
        "crlf",
        "cr",
        "no last newline",
        "blank rows",
        "blanks",
        "no-break blanks",
        "full width",
        "quoted",
    ],
)
def test_what_spreadsheets_do_to_a_file_does_not_matter(write: Callable[[str], str | bytes]) -> None:
    assert parse({file: write(text) for file, text in SOUND.items()}) == parse(SOUND)


def test_full_width_brackets_of_a_name_stay() -> None:
    directory = parse({**SOUND, **added("compounds.csv", "pond,池塘\xa0（Ａ区１期）,elm,,")})
    assert directory.compounds[-1].name == "池塘 （A区1期）"


def test_files_that_are_not_csv_are_left_alone() -> None:
    assert parse({**SOUND, "README.md": "# Notes"}) == parse(SOUND)


def test_files_of_headers_alone_are_an_empty_directory() -> None:
    assert parse({file: text.split("\n")[0] for file, text in SOUND.items()}) == Directory()


ROWS = [
    # references
    ("communities.csv", "ash,榕社区,west,", "street: 'west' is not in streets"),
    ("grids.csv", "g2,二网格,ash", "community: 'ash' is not in communities"),
    ("compounds.csv", "pond,池塘,ash,,", "community: 'ash' is not in communities"),
    ("compounds.csv", "pond,池塘,elm,g9,", "grid: 'g9' is not in grids"),
    ("compounds.csv", "pond,池塘,fir,g1,", "grid: 'g1' belongs to 'elm', the compound to 'fir'"),
    ("buildings.csv", "pond,1,1幢", "compound: 'pond' is not in compounds"),
    ("departments.csv", "parks,园林,west", "street: 'west' is not in streets"),
    ("contracts.csv", "nobody,lake,,", "operator: 'nobody' is not in operators"),
    ("contracts.csv", "elm,lake,,", "operator: 'elm' is not in operators"),
    ("contracts.csv", "acme,pond,,", "compound: 'pond' is not in compounds"),
    ("appointments.csv", "p2,property,nobody,,", "org: 'nobody' is not in operators, communities, streets, "
     "departments"),
    ("bindings.csv", "pond,*,12345,,", "place: 'pond' is not in compounds, grids, communities, streets"),
    ("bindings.csv", "acme,*,12345,,", "place: 'acme' is not in compounds, grids, communities, streets"),
    # codes
    ("streets.csv", "north,又一街道,", "code: 'north' is taken by streets.csv:2"),
    ("communities.csv", "garden,花园社区,north,", "code: 'garden' is taken by compounds.csv:2"),
    ("departments.csv", "acme,工务,north", "code: 'acme' is taken by operators.csv:2"),
    ("buildings.csv", "garden,1,甲楼", "code: '1' is taken by line 2 for 'garden'"),
    ("buildings.csv", "garden,3,2幢", "name: '2幢' is taken by line 3 for 'garden'"),
    ("buildings.csv", "garden,三,三幢", "code: '三' is not a code (up to 64 ASCII letters, digits, dots, - and _)"),
    ("buildings.csv", "garden,3,", "name: is empty"),
    ("streets.csv", "*,全部,", "code: '*' is not a code (up to 64 ASCII letters, digits, dots, - and _)"),
    ("streets.csv", "a b,街道,", "code: 'a b' is not a code (up to 64 ASCII letters, digits, dots, - and _)"),
    ("streets.csv", "西街道,西街道,", "code: '西街道' is not a code (up to 64 ASCII letters, digits, dots, - and _)"),
    # cells
    ("streets.csv", ",西街道,", "code: is empty"),
    ("streets.csv", "west,,", "name: is empty"),
    ("streets.csv", "west, \u3000 ,", "name: is empty"),
    ("streets.csv", "west,西街道,3.20602E+11", "division_code: '3.20602E+11' is not a division code (up to 12 digits)"),
    ("streets.csv", "west,西街道,三", "division_code: '三' is not a division code (up to 12 digits)"),
    ("appointments.csv", "1.38E+10,property,acme,,", "person: '1.38E+10' is a number that a spreadsheet has cut short "
     "(make the cells text, then enter it anew)"),
    ("appointments.csv", "王五,property,acme,,", "person: '王五' is not the code of a person (ASCII letters, digits and "
     "signs, no blanks)"),
    ("compounds.csv", "pond,池塘,elm,,many", "buildings: 'many' is not a number from 1 to 99999"),
    ("compounds.csv", "pond,池塘,elm,,0", "buildings: '0' is not a number from 1 to 99999"),
    ("compounds.csv", "pond,池塘,elm,,-3", "buildings: '-3' is not a number from 1 to 99999"),
    ("operators.csv", "co,乙物业,firm", "kind: 'firm' is not one of company, society, community, volunteers"),
    ("bindings.csv", "*,smell,12345,,", "category: 'smell' is not one of " + ", ".join([*CATEGORIES, "*"])),
    ("bindings.csv", "*,leak,../x,,", "policy: '../x' is not a policy id"),
    ("bindings.csv", "*,leak,,,", "policy: is empty"),
    ("streets.csv", "west", "has 1 cells instead of 3"),
    ("streets.csv", "west,西街道,,", "has 4 cells instead of 3"),
    ("streets.csv", f"west,{'长' * 201},", "name: is longer than 200 characters"),
    ("streets.csv", "west,西\x00街,", r"name: '西\x00街' holds a control character"),
    ("streets.csv", "west,西\x1b[31m街,", r"name: '西\x1b[31m街' holds a control character"),
    ("streets.csv", "west,西\u202e街,", r"name: '西\u202e街' holds a control character"),
    ("streets.csv", "west,西\ud800街,", r"name: '西\ud800街' holds a control character"),
    ("streets.csv", 'west,"西\n街",', r"name: '西\n街' holds a control character"),
    # dates
    ("contracts.csv", "acme,lake,2026-13-01,", "from: '2026-13-01' is not a date of the form 2026-01-31"),
    ("contracts.csv", "acme,lake,,2026-02-29", "to: '2026-02-29' is not a date of the form 2026-01-31"),
    ("contracts.csv", "acme,lake,20260101,", "from: '20260101' is not a date of the form 2026-01-31"),
    ("contracts.csv", "acme,lake,2026/1/1,", "from: '2026/1/1' is not a date of the form 2026-01-31"),
    ("contracts.csv", "acme,lake,2026-01-02,2026-01-02", "to: 2026-01-02 is not after 2026-01-02"),
    ("contracts.csv", "acme,lake,2026-01-02,2025-01-02", "to: 2025-01-02 is not after 2026-01-02"),
    # one answer for each day
    ("contracts.csv", "elm-runs,garden,2026-06-01,", "overlaps line 2 for 'garden'"),
    ("contracts.csv", "acme,garden,,", "overlaps line 2 for 'garden'"),
    ("appointments.csv", "p1,property,acme,2027-01-01,", "overlaps line 2 for 'p1', 'property', 'acme'"),
    ("bindings.csv", "garden,leak,12345,2026-12-31,", "overlaps line 3 for 'garden', 'leak'"),
    # roles
    ("appointments.csv", "r1,resident,north,,", "role: 'resident' is not one of property, community, street, "
     "department, volunteer, auditor, admin"),
    ("appointments.csv", "b1,boss,north,,", "role: 'boss' is not one of property, community, street, department, "
     "volunteer, auditor, admin"),
    ("appointments.csv", "p2,property,elm,,", "role: 'property' does not fit 'elm', which is a community"),
    ("appointments.csv", "p2,property,helpers,,", "role: 'property' does not fit 'helpers', which is an operator "
     "(volunteers)"),
    ("appointments.csv", "c1,community,elm-runs,,", "role: 'community' does not fit 'elm-runs', which is an operator "
     "(community)"),
    ("appointments.csv", "v1,volunteer,acme,,", "role: 'volunteer' does not fit 'acme', which is an operator "
     "(company)"),
    ("appointments.csv", "d1,department,north,,", "role: 'department' does not fit 'north', which is a street"),
    ("appointments.csv", "a1,auditor,elm,,", "role: 'auditor' does not fit 'elm', which is a community"),
    ("appointments.csv", "m1,admin,works,,", "role: 'admin' does not fit 'works', which is a department"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "row", "reason"), ROWS)
def test_a_wrong_row_is_named_by_file_line_and_reason(file: str, row: str, reason: str) -> None:
    assert problems(added(file, row)) == [f"{file}:{line_after(file)}: {reason}"]


def test_a_code_that_two_kinds_of_place_share_is_told_once() -> None:
    assert problems(added("grids.csv", "elm,网格,elm")) == ["communities.csv:2: code: 'elm' is taken by grids.csv:3"]
    assert problems(added("streets.csv", "elm,榆街道,")) == ["streets.csv:4: code: 'elm' is taken by communities.csv:2"]


def test_a_compound_and_its_operator_may_share_a_code() -> None:
    directory = parse(
        {
            **SOUND,
            "operators.csv": SOUND["operators.csv"] + "lake,湖畔物业,company\n",
            "contracts.csv": SOUND["contracts.csv"] + "lake,lake,,\n",
        }
    )
    place = directory.place("lake", DAY)
    assert place is not None
    assert place.operator == "lake"


@pytest.mark.parametrize(
    ("file", "rows"),
    [
        ("contracts.csv", ["acme,lake,2026-01-01,2026-06-01", "elm-runs,lake,2026-06-01,"]),
        ("contracts.csv", ["elm-runs,lake,2026-06-01,", "acme,lake,,2026-06-01"]),
        ("appointments.csv", ["p2,property,acme,,2026-01-01", "p2,property,acme,2026-06-01,"]),
        ("appointments.csv", ["p1,community,elm,,", "p1,property,elm-runs,,"]),
        ("bindings.csv", ["garden,leak,12345,2027-01-01,", "garden,*,12345,,", "g1,leak,12345,,", "*,leak,12345,,"]),
    ],
)
def test_rows_that_follow_each_other_or_differ_do_not_overlap(file: str, rows: list[str]) -> None:
    parse({**SOUND, **added(file, *rows)})


def test_every_overlap_is_found_past_shorter_rows_in_between() -> None:
    rows = ["acme,lake,2026-01-01,2027-01-01", "acme,lake,2026-02-01,2026-03-01", "acme,lake,2026-06-01,"]
    assert problems(added("contracts.csv", *rows)) == [
        "contracts.csv:4: overlaps line 3 for 'lake'",
        "contracts.csv:5: overlaps line 3 for 'lake'",
    ]


def test_a_binding_to_a_policy_that_does_not_exist_is_found_when_policies_are_known() -> None:
    assert problems({}, {"12345"}) == ["bindings.csv:3: policy: there is no policy '3+3+5'"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "; missing code, name, division_code"),
        ("code,name", "; missing division_code"),
        ("code,name,division_code,note", "; unknown 'note'"),
        ("code,title,division_code", "; missing name; unknown 'title'"),
        ("name,code,division_code", ""),
        ("code,name,division_code,code", ""),
        ("north,北街道,", "; missing code, name, division_code; unknown 'north', '北街道', ''"),
    ],
)
def test_a_wrong_header_is_told_once_and_not_blamed_on_other_files(header: str, reason: str) -> None:
    files: dict[str, str | bytes] = {"streets.csv": f"{header}\nnorth,北街道,\n"}
    assert problems(files) == [f"streets.csv:1: the header must be code,name,division_code{reason}"]


@pytest.mark.parametrize("file", [file for file in FILES if file.removesuffix(".csv") not in FURTHER])
def test_a_missing_file_is_named_and_not_blamed_on_the_others(file: str) -> None:
    with pytest.raises(DirectoryError) as caught:
        parse({name: text for name, text in SOUND.items() if name != file})
    assert str(caught.value) == f"{file}: the file is missing"


def test_a_directory_without_buildings_is_as_before_and_is_written_without_them() -> None:
    without = parse({name: text for name, text in SOUND.items() if name != "buildings.csv"})
    assert without.buildings_of("garden") == ()
    assert "buildings.csv" not in csv_files(without)
    assert parse(csv_files(parse(SOUND))) == parse(SOUND)
    assert digest(dump(without)) == digest(dump(parse({**SOUND, "buildings.csv": "compound,code,name\n"})))


def test_a_compound_has_a_bounded_number_of_buildings() -> None:
    rows = [f"lake,{n},{n}幢" for n in range(2, MOST_BUILDINGS + 3)]
    assert problems(added("buildings.csv", *rows)) == [
        f"buildings.csv:{line_after('buildings.csv') + MOST_BUILDINGS - 1}: compound: 'lake' has more than "
        f"{MOST_BUILDINGS} buildings"
    ]
    assert len(parse({**SOUND, **added("buildings.csv", *rows[:-2])}).buildings_of("lake")) == MOST_BUILDINGS


@pytest.mark.parametrize("file", ["people.csv", "STREETS.CSV"])
def test_an_unknown_table_is_named(file: str) -> None:
    assert problems({file: ""}) == [f"{file}: unknown file; a directory is made of {', '.join(FILES)}"]


def test_a_file_name_cannot_upset_the_terminal() -> None:
    assert problems({"\x1b[2J.csv": ""})[0].startswith(r"'\x1b[2J.csv': unknown file")


def test_text_in_another_encoding_is_told_with_its_line() -> None:
    files: dict[str, str | bytes] = {"streets.csv": b"code,name,division_code\n" + "north,北街道,\n".encode("gbk")}
    assert problems(files) == ["streets.csv:2: is not UTF-8 (save the file as CSV UTF-8, or name its encoding)"]


def test_text_in_the_encoding_that_is_named_is_read() -> None:
    assert parse({file: text.encode("gb18030") for file, text in SOUND.items()}, encoding="gb18030") == parse(SOUND)
    with pytest.raises(DirectoryError, match=r"grids.csv:3: is not GB18030 \(name its encoding\)"):
        parse({**SOUND, "grids.csv": SOUND["grids.csv"].encode("gb18030") + b"\xff,,\n"}, encoding="gb18030")


def test_a_phone_that_was_cut_short_is_named() -> None:
    files = {"appointments.csv": "person,role,org,from,to,phone\np1,property,acme,,,1.38E+10\n"}
    assert problems({**files}) == [
        "appointments.csv:2: phone: '1.38E+10' is a number that a spreadsheet has cut short "
        "(make the cells text, then enter it anew)"
    ]


def test_names_managers_and_duty_phones_are_columns_that_a_file_may_lack() -> None:
    files = {
        **SOUND,
        "appointments.csv": "person,role,org,from,to,name,manager\np1,property,acme,,,经理,yes\np2,property,acme,,,,\n",
        "operators.csv": SOUND["operators.csv"].replace("kind\n", "kind,duty_phone\n").replace("company\n", "company,0795-1234567\n").replace("s\n", "s,\n").replace("community\n", "community,\n"),
    }  # fmt: skip
    directory = parse(files)
    assert directory.appointments == (
        Appointment("p1", "property", "acme", name="经理", manager=True), Appointment("p2", "property", "acme"),
    )  # fmt: skip
    assert [each.duty_phone for each in directory.operators] == ["0795-1234567", "", ""]
    assert parse(csv_files(directory)) == directory
    wrong = {"appointments.csv": "person,role,org,from,to,manager\np1,property,acme,,,是\n"}
    assert problems({**wrong}) == ["appointments.csv:2: manager: '是' is not one of yes"]
    for cell, reason in (
        ("打这个", "is not a phone number (3 to 24 digits, blanks and hyphens)"),
        ("1.2E+10", "is a number that a spreadsheet has cut short (make the cells text, then enter it anew)"),
    ):
        files = {"departments.csv": f"code,name,street,duty_phone\nworks,工务,north,{cell}\n"}
        assert problems({**files}) == [f"departments.csv:2: duty_phone: '{cell}' {reason}"]


@pytest.mark.parametrize("row", ['west,"西街道,', 'west,"西"街道,'])
def test_broken_quotes_end_the_file_but_not_the_search(row: str) -> None:
    found = problems({**added("streets.csv", ",无名,", row), **added("grids.csv", "g2,,elm")})
    assert found[0] == "streets.csv:4: code: is empty"
    assert found[1].startswith("streets.csv:5: is not CSV: ")
    assert found[2:] == ["grids.csv:3: name: is empty"]


def test_a_line_number_counts_lines_of_text_even_after_a_cell_of_several() -> None:
    found = problems(added("streets.csv", 'west,"西\n\n街",', "east,,"))
    assert [each.split(" ")[0] for each in found] == ["streets.csv:4:", "streets.csv:7:"]


def test_all_problems_are_told_at_once_in_the_order_of_the_files() -> None:
    found = problems(
        {
            **added("bindings.csv", "pond,smell,12345,,", "*,leak,12345,bad,"),
            **added("streets.csv", "west,,x", "north,再次,"),
            **added("contracts.csv", "acme,garden,,", "nobody,pond,2026-01-01,2026-01-01"),
            "extra.csv": "",
        }
    )
    assert [each.rsplit(": ", 1)[0] for each in found] == [
        "streets.csv:4: name",
        "streets.csv:4: division_code",
        "streets.csv:5: code",
        "contracts.csv:3",
        "contracts.csv:4: to",
        "contracts.csv:4: operator",
        "contracts.csv:4: compound",
        "bindings.csv:4: category",
        "bindings.csv:4: place",
        "bindings.csv:5: from",
        "extra.csv",
    ]


def test_a_row_that_is_wrong_by_itself_still_defines_its_code() -> None:
    broken: dict[str, str | bytes] = {"streets.csv": SOUND["streets.csv"].replace("北街道", "")}
    assert problems(broken) == ["streets.csv:2: name: is empty"]
    assert problems({"streets.csv": SOUND["streets.csv"].replace("北街道,", "北街道")}) == [
        "streets.csv:2: has 2 cells instead of 3"
    ]
    assert problems({"operators.csv": SOUND["operators.csv"].replace("company", "firm")}) == [
        "operators.csv:2: kind: 'firm' is not one of company, society, community, volunteers"
    ]
