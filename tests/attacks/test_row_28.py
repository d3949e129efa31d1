"""A leaf edited, a leaf deleted, the whole chain written anew: none passes against the head that lies outside."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from audit import log as merkle_log
from audit.heads import Destinations, LogAlteredError, publish
from audit.log_check import check_log, published_heads
from audit.log_keys import LogKeys
from audit.merkle import commitment, leaf_hash
from db.engine import Database
from db.tables import HeadRow, SealRow
from domain.wire import canonical
from support.archiving import now

ISSUES = ("a", "b", "c", "d")


@dataclass
class Sealed:
    """A log of four issues with a head published outside, and who may check it."""

    database: Database
    ring: LogKeys
    outlets: Destinations

    async def findings(self) -> list[str]:
        async with self.database.read() as session:
            leaves = await session.run_sync(merkle_log.bare_leaves)
            heads = await session.run_sync(merkle_log.heads)
        outside = published_heads(self.outlets.folder)
        trust = self.ring
        return [str(finding) for finding in check_log(leaves, [head.note for head in heads], outside, trust)]


@pytest.fixture
async def sealed(tmp_path: Path, database: Database) -> Sealed:
    ring = LogKeys.create(tmp_path / "keys", "city.example/jiesu")
    found = Sealed(database, ring, Destinations(tmp_path / "heads"))
    for issue in ISSUES:
        salt = secrets.token_bytes(32)
        await database.transact(lambda session, i=issue, s=salt: merkle_log.append(session, i, {"issue": i}, s, now()))
    await publish(database, ring, found.outlets, now() - timedelta(seconds=5))
    assert await found.findings() == []
    return found


def edited(session: Session) -> None:
    """One row says something else, with its leaf worked out anew, as who has the database can."""
    row = session.scalars(select(SealRow).where(SealRow.issue == "b")).one()
    record, salt = {"issue": "b", "closed": "solved"}, secrets.token_bytes(32)
    row.record, row.salt = record, salt.hex()
    row.leaf = leaf_hash(commitment(salt, canonical(record))).hex()


def deleted(session: Session) -> None:
    session.execute(delete(SealRow).where(SealRow.issue == "d"))


def out_of_the_middle(session: Session) -> None:
    session.execute(delete(SealRow).where(SealRow.issue == "b"))
    for row in session.scalars(select(SealRow).where(SealRow.position > 1).order_by(SealRow.position)):
        session.execute(update(SealRow).where(SealRow.issue == row.issue).values(position=row.position - 1))


def written_anew(session: Session) -> None:
    """Everything is replaced by another log without a flaw of its own, and no head of the old one is left inside."""
    session.execute(delete(SealRow))
    session.execute(delete(HeadRow))
    for issue in ("x", "y", "z", "w"):
        merkle_log.append(session, issue, {"issue": issue}, secrets.token_bytes(32), now())


@pytest.mark.parametrize("tamper", [edited, deleted, out_of_the_middle, written_anew], ids=lambda each: each.__name__)
async def test_row_28_what_was_altered_does_not_match_the_head_outside(
    sealed: Sealed, tamper: Callable[[Session], None]
) -> None:
    await sealed.database.transact(tamper)
    assert await sealed.findings() != []


async def test_row_28_no_head_is_signed_over_an_altered_log(sealed: Sealed) -> None:
    await sealed.database.transact(written_anew)
    with pytest.raises(LogAlteredError):
        await publish(sealed.database, sealed.ring, sealed.outlets, now())


async def test_row_28_a_head_signed_with_another_key_is_not_believed(sealed: Sealed, tmp_path: Path) -> None:
    await sealed.database.transact(written_anew)
    for file in sealed.outlets.folder.iterdir():
        file.unlink()
    forger = LogKeys.create(tmp_path / "forged", "city.example/jiesu")
    await publish(sealed.database, forger, sealed.outlets, now())
    assert await sealed.findings() != []
