"""A head is signed and published each day, and never over a log that contradicts the published ones."""

import asyncio
import secrets
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from structlog.testing import capture_logs

from activities.notices import Deliverer, TableChannel
from audit import log as merkle_log
from audit.heads import DailyHead, Destinations, LogAlteredError, publish
from audit.log_check import check_log, published_heads
from audit.log_keys import FIRST, ROTATIONS, LogKeys, TrustedKeys
from audit.notes import parse, signed_by, split
from audit.roots import read_roots
from db.engine import Database
from db.tables import AlarmRow, HeadRow, NoticeRow, OutboxRow, SealRow
from support import logs
from support.archiving import files, now

DAY = timedelta(days=1)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    LogKeys.create(tmp_path / "keys", "city.example/jiesu")
    return tmp_path / "keys"


@pytest.fixture
def outlets(tmp_path: Path) -> Destinations:
    return Destinations(tmp_path / "heads", ("demo-street", "demo-community"))


async def sealed(database: Database, *issues: str) -> None:
    for issue in issues:
        salt = secrets.token_bytes(32)
        await database.transact(lambda session, i=issue, s=salt: merkle_log.append(session, i, {"issue": i}, s, now()))


async def alarms(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(AlarmRow.kind).order_by(AlarmRow.id)))


async def signed(database: Database) -> list[str]:
    async with database.read() as session:
        return [each.note for each in await session.run_sync(merkle_log.heads)]


async def seal_day(database: Database, keys: Path, outlets: Destinations, at: datetime) -> None:
    await DailyHead(database, keys, outlets, clock=lambda: at).seal_day()


async def test_each_day_has_a_head_outside(database: Database, keys: Path, outlets: Destinations) -> None:
    at = now() - 3 * DAY
    await seal_day(database, keys, outlets, at)
    await sealed(database, "a", "b", "c")
    await seal_day(database, keys, outlets, at + DAY)
    await seal_day(database, keys, outlets, at + 2 * DAY)  # nothing was added: it says so

    ring, outside = LogKeys.open(keys), published_heads(outlets.folder)
    heads = [parse(note)[0] for note in outside.values()]
    assert [head.size for head in heads] == [0, 3, 3]
    assert heads[1].root == heads[2].root != heads[0].root
    for note in outside.values():
        text, signatures = split(note)
        assert signed_by(text, signatures, ring.vkey)
    for name, head in zip(outside, heads, strict=True):
        assert name == f"{head.size}-{head.at:%Y%m%dT%H%M%SZ}.txt"
        sheet = (outlets.folder / name).with_suffix(".html").read_text("utf-8")
        assert str(ring.vkey) in sheet
    assert (outlets.folder / FIRST).read_text("utf-8").strip() == str(ring.vkey)
    async with database.read() as session:
        leaves = await session.run_sync(merkle_log.bare_leaves)
        newest = (await session.run_sync(merkle_log.heads))[-1]
        rows = (await session.scalars(select(OutboxRow).order_by(OutboxRow.id))).all()
    assert newest is not None
    assert newest.note == outside[f"3-{newest.at:%Y%m%dT%H%M%SZ}.txt"]
    assert list(check_log(leaves, await signed(database), outside, TrustedKeys.beside(outlets.folder))) == []
    assert [(row.template, row.to_org) for row in rows] == [("head", "demo-street"), ("head", "demo-community")] * 3
    assert rows[-1].payload["note"] == newest.note
    assert rows[-1].payload["root"] == newest.root.hex()
    assert rows[-1].payload["roots"] == []
    assert await alarms(database) == []
    await Deliverer(database, TableChannel(database)).deliver_pending()
    async with database.read() as session:
        told = (await session.scalars(select(NoticeRow).order_by(NoticeRow.id))).all()
    assert [(row.to_org, row.payload["size"]) for row in told][-2:] == [("demo-street", 3), ("demo-community", 3)]


