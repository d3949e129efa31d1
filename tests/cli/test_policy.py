"""``jiesu policy``: reads files only, speaks JSON when asked, and never shows a traceback."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.policy import app
from policies.loader import SHIPPED, load_pack

EXPLAIN = ("explain", "52022", "--category", "leak", "--from")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def read(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_policy_list_prints_every_shipped_pack() -> None:
    assert [pack["id"] for pack in read("list")] == ["12345", "3+3+5", "52022", "demo", "dispute"]
    assert "五二〇二二" in run("list").stdout


def test_policy_show_prints_a_pack_by_id_or_file() -> None:
    shown = read("show", "demo")
    assert shown["digest"] == load_pack("demo").digest
    assert shown["clause"][0]["limit"] == "10s"
    assert "community-accept" in run("show", "demo").stdout
    assert read("show", str(SHIPPED / "demo.toml")) == shown


def test_show_names_the_sources_that_there_are() -> None:
    assert "assumed" not in run("show", "demo").stdout
    out = run("show", "52022").stdout
    assert "a small problem solved in 20 minutes" in out
    assert not re.search(r"^ \S+ +assumed", out, re.MULTILINE)


@pytest.fixture(autouse=True)
def shallow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home for proofs; `--commands` keeps each search to a second."""
    monkeypatch.setenv("JIESU_HOME", str(tmp_path / "home"))


def test_policy_check_proves_a_pack_by_file_or_id_and_keeps_the_proof(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text((SHIPPED / "demo.toml").read_text("utf-8").replace('id = "demo"', 'id = "mine"'), encoding="utf-8")
    out = run("check", str(mine), "--commands", "1").stdout
    assert "left alone in" in out
    assert "bound: if nobody acts, an issue is closed or led by the street within " in out
    (kept,) = (tmp_path / "home" / "proofs").iterdir()
    assert kept.name == "mine.json"
    kept.write_text(kept.read_text("utf-8").replace('"states": ', '"states": 9000'), encoding="utf-8")
    assert "left alone in 900," in run("check", str(mine), "--commands", "1").stdout, "it was searched twice"
    found = read("check", "demo", "--commands", "1")["policies"][0]
    assert found["proof"]["commands"] >= 1
    assert found["file"] == "demo"


def test_policy_check_refuses_a_pack_under_which_an_issue_freezes(tmp_path: Path) -> None:
    text = (SHIPPED / "3+3+5.toml").read_text("utf-8").replace('id = "3+3+5"', 'id = "mine"')
    without = "\n".join(line for line in text.splitlines() if not line.startswith("progress ="))
    mine = tmp_path / "mine.toml"
    mine.write_text(without, encoding="utf-8")
    said = run("check", str(mine), "--commands", "1", code=1).stderr
    assert "without a progress clock an issue freezes: an issue is reported; " in said
    assert "the community accepts; then nobody acts, and the issue stays with the community" in said
    mine.write_text(text, encoding="utf-8")
    out = run("check", str(mine), "--commands", "1").stdout
    assert "caught by the progress clock alone, after 8 days: an issue is reported; " in out


def test_policy_check_names_mistakes_by_line(tmp_path: Path) -> None:
    sound, broken = SHIPPED / "demo.toml", tmp_path / "broken.toml"
    broken.write_text('id = "x"\nversion = 0\n', encoding="utf-8")
    assert "is sound" in run("check", str(sound), "--commands", "1").stdout
    result = run("check", str(sound), str(broken), "--commands", "1", code=1)
    assert "is sound" in result.stdout
    assert f"{broken}:2: version: 0 is not between" in result.stderr
    found = read("check", str(sound), str(broken), "--commands", "1", code=1)
    assert [policy["id"] for policy in found["policies"]] == ["demo"]
    assert {"file": str(broken), "line": 1, "reason": "title: is missing"} in found["problems"]


def test_policy_explain_prints_due_times() -> None:
    lines = read(*EXPLAIN, "2026-09-28T10:00")
    assert lines[1] == {
        "level": "property",
        "milestone": "arrive",
        "clause": "arrive",
        "when": [],
        "due": "2026-09-28T02:05:00.000Z",
        "climb": ["2026-09-28T02:30:00.000Z"],
        "provisional": False,
    }
    assert [line["level"] for line in lines[-2:]] == ["street", "street"]
    out = run(*EXPLAIN, "2026-09-28T10:00").stdout
    assert "2026-09-28 10:30:00" in out
    assert "rovisional" not in out


def test_a_clause_is_called_by_its_level_milestone_and_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    start = ("explain", "12345", "--category", "leak", "--from", "2026-09-28T10:00")
    english = " ".join(run(*start).stdout.split())
    assert re.search(r"[一-鿿]", english) is None
    assert "property: accept accept 2026" in english
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese = " ".join(run(*start).stdout.split())
    assert "整件答复(急件) answer-urgent" in chinese
    assert "时间均为北京时间。" in chinese
    assert "never" not in chinese


def test_explain_with_a_calendar_that_is_not_shipped_yet(tmp_path: Path) -> None:
    calendar = {"year": 2027, "version": 1, "source": "a notice", "off": ["2027-01-01"], "on": []}
    (tmp_path / "2027.json").write_text(json.dumps(calendar), encoding="utf-8")
    start = "2026-12-30T10:00"
    assert "provisional" in run(*EXPLAIN, start, "--assessment", "minor").stdout
    assert any(line["provisional"] for line in read(*EXPLAIN, start))
    assert not any(line["provisional"] for line in read(*EXPLAIN, start, "--calendars", str(tmp_path / "2027.json")))


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("show", "nope"), 1, "no policy 'nope'; there are 12345"),
        (("show", "none.toml"), 1, "none.toml:1: cannot be read"),
        (("check", "none.toml"), 1, "none.toml:1: cannot be read"),
        ((*EXPLAIN, "noon"), 1, "not a time: 'noon'"),
        ((*EXPLAIN, "9999-12-31T12:00"), 1, "too far"),
        ((*EXPLAIN, "2026-09-28T10:00", "--calendars", "none.json"), 1, "none.json: cannot be read"),
        (("explain", "52022", "--category", "lek", "--from", "2026-09-28T10:00"), 2, "lek"),
        (("explain", "52022", "--category", "leak"), 2, "--from"),
    ],
)
def test_a_wrong_policy_command_prints_its_reason(arguments: tuple[str, ...], code: int, reason: str) -> None:
    result = run(*arguments, code=code)
    assert result.stdout == ""
    assert reason in result.stderr
