"""An erased issue is replayed as strictly as any other, and reported as verified with its content erased."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

import domain.commands as c
from audit.report_page import page
from audit.verify_all import AuditReport, Source, lines, verify_all
from db.tables import EventRow, IssueRow
from support.planted import RESIDENT, Planted, planted

LIFE = (("property", c.Accept()), (RESIDENT, c.Withdraw()))


@dataclass
class Scene:
    stage: Planted
    issue: str
    kept: str
    """Another one, that is not erased."""

    async def report(self) -> AuditReport:
        """As `jiesu audit verify --all` makes it."""
        report = AuditReport("all", datetime.now(UTC))
        system = self.stage.system
        await verify_all(Source(system.url, system.archive.url), report, workers=1)
        return report


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with planted(tmp_path_factory.mktemp("row-30")) as stage:
        issue, kept = [await stage.live(LIFE) for _ in range(2)]
        await stage.sealed()
        privacy = stage.privacy()
        await privacy.ask([issue], "request")
        assert (await privacy.carry_out()).erased == [issue]
        yield Scene(stage, issue, kept)


async def test_row_30_an_erased_issue_is_reported_as_verified_content_erased(scene: Scene) -> None:
    report = await scene.report()
    assert report.findings == []
    assert (report.issues, report.runs, report.erased) == (2, 2, 1)
    assert "verified, content erased" in "\n".join(lines(report))
    assert "已核验、内容已删除" in "\n".join(lines(report))
    assert "已核验、内容已删除" in page(report)


async def test_row_30_its_replay_is_as_strict_as_that_of_another(scene: Scene) -> None:
    auditor, system = scene.stage.headers("auditor"), scene.stage.system
    erased, kept = await asyncio.gather(
        *(system.get(f"/v1/audit/issues/{each}/verdict", auditor) for each in (scene.issue, scene.kept))
    )
    assert [erased[name] for name in ("holds", "erased")] == [True, True]
    assert [kept[name] for name in ("holds", "erased")] == [True, False]
    for name in ("runs", "commands", "events"):
        assert erased[name] == kept[name] > 0


@pytest.mark.parametrize("what", ["row", "event"])
async def test_row_30_to_erase_is_no_cover_for_altering(scene: Scene, what: str) -> None:
    database = scene.stage.system.database
    if what == "row":
        column, key, other = IssueRow.closed_kind, IssueRow.id == scene.issue, "solved"
    else:
        column, key, other = EventRow.kind, (EventRow.issue == scene.issue) & (EventRow.seq == 1), "commented"
    async with database.write() as session:
        before = await session.scalar(select(column).where(key))
        await session.execute(update(column.class_).where(key).values({column.key: other}))
    try:
        report = await scene.report()
    finally:
        async with database.write() as session:
            await session.execute(update(column.class_).where(key).values({column.key: before}))
    assert {(each.step, each.issue) for each in report.findings} == {("rows", scene.issue)}
    assert report.erased == 1