async def test_who_keeps_heads_is_sent_what_was_told_of_roots(
    database: Database, keys: Path, outlets: Destinations, tmp_path: Path
) -> None:
    roots, at = ["A" * 43], now() - DAY
    outlets = replace(outlets, roots=lambda: roots)
    await seal_day(database, keys, outlets, at)
    roots[:] = ["B" * 43]
    (outlets.folder / "roots" / "note.txt").write_bytes(
        "\u5907\u6ce8".encode("gbk")
    )  # somebody's own, and no statement
    await seal_day(database, keys, outlets, at + DAY)
    async with database.read() as session:
        sent = (await session.scalars(select(OutboxRow).order_by(OutboxRow.id))).all()[-1].payload["roots"]
    kept = tmp_path / "kept" / "roots"
    kept.mkdir(parents=True)
    for root, statement in zip(("A" * 43, "B" * 43), sent, strict=True):
        (kept / f"{root}.txt").write_text(statement, "utf-8")
    assert read_roots(kept.parent, TrustedKeys.beside(outlets.folder)) == (
        {"A" * 43: at.replace(microsecond=0), "B" * 43: (at + DAY).replace(microsecond=0)}, [],
    )  # fmt: skip


async def test_what_is_published_is_never_written_again(database: Database, keys: Path, outlets: Destinations) -> None:
    at = now()
    await sealed(database, "a")
    await seal_day(database, keys, outlets, at)
    before = files(outlets.folder)
    await seal_day(database, keys, outlets, at)  # a repeated activity, within the second
    assert files(outlets.folder) == before
    await seal_day(database, keys, outlets, at + DAY)
    assert before.items() <= files(outlets.folder).items()


async def test_a_head_that_was_signed_and_not_put_outside_is_put_there(
    database: Database, keys: Path, outlets: Destinations
) -> None:
    at = now()
    await sealed(database, "a")
    await seal_day(database, keys, outlets, at)
    (lost,) = published_heads(outlets.folder)
    (outlets.folder / lost).unlink()
    await seal_day(database, keys, outlets, at + DAY)
    assert lost in published_heads(outlets.folder)
    assert list(published_heads(outlets.folder).values()) == await signed(database)


async def test_rotated_keys_are_put_there_too(database: Database, keys: Path, outlets: Destinations) -> None:
    at = now()
    await sealed(database, "a")
    await seal_day(database, keys, outlets, at)
    LogKeys.open(keys).rotate(at + timedelta(hours=1))
    await seal_day(database, keys, outlets, at + DAY)
    assert [path.name for path in (outlets.folder / ROTATIONS).iterdir()] == ["0001.txt"]
    trust = TrustedKeys.beside(outlets.folder, str(LogKeys.open(keys).first_vkey))
    async with database.read() as session:
        leaves = await session.run_sync(merkle_log.bare_leaves)
    assert list(check_log(leaves, await signed(database), published_heads(outlets.folder), trust)) == []
    assert await alarms(database) == []


