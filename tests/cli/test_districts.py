"""`JIESU_POLICIES` and `JIESU_CALENDARS`: every command knows a district's packs, and none starts over a faulty one."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.errors import Failure
from db.upgrade import upgrade
from policies.liveness.proofs import COMMANDS, keep
from policies.liveness.report import Report
from policies.loader import SHIPPED, load_file
from support.crash import CHECKOUT

TEXT = (SHIPPED / "demo.toml").read_text("utf-8").replace('id = "demo"', 'id = "ours"')


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a district with one pack, unproved."""
    monkeypatch.setenv("JIESU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JIESU_POLICIES", str(tmp_path / "packs"))
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "ours.toml").write_text(TEXT, "utf-8")
    return tmp_path / "packs"


def run(*arguments: str) -> str:
    """What the command prints. Raises Failure where it refuses."""
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, Failure):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def bound(tmp_path: Path) -> Path:
    """The example directory, in which a compound is bound to the district's pack."""
    folder = tmp_path / "directory"
    shutil.copytree(CHECKOUT / "examples" / "directory", folder)
    with (folder / "bindings.csv").open("a", encoding="utf-8") as file:
        file.write("other,leak,ours,2026-01-01,\n")
    return folder


def test_policy_knows_them_and_check_keeps_the_proof_beside_them(packs: Path) -> None:
    assert [each["id"] for each in json.loads(run("policy", "list", "--json"))][-1] == "ours"
    assert json.loads(run("policy", "show", "ours", "--json"))["digest"] == load_file(packs / "ours.toml").digest
    assert "ours version 1 is sound" in run("policy", "check", "ours", "--commands", "1")
    assert (packs / "proofs" / "ours.json").is_file()
    assert run("policy", "explain", "ours", "--category", "leak", "--from", "2026-09-28T10:00")


def test_an_import_binds_what_is_proved(packs: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    upgrade(f"sqlite:///{tmp_path / 'home' / 'jiesu.db'}")
    folder = bound(tmp_path)
    with pytest.raises(Failure, match=r"ours\.toml:1: there is no proof yet"):
        run("directory", "import", str(folder))
    keep(load_file(packs / "ours.toml"), Report(COMMANDS), packs / "proofs")
    assert "28 bindings" in run("directory", "import", str(folder))


@pytest.mark.parametrize("command", ["api", "up"])
def test_a_faulty_pack_stops_the_start_with_file_and_line(packs: Path, command: str) -> None:
    (packs / "ours.toml").write_text(TEXT.replace("version = 1", "version = 0"), "utf-8")
    line = TEXT.splitlines().index("version = 1") + 1
    with pytest.raises(Failure, match=rf"ours\.toml:{line}: version: 0 is not between"):
        run(command)


def test_explain_counts_by_the_calendars_of_the_district(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ("policy", "explain", "52022", "--category", "leak", "--from", "2026-12-30T10:00", "--json")
    assert any(line["provisional"] for line in json.loads(run(*start)))
    calendar = {"year": 2027, "version": 1, "source": "a notice", "off": ["2027-01-01"], "on": []}
    (tmp_path / "2027.json").write_text(json.dumps(calendar), "utf-8")
    monkeypatch.setenv("JIESU_CALENDARS", str(tmp_path / "2027.json"))
    assert not any(line["provisional"] for line in json.loads(run(*start)))
