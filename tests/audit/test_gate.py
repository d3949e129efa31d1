"""The release gate: it passes sound histories, names unsound ones, and exits accordingly."""

import asyncio
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History

from audit.archive import Archive, history_bytes, pack, parse_history, seal_key
from audit.case import ArchivedCase, Leaf
from audit.gate import GateError, case_of, golden, main, verify_archive, verify_golden
from audit.merkle import HASH_BYTES, commitment, leaf_hash
from audit.record import SealedRun, build, code_versions
from audit.refold import refold
from audit.verify import verify
from domain.events import dump_event, event_digest
from domain.pins import pins_digest, read_calendars, read_policy
from domain.wire import canonical, parse_time
from support.golden import HISTORIES, SIGNER
from support.tampering import edit

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("standard", "again", "silent")
"""One of them with two runs."""
NOW = parse_time("2026-11-24T08:00:00.000Z")


def case(name: str) -> ArchivedCase:
    return next(each for each in golden(HISTORIES) if each.issue == f"golden-{name}")


async def put(archive: Archive, found: ArchivedCase, position: int = 0, *, is_sealed: bool = True) -> None:
    """Puts an issue into the archive as the archivist does."""
    runs = [parse_history("", run) for run in found.runs]
    ids = [run[0].workflow_execution_started_event_attributes.original_execution_run_id for run in runs]
    for n, (run, data) in enumerate(zip(ids, found.runs, strict=True)):
        await archive.put_run(found.issue, n, run, data)
    if is_sealed:
        stored = [SealedRun(*each) for each in zip(ids, map(_sha256, found.runs), map(len, runs), strict=True)]
        (verdict,) = await verify([found])
        await archive.put_seal(
            found.issue, seal(build(stored, refold(found.issue, runs), verdict, code_versions(), NOW), position)
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def seal(record: dict, position: int) -> dict:
    salt = bytes(HASH_BYTES)
    return Leaf(position, leaf_hash(commitment(salt, canonical(record))), salt, record).seal()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    archive = Archive((tmp_path / "archive").as_uri())
    for position, name in enumerate(NAMES):
        await put(archive, case(name), position)
    return tmp_path / "archive"


def altered(data: bytes, change: Callable[[History], None]) -> bytes:
    history = History()
    history.ParseFromString(data)
    change(history)
    return history_bytes(list(history.events))


def longer(history: History) -> None:
    """The first timer ran a second longer than the code asks for."""
    timer = next(event for event in history.events if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED)
    timer.timer_started_event_attributes.start_to_fire_timeout.seconds += 1


def newer(history: History) -> None:
    """As a later version begins issues."""

    def begin(plain: dict[str, Any]) -> None:
        policy, calendars = read_policy(plain["policy"]), read_calendars(plain["calendars"])
        plain["rules_version"] = 9
        del plain["report"]["proof"]
        plain["report"]["body"]["pins"] = pins_digest(policy, calendars, 9)
        plain["report"] = SIGNER.sign(SIGNER.root, plain["issue"], "report", plain["report"])

    edit(history.events[0].workflow_execution_started_event_attributes.input.payloads[0], begin)


def of(folder: Path, name: str, ending: str) -> Path:
    return next(folder.glob(f"issues/*/golden-{name}/*{ending}"))


def gate(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "audit.gate", *map(str, words)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


async def test_the_gate_passes_the_golden_histories() -> None:
    report = await verify_golden()
    assert report.holds, report.findings
    assert report.issues == len({file.name.split(".")[0] for file in HISTORIES.glob("*.pb")})


async def test_an_altered_golden_history_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(HISTORIES, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "standard.0.pb"
    file.write_bytes(altered(file.read_bytes(), longer))
    assert await asyncio.to_thread(main, ["--golden", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "golden-standard: commands: run 0, event " in said.out
    assert "golden-again" not in said.out
    assert "domain.rules.VERSIONS" in said.err


def test_without_golden_histories_there_is_nothing_to_pass(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="no golden histories"):
        golden(tmp_path)
    assert main(["--golden", str(tmp_path)]) == 2


async def test_the_gate_passes_an_archive_without_a_database(folder: Path) -> None:
    report, still_open = await verify_archive(folder.as_uri(), workers=1)
    assert report.holds, report.findings
    assert (report.issues, report.runs, still_open) == (3, 4, 0)


async def test_the_number_of_gate_workers_changes_nothing(folder: Path) -> None:
    alone, _ = await verify_archive(folder.as_uri(), workers=1)
    together, _ = await verify_archive(folder.as_uri(), workers=2)
    assert replace(alone, at=together.at) == together


async def test_runs_are_listed_once_and_in_order(folder: Path) -> None:
    archive = Archive(folder.as_uri())
    found = {shelf.name: shelf async for shelf in archive.issues()}
    assert sorted(found) == sorted(f"golden-{name}" for name in NAMES)
    again = await case_of(archive, found["golden-again"])
    assert again.runs == case("again").runs
    assert found["golden-again"].seal == seal_key("golden-again")
    assert [n for n, _ in found["golden-again"].runs] == [0, 1]


@pytest.mark.parametrize("ending", [".pb.zst", "seal.zst"])
async def test_what_was_taken_out_is_missed(folder: Path, ending: str) -> None:
    of(folder, "standard", ending).unlink()
    report, _ = await verify_archive(folder.as_uri(), workers=1)
    assert {finding.issue for finding in report.findings} == {"golden-standard"}


async def test_the_gate_finds_a_replaced_history(folder: Path) -> None:
    file = of(folder, "standard", ".pb.zst")
    file.write_bytes(pack(altered(case("standard").runs[0], longer)))
    report, _ = await verify_archive(folder.as_uri(), workers=1)
    assert {(finding.issue, finding.step) for finding in report.findings} == {
        ("golden-standard", "archive"), ("golden-standard", "commands"),
    }  # fmt: skip


async def test_what_a_reset_cut_off_is_left_out(folder: Path) -> None:
    """Under a number below 0, or under that of the run that took its place."""
    archive = Archive(folder.as_uri())
    stray = case("silent").runs[0]
    await archive.put_run("golden-standard", -1, "one", stray)
    await archive.put_run("golden-standard", 0, "another", stray)
    report, _ = await verify_archive(folder.as_uri(), workers=1)
    assert report.holds, report.findings


async def test_an_open_issue_holds_as_far_as_it_is_archived(tmp_path: Path) -> None:
    archive = Archive(tmp_path.as_uri())
    found = case("again")
    await put(archive, replace(found, runs=found.runs[:1]), is_sealed=False)
    report, still_open = await verify_archive(tmp_path.as_uri(), workers=1)
    assert report.holds, report.findings
    assert still_open == 1
    await put(archive, found, is_sealed=False)
    report, still_open = await verify_archive(tmp_path.as_uri(), workers=1)
    assert [finding.step for finding in report.findings] == ["seal"]
    assert still_open == 0


async def test_an_id_that_is_no_file_name_is_read_from_the_record(tmp_path: Path) -> None:
    """Its folder bears a digest."""

    def renamed(history: History) -> None:
        payload = history.events[0].workflow_execution_started_event_attributes.input.payloads[0]
        payload.data = payload.data.replace(b'"issue":"golden-standard"', '"issue":"诉 1"'.encode())

    archive = Archive(tmp_path.as_uri())
    await archive.put_run("诉 1", 0, "r", altered(case("standard").runs[0], renamed))
    (shelf,) = [shelf async for shelf in archive.issues()]
    assert (await case_of(archive, shelf)).issue == "诉 1"


async def test_what_a_newer_version_wrote_is_said_in_one_line(folder: Path) -> None:
    archive = Archive(folder.as_uri())
    of(folder, "standard", ".pb.zst").write_bytes(pack(altered(case("standard").runs[0], newer)))
    compressed = zstandard.ZstdCompressor(dict_data=_dictionary(77)).compress(case("silent").runs[0])
    of(folder, "silent", ".pb.zst").write_bytes(compressed)
    report, _ = await verify_archive(archive.url, workers=1)
    said = "\n".join(map(str, report.findings))
    assert (
        "golden-standard: fold: history: run 0, event 3: UnknownRulesError: this version has no rules 9: a newer"
        in said
    )
    assert "golden-silent: archive: history: this version has no dictionary 77: a newer one compressed this" in said


def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    # Magic number, then the id; the rest is that of ours.
    ours = (ROOT / "audit" / "dictionaries" / "1.zdict").read_bytes()
    return zstandard.ZstdCompressionDict(ours[:4] + number.to_bytes(4, "little") + ours[8:])


async def test_what_was_sealed_as_not_holding_may_be_let_pass(tmp_path: Path) -> None:
    archive = Archive(tmp_path.as_uri())
    found = case("standard")
    await put(archive, replace(found, runs=(altered(found.runs[0], longer),)))
    report, _ = await verify_archive(archive.url, workers=1)
    assert {finding.where.split(",")[0] for finding in report.findings} == {"run 0", "record"}
    report, _ = await verify_archive(archive.url, but_known=True, workers=1)
    assert report.holds, report.findings


def test_the_gate_exits_with_0_or_1(folder: Path) -> None:
    done = gate(folder, "--workers", "1")
    assert (done.returncode, done.stdout.count("everything holds")) == (0, 1), done.stderr
    assert done.stdout.count("the rest holds") == 1, "it has no keys, so no text of the archive was opened"
    of(folder, "standard", ".pb.zst").unlink()
    done = gate(folder.as_uri(), "--workers", "1")
    assert done.returncode == 1
    assert "golden-standard: archive: history: run " in done.stdout


def test_the_gate_fails_on_an_empty_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    assert main([str(absent)]) == 2
    assert not absent.exists()
    assert main([str(tmp_path), "--workers", "1"]) == 2
    assert capsys.readouterr().err.endswith(f"{tmp_path.as_uri()} holds no issue\n")


async def test_refolded_events_have_the_bytes_and_digests_of_the_record() -> None:
    """The auditor writes each once, and takes from it what the record takes from three."""
    found = case("standard")
    folded = refold(found.issue, [parse_history("", run) for run in found.runs])
    plain = [dump_event(event) for event in folded.events]
    assert [each.plain for each in folded.written] == plain
    assert [each.digest for each in folded.written] == list(map(event_digest, plain))
    assert b"[%b]" % b",".join(each.text for each in folded.written) == canonical(plain)
