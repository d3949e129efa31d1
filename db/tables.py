"""The tables of the read model, and of data that only SQL holds, such as outbox and alarms.

Columns marked *personal* hold what people wrote, or who these people are; an erasure must reach each such column.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Boolean, ForeignKey, Index, Integer, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.types import Plain, Serial, UTCDateTime, Words


class Base(DeclarativeBase):
    """The base class of all tables.

    It maps annotations to column types, and gives constraints stable names, which migrations need.
    """

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
"""The columns that decide which issues a viewer sees."""
_ON_DESKS = (
    ("community", "community_rules_by"), ("street", "street_rules_by"), ("handler", "promised_by"), ("community", "led_at"),
    ("street", "led_at"),
)  # fmt: skip
"""Whose desk is sorted by which moment (`db.desk`)."""
_OPEN = text("closed_at IS NULL")
_UNFINISHED = text("status <> 'closed'")
_CLIMBED = text("level <> 'property'")


class IssueRow(Base):
    """One issue: its current state, and the columns by which queries find and sort the issue."""

    __tablename__ = "issues"
    __table_args__ = (
        # Lists are sorted newest first. Each filter has its own index that ends in (opened_at, id), so the cost
        # of a page does not depend on the number of issues.
        Index(None, "opened_at", "id"),
        Index(None, "street", "opened_at", "id"),
        Index(None, "community", "opened_at", "id"),
        Index(None, "compound", "opened_at", "id"),
        Index(None, "operator", "opened_at", "id"),
        Index(None, "handler", "opened_at", "id"),
        Index(None, "lead_org", "opened_at", "id"),
        Index(None, "reporter", "opened_at", "id"),
        Index(None, "category", "closed_at"),
        Index(None, "street", "category", "opened_at", "id"),
        # Few issues climb: each viewer's own, by level.
        *(
            Index(f"ix_issues_{whose}_level", whose, "level", "opened_at", "id",
                  sqlite_where=_CLIMBED, postgresql_where=_CLIMBED)
            for whose in _IN_VIEW
        ),
        # Open and overdue issues are few, and listed most often.
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
        # Worklists hold open issues, sorted by the time left.
        Index("ix_issues_lead_work", "lead_org", "left_by", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_issues_handler_work", "handler", "left_by", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        # Those above look at the worklists of others, of which they see their own issues only.
        Index("ix_issues_community_work", "community", "left_by", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_issues_street_work", "street", "left_by", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_issues_compound_board", "compound", "left_by", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        # What the desk of an officer lists: few of the open issues.
        *(
            Index(f"ix_issues_{whose}_{when}", whose, when, "id",
                  sqlite_where=text(f"{when} IS NOT NULL"), postgresql_where=text(f"{when} IS NOT NULL"))
            for whose, when in _ON_DESKS
        ),
        Index("ix_issues_acts", "acts_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(primary_key=True)
    # Not unique: two issues with one number raise an alarm; a constraint would keep the second one out of the read
    # model for ever.
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
    """How often stored events of the issue were replaced, because Temporal never committed their workflow task. A
    version of the issue that was read when `fence` was lower is stale."""
    policy_id: Mapped[str]
    policy_version: Mapped[int]
    policy_digest: Mapped[str]
    calendars_digest: Mapped[str]
    first_policy: Mapped[str]
    """The digest of the policy pinned at the start, with which a refold begins."""
    first_calendars: Mapped[str]
    opened_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    due: Mapped[datetime | None]
    left_by: Mapped[datetime]
    """The value of `due`, or `FAR` where nothing is due; worklists are sorted by this column."""
    warn_at: Mapped[datetime | None]
    """When the light of what is due turns yellow; None where nothing is due, or nothing warns of it."""
    acts_at: Mapped[datetime]
    """When the workflow next acts by itself, or `FAR`. An issue that is still open long after this time is stuck."""
    next_milestone: Mapped[str | None]
    next_clause: Mapped[str | None]
    next_org: Mapped[str | None]
    closed_kind: Mapped[str | None]
    satisfaction: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    words: Mapped[str]  # personal: what was reported and where, folded for searching
    state: Mapped[dict[str, Any]] = mapped_column(deferred=True)  # personal
    building: Mapped[str | None]
    joinable: Mapped[bool | None]
    """Whether neighbours may find the issue and join it; None, like `building`, in rows from before there was that."""
    merged_into: Mapped[str | None]
    taken_by: Mapped[str | None]
    """The organisation whose staff took the report in for somebody else."""
    assigned: Mapped[str | None]
    """The person who will go, of the handler's staff."""
    community_rules_by: Mapped[datetime | None]
    street_rules_by: Mapped[datetime | None]
    """By when each of these levels must rule on the first of what waits for it; None if nothing does."""
    promised_by: Mapped[datetime | None]
    """By when the handler must keep the first of its promises; None if there is none."""
    led_at: Mapped[datetime | None]
    """Since when a level above the property has had the lead of an open issue; None if none has."""


