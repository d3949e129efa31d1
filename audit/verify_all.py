"""Verifies everything that an installation has sealed. It uses all cores, reports its progress, and can resume after an
interruption.
"""

import asyncio
import atexit
import contextlib
import hashlib
import json
import multiprocessing
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import func, or_, select

from audit.archive import Archive
from audit.case import Finding, Order, Verdict
from audit.content import NOWHERE, Places
from audit.holdings import Holdings
from audit.log_check import check_log, newest_head, published_heads
from audit.log_keys import FIRST, TrustedKeys
from audit.orders import check_orders
from audit.roots import check_root, read_roots
from audit.strays import check_files
from audit.table_checks import SETTLED, check_index, check_orphans, check_sealed_at, check_tables
from audit.verify import verify
from db.engine import Database
from db.tables import HeadRow, IssueRow, SealRow
from domain.wire import format_time

T = TypeVar("T")
R = TypeVar("R")

CHUNK: Final = 40
"""How many issues a process verifies at a time: enough to pay for its start, and few enough to lose in an interruption.
"""
_AHEAD: Final = 4
"""How many chunks of issues are queued for each process."""
COVERED: Final = timedelta(hours=26)
"""A leaf that no published head covers this long after its sealing is a finding: a head is published each day."""

Progress = Callable[[int, int], None]
"""A function that is called with the number of issues that are done, and the number of all issues."""


class ResumeError(ValueError):
    """The file of an earlier verification cannot be used; the message names the file."""


@dataclass(frozen=True)
class Source:
    """An installation: the URLs of its database and its archive, where its keys and pictures are, and whether rows in SQL
    and replayed commands are verified.
    """

    database: str
    archive: str
    rows: bool = True
    commands: bool = True
    places: Places = NOWHERE


@dataclass
class AuditReport:
    """The result of verifying an installation; it holds if there is no finding.

    `asked` says what was to be verified, `rows` whether that included the read model. `pinned` says whether the auditor
    gave the log's first key: without it, the key beside the heads is used. `open` is the number of open issues, of
    which `compared` were compared with their histories; None until the log was looked at. `opened`, `unopened`, `pictures` and `unseen` are the sums of the verdicts'.
    """

    asked: str
    at: datetime
    issues: int = 0
    runs: int = 0
    commands: int = 0
    events: int = 0
    erased: int = 0
    leaves: int = 0
    heads: int = 0
    pinned: bool = False
    open: int | None = None
    compared: int = 0
    opened: int = 0
    unopened: int = 0
    pictures: int = 0
    unseen: int = 0
    rows: bool = True
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def holds(self) -> bool:
        return not self.findings

    def take(self, verdict: Verdict) -> None:
        self.issues += 1
        self.runs += verdict.runs
        self.commands += verdict.commands
        self.events += verdict.events
        self.erased += verdict.erased
        self.opened += verdict.opened
        self.unopened += verdict.unopened
        self.pictures += verdict.pictures
        self.unseen += verdict.unseen
        self.findings += verdict.findings

    def plain(self) -> dict[str, Any]:
        """The fields of the report and `holds` as plain values, ready for JSON."""
        return {"holds": self.holds, **asdict(self), "at": format_time(self.at)}


async def verify_all(
    source: Source,
    report: AuditReport,
    *,
    since: datetime | None = None,
    progress: Progress = lambda _, __: None,
    done: Path | None = None,
    workers: int | None = None,
    roots: Mapping[str, datetime] | None = None,
) -> None:
    """Verifies every sealed issue, or those sealed since a time, and adds the verdicts to the report. `roots` are the
    published signing roots of commands, None if not known.

    `done` is a file that notes each finished chunk, from which an interrupted verification continues. Raises
    ResumeError if the file is of a verification with another question, of another installation, or finished.
    """
    async with open_holdings(source) as holdings:
        issues = [issue async for _, issue in holdings.sealed(since)]
    notes = _Notes(done, report.asked, source)
    held = notes.read()
    known = {issue: held[issue] for issue in issues if issue in held}
    for verdict in known.values():
        report.take(check_root(verdict, roots))
    left = [issue for issue in issues if issue not in known]
    progress(len(known), len(issues))
    finished = len(known)
    chunks = _chunks(left)
    async for verdicts in map_in_processes(partial(_in_process, source), chunks, workers if len(left) > CHUNK else 1):
        notes.add(verdicts)
        for verdict in verdicts:
            report.take(check_root(verdict, roots))
        finished += len(verdicts)
        progress(finished, len(issues))
    notes.finish()


