"""The release gate: strict replay of recorded histories with the code that is to be released.

``python -m audit.gate [ARCHIVE]`` replays the golden histories, and a production archive if one is given, as a folder
or by URL. It needs no database. Exit code 0: everything holds; 1: something does not hold; 2: something could not be
read.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from temporalio.api.enums.v1 import EventType

from audit.archive import Archive, ArchiveError, IssueFiles, parse_history
from audit.case import ArchivedCase, Finding, Leaf, Verdict
from audit.refold import read_start
from audit.verify import ENDLESS, sealed_runs, verify
from audit.verify_all import CHUNK, AuditReport, lines, map_in_processes
from domain.wire import truncate

GOLDEN: Final = Path(__file__).resolve().parents[1] / "tests" / "workflows" / "histories"
_CONTINUED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
_HOLDS: Final = 0
_FAILED: Final = 1
_UNREAD: Final = 2
_WHAT_TO_DO: Final = """\
Do not release this code: issues that are open, or archived, would come out differently with it.
A changed rule gets the next number in domain.rules.VERSIONS, a changed order of commands a workflow.patched:
see "Changing what open issues replay" in CONTRIBUTING.md.
"""


class GateError(Exception):
    """There is nothing to replay; the message names the folder or archive that is empty or missing."""


@dataclass(frozen=True)
class GateResult:
    """The verdict on an issue. `goes_on` says that the issue is open: its last archived run is continued by a run that
    is not archived yet.
    """

    verdict: Verdict
    goes_on: bool = False


def golden(folder: Path = GOLDEN) -> list[ArchivedCase]:
    """The golden issues in a folder: the file ``NAME.RUN.pb`` is run number ``RUN`` of the issue ``golden-NAME``.

    Raises GateError if the folder holds no such file.
    """
    runs: dict[str, list[tuple[int, Path]]] = {}
    for file in sorted(folder.glob("*.pb")):
        name, _, number = file.stem.rpartition(".")
        runs.setdefault(name, []).append((int(number), file))
    if not runs:
        raise GateError(f"there are no golden histories in {folder}")
    return [ArchivedCase(f"golden-{name}", tuple(file.read_bytes() for _, file in sorted(runs[name]))) for name in runs]


async def verify_golden(folder: Path = GOLDEN) -> AuditReport:
    """Strict replay of the golden histories in a folder. Raises GateError if there are none."""
    report = _report("golden histories")
    for verdict in await verify(golden(folder)):
        report.take(verdict)
    return report


async def verify_archive(url: str, *, but_known: bool = False, workers: int | None = None) -> tuple[AuditReport, int]:
    """Strict replay of every issue in the archive; returns the report, and how many of the issues are open.

    With `but_known`, a finding that the issue's sealed record names already does not count. Raises GateError if the
    archive holds no issue, ArchiveError if it cannot be listed.
    """
    report, still_open = _report(f"archive {url}"), 0
    async for tried in map_in_processes(
        partial(_in_process, url, but_known), Archive(url).issues_in_chunks(CHUNK), workers
    ):
        for each in tried:
            report.take(each.verdict)
            still_open += each.goes_on
        sys.stderr.write(f"\r{report.issues:,} issues, {len(report.findings)} findings ")
        sys.stderr.flush()
    sys.stderr.write("\n")
    if not report.issues:
        raise GateError(f"{url} holds no issue")
    return report, still_open


def _in_process(url: str, but_known: bool, shelves: Sequence[IssueFiles]) -> list[GateResult]:
    return asyncio.run(_tried(url, but_known, shelves))


async def _tried(url: str, but_known: bool, shelves: Sequence[IssueFiles]) -> list[GateResult]:
    archive = Archive(url)
    cases = [await case_of(archive, shelf) for shelf in shelves]
    verdicts = await verify(cases)
    return [_judged(case, verdict, but_known=but_known) for case, verdict in zip(cases, verdicts, strict=True)]


def _judged(case: ArchivedCase, verdict: Verdict, *, but_known: bool) -> GateResult:
    """The verdict as it counts for an archive without a database. An open issue has no end yet, so its missing end is
    no finding. A closed issue without a seal gets a finding.
    """
    findings = verdict.findings
    if case.leaf is None and _goes_on(case):
        return GateResult(
            replace(verdict, findings=tuple(each for each in findings if each.what != ENDLESS)), goes_on=True
        )
    if case.kept is None:
        what = "it is closed, but has no seal: was it copied while it was being archived?"
        findings = (*findings, Finding("seal", case.issue, "archive", what))
    if but_known and case.leaf is not None and case.leaf.record is not None:
        known = {"commands: record", *case.leaf.record["replay"]["findings"]}
        findings = tuple(each for each in findings if f"{each.step}: {each.where}" not in known)
    return GateResult(replace(verdict, findings=findings))


def _goes_on(case: ArchivedCase) -> bool:
    try:
        return parse_history("", case.runs[-1])[-1].event_type == _CONTINUED
    except (ArchiveError, IndexError):
        return False


async def case_of(archive: Archive, shelf: IssueFiles) -> ArchivedCase:
    """The case of an issue with everything that the archive holds of it, consistent or not."""
    unread: list[str] = []
    kept, leaf = None, None
    if shelf.seal is not None:
        try:
            kept = await archive.seal_at(shelf.seal)
            leaf = Leaf.of_seal(kept or {})
        except (ArchiveError, LookupError, TypeError, ValueError) as error:
            unread.append(_reason(shelf.seal, error))
    runs: list[bytes] = []
    for key in _chain(shelf, leaf, unread):
        try:
            runs.append(await archive.get_run(key))
        except ArchiveError as error:
            unread.append(str(error))
    return ArchivedCase(_issue(shelf, leaf, runs), tuple(runs), leaf, None, kept, tuple(unread))


def _chain(shelf: IssueFiles, leaf: Leaf | None, unread: list[str]) -> Iterable[str]:
    """The keys of the runs in the issue's chain, in order: the sealed runs, or without a seal the runs with a number
    from 0 on.

    A run that a reset cut off has a number below 0, or shares its number with another run. `unread` gets a reason if a
    run is missing or a number occurs twice.
    """
    keys = {run: key for (_, run), key in shelf.runs.items()}
    sealed = [run for run, _ in sealed_runs(None if leaf is None else leaf.record)]
    if sealed:
        unread += [f"run {run} is missing" for run in sealed if run not in keys]
        return [keys[run] for run in sealed if run in keys]
    numbers = [n for n, _ in shelf.runs if n >= 0]
    if numbers != list(range(len(numbers))):
        unread.append(f"its runs bear the numbers {', '.join(map(str, numbers))}: one is missing, or it was reset")
    return [key for (n, _), key in shelf.runs.items() if n >= 0]


def _issue(shelf: IssueFiles, leaf: Leaf | None, runs: Sequence[bytes]) -> str:
    """The issue's id, from the record or the start of the first run; the folder's name may be a digest of the id."""
    if leaf is not None and leaf.record is not None and "issue" in leaf.record:
        return str(leaf.record["issue"])
    try:
        return read_start(parse_history("", runs[0])[0]).issue
    except Exception:  # noqa: BLE001  `verify` says what is wrong with it
        return shelf.name


def _reason(key: str, error: Exception) -> str:
    return str(error) if isinstance(error, ArchiveError) else f"{key} is no seal: {type(error).__name__}: {error}"


def _report(asked: str) -> AuditReport:
    return AuditReport(asked, truncate(datetime.now(UTC)))


async def run(archive: str | None, folder: Path, *, but_known: bool, workers: int | None) -> bool:
    """Verifies the golden histories and the archive, and prints the results; returns whether everything holds."""
    holds = _say(await verify_golden(folder))
    if archive is not None:
        report, still_open = await verify_archive(_url(archive), but_known=but_known, workers=workers)
        if still_open:
            _print(f"of these {still_open} are open, and hold or not as far as they are archived")
        holds &= _say(report)
    return holds


def _url(archive: str) -> str:
    """The archive's URL. Raises GateError if it names a folder that does not exist, since opening the archive would
    create the folder.
    """
    if "://" in archive and not archive.startswith("file:"):
        return archive
    folder = Path(url2pathname(urlsplit(archive).path) if archive.startswith("file:") else archive).resolve()
    if not folder.is_dir():
        raise GateError(f"there is no folder {folder}")
    return folder.as_uri()


def _say(report: AuditReport) -> bool:
    for line in lines(report):
        _print(line)
    return report.holds


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m audit.gate", description="Strict replay before a release.")
    parser.add_argument(
        "archive", nargs="?", help="a copied folder, or s3://bucket/prefix; without it golden histories alone"
    )
    parser.add_argument("--golden", type=Path, default=GOLDEN, metavar="FOLDER", help="where the golden histories lie")
    parser.add_argument("--workers", type=int, help="processes; by default one for each core")
    parser.add_argument("--but-known", action="store_true", help="what was sealed as not holding does not count")
    given = parser.parse_args(arguments)
    try:
        holds = asyncio.run(run(given.archive or None, given.golden, but_known=given.but_known, workers=given.workers))
    except (GateError, ArchiveError) as error:
        sys.stderr.write(f"{error}\n")
        return _UNREAD
    if not holds:
        sys.stderr.write(_WHAT_TO_DO)
    return _HOLDS if holds else _FAILED


if __name__ == "__main__":
    sys.exit(main())
