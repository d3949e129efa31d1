"""The append-only log in SQL: one leaf for each archived issue, without a gap, and the heads that were signed of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from audit.case import Leaf
from audit.holdings import digest_in, leaf_from
from audit.merkle import commitment, leaf_hash
from audit.notes import Head
from db.tables import HeadRow, SealRow
from db.upsert import is_sqlite
from domain.wire import canonical

_TURN: Final = 0x6A6C6F67
"""PostgreSQL's advisory lock of those that append: each takes the position after the last."""


@dataclass(frozen=True)
class Kept:
    """A head as it was signed, and its note to the letter."""

    size: int
    at: datetime
    root: bytes
    note: str


def append(session: Session, issue: str, record: Mapping[str, Any], salt: bytes, now: datetime) -> Leaf:
    """The issue's leaf, at the end of the log unless it has one already, which then stays as it is.

    Holds the log until the transaction ends. The salt must be fresh and random: who knows it can guess at the record.
    """
    hold(session)
    if (known := leaf_of(session, issue)) is not None:
        return known
    last = session.scalar(select(func.max(SealRow.position)))
    position = 0 if last is None else last + 1
    leaf = Leaf(position, leaf_hash(commitment(salt, canonical(record))), salt, record)
    session.add(
        SealRow(
            position=position, issue=issue, leaf=leaf.leaf.hex(), salt=salt.hex(), record=dict(record), sealed_at=now
        )
    )  # fmt: skip
    session.flush()
    return leaf


def hold(session: Session) -> None:
    """Lets nobody else append until the transaction ends."""
    if not is_sqlite(session):  # there the writer has the database to himself
        session.execute(select(func.pg_advisory_xact_lock(_TURN)))


def leaf_of(session: Session, issue: str) -> Leaf | None:
    row = session.scalar(select(SealRow).where(SealRow.issue == issue))
    return None if row is None else leaf_from(row)


def bare_leaves(session: Session) -> list[Leaf]:
    """Every leaf in order of position, without salt and record: what a tree is made of."""
    rows = session.execute(select(SealRow.position, SealRow.leaf).order_by(SealRow.position))
    return [Leaf(position, digest_in(leaf), None, None) for position, leaf in rows]


def leaves(session: Session) -> list[bytes]:
    """Their hashes."""
    return [each.leaf for each in bare_leaves(session)]


def size(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(SealRow)) or 0


def keep_head(session: Session, head: Head, note: str) -> None:
    session.add(HeadRow(size=head.size, at=head.at, root=head.root.hex(), note=note))
    session.flush()


def newest_head(session: Session) -> Kept | None:
    row = session.scalar(select(HeadRow).order_by(HeadRow.at.desc()).limit(1))
    return None if row is None else _kept(row)


def heads(session: Session) -> list[Kept]:
    """In the order in which they were signed."""
    return [_kept(row) for row in session.scalars(select(HeadRow).order_by(HeadRow.at))]


def _kept(row: HeadRow) -> Kept:
    return Kept(row.size, row.at, bytes.fromhex(row.root), row.note)