async def verify_log(
    source: Source, heads: Path, trust: TrustedKeys | None, report: AuditReport, *, files: bool = True
) -> None:
    """Verifies the log itself and what lies beside it, and adds the findings to the report: leaves that disagree with the
    published heads, closed issues that were never sealed, and what belongs to no issue. Without `files`, neither the
    files of the archive nor the tables are gone through.
    """
    async with open_holdings(source) as holdings:
        async with source.places.open(holdings.database) as contents:
            report.findings += [each async for each in contents.check_stores()]
        if files:
            report.findings += [each async for each in check_files(holdings)]
        leaves = await holdings.leaves()
        async with holdings.database.read() as session:
            notes = list(await session.scalars(select(HeadRow.note).order_by(HeadRow.at)))
            report.findings += await session.run_sync(lambda each: list(check_tables(each)))
            if files:
                report.findings += await session.run_sync(lambda each: list(check_sealed_at(each, report.at)))
            if files and source.rows:
                report.findings += await session.run_sync(lambda each: [*check_orphans(each), *check_index(each)])
            # What closes in time to come was put there by hand, and would never be late.
            late = or_(IssueRow.closed_at < report.at - SETTLED, IssueRow.closed_at > report.at + SETTLED)
            unsealed = select(IssueRow.id).where(late, IssueRow.id.not_in(select(SealRow.issue)))
            missing = list(await session.scalars(unsealed.order_by(IssueRow.id)))
            report.open = await session.scalar(select(func.count()).where(IssueRow.closed_at.is_(None)))
        outside = await asyncio.to_thread(published_heads, heads)
        head = newest_head(outside.values())
        async with holdings.database.read() as session:
            first = select(SealRow).where(SealRow.position >= (head[0].size if head else 0)).order_by(SealRow.position)
            loose = await session.scalar(first.limit(1))
    if loose is not None and ((head is None and trust is not None) or loose.sealed_at < report.at - COVERED):
        what = (
            f"no published head holds the log to what it is from leaf {loose.position} on, sealed at {loose.sealed_at}"
        )
        report.findings.append(Finding("head", None, "heads", what))
    report.leaves, report.heads = len(leaves), len(outside)
    report.findings += check_log(leaves, notes, outside, trust)
    if trust is not None:
        report.findings += await asyncio.to_thread(_check_first_key, heads, trust)
    if trust is not None:  # without a key `check_log` has reported that nothing can be verified
        report.findings += read_roots(heads, trust)[1]
    report.findings += [Finding("archive", issue, "log", "it is closed, and was never sealed") for issue in missing]


def _check_first_key(heads: Path, trust: TrustedKeys) -> list[Finding]:
    """Checks that the first key beside the heads, which others may take for the log's, is the one that is trusted."""
    try:
        beside = (heads / FIRST).read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        return []
    if beside == str(trust.first_vkey):
        return []
    return [Finding("head", None, FIRST, "the key beside the heads is not the one that you brought")]


@contextlib.asynccontextmanager
async def open_holdings(source: Source) -> AsyncGenerator[Holdings]:
    """Opens what the database and the archive of the source hold, until the context ends."""
    database = Database(source.database)
    try:
        yield Holdings(database, Archive(source.archive), rows=source.rows)
    finally:
        await database.close()