class VoiceRow(Base):
    """A resident who follows an issue, or did. `reported`: he reported it, and somebody else decides since he left."""

    __tablename__ = "voices"
    __table_args__ = (Index(None, "person"),)

    issue: Mapped[str] = mapped_column(ForeignKey("issues.id"), primary_key=True)
    person: Mapped[str] = mapped_column(primary_key=True)  # personal
    reported: Mapped[bool]


class CodeRow(Base):
    """A tracking code that an issue has or had, by which it is found; whether the code opens it the rules decide."""

    __tablename__ = "codes"

    hash: Mapped[str] = mapped_column(primary_key=True)
    """`security.ids.tracking_hash`: a code has 100 bits, so nobody finds it by its hash."""
    issue: Mapped[str] = mapped_column(ForeignKey("issues.id"))


class SearchTerm(Base):
    """A pair of neighbouring characters in the words of an issue; Chinese has no blanks to split at."""

    __tablename__ = "search_terms"
    __table_args__ = ({"sqlite_with_rowid": False},)

    term: Mapped[str] = mapped_column(primary_key=True)  # personal
    opened_at: Mapped[datetime] = mapped_column(primary_key=True)
    issue: Mapped[str] = mapped_column(ForeignKey("issues.id"), primary_key=True)


class EventRow(Base):
    """One event: its `body`, byte for byte as the workflow sent it, and columns by which queries find events."""

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
    """A receipt: the recorded outcome of one command.

    The issue is part of the key. So a forged signal that uses the command id of another issue blocks no receipt there.
    """

    __tablename__ = "receipts"
    __table_args__ = (Index(None, "issue", "seq"),)

    command_id: Mapped[str] = mapped_column(primary_key=True)
    issue: Mapped[str] = mapped_column(ForeignKey("issues.id"), primary_key=True)
    digest: Mapped[str]
    outcome: Mapped[str]
    code: Mapped[str]
    params: Mapped[Any] = mapped_column(Plain)
    seq: Mapped[int]
    """The version of the issue with the command's effect: the `seq` of the last event that the command caused."""


class QueuedRow(Base):
    """A command that the API answered with 202 (queued).

    The row is removed once the command's receipt was read, or when the row is old and the receipt is stored. `issue` is
    no foreign key, since the issue may have no row yet.
    """

    __tablename__ = "queued"

    command_id: Mapped[str] = mapped_column(primary_key=True)
    issue: Mapped[str]
    digest: Mapped[str]
    at: Mapped[datetime]


class OutboxRow(Base):
    """An entry of the outbox: a notice to send or a job to do once, in most cases because of an event."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("issue", "seq", "fence", "n"),
        Index("ix_outbox_ready", "ready_at", "id", sqlite_where=text("ready_at IS NOT NULL"),
              postgresql_where=text("ready_at IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    issue: Mapped[str | None] = mapped_column(ForeignKey("issues.id"))
    """The id of the issue; None for a notice about the audit log, whose `seq` is the size of the log at its head."""
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
    """From when the entry may be claimed: the time of the next attempt if pending, the end of the lease if sending.
    None: never again."""
    last_error: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class NoticeRow(Base):
    """A notice that the embedded gateway delivered, for its addressee to read."""

    __tablename__ = "notices"
    __table_args__ = (Index(None, "to_org", "delivered_at"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    """The id of the outbox entry: delivering one entry twice so adds one row only."""
    issue: Mapped[str | None] = mapped_column(index=True)
    seq: Mapped[int]
    template: Mapped[str]
    to_org: Mapped[str | None]
    to_reporter: Mapped[bool]
    payload: Mapped[dict[str, Any]]
    delivered_at: Mapped[datetime]


class PolicyRow(Base):
    """A policy that an issue has pinned, in full."""

    __tablename__ = "policies"

    digest: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str]
    version: Mapped[int]
    body: Mapped[dict[str, Any]]


class CalendarsRow(Base):
    """A set of year calendars that an issue has pinned."""

    __tablename__ = "calendars"

    digest: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[list[dict[str, Any]]]


class PublishedCalendarRow(Base):
    """One version of a year's calendar, as it was published; never changed afterwards."""

    __tablename__ = "published_calendars"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[dict[str, Any]]
    source: Mapped[str]
    published_at: Mapped[datetime]
    published_by: Mapped[str | None]
    """Who published it, in the operator's words; None where nobody was named."""


