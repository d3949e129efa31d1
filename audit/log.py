"""The append-only Merkle log in SQL: one leaf for each archived issue, without a gap, and the signed tree heads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from audit.case import Leaf
from audit.merkle import HASH_BYTES, commitment, leaf_hash
from audit.notes import TreeHead
from db.tables import HeadRow, SealRow
from db.upsert import is_sqlite
from domain.wire import canonical

_TURN: Final = 0x6A6C6F67
"""PostgreSQL's advisory lock for appending: each leaf takes the position after the last."""


@dataclass(frozen=True)
class SignedHead:
    """A tree head as it was signed, with its note byte for byte."""

    size: int
    at: datetime
    root: bytes
    note: str


def append(session: Session, issue: str, record: Mapping[str, Any], salt: bytes, now: datetime) -> Leaf:
    """The issue's leaf, appended to the log unless the issue has one already, which then stays as it is.

    Locks the log until the transaction ends. The salt must be 32 fresh random bytes: a person who knows it can guess at
    the record.
    """
    lock(session)
    if (known := leaf_of(session, issue)) is not None:
        return known
    last = session.scalar(select(func.max(SealRow.position)))
    position = 0 if last is None else last + 1
    leaf = Leaf(position, leaf_hash(commitment(salt, canonical(record))), salt, record)
    session.add(leaf_row(issue, leaf, now))
    session.flush()
    return leaf


def leaf_row(issue: str, leaf: Leaf, sealed_at: datetime) -> SealRow:
    """The row that holds a leaf with its content."""
    assert leaf.salt is not None, "only a leaf that was read can lack its content"
    assert leaf.record is not None
    return SealRow(
        position=leaf.position, issue=issue, leaf=leaf.leaf.hex(), salt=leaf.salt.hex(), record=dict(leaf.record),
        sealed_at=sealed_at,
    )  # fmt: skip


def lock(session: Session) -> None:
    """Prevents others from appending until the transaction ends."""
    if not is_sqlite(session):  # SQLite has one writer at a time
        session.execute(select(func.pg_advisory_xact_lock(_TURN)))


def leaf_of(session: Session, issue: str) -> Leaf | None:
    """The issue's leaf, None if it has none. Raises ValueError if SQL holds no hexadecimal text."""
    row = session.scalar(select(SealRow).where(SealRow.issue == issue))
    return None if row is None else leaf_from(row)


def leaf_from(row: SealRow, digest: Callable[[str], bytes] = bytes.fromhex) -> Leaf:
    """The leaf that a row holds. ValueError if one of its digests is no hexadecimal text, unless `digest` accepts it."""
    salt = digest(row.salt) if row.salt is not None else None
    return Leaf(row.position, digest(row.leaf), salt, row.record)


def digest_in(text: str) -> bytes:
    """The 32 bytes of a hexadecimal text; for any other text zeros, which match no leaf."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    return found if len(found) == HASH_BYTES else bytes(HASH_BYTES)


def bare_leaves(session: Session, most: int | None = None) -> list[Leaf]:
    """All leaves, or the first `most`, in order of position, without salt and record: what a tree is built from."""
    rows = session.execute(select(SealRow.position, SealRow.leaf).order_by(SealRow.position).limit(most))
    return [Leaf(position, digest_in(leaf), None, None) for position, leaf in rows]


def size(session: Session) -> int:
    """The number of leaves."""
    return session.scalar(select(func.count()).select_from(SealRow)) or 0


def add_head(session: Session, head: TreeHead, note: str) -> None:
    """Stores a signed tree head."""
    session.add(HeadRow(size=head.size, at=head.at, root=head.root.hex(), note=note))
    session.flush()


def heads(session: Session) -> list[SignedHead]:
    """The tree heads in the order in which they were signed."""
    rows = session.scalars(select(HeadRow).order_by(HeadRow.at))
    return [SignedHead(row.size, row.at, bytes.fromhex(row.root), row.note) for row in rows]
