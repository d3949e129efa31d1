"""The append-only Merkle log in SQL: one leaf for each sealed issue, without a gap, and the signed tree heads."""

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
"""The number of PostgreSQL's advisory lock for appending. Whoever holds it may append: each leaf takes the position
after the last.
"""


@dataclass(frozen=True)
class SignedHead:
    """A tree head that was signed: the log's size, the time, the root over the leaves, and the signed note byte for
    byte.
    """

    size: int
    at: datetime
    root: bytes
    note: str


def append(session: Session, issue: str, record: Mapping[str, Any], salt: bytes, now: datetime) -> Leaf:
    """Appends a leaf for the issue to the log and returns it. An issue that has a leaf already keeps it, and that leaf
    is returned.

    Locks the log until the transaction ends. The salt must be 32 fresh random bytes: a person who knows the salt could
    try out guesses at the record.
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
    """The row for a leaf with its salt and record."""
    assert leaf.salt is not None, "only a leaf that was read can lack its content"
    assert leaf.record is not None
    return SealRow(
        position=leaf.position, issue=issue, leaf=leaf.leaf.hex(), salt=leaf.salt.hex(), record=dict(leaf.record),
        sealed_at=sealed_at,
    )  # fmt: skip


def lock(session: Session) -> None:
    """Prevents other transactions from appending to the log until this transaction ends."""
    if not is_sqlite(session):  # SQLite has one writer at a time
        session.execute(select(func.pg_advisory_xact_lock(_TURN)))


def leaf_of(session: Session, issue: str) -> Leaf | None:
    """The issue's leaf, None if it has none. Raises ValueError if a digest in its row is no hexadecimal text."""
    row = session.scalar(select(SealRow).where(SealRow.issue == issue))
    return None if row is None else leaf_from(row)


def leaf_from(row: SealRow, digest: Callable[[str], bytes] = bytes.fromhex) -> Leaf:
    """The leaf that a row holds; `digest` reads the hexadecimal texts of its digests. The default raises ValueError for
    any other text.
    """
    salt = digest(row.salt) if row.salt is not None else None
    return Leaf(row.position, digest(row.leaf), salt, row.record)


def digest_in(text: str) -> bytes:
    """The 32 bytes of a digest in hexadecimal. For any other text the result is 32 zero bytes, which equal no leaf."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    return found if len(found) == HASH_BYTES else bytes(HASH_BYTES)


def bare_leaves(session: Session, most: int | None = None) -> list[Leaf]:
    """All leaves, or the first `most`, in order of position. Salt and record are left out, since a tree needs only the
    hashes.
    """
    rows = session.execute(select(SealRow.position, SealRow.leaf).order_by(SealRow.position).limit(most))
    return [Leaf(position, digest_in(leaf), None, None) for position, leaf in rows]


def size(session: Session) -> int:
    """The number of leaves in the log."""
    return session.scalar(select(func.count()).select_from(SealRow)) or 0


def add_head(session: Session, head: TreeHead, note: str) -> None:
    """Stores a signed tree head."""
    session.add(HeadRow(size=head.size, at=head.at, root=head.root.hex(), note=note))
    session.flush()


def heads(session: Session) -> list[SignedHead]:
    """The tree heads in the order in which they were signed."""
    rows = session.scalars(select(HeadRow).order_by(HeadRow.at))
    return [SignedHead(row.size, row.at, bytes.fromhex(row.root), row.note) for row in rows]
