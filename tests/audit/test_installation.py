"""Verification of a whole installation: on any number of processes, resumable, with its log."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import verify_all as full
from audit.case import STEPS, Finding, Verdict
from audit.log_keys import TrustedKeys
from audit.notes import NoteError
from audit.report_page import page
from audit.verify_all import SETTLED, AuditReport, ResumeError, closing, lines, verify_all, verify_log
from domain.wire import format_time
from support.archiving import now
from support.installation import COVERED, OPEN, SEALED, UNCOVERED, Installation

ASKED = "verify all"


async def verified(where: Installation, **options) -> AuditReport:
    report = AuditReport(ASKED, datetime(2026, 11, 24, tzinfo=UTC))
    await verify_all(where.source, report, **options)
    return report


async def log_of(where: Installation, trust: TrustedKeys | None, at: datetime | None = None) -> list[str]:
    report = AuditReport(ASKED, at or now())
    await verify_log(where.source, where.heads, trust, report)
    return [str(finding) for finding in report.findings]


@pytest.fixture
def tampered(installation: Installation, tmp_path: Path) -> Installation:
    """Two of its issues were tampered with: in SQL the first one, in the archive the last one."""
    copy = installation.copied(tmp_path / "copy")
    assert copy.sql("UPDATE issues SET category = 'noise' WHERE id = ?", COVERED[0]) == 1
    (file,) = copy.home.glob(f"archive/issues/*/{UNCOVERED}/0-*")
    file.write_bytes(b"gone")
    return copy


async def test_an_untouched_installation_has_no_finding(installation: Installation) -> None:
    report = await verified(installation)
    report.at = now()  # a leaf of time to come would be a finding
    trust = TrustedKeys.beside(installation.heads, installation.vkey)
    await verify_log(installation.source, installation.heads, trust, report)
    assert [str(each) for each in report.findings] == []
    assert (report.issues, report.runs, report.erased) == (len(SEALED), len(SEALED) + 1, 0)
    assert (report.leaves, report.heads) == (len(SEALED), 2)
    assert report.commands > report.runs
    said = list(lines(report))
    assert said[0].startswith(f"{ASKED}: {len(SEALED)} issues, {len(SEALED) + 1} runs, ")
    assert said[1:] == [
        f"log: {len(SEALED)} leaves, 2 published heads",
        f"everything holds for {len(SEALED)} closed issues; 1 open was not looked at",
    ]


async def test_the_number_of_processes_changes_nothing(tampered: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full, "CHUNK", 2)
    seen: list[tuple[int, int]] = []
    one = await verified(tampered, workers=1, progress=lambda *at: seen.append(at))
    two = await verified(tampered, workers=2)
    assert one == two
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert {finding.issue for finding in one.findings} == {COVERED[0], UNCOVERED}
    assert [str(each) for each in one.findings if each.issue == COVERED[0]] == [
        f"{COVERED[0]}: rows: column category: it is 'noise', not 'leak'"
    ]
    assert list(lines(one))[-1] == f"{len(one.findings)} findings: NOT everything holds for {len(SEALED)} closed issues"


async def test_only_what_was_sealed_since_may_be_asked_for(installation: Installation, tmp_path: Path) -> None:
    copy = installation.copied(tmp_path / "copy")
    assert copy.sql("UPDATE seals SET sealed_at = '2026-01-02T00:00:00.000Z' WHERE position < 3") == 3
    report = await verified(copy, since=datetime(2026, 1, 3, tzinfo=UTC))
    assert (report.issues, report.holds) == (2, True)


async def test_rows_and_commands_may_be_left_out(tampered: Installation) -> None:
    report = AuditReport(ASKED, now())
    await verify_all(full.Source(tampered.url, tampered.archive.url, rows=False, commands=False), report)
    assert report.commands == 0
    assert {finding.issue for finding in report.findings} == {UNCOVERED}


# Going on


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


async def interrupted(where: Installation, notes: Path) -> None:
    def stop(finished: int, _: int) -> None:
        if finished == 4:
            raise Stopped

    with pytest.raises(Stopped):
        await verified(where, done=notes, workers=1, progress=stop)


async def test_an_interrupted_run_goes_on(
    tampered: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full, "CHUNK", 2)
    whole, notes = await verified(tampered, workers=1), tmp_path / "notes"
    await interrupted(tampered, notes)
    text = notes.read_text("utf-8")
    assert len(text.splitlines()) == 5
    notes.write_text(text[:-7], "utf-8")  # it was killed while it wrote the last line
    # What is noted is not looked at again: this one would now be found.
    assert tampered.sql("UPDATE issues SET category = 'noise' WHERE id = 'golden-standard'") == 1
    seen: list[int] = []
    again = await verified(tampered, done=notes, workers=1, progress=lambda finished, _: seen.append(finished))
    assert again == whole
    assert seen == [3, 5]
    assert len(notes.read_text("utf-8").splitlines()) == 7
    with pytest.raises(ResumeError, match="came to its end"):  # or nothing would ever be verified again
        await verified(tampered, done=notes, workers=1)


@pytest.mark.parametrize("begun", ["", '{"asked": "ver'])
async def test_a_run_that_noted_nothing_begins_anew(installation: Installation, tmp_path: Path, begun: str) -> None:
    notes = tmp_path / "notes"
    notes.write_text(begun, "utf-8")
    assert await verified(installation, done=notes) == await verified(installation)
    assert json.loads(notes.read_text("utf-8").splitlines()[0])["asked"] == ASKED


@pytest.mark.parametrize(
    "held",
    [
        b'{"asked": "verify since 2026-11-01"}\n',
        b'{"asked": "verify all", "of": "elsewhere"}\n',
        b"a letter to\nsomebody",
        b"\xff\x00\n",
        b"[]\n{}\n",
    ],
)
async def test_a_file_of_another_run_is_refused_and_left_alone(
    installation: Installation, tmp_path: Path, held: bytes
) -> None:
    notes = tmp_path / "notes"
    notes.write_bytes(held)
    with pytest.raises(ResumeError, match=f"is not of a run of `{ASKED}`"):
        await verified(installation, done=notes)
    assert notes.read_bytes() == held


@pytest.mark.parametrize("line", ["{}", "[1]", '{"issue": "x", "findings": [], "colour": "red"}', "nonsense"])
async def test_a_note_that_no_run_wrote_is_refused(installation: Installation, tmp_path: Path, line: str) -> None:
    notes = tmp_path / "notes"
    full._Notes(notes, ASKED, installation.source).add(())
    with notes.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(ResumeError, match="holds what no run of this version wrote"):
        await verified(installation, done=notes)


async def test_notes_keep_whatever_a_finding_quotes(installation: Installation, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    strange = Finding("rows", COVERED[0], "event 1", "one line\u2028or\x85two\n\ud800")
    kept = full._Notes(notes, ASKED, installation.source)
    kept.add([Verdict(COVERED[0], findings=(strange,))])
    report = await verified(installation, done=notes)
    assert report.findings == [strange]
    assert report.issues == len(SEALED)


# The log


async def test_a_closed_issue_that_was_never_sealed_is_found(installation: Installation, tmp_path: Path) -> None:
    copy = installation.copied(tmp_path / "copy")
    trust = TrustedKeys.beside(copy.heads)
    assert copy.sql("UPDATE issues SET closed_at = ? WHERE id = ?", format_time(now()), OPEN) == 1
    assert await log_of(copy, trust) == []
    assert await log_of(copy, trust, now() + SETTLED + timedelta(seconds=1)) == [
        f"{OPEN}: archive: log: it is closed, and was never sealed"
    ]


async def test_rolled_back_or_altered_leaves_are_findings(installation: Installation, tmp_path: Path) -> None:
    copy = installation.copied(tmp_path / "copy")
    trust = TrustedKeys.beside(copy.heads)
    assert copy.sql("DELETE FROM seals WHERE position >= 3") == 2
    (found,) = [each for each in await log_of(copy, trust) if "head" in each]
    assert "the log was rolled back: it had 4 issues at " in found
    assert copy.sql("UPDATE seals SET leaf = 'no digest' WHERE position = 1") == 1
    assert sum("of the log are not those that it had" in each for each in await log_of(copy, trust)) == 1
    report = await verified(copy)
    found = next(str(each) for each in report.findings if each.step == "seal")
    assert found.endswith("seal: leaf 1: the leaf is not that of this record")


@pytest.mark.parametrize("value", ["00", "no digest", ""])
async def test_a_salt_that_is_none_is_found(installation: Installation, tmp_path: Path, value: str) -> None:
    copy = installation.copied(tmp_path / "copy")
    assert copy.sql("UPDATE seals SET salt = ? WHERE position = 0", value) == 1
    found = [str(each).partition(": ")[2] for each in (await verified(copy)).findings]
    assert found == [
        "seal: leaf 0: the leaf is not that of this record",
        "seal: leaf 0: the seal in the archive is another one: salt",
    ]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE seals SET record = 'no JSON' WHERE issue = ?", "the leaf in SQL cannot be read"),
        ("UPDATE events SET body = '' WHERE issue = ? AND seq = 2", "the rows in SQL cannot be read"),
        ("UPDATE issues SET opened_at = 'long ago' WHERE id = ?", "the rows in SQL cannot be read"),
    ],
)
async def test_values_that_are_none_do_not_stop_it(
    installation: Installation, tmp_path: Path, statement: str, what: str
) -> None:
    copy = installation.copied(tmp_path / "copy")
    assert copy.sql(statement, COVERED[0]) == 1
    report = await verified(copy)
    (found,) = report.findings
    assert str(found).startswith(f"{COVERED[0]}: archive: history: {what}")
    assert report.issues == len(SEALED)


async def test_heads_that_are_gone_are_missed(installation: Installation, tmp_path: Path) -> None:
    copy = installation.copied(tmp_path / "copy")
    (copy.heads / "key.txt").unlink()
    assert [each for each in await log_of(copy, None) if "there is no key to check it by" in each]
    with pytest.raises(FileNotFoundError):
        TrustedKeys.beside(copy.heads)
    shutil.rmtree(copy.heads)
    found = await log_of(copy, None)
    assert len(found) == 2
    assert all(each.endswith("SQL holds a head that was never put outside") for each in found)
    with pytest.raises(NoteError):
        TrustedKeys.beside(copy.heads, "nonsense")


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        ("DELETE FROM policies", "it is gone"),
        ("UPDATE policies SET body = 'x'", "rows: policy: one of them is no JSON"),
        ("UPDATE heads SET root = 'x'", "what stands beside its note is not what it says"),
        ("UPDATE calendars SET body = '[]'", "its text is not the one with this digest"),
    ],
)
async def test_what_is_beside_the_log_is_looked_at(
    installation: Installation, tmp_path: Path, tamper: str, said: str
) -> None:
    copy = installation.copied(tmp_path / "copy")
    assert copy.sql(tamper) > 0
    assert any(said in line for line in await log_of(copy, TrustedKeys.beside(copy.heads)))


async def test_a_key_that_leads_out_of_the_archive_is_a_finding(installation: Installation, tmp_path: Path) -> None:
    copy = installation.copied(tmp_path / "copy")
    assert copy.sql("UPDATE archive SET key = '../../etc/passwd' WHERE issue = ?", COVERED[0]) > 0
    report = await verified(copy)
    assert {each.step for each in report.findings if each.issue == COVERED[0]} >= {"archive"}
    assert {each.issue for each in report.findings} == {COVERED[0]}


async def test_what_was_erased_is_verified_as_everything_else(installation: Installation, tmp_path: Path) -> None:
    copy = installation.copied(tmp_path / "copy")
    copy.erase(COVERED[1])
    report = await verified(copy)
    report.at = now()
    await verify_log(copy.source, copy.heads, TrustedKeys.beside(copy.heads, copy.vkey), report)
    assert [str(each) for each in report.findings] == []
    assert (report.issues, report.erased) == (len(SEALED), 1)
    assert any("of these 1 " in line and "verified, content erased" in line for line in lines(report))


async def test_what_was_taken_away_is_not_erased(installation: Installation, tmp_path: Path) -> None:
    copy = installation.copied(tmp_path / "copy")
    copy.erase(COVERED[1])
    copy.take_away(COVERED[1])
    report = await verified(copy)
    assert [(each.step, each.issue) for each in report.findings] == [("seal", COVERED[1])]


# The report as a page


def reported(**more) -> AuditReport:
    return AuditReport(ASKED, datetime(2026, 11, 24, 8, tzinfo=UTC), issues=2, runs=2, commands=9, events=9, **more)


def test_the_html_report_holds_no_active_content() -> None:
    bad = "<script>alert(1)</script><img src=//x onerror=y>"
    report = reported(leaves=2, heads=1, findings=[Finding(step, bad, bad, bad) for step in STEPS])
    report.asked = bad
    text = page(report)
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert not re.search(
        r"(?i)\b(?:src|href|action|style|on\w+)\s*=|@import|url\(|https?:|<(?:link|iframe|object|form)",
        text.replace("&lt;img src=//x onerror=y&gt;", ""),
    )
    assert f"有 {len(STEPS)} 处不符" in text
    assert text.count("1 处不符</span>") == len(STEPS)


@pytest.mark.parametrize(
    ("report", "looked_at"),
    [
        (reported(leaves=2, heads=2), 9),
        (reported(), 8),
        (reported(rows=False), 7),
        (reported(erased=2), 8),
        (reported(unopened=3), 7),
        (reported(unseen=1), 7),
        (AuditReport(ASKED, datetime(2026, 11, 24, tzinfo=UTC), issues=2, erased=2), 1),
        (AuditReport(ASKED, datetime(2026, 11, 24, tzinfo=UTC)), 0),
    ],
)
def test_the_html_report_names_skipped_steps(report: AuditReport, looked_at: int) -> None:
    text = page(report)
    assert "全部相符" in text
    assert text.count("相符 ✓") == looked_at
    assert text.count("未核验 not looked at") == len(STEPS) - looked_at


def test_a_page_warns_of_a_key_from_beside_the_heads() -> None:
    assert "--key" in page(reported(leaves=2, heads=2))
    assert "--key" not in page(reported(leaves=2, heads=2, pinned=True))
    assert "--key" not in page(reported())


def test_the_html_report_lists_at_most_500_findings() -> None:
    text = page(reported(findings=[Finding("rows", f"issue-{n}", "x", "y") for n in range(503)]))
    assert "issue-499<" in text
    assert "issue-500<" not in text
    assert "3 more are in the JSON report" in text
    assert "有 503 处不符" in text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"issues": 21, "leaves": 21, "open": 4}, "everything holds for 21 closed issues; 4 open were not looked at"),
        ({"issues": 21, "leaves": 21, "open": 0}, "everything holds for 21 closed issues"),
        ({"issues": 1, "leaves": 21, "open": 1},
         "everything holds for 1 closed issue; 20 other closed and 1 open were not looked at"),
        ({"issues": 0, "leaves": 0, "open": 1}, "everything holds for 0 closed issues; 1 open was not looked at"),
    ],
)  # fmt: skip
def test_a_verdict_says_what_it_covers(counts: dict[str, Any], said: str) -> None:
    report = AuditReport(ASKED, now(), **counts)
    assert list(lines(report))[-1] == said
    assert f"{counts['leaves'] - counts['issues']} / {counts['open']}" in page(report)
    report.findings.append(Finding("head", None, "heads", "gone"))
    assert list(lines(report))[-1] == said.replace("everything holds", "1 findings: NOT everything holds")


@pytest.mark.parametrize(
    ("counts", "zh", "en"),
    [
        ({"unopened": 7}, "文字未解开，其余全部相符", "texts were not opened; the rest holds"),
        ({"unseen": 2}, "图片未核对，其余全部相符", "pictures were not compared; the rest holds"),
        ({"unopened": 7, "unseen": 2, "compared": 4, "open": 5},
         "文字未解开、图片未核对，其余全部相符", "texts were not opened and pictures were not compared; the rest holds"),
    ],
)  # fmt: skip
def test_a_verdict_does_not_say_that_everything_holds_if_something_was_not_looked_at(
    counts: dict[str, Any], zh: str, en: str
) -> None:
    report = reported(**counts)
    more = "; 4 open were compared; 1 open was not looked at" if "open" in counts else ""
    assert closing(report) == f"{en} for 2 closed issues{more}"
    assert zh in page(report)
    assert en in page(report)
    report.findings.append(Finding("texts", "x", "key", "gone"))
    assert closing(report).startswith("1 findings: NOT everything holds for 2 closed issues")


async def test_open_issues_are_counted_where_the_log_is_verified(installation: Installation) -> None:
    report = AuditReport(ASKED, now())
    await verify_log(installation.source, installation.heads, TrustedKeys.beside(installation.heads), report)
    assert report.open == 1