@pytest.mark.attack(28)
@pytest.mark.parametrize(
    "tamper",
    [
        "altered",
        "rolled-back",
        "out-of-the-middle",
        "written-anew",
        "head-removed",
        "head-altered-outside",
        "another-key",
    ],
)
async def test_a_rewritten_log_gets_no_new_head(
    database: Database, keys: Path, outlets: Destinations, tamper: str
) -> None:
    at = now()
    await sealed(database, "a", "b", "c")
    await seal_day(database, keys, outlets, at)
    (name,) = published_heads(outlets.folder)
    async with database.write() as session:
        match tamper:
            case "altered":
                await session.execute(update(SealRow).where(SealRow.position == 1).values(leaf="00" * 32))
            case "rolled-back":
                await session.execute(delete(SealRow).where(SealRow.position == 2))
            case "out-of-the-middle":
                await session.execute(delete(SealRow).where(SealRow.position == 1))
                await session.execute(update(SealRow).where(SealRow.position == 2).values(position=1))
            case "written-anew":  # another log without a flaw of its own
                await session.execute(delete(SealRow))
                await session.execute(delete(HeadRow))
            case "head-removed":
                await session.execute(delete(HeadRow))
    if tamper == "written-anew":
        await sealed(database, "x", "y", "z")
    if tamper == "head-altered-outside":
        path = outlets.folder / name
        path.write_text(path.read_text("utf-8").replace("\n3\n", "\n2\n"), "utf-8")
    if tamper == "another-key":
        await asyncio.to_thread(shutil.rmtree, keys)
        LogKeys.create(keys, "city.example/jiesu")
    before, notes = files(outlets.folder), await signed(database)
    await sealed(database, "d")
    for days in (1, 2):
        await seal_day(database, keys, outlets, at + days * DAY)
    assert await alarms(database) == ["log-rewritten"]
    assert (files(outlets.folder), await signed(database)) == (before, notes)


@pytest.mark.attack(28)
async def test_a_head_signed_with_another_key_is_not_believed(
    database: Database, keys: Path, outlets: Destinations, tmp_path: Path
) -> None:
    await sealed(database, "a", "b")
    forger = LogKeys.create(tmp_path / "forged", "city.example/jiesu")
    await publish(database, forger, outlets, now())
    ring = LogKeys.open(keys)
    async with database.read() as session:
        leaves = await session.run_sync(merkle_log.bare_leaves)
    findings = check_log(leaves, await signed(database), published_heads(outlets.folder), ring)
    assert ["not signed by" in str(each) for each in findings] == [True]


async def test_a_false_head_in_sql_is_not_put_outside(database: Database, keys: Path, outlets: Destinations) -> None:
    await sealed(database, "a")
    async with database.write() as session:
        session.add(HeadRow(size=1, at=now(), root="00" * 32, note="no note\n"))
    with pytest.raises(LogAlteredError, match="no head"):
        await publish(database, LogKeys.open(keys), outlets, now())
    assert not outlets.folder.exists()


async def test_without_a_key_nothing_is_signed_and_somebody_is_told(
    database: Database, tmp_path: Path, outlets: Destinations
) -> None:
    daily = DailyHead(database, tmp_path / "no-keys", outlets)
    await daily.check_key()
    await daily.seal_day()
    assert await alarms(database) == ["no-seal-key"]
    assert await signed(database) == []
    assert not await asyncio.to_thread(outlets.folder.exists)


async def test_a_folder_that_cannot_be_written_is_told_of(
    database: Database, tmp_path: Path, keys: Path, outlets: Destinations
) -> None:
    outlets.folder.write_text("no folder", "utf-8")
    with capture_logs() as lines:
        with pytest.raises(OSError):
            await seal_day(database, keys, outlets, now())
        await DailyHead(database, keys, replace(outlets, roots=lambda: ["A" * 43])).check_key()
    said = logs.of(lines, ("head.not_published", "head.published", "roots.not_told"))
    assert [event for event, _ in said] == ["head.not_published", "roots.not_told"]
    assert await alarms(database) == ["head-not-published"]


async def test_alarms_about_heads_close_with_the_next_head(
    database: Database, tmp_path: Path, keys: Path, outlets: Destinations
) -> None:
    await DailyHead(database, tmp_path / "no-keys", outlets).seal_day()
    ending = replace(outlets, ends_before=lambda _: True)
    await DailyHead(database, keys, ending).seal_day()
    assert await alarms(database) == ["no-seal-key", "certificate-ends"]
    async with database.read() as session:
        rows = {row.kind: row.gone_at is not None for row in await session.scalars(select(AlarmRow))}
    assert rows == {"no-seal-key": True, "certificate-ends": False}
    await DailyHead(database, keys, outlets).seal_day()
    async with database.read() as session:
        assert None not in set(await session.scalars(select(AlarmRow.gone_at)))
