"""A workbook for the directory is no bomb, asks nothing of the network, and is read to what its cells say and nothing else."""

import resource
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from cli import workbook
from cli.errors import Failure
from cli.workbook import sheets
from support.xlsx import with_parts, write_xlsx

SHEET = "xl/worksheets/sheet1.xml"
LARGE = 2 * 1024**3
"""What a child may take of memory: far more than a directory needs, far less than a bomb."""


def made(folder: Path, rows: str, head: str = "") -> Path:
    """A workbook of one sheet with these rows, as XML."""
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'{head}<worksheet xmlns="{space}" xmlns:x="{space}"><sheetData>{rows}</sheetData></worksheet>'
    return with_parts(write_xlsx(folder / "a.xlsx", {"a": [["x"]]}), {SHEET: sheet})


FAR = '<row r="1"><c r="A1"><v>1</v></c></row><row r="9000"><c r="XFD9000"><v>2</v></c></row>'


def test_row_34_two_cells_far_from_each_other_are_refused_before_they_take_the_memory(tmp_path: Path) -> None:
    """In a process of its own: nothing catches what happens otherwise."""
    file = made(tmp_path, FAR)
    assert file.stat().st_size < 3000
    read = "import sys, pathlib; from cli.workbook import sheets; sheets(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", read, file], capture_output=True, text=True, check=False, timeout=250,
        cwd=Path(workbook.__file__).parents[1],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LARGE, LARGE)),
    )  # fmt: skip
    assert "cli.errors.Failure" in done.stderr, done.stderr[-500:]
    assert "spans more than" in done.stderr


@pytest.mark.parametrize(
    "rows",
    [
        FAR, FAR.lower(), FAR.replace('"', "'"), FAR.replace("XFD", "&#88;FD"), FAR.replace("<", "<x:").replace("<x:/", "</x:"),
        "<row><c><v>1</v></c></row>" + '<row r="70"/>' + "<row>" + "<c/>" * 70 + "<c><v>1</v></c></row>",
        '<row r="1"><c r="A1"><v>1</v></c><c r="CZ1" t="inlineStr"><is><t>x</t></is></c></row><row r="99"><c><v>1</v></c></row>',
    ],
)  # fmt: skip
def test_row_34_however_a_far_cell_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str) -> None:
    monkeypatch.setattr(workbook, "_MOST_CELLS", 1000)
    with pytest.raises(Failure, match=r"spans more than|no \.xlsx that can be read"):
        sheets(made(tmp_path, rows))


def test_row_34_what_is_only_formatted_spans_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_MOST_CELLS", 1)
    file = made(tmp_path, '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1" s="1"/></row><row r="1048576" s="1"/>')
    assert sheets(file) == {"a": [["1"]]}


def test_row_34_a_sheet_that_is_no_xml_is_not_read_by_whoever_minds_less(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is no XML"):
        sheets(made(tmp_path, '<row r="1"><c r="A1" r="A1"><v>1</v></c></row>'))


def test_row_34_what_unpacks_to_more_than_it_says_is_not_read(tmp_path: Path) -> None:
    text = "x" * 1_000_000
    file = made(tmp_path, f'<row r="1"><c r="A1" t="inlineStr"><is><t>{text}</t></is></c></row>')
    content, size = file.read_bytes(), len(text) + len(made(tmp_path, "").read_bytes())
    lengths = [n for n in range(len(text), size) if content.count(struct.pack("<I", n)) == 2]
    assert len(lengths) == 1, "in the head of the part and in the list of parts"
    file.write_bytes(content.replace(struct.pack("<I", lengths[0]), struct.pack("<I", 500)))
    with pytest.raises(Failure, match=r"no \.xlsx that can be read"):
        sheets(file)


def test_row_34_too_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_MOST_BYTES", 5000)
    with pytest.raises(Failure, match="unpacks to more than"):
        sheets(made(tmp_path, "<row/>" * 1000))


def test_row_34_no_formula_link_or_entity_asks_for_anything(tmp_path: Path) -> None:
    """A formula is what it gave when the file was saved; a file or an address that is named is not opened."""
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody is to know", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        formula = (
            f'<row r="1"><c r="A1" t="str"><f>WEBSERVICE("{url}")</f><v>saved</v></c><c r="B1"><f>[1]a!A1</f></c></row>'
        )
        links = {
            "xl/externalLinks/_rels/externalLink1.xml.rels": f'<Relationships><Relationship Target="{url}"/></Relationships>'
        }
        assert sheets(with_parts(made(tmp_path, formula), links)) == {"a": [["saved"]]}
        for named in (url, secret.as_uri()):
            entity = f'<!DOCTYPE a [<!ENTITY e SYSTEM "{named}">]>'
            with pytest.raises(Failure):
                sheets(made(tmp_path, '<row r="1"><c r="A1" t="inlineStr"><is><t>&e;</t></is></c></row>', entity))
        with pytest.raises(BlockingIOError):
            server.accept()
