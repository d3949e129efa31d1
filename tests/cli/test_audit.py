"""`jiesu audit` on an installation without running services: output, errors and exit codes."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from audit.log_check import UNPINNED
from cli.app import app
from cli.errors import Failure
from support.installation import COVERED, OPEN, SEALED, UNCOVERED, Installation
from support.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
ISSUE = COVERED[1]


class Auditor:
    """Runs `jiesu audit` in this process, on the home of an installation."""

    def __init__(self, home: Path) -> None:
        # Nobody serves there: whoever asks Temporal finds it away.
        self.settings = {"JIESU_HOME": str(home), "JIESU_TEMPORAL_PORT": str(free_port()), "COLUMNS": "120"}

    def run(self, *arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["audit", *map(str, arguments)], env=self.settings)
        assert not isinstance(result.exception, Failure), str(result.exception)
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    def read(self, *arguments: object, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def complaint(self, *arguments: object) -> str:
        """The one line that it fails with."""
        result = CliRunner().invoke(app, ["audit", *map(str, arguments)], env=self.settings)
        assert isinstance(result.exception, Failure), result.output + repr(result.exception)
        assert result.stdout == ""
        assert str(result.exception).isprintable()
        return str(result.exception)


@pytest.fixture
def auditor(installation: Installation) -> Auditor:
    return Auditor(installation.home)


@pytest.fixture
def copy(installation: Installation, tmp_path: Path) -> Installation:
    return installation.copied(tmp_path / "copy")


def process(where: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As people run it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JIESU_")}
    environment["JIESU_HOME"] = str(where.home)
    command = [sys.executable, "-m", "cli", "audit", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


# verify


def test_audit_verify_all_verifies_every_issue(auditor: Auditor, installation: Installation, tmp_path: Path) -> None:
    out = auditor.run("verify", "--all", "--key", installation.vkey, "--html", tmp_path / "report.html")
    assert out.stdout.splitlines()[0].startswith(f"verify all: {len(SEALED)} issues, ")
    assert out.stdout.splitlines()[-1] == f"everything holds for {len(SEALED)} closed issues; 1 open was not looked at"
    assert UNPINNED not in out.stderr
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "全部相符" in page
    assert "verify all" in page
    assert "--key" not in page

    found = auditor.read("verify", "--all", "--workers", 1)
    assert (found["holds"], found["issues"], found["leaves"], found["heads"]) == (True, len(SEALED), len(SEALED), 2)
    assert (found["findings"], found["pinned"], found["rows"]) == ([], False, True)
    assert UNPINNED in auditor.run("verify", "--all").stderr
    found = auditor.read("verify", "--since", "2100-01-01", "--fold-only", "--no-rows")
    assert (found["asked"], found["issues"]) == ("verify since 2100-01-01 without commands and rows", 0)


def test_one_issue_is_verified_by_id_or_number(auditor: Auditor) -> None:
    for name in (ISSUE, f"JS-{ISSUE}"):
        found = auditor.read("verify", name)
        assert (found["holds"], found["issues"], found["leaves"] > 1) == (True, 1, True)
        assert found["commands"] > 0
    assert auditor.read("verify", ISSUE, "--fold-only")["commands"] == 0


def test_a_finding_is_told_and_ends_with_1(copy: Installation, tmp_path: Path) -> None:
    assert copy.sql("UPDATE issues SET category = 'noise' WHERE id = ?", ISSUE) == 1
    auditor = Auditor(copy.home)
    said = f"{ISSUE}: rows: column category: it is 'noise', not 'leak'"
    for arguments in (("verify", ISSUE), ("verify", "--all")):
        assert said in auditor.run(*arguments, code=1).stdout.splitlines()
        found = auditor.read(*arguments, code=1)
        assert found["findings"] == [
            {"step": "rows", "issue": ISSUE, "where": "column category", "what": "it is 'noise', not 'leak'"}
        ]
    auditor.run("verify", "--all", "--html", tmp_path / "report.html", code=1)
    assert "有 1 处不符" in (tmp_path / "report.html").read_text("utf-8")
    auditor.run("verify", ISSUE, "--no-rows")


def test_a_verdict_is_told_though_its_page_cannot_be_written(auditor: Auditor) -> None:
    arguments = ["audit", "verify", ISSUE, "--html", "/nowhere/report.html"]
    result = CliRunner().invoke(app, arguments, env=auditor.settings)
    others = len(SEALED) - 1
    assert f"everything holds for 1 closed issue; {others} other closed and 1 open were not looked at" in result.stdout
    assert isinstance(result.exception, Failure)
    assert str(result.exception).startswith("/nowhere/report.html cannot be written: No such file")


def test_an_export_follows_a_link_and_replaces_no_device(auditor: Auditor, tmp_path: Path) -> None:
    link, file, pipe = tmp_path / "link", tmp_path / "file", tmp_path / "pipe"
    file.write_text("old")
    link.symlink_to(file)
    auditor.run("mining", "-o", link)
    assert link.is_symlink()
    assert json.loads(file.read_text("utf-8"))["events"]
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)  # all of it fits in, since nobody reads meanwhile
    try:
        auditor.run("mining", "-o", pipe, "--query", f"issue={ISSUE}")
        assert os.read(reader, 1) == b"{"
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_an_interrupted_run_is_taken_up(auditor: Auditor, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    auditor.read("verify", "--all", "--resume", notes)
    assert "came to its end" in auditor.complaint("verify", "--all", "--resume", notes)
    assert "is not of a run of `verify since 2026-01-01`" in auditor.complaint(
        "verify", "--since", "2026-01-01", "--resume", notes
    )


def test_published_heads_that_are_gone_are_missed(copy: Installation, tmp_path: Path) -> None:
    auditor = Auditor(copy.home)
    none = tmp_path / "none"
    assert auditor.complaint("verify", "--all", "--heads", none).endswith(f"{none} is no folder")
    none.mkdir()
    result = auditor.run("verify", "--all", "--heads", none, code=1)
    assert "the log itself cannot be verified" in result.stderr
    assert result.stdout.count("SQL holds a head that was never put outside") == 2
    assert copy.sql("DELETE FROM heads") == 2
    auditor.run("verify", "--all", "--heads", none)  # then none was ever published, and a day has not passed
    auditor.run("verify", "--all", "--heads", none, "--key", copy.vkey, code=1)  # but who has a key expects a head


# Everything else


def test_a_bundle_is_exported_and_checked(auditor: Auditor, installation: Installation, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    out = auditor.run("export", "--query", f"issue={','.join(COVERED)}", "-o", bundle).stdout
    assert out == f"4 issues in {bundle}: read {bundle / 'README.md'}\n"
    out = auditor.run("check", bundle, "--key", installation.vkey).stdout
    assert " ok, 0 FAILED, 0 unusable" in out
    for issue in COVERED:
        assert f"ok       {issue}: replay of " in out
    found = auditor.read("check", bundle)
    assert (found["holds"], found["proofs"]) == (True, True)
    assert [each["issue"] for each in found["issues"]] == sorted(
        COVERED, key=[i["issue"] for i in found["issues"]].index
    )

    (bundle / "issues" / ISSUE / "history" / "0.pb").write_bytes(b"")
    result = auditor.run("check", bundle, code=1)
    assert f"FAILED   {ISSUE}: replay of " in result.stdout
    assert f"{ISSUE}: archive: run 0: the history is not the one that was sealed" in result.stdout
    found = auditor.read("check", bundle, code=1)
    assert (found["holds"], found["proofs"]) == (False, False)
    assert "is there already" in auditor.complaint("export", ISSUE, "-o", bundle)


def test_the_newest_head_is_printed_to_the_letter(auditor: Auditor, installation: Installation) -> None:
    note = installation.head_files[-1].read_text("utf-8")
    assert auditor.run("head").stdout == note
    found = auditor.read("head")
    assert (found["size"], found["note"]) == (4, note)
    assert set(found) == {"size", "root", "at", "note"}


def test_a_head_is_published_by_hand(copy: Installation) -> None:
    done = process(copy, "head", "--publish", "--json")  # what it logs goes to stderr
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["size"], len(copy.head_files)) == (5, 3)
    assert json.loads(Auditor(copy.home).run("prove", UNCOVERED).stdout)["size"] == 5
    assert copy.sql("UPDATE seals SET leaf = lower(hex(zeroblob(32))) WHERE position = 0") == 1
    done = process(copy, "head", "--publish")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the first 2 issues of the log are not those that it had" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_proof_names_record_place_and_head(auditor: Auditor) -> None:
    found = json.loads(auditor.run("prove", f"JS-{ISSUE}").stdout)
    assert set(found) == {"issue", "record", "salt", "leaf", "position", "size", "root", "proof", "head"}
    assert (found["issue"], found["size"], len(found["proof"])) == (ISSUE, 4, 2)


def test_audit_timeline_at_prints_the_state_at_a_moment(auditor: Auditor) -> None:
    out = auditor.run("timeline", ISSUE, "--at", 4).stdout
    assert "status                       arrived\n" in out
    assert "responsible.lead             demo-property\n" in out
    found = auditor.read("timeline", ISSUE, "--at", 3)
    assert set(found) == {"accounts", "event", "status", "level", "responsible", "due", "acts", "running", "closed"}
    assert found["status"] == "accepted"
    assert auditor.read("timeline", ISSUE, "--at", "2100-01-01")["closed"] == {
        "kind": "solved", "satisfaction": "satisfied"
    }  # fmt: skip


def test_witnesses_are_shown_beside_each_other(copy: Installation) -> None:
    auditor = Auditor(copy.home)
    out = auditor.run("diff", ISSUE).stdout
    assert out.splitlines()[-1] == "all witnesses agree"
    assert out.splitlines()[0].startswith("      1  archive reported ")
    assert (
        copy.sql("UPDATE events SET body = replace(body, 'minor', 'complex') WHERE issue = ? AND seq = 5", ISSUE) == 1
    )
    assert copy.sql("UPDATE issues SET status = 'accepted' WHERE id = ?", ISSUE) == 1
    lines = auditor.run("diff", ISSUE, code=1).stdout.splitlines()
    assert next(line for line in lines if line.startswith("!!")).startswith("!!    5  archive assessed ")
    assert lines[-2:] == ["!! column status: it is 'accepted', not 'closed'", "they do NOT agree"]
    found = auditor.read("diff", ISSUE, code=1)
    assert (found["same"], [line["seq"] for line in found["events"] if not line["same"]]) == (False, [5])


def test_audit_whatif_prints_another_policy(auditor: Auditor, tmp_path: Path) -> None:
    files = ("--csv", tmp_path / "f.csv", "--html", tmp_path / "f.html")
    found = auditor.read("whatif", "--policy", "52022", "--query", "compound=demo", *files)
    # One that was recorded while the machine starved may have been folded later than the control folds it.
    assert (found["issues"], found["control"]["agreeing"] > 0) == (len(SEALED), True)
    assert (tmp_path / "f.csv").read_bytes().count(b"\n") > 3
    assert (tmp_path / "f.html").read_text("utf-8").startswith("<!")
    pack = tmp_path / "mine.toml"
    pack.write_text((CHECKOUT / "policies" / "52022.toml").read_text("utf-8"), "utf-8")
    assert auditor.read("whatif", "--policy", pack, "--calendar", CHECKOUT / "calendars")["issues"] == len(SEALED)
    pack.write_text("id = 'x'\nversion = 'one'\n", "utf-8")
    assert auditor.complaint("whatif", "--policy", pack).startswith(f"{pack}:")


@pytest.mark.parametrize("form", ["ocel", "xes"])
def test_events_are_exported_for_mining(auditor: Auditor, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"events.{form}"
    out = auditor.run("mining", "--format", form, "-o", file).stdout
    assert out.startswith(f"{len(SEALED) + 1} issues, ")
    assert out.endswith(f" events in {file}\n")
    text = file.read_text("utf-8")
    assert text.startswith("{" if form == "ocel" else "<?xml")
    assert '"p1"' not in text
    auditor.run("mining", "--format", form, "-o", file, "--names", "--query", f"issue={ISSUE}")
    assert '"p1"' in file.read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_key_is_made_once_and_followed(tmp_path: Path) -> None:
    auditor = Auditor(tmp_path / "home")
    assert "make a key with `jiesu audit keygen`" in auditor.complaint("keygen", "--rotate")
    made = auditor.run("keygen", "--name", "city.example/jiesu").stdout
    assert made.startswith("city.example/jiesu+")
    assert made.count("\n") == 1
    assert "is there already" in auditor.complaint("keygen")
    followed = auditor.run("keygen", "--rotate")
    assert followed.stdout == made  # which auditors go on pinning
    assert followed.stderr.startswith("from now on city.example/jiesu+")
    assert "not a name" in Auditor(tmp_path / "other").complaint("keygen", "--name", "a b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify",), "say one of ISSUE, --all and --since DAY"),
        (("verify", ISSUE, "--all"), "say one of ISSUE, --all and --since DAY"),
        (("verify", "nobody"), "there is no issue nobody here"),
        (("verify", "JS-0"), "there is no issue JS-0 here"),
        (("verify", OPEN), f"issue {OPEN} is not sealed yet"),
        (("verify", OPEN, "--no-rows"), f"issue {OPEN} is not sealed yet"),
        (("verify", "--since", "soon"), "'soon' is neither a day"),
        (("verify", "--all", "--key", "nonsense"), "a key: not an Ed25519 key"),
        (("export", "-o", "x"), "say either ISSUE or --query"),
        (("export", ISSUE, "--query", "", "-o", "x"), "say either ISSUE or --query"),
        (("export", OPEN, "-o", "x"), f"issue {OPEN} is not sealed yet"),
        (("export", UNCOVERED, "-o", "x"), f"issue {UNCOVERED} was sealed after the newest published head"),
        (("export", "--query", "category=noise", "-o", "x"), "no sealed issue is meant by 'category=noise'"),
        (("export", "--query", "colour=red", "-o", "x"), "'colour' is no name"),
        (("prove", OPEN), f"issue {OPEN} is not sealed yet"),
        (("prove", UNCOVERED), f"no published head covers issue {UNCOVERED} yet"),
        (("timeline", ISSUE, "--at", "9"), "there is no event 9: the last one is 8"),
        (("timeline", ISSUE, "--at", "9" * 5000), "'9999"),
        (("timeline", ISSUE, "--at", "2026-11-24T08:00:00"), "'2026-11-24T08:00:00' is neither"),
        (("diff", "nobody"), "there is no issue nobody here"),
        (("whatif",), "say --policy, --calendar or both"),
        (("whatif", "--policy", "none"), "no policy 'none'; there are "),
        (("whatif", "--policy", "/nowhere.toml"), "/nowhere.toml:1: cannot be read"),
        (("whatif", "--calendar", "/nowhere"), "/nowhere"),
        (("whatif", "--policy", "52022", "--query", "leak"), "'leak': a condition looks like name=value"),
        (("whatif", "--policy", "52022", "--csv", "/nowhere/f.csv"), "/nowhere/f.csv cannot be written"),
        (("mining", "--format", "csv", "-o", "x"), "no format 'csv': ocel or xes"),
        (("mining", "-o", "/nowhere/events"), "/nowhere/events cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    auditor: Auditor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert auditor.complaint(*arguments).startswith(said)
    assert not list(tmp_path.iterdir())


def test_what_is_no_bundle_is_one_line(auditor: Auditor, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        result = CliRunner().invoke(app, ["audit", "check", str(folder)], env=auditor.settings)
        assert isinstance(result.exception, Failure)
        assert str(result.exception) == "bundle.json cannot be read: No such file or directory"
        assert result.stdout.startswith("UNUSABLE bundle.json: cannot be read: ")


def test_without_a_database_nothing_is_made(tmp_path: Path) -> None:
    auditor = Auditor(tmp_path / "home")
    for arguments in (("verify", "--all"), ("verify", "x"), ("head",), ("diff", "x")):
        assert auditor.complaint(*arguments).startswith("no database at ")
    assert not list((tmp_path / "home").glob("*.db*"))


def test_jiesu_audit_as_a_process_exits_with_the_verdict(installation: Installation) -> None:
    done = process(installation, "verify", "--all")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        f"everything holds for {len(SEALED)} closed issues; 1 open was not looked at",
    )
    done = process(installation, "verify", OPEN)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"jiesu: issue {OPEN} is not sealed yet: it is open, or was closed a moment ago\n"
