"""A lost or older log in SQL is refilled from the archive and the published heads, and continues."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from audit import log
from audit.archive import Archive, history_bytes
from audit.case import Leaf
from audit.heads import Destinations, publish
from audit.log_keys import LogKeys
from audit.restore import RestoreError, is_behind, restore
from db.engine import Database
from db.tables import ArchiveRow, HeadRow, SealRow
from domain.wire import format_time
from support.golden import load_runs

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
NAMES = ("standard", "again", "nobody", "big")


async def sealed(database: Database, archive: Archive, outlets: Destinations, ring: LogKeys) -> list[Leaf]:
    """Four issues in the log, a head after the first two and one after all."""
    leaves: list[Leaf] = []
    for n, name in enumerate(NAMES):
        runs = [history_bytes(list(run.events)) for run in load_runs(name)]
        issue = f"golden-{name}"
        names = [{"run": f"{name}-{number}"} for number in range(len(runs))]
        record = {"issue": issue, "archived_at": format_time(NOW), "runs": names}
        for number, history in enumerate(runs):
            stored = await archive.put_run(issue, number, f"{name}-{number}", history)
            row = ArchiveRow(
                run=f"{name}-{number}", issue=issue, n=number, key=stored.key, sha256=stored.sha256, events=1,
                size=stored.size, stored=stored.stored, ended_at=NOW, archived_at=NOW,
            )  # fmt: skip
            async with database.write() as session:
                session.add(row)
        leaf = await database.transact(lambda s, i=issue, r=record, n=n: log.append(s, i, r, bytes([n]) * 32, NOW))
        await archive.put_seal(issue, leaf.seal())
        leaves.append(leaf)
        if n in (1, 3):
            await publish(database, ring, outlets, NOW.replace(hour=10 + n))
    return leaves


async def kept(database: Database) -> tuple[list[tuple[int, str, str]], int, list[str]]:
    async with database.read() as session:
        rows = await session.execute(select(SealRow.position, SealRow.issue, SealRow.leaf).order_by(SealRow.position))
        runs = await session.scalar(select(func.count()).select_from(ArchiveRow))
        heads = await session.scalars(select(HeadRow.note).order_by(HeadRow.at))
        return [(p, i, leaf) for p, i, leaf in rows], runs or 0, list(heads)


@pytest.fixture
def outlets(tmp_path: Path) -> Destinations:
    return Destinations(tmp_path / "heads")


async def test_what_was_lost_is_put_back_and_the_log_goes_on(
    tmp_path: Path, database: Database, outlets: Destinations
) -> None:
    archive, ring = Archive((tmp_path / "archive").as_uri()), LogKeys.create(tmp_path / "keys", "test.example/log")
    assert not await is_behind(database, archive, outlets.folder)
    await sealed(database, archive, outlets, ring)
    before = await kept(database)
    assert not await is_behind(database, archive, outlets.folder)

    async with database.write() as session:
        await session.execute(delete(SealRow).where(SealRow.position >= 1))
        await session.execute(delete(ArchiveRow).where(ArchiveRow.issue == "golden-again"))
        await session.execute(delete(HeadRow))
    assert await is_behind(database, archive, outlets.folder)
    done = await restore(database, archive, outlets.folder, NOW)
    assert (done.leaves, done.runs, done.heads) == (3, 2, 2)
    assert await kept(database) == before
    again = await restore(database, archive, outlets.folder, NOW)
    assert (again.leaves, again.runs, again.heads) == (0, 0, 0)
    assert (await publish(database, ring, outlets, NOW.replace(day=25))).size == len(NAMES)


async def test_what_a_reset_cut_off_is_put_aside(tmp_path: Path, database: Database, outlets: Destinations) -> None:
    archive, ring = Archive((tmp_path / "archive").as_uri()), LogKeys.create(tmp_path / "keys", "test.example/log")
    await sealed(database, archive, outlets, ring)
    (history,) = [history_bytes(list(run.events)) for run in load_runs("standard")]
    for n, run in ((0, "cut-off"), (-1, "stray"), (-1, "other")):
        await archive.put_run("golden-standard", n, run, history)
    async with database.write() as session:
        await session.execute(delete(SealRow))
        await session.execute(delete(ArchiveRow))
    await restore(database, archive, outlets.folder, NOW)
    async with database.read() as session:
        rows = await session.execute(select(ArchiveRow.run, ArchiveRow.n).where(ArchiveRow.issue == "golden-standard"))
        found = dict(rows.all())
    assert found.pop("standard-0") == 0
    assert sorted(found.values()) == [-3, -2, -1]


async def test_a_log_shorter_than_the_archive_is_behind_without_a_head(
    tmp_path: Path, database: Database, outlets: Destinations
) -> None:
    archive, ring = Archive((tmp_path / "archive").as_uri()), LogKeys.create(tmp_path / "keys", "test.example/log")
    await sealed(database, archive, Destinations(tmp_path / "elsewhere"), ring)
    async with database.write() as session:
        await session.execute(delete(SealRow).where(SealRow.position == 3))
    assert await is_behind(database, archive, outlets.folder)


@pytest.mark.parametrize("column", ["issue", "leaf"])
async def test_what_contradicts_the_archive_is_named_and_left_alone(
    tmp_path: Path, database: Database, outlets: Destinations, column: str
) -> None:
    archive, ring = Archive((tmp_path / "archive").as_uri()), LogKeys.create(tmp_path / "keys", "test.example/log")
    await sealed(database, archive, outlets, ring)
    async with database.write() as session:
        await session.execute(update(SealRow).where(SealRow.position == 2).values({column: "x"}))
    before = await kept(database)
    with pytest.raises(RestoreError, match="leaf 2"):
        await restore(database, archive, outlets.folder, NOW)
    assert await kept(database) == before