async def map_in_processes(
    work: Callable[[Sequence[T]], R], chunks: AsyncIterator[Sequence[T]], workers: int | None
) -> AsyncIterator[R]:
    """The results of `work` for each chunk, in the order of the chunks. `workers` is the number of processes (None: one
    for each core; 1: no process but this one).

    Chunks are read only a little ahead, so there may be any number of them.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        async for chunk in chunks:
            yield await asyncio.to_thread(work, chunk)
        return
    waiting: deque[Future[R]] = deque()
    # Spawned, not forked: a fork would copy the locks of the SDK's threads in whatever state they are.
    with ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_at_once
    ) as pool:
        try:
            async for chunk in chunks:
                waiting.append(pool.submit(work, chunk))
                if len(waiting) > workers * _AHEAD:
                    yield await asyncio.wrap_future(waiting.popleft())
            while waiting:
                yield await asyncio.wrap_future(waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_at_once() -> None:
    """Makes this process end without the interpreter's shutdown: Temporal's threads may still call into the
    interpreter, and abort the process.
    """
    atexit.register(os._exit, 0)


async def _chunks(issues: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    for n in range(0, len(issues), CHUNK):
        yield issues[n : n + CHUNK]


def _in_process(source: Source, issues: Sequence[str]) -> list[Verdict]:
    return asyncio.run(_verified(source, issues))


async def _verified(source: Source, issues: Sequence[str]) -> list[Verdict]:
    async with open_holdings(source) as holdings, source.places.open(holdings.database, rows=source.rows) as contents:
        verdicts = await verify(await holdings.cases(issues), commands=source.commands, contents=contents)
        return [await check_orders(holdings, each) for each in verdicts]


class _Notes:
    """The file from which an interrupted verification continues: a line with the question and a digest of the
    installation, a line with the verdict on each finished issue, and a last line once the verification is complete.
    """

    def __init__(self, file: Path | None, asked: str, source: Source) -> None:
        self._file = file
        self._asked = asked
        # By digest: a database's URL may hold a password.
        where = hashlib.sha256(f"{source.database} {source.archive}".encode()).hexdigest()[:16]
        self._head = f"{json.dumps({'asked': asked, 'of': where})}\n"

    def read(self) -> dict[str, Verdict]:
        if self._file is None or not self._file.exists():
            return {}
        text = self._file.read_text("utf-8", "replace")
        if not text.startswith(self._head) and not self._head.startswith(text):
            raise ResumeError(f"{self._file} is not of a run of `{self._asked}` here")
        whole = text[: text.rfind("\n") + 1]  # an interrupted run may have cut off its last line
        if whole != text:
            self._file.write_text(whole, "utf-8")
        if whole.endswith(_FINISHED):
            raise ResumeError(f"{self._file} is of a run that came to its end: name another file")
        try:
            return {(verdict := _verdict(line)).issue: verdict for line in whole.splitlines()[1:]}
        except (ValueError, TypeError, LookupError):
            raise ResumeError(f"{self._file} holds what no run of this version wrote") from None

    def finish(self) -> None:
        """Marks the verification as complete: its file cannot be continued any more."""
        self.add(())
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(_FINISHED)

    def add(self, verdicts: Iterable[Verdict]) -> None:
        if self._file is None:
            return
        with self._file.open("a", encoding="utf-8") as file:
            if not file.tell():
                file.write(self._head)
            file.writelines(f"{json.dumps(asdict(each))}\n" for each in verdicts)


_FINISHED: Final = '{"finished": true}\n'


def _verdict(line: str) -> Verdict:
    plain: dict[str, Any] = json.loads(line)
    findings = tuple(Finding(**each) for each in plain.pop("findings"))
    orders = tuple(Order(each["kind"], each["issue"], tuple(each["persons"])) for each in plain.pop("orders"))
    return Verdict(**plain, findings=findings, orders=orders)


def lines(report: AuditReport) -> Iterator[str]:
    """The report as lines of text: what was verified, each finding, and whether everything holds."""
    yield f"{report.asked}: {report.issues} issues, {report.runs} runs, {report.commands} commands, {report.events} events"
    if report.erased:
        yield f"of these {report.erased} 已核验、内容已删除 verified, content erased: nobody can read their texts any more"
    if report.leaves or report.heads:
        yield f"log: {report.leaves} leaves, {report.heads} published heads"
    if report.opened or report.pictures:
        yield f"content: {report.opened} texts opened, {report.pictures} pictures compared"
    yield from map(str, report.findings)
    yield closing(report)


def closing(report: AuditReport) -> str:
    """The verdict in one line: whether everything holds, for what, and what was not looked at."""
    left = unlooked_at(report)
    said = f"{left}; the rest holds" if left else "everything holds"
    said = said if report.holds else f"{len(report.findings)} findings: NOT everything holds"
    return f"{said} for {covered(report)}"


def unlooked_at(report: AuditReport) -> str:
    """Which parts of the issues the auditor could not look at, for want of keys or of the store of pictures."""
    parts = (report.unopened, "texts were not opened"), (report.unseen, "pictures were not compared")
    return " and ".join(said for count, said in parts if count)


def covered(report: AuditReport) -> str:
    """What the verdict is about, and what it says nothing of."""
    others = max(0, report.leaves - report.issues)
    still = max(0, (report.open or 0) - report.compared)
    left = [f"{n} {what}" for n, what in ((others, "other closed"), (still, "open")) if n]
    said = [f"{report.issues} closed issue{'' if report.issues == 1 else 's'}"]
    if report.compared:
        said.append(f"{report.compared} open {'was' if report.compared == 1 else 'were'} compared")
    if left:
        verb = "was" if left in (["1 open"], ["1 other closed"]) else "were"
        said.append(f"{' and '.join(left)} {verb} not looked at")
    return "; ".join(said)


async def compare_open(compared: AsyncIterator[tuple[str, Sequence[Finding] | None]], report: AuditReport) -> None:
    """Adds what `OpenIssues.compare` gives to the report."""
    async for _, findings in compared:
        report.compared += findings is not None
        report.findings += findings or ()
