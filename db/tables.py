"""The tables of the read model, and of what must survive beside Temporal: outbox, receipts, alarms.

Columns marked *personal* hold what people wrote or who they are; erasing a person must reach each of them.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Boolean, ForeignKey, Index, Integer, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.types import Plain, Serial, UTCDateTime, Words


class Base(DeclarativeBase):
    """What all tables share: types by annotation, and names of constraints that migrations can rely on."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UTCDateTime(), str: Words(), bool: Boolean(), int: Integer(),
        dict[str, Any]: Plain(), list[dict[str, Any]]: Plain(),
    }  # fmt: skip


_IN_VIEW = ("street", "community", "operator", "handler")
"""Whose issues a viewer sees."""
_OPEN = text("closed_at IS NULL")
_UNFINISHED = text("status <> 'closed'")


class IssueRow(Base):
    """One issue as it stands: its whole state, and the columns by which it is found and listed."""

    __tablename__ = "issues"
    __table_args__ = (
        # Lists run newest first. Each way to look has its own order by (opened_at, id), so that a page costs the
        # same whatever the number of issues.
        Index(None, "opened_at", "id"),
        Index(None, "street", "opened_at", "id"),
        Index(None, "community", "opened_at", "id"),
        Index(None, "compound", "opened_at", "id"),
        Index(None, "operator", "opened_at", "id"),
        Index(None, "handler", "opened_at", "id"),
        Index(None, "lead_org", "opened_at", "id"),
        Index(None, "reporter", "opened_at", "id"),
        Index(None, "category", "closed_at"),
        # What is open or late is the small part, and the one that is mostly asked for.
        *(
            Index(f"ix_issues_{whose}_status", whose, "status", "opened_at", "id",
                  sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED)
            for whose in _IN_VIEW
        ),
        *(
            Index(f"ix_issues_{whose}_overdue", whose, "opened_at", "id",
                  sqlite_where=text("overdue = 1"), postgresql_where=text("overdue"))
            for whose in _IN_VIEW
        ),
        # Worklists run by time left and hold open issues only.
        Index("ix_issues_lead_work", "lead_org", "left_by", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_issues_handler_work", "handler", "left_by", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_issues_acts", "acts_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(primary_key=True)
    # Not unique: two issues with one number are a nuisance and raise an alarm; a violated constraint would keep
    # the second one out of the read model for ever.
    number: Mapped[str] = mapped_column(index=True)
    street: Mapped[str]
    community: Mapped[str]
    compound: Mapped[str]
    operator: Mapped[str | None]
    about_operator: Mapped[bool]
    reporter: Mapped[str]  # personal
    handler: Mapped[str]
    handler_kind: Mapped[str]
    lead_org: Mapped[str]
    level: Mapped[str]
    status: Mapped[str]
    category: Mapped[str]
    urgent: Mapped[bool]
    assessment: Mapped[str | None]
    overdue: Mapped[bool]
    version: Mapped[int]
    fence: Mapped[int]
    """How often the record was rewritten; a reader that holds a version under another fence must read again."""
    policy_id: Mapped[str]
    policy_version: Mapped[int]
    policy_digest: Mapped[str]
    calendars_digest: Mapped[str]
    first_policy: Mapped[str]
    """The digest of the policy that was pinned at the start; a refold begins with it."""
    first_calendars: Mapped[str]
    opened_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    due: Mapped[datetime | None]
    left_by: Mapped[datetime]
    """`due`, or far away where nothing is due: worklists are sorted by it."""
    acts_at: Mapped[datetime]
    """When the workflow next wakes to act by itself, or far away: what is still open long after it stands still."""
    next_milestone: Mapped[str | None]
    next_clause: Mapped[str | None]
    next_org: Mapped[str | None]
    closed_kind: Mapped[str | None]
    satisfaction: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    words: Mapped[str]  # personal: what was reported and where, folded for searching
    state: Mapped[dict[str, Any]] = mapped_column(deferred=True)  # personal


class SearchTerm(Base):
    """Each pair of neighbouring characters in the words of an issue: Chinese has no blanks to split at."""

    __tablename__ = "search_terms"
    __table_args__ = ({"sqlite_with_rowid": False},)

    term: Mapped[str] = mapped_column(primary_key=True)  # personal
    opened_at: Mapped[datetime] = mapped_column(primary_key=True)
    issue: Mapped[str] = mapped_column(ForeignKey("issues.id"), primary_key=True)


class EventRow(Base):
    """One event, exactly as the workflow sent it, and the columns by which events are found."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "kind", "at"),)

    issue: Mapped[str] = mapped_column(ForeignKey("issues.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    at: Mapped[datetime]
    recorded_at: Mapped[datetime | None]
    digest: Mapped[str]
    stored_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]  # personal


class ReceiptRow(Base):
    """What became of a command.

    The issue belongs to the key: a forged signal that bears another issue's command id must not block anything.
    """

    __tablename__ = "receipts"
    __table_args__ = (Index(None, "issue", "seq"),)

    command_id: Mapped[str] = mapped_column(primary_key=True)
    issue: Mapped[str] = mapped_column(ForeignKey("issues.id"), primary_key=True)
    digest: Mapped[str]
    outcome: Mapped[str]
    code: Mapped[str]
    reason: Mapped[str]
    seq: Mapped[int]
    """The version that shows the command's effect: the seq of its last event."""


class QueuedRow(Base):
    """A command that was answered with 202, until its receipt has been seen; its issue may have no row yet."""

    __tablename__ = "queued"

    command_id: Mapped[str] = mapped_column(primary_key=True)
    issue: Mapped[str]
    digest: Mapped[str]
    at: Mapped[datetime]


class OutboxRow(Base):
    """Something to be done once outside, because of an event: a notice to somebody, or a job."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("issue", "seq", "fence", "n"),
        Index("ix_outbox_ready", "ready_at", "id", sqlite_where=text("ready_at IS NOT NULL"),
              postgresql_where=text("ready_at IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    issue: Mapped[str | None] = mapped_column(ForeignKey("issues.id"))
    """None where it concerns the log, not an issue: `seq` is the size of the head then."""
    seq: Mapped[int]
    fence: Mapped[int]
    n: Mapped[int]
    kind: Mapped[str]
    """``notice`` or ``job``."""
    template: Mapped[str]
    """The notice's template, or the job's name."""
    to_org: Mapped[str | None]
    to_reporter: Mapped[bool]
    payload: Mapped[dict[str, Any]]
    status: Mapped[str]
    """``pending``, ``sending``, then one of ``sent``, ``failed``, ``withdrawn`` for good."""
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    ready_at: Mapped[datetime | None]
    """When it may be claimed (again): pending, the next try; sending, the end of the lease; None for good."""
    last_error: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class NoticeRow(Base):
    """A notice that the embedded gateway has delivered: the page of its addressee shows it."""

    __tablename__ = "notices"
    __table_args__ = (Index(None, "to_org", "delivered_at"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    """That of the outbox, so that a second delivery changes nothing."""
    issue: Mapped[str | None] = mapped_column(index=True)
    seq: Mapped[int]
    template: Mapped[str]
    to_org: Mapped[str | None]
    to_reporter: Mapped[bool]
    payload: Mapped[dict[str, Any]]
    delivered_at: Mapped[datetime]


class PolicyRow(Base):
    """The full text of every policy under which an issue ever ran."""

    __tablename__ = "policies"

    digest: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str]
    version: Mapped[int]
    body: Mapped[dict[str, Any]]


class CalendarsRow(Base):
    """A set of year calendars by which deadlines were reckoned."""

    __tablename__ = "calendars"

    digest: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[list[dict[str, Any]]]


class AlarmRow(Base):
    """Something that must not happen has happened; somebody has to look."""

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    issue: Mapped[str | None] = mapped_column(index=True)
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]]
    seen_at: Mapped[datetime | None]


class ArchiveRow(Base):
    """One closed run of an issue's workflow that lies in the archive."""

    __tablename__ = "archive"
    __table_args__ = (UniqueConstraint("issue", "n"),)

    run: Mapped[str] = mapped_column(primary_key=True)
    """Temporal's id of the run."""
    issue: Mapped[str] = mapped_column(index=True)
    n: Mapped[int]
    """0 for the first run, then one more for each continue-as-new."""
    key: Mapped[str]
    """Where in the archive it lies."""
    sha256: Mapped[str]
    """Of the history's bytes before compression."""
    events: Mapped[int]
    size: Mapped[int]
    stored: Mapped[int]
    """Bytes before and after compression."""
    ended_at: Mapped[datetime]
    archived_at: Mapped[datetime]


class SealRow(Base):
    """One leaf of the append-only log: an archived issue. `salt` and `record` are gone once its content is erased."""

    __tablename__ = "seals"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issue: Mapped[str] = mapped_column(unique=True)
    leaf: Mapped[str]
    """SHA-256 in hexadecimal, as in RFC 6962."""
    salt: Mapped[str | None]
    record: Mapped[dict[str, Any] | None]
    sealed_at: Mapped[datetime]


class HeadRow(Base):
    """One signed head of the log, as it was put outside this database."""

    __tablename__ = "heads"

    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    root: Mapped[str]
    note: Mapped[str]
    """The signed note, to the letter."""


class HitRow(Base):
    """One use of something of which there is only so much in a while; it counts until `until`."""

    __tablename__ = "hits"
    __table_args__ = (Index(None, "key", "at"), Index(None, "until"))

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    key: Mapped[str]
    """Of whom and of what, as a hash: neither addresses nor names are kept here."""
    at: Mapped[datetime]
    until: Mapped[datetime]


class AccessRow(Base):
    """One line of the access log: who saw, or tried, what. Nothing personal but the name of whoever did it."""

    __tablename__ = "access_log"
    __table_args__ = (
        Index(None, "street", "at", "id"), Index(None, "issue", "at", "id"), Index(None, "person", "at", "id"),
        Index(None, "at"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[datetime]
    person: Mapped[str]
    role: Mapped[str]
    org: Mapped[str | None]
    street: Mapped[str | None]
    """Whose auditors and administrators may read the line."""
    what: Mapped[str]
    issue: Mapped[str | None]
    result: Mapped[str]
    address: Mapped[str | None]
    """A keyed hash of where it came from: two lines can be compared, and nobody is found by it."""


class AttachmentRow(Base):
    """A picture that belongs to an issue; it lies sealed in the object store, under its digest."""

    __tablename__ = "attachments"

    issue: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 of the sealed bytes, in hexadecimal."""
    kind: Mapped[str]
    """``image/jpeg`` or ``image/png``."""
    size: Mapped[int]
    """Bytes of the picture, before it was sealed."""
    added_by: Mapped[str]
    """Whose it is, sealed under the issue's key."""
    role: Mapped[str]
    org: Mapped[str | None]
    added_at: Mapped[datetime]


class PhoneCodeRow(Base):
    """A code that was sent to a phone and not used yet; neither the number nor the code can be read from it."""

    __tablename__ = "phone_codes"
    __table_args__ = (Index(None, "until"),)

    phone: Mapped[str] = mapped_column(primary_key=True)
    """A keyed hash of the number."""
    code: Mapped[str]
    """A keyed hash of number and code."""
    tries: Mapped[int]
    """How many are left."""
    until: Mapped[datetime]


class ErasureRow(Base):
    """An issue whose texts are to be erased, or were: its key is destroyed, and the rest of it stays."""

    __tablename__ = "erasures"
    __table_args__ = (Index(None, "done_at", "asked_at", "issue"),)

    issue: Mapped[str] = mapped_column(primary_key=True)
    why: Mapped[str]
    """``request``, ``retention``, or the operator's own word: nothing personal."""
    asked_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    """When nobody could read them any more; None as long as the issue is open, or its key store did not answer."""