class AlarmRow(Base):
    """An alarm: it tells the operator of something that must never happen."""

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    issue: Mapped[str | None] = mapped_column(index=True)
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]]
    seen_at: Mapped[datetime | None]
    """When somebody marked it, or its cause went; while it is None the alarm is open."""
    gone_at: Mapped[datetime | None]
    """When its cause went, if it closed by that."""


class ProbeRow(Base):
    """What a trial of the database writes, and deletes in the same transaction."""

    __tablename__ = "probes"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    data: Mapped[str]


class ArchiveRow(Base):
    """One closed run of an issue's workflow, stored in the archive."""

    __tablename__ = "archive"
    __table_args__ = (UniqueConstraint("issue", "n"),)

    run: Mapped[str] = mapped_column(primary_key=True)
    """Temporal's id of the run."""
    issue: Mapped[str] = mapped_column(index=True)
    n: Mapped[int]
    """0 for the first run, then one more for each continue-as-new."""
    key: Mapped[str]
    """The key under which the archive holds the history of the run."""
    sha256: Mapped[str]
    """SHA-256 of the history's bytes before compression."""
    events: Mapped[int]
    size: Mapped[int]
    stored: Mapped[int]
    """The number of the history's bytes after compression; `size` is their number before compression."""
    ended_at: Mapped[datetime]
    archived_at: Mapped[datetime]


class SealRow(Base):
    """One leaf of the append-only log: an archived issue.

    `salt` and `record` are None once the content of the issue is erased.
    """

    __tablename__ = "seals"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issue: Mapped[str] = mapped_column(unique=True)
    leaf: Mapped[str]
    """SHA-256 in hexadecimal, as in RFC 6962."""
    salt: Mapped[str | None]
    record: Mapped[dict[str, Any] | None]
    sealed_at: Mapped[datetime]


class HeadRow(Base):
    """One signed head of the log, as published outside this database."""

    __tablename__ = "heads"

    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    root: Mapped[str]
    note: Mapped[str]
    """The signed note, byte for byte."""


class HitRow(Base):
    """One use of something that has a rate limit. The use counts until the time `until`."""

    __tablename__ = "hits"
    __table_args__ = (Index(None, "key", "at"), Index(None, "until"))

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    key: Mapped[str]
    """A keyed hash of the limit's name and the user, so that no address or name is stored."""
    at: Mapped[datetime]
    until: Mapped[datetime]


class AccessRow(Base):
    """One line of the access log: who read what, or tried to. Only the actor's name is personal."""

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
    """The street whose auditors and administrators may read the line."""
    what: Mapped[str]
    issue: Mapped[str | None]
    result: Mapped[str]
    address: Mapped[str | None]
    """A keyed hash of the caller's network address. It tells whether two lines have one address, but not which."""


class AttachmentRow(Base):
    """A picture of an issue. The blob store holds the sealed bytes of the picture, under the digest of these bytes."""

    __tablename__ = "attachments"

    issue: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 of the sealed bytes, in hexadecimal."""
    kind: Mapped[str]
    """``image/jpeg`` or ``image/png``."""
    size: Mapped[int]
    """Bytes of the picture before sealing."""
    added_by: Mapped[str]
    """The person who added the picture, sealed under the issue's key."""
    role: Mapped[str]
    org: Mapped[str | None]
    added_at: Mapped[datetime]


class PhoneCodeRow(Base):
    """A code that was sent to a phone and not used yet. Number and code are stored as keyed hashes."""

    __tablename__ = "phone_codes"
    __table_args__ = (Index(None, "until"),)

    phone: Mapped[str] = mapped_column(primary_key=True)
    """A keyed hash of the phone number."""
    code: Mapped[str]
    """A keyed hash of the phone number and the code together."""
    tries: Mapped[int]
    """How many attempts to give the code are left."""
    until: Mapped[datetime]


class ErasureRow(Base):
    """The requested or finished erasure of an issue's texts: the key of the issue is destroyed, its other data stay."""

    __tablename__ = "erasures"
    __table_args__ = (Index(None, "done_at", "asked_at", "issue"),)

    issue: Mapped[str] = mapped_column(primary_key=True)
    why: Mapped[str]
    """``request``, ``retention``, or the operator's wording; nothing personal."""
    asked_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    """When the texts became unreadable; None while the issue is open or the key store does not answer."""
