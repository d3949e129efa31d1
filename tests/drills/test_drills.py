"""The table of docs/operations.md has every drill and none that failed; a drill that fails does not stop the others."""

from pathlib import Path

from tests.drills.house import Known
from tests.drills.plan import DRILLS, Drill
from tests.drills.run import Row, Stock, run
from tests.drills.table import BEGIN, END, FAILED, cells_of, committed, table, write

REWRITE = "docs/operations.md lacks or adds drills: make drills"


def test_the_committed_table_has_every_drill_and_none_that_failed() -> None:
    rows = committed()
    assert list(rows) == [drill.name for drill in DRILLS], REWRITE
    assert not [name for name, cells in rows.items() if FAILED in cells[-1]]


def test_what_is_written_is_read_again_and_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    rows = [
        Row("a: full", "report: 503 (a | b)", "503 (a: disk full)", "log: `x`", "", "room was made; then by itself"),
        Row("b: gone", faults=("it did not heal",)),
    ]
    for some in ([Row("b: gone"), Row("c: no drill any more")], rows[1:], rows):
        write(some, ["a: full", "b: gone"], page)
    assert page.read_text("utf-8") == f"before\n{BEGIN}\n{table(map(cells_of, rows))}\n{END}\nafter\n"
    assert committed(page) == {
        "a: full": ["a: full", "report: 503 (a / b)", "503 (a: disk full)", "log: `x`", "-", "room was made; then by itself"],
        "b: gone": ["b: gone", "-", "-", "-", "-", f"{FAILED}: it did not heal"],
    }  # fmt: skip


def test_a_drill_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    def never(_: object) -> None:
        raise AssertionError

    said: list[str] = []
    stock = Stock(tmp_path, tmp_path / "no home", Known("", {}, "", ""), said.append)
    rows = list(run([Drill("one", never, "-"), Drill("two", never, "-")], stock))
    assert [row.name for row in rows] == ["one", "two"]
    assert all("No such file or directory" in " ".join(row.faults) for row in rows)
