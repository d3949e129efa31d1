"""The first schema: issues with what follows from them, the directory, the archive and its log, limits and the access log."""

from datetime import date

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written by hand: autogenerate on one database writes types that are wrong on the other.
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
PLAIN = sa.Text()
MOMENT = sa.String(24).with_variant(postgresql.TIMESTAMP(timezone=True, precision=3), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _issues()
    _events()
    _outbox()
    _pinned()
    _directory()
    _archive()
    _access()
    _privacy()


def downgrade() -> None:
    raise NotImplementedError("the first schema has no predecessor; restore a backup instead")


def _words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, WORDS, nullable=False) for name in names]


def _some_words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, WORDS, nullable=True) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _moment(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _issue() -> sa.Column[str]:
    return sa.Column("issue", WORDS, nullable=False)


def _of_an_issue(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["issue"], ["issues.id"], name=f"fk_{table}_issue")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _index_where(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _issues() -> None:
    op.create_table(
        "issues",
        *_words("id", "number", "street", "community", "compound"),
        *_some_words("operator"),
        _flag("about_operator"),
        *_words("reporter", "handler", "handler_kind", "lead_org", "level", "status", "category"),
        _flag("urgent"),
        *_some_words("assessment"),
        _flag("overdue"),
        *_numbers("version", "fence"),
        *_words("policy_id"),
        *_numbers("policy_version"),
        *_words("policy_digest", "calendars_digest", "first_policy", "first_calendars"),
        _moment("opened_at"),
        _moment("changed_at"),
        _moment("due", nullable=True),
        _moment("left_by"),
        _moment("warn_at", nullable=True),
        _moment("acts_at"),
        *_some_words("next_milestone", "next_clause", "next_org", "closed_kind", "satisfaction"),
        _moment("closed_at", nullable=True),
        *_words("words"),
        sa.Column("state", PLAIN, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_issues"),
    )
    _index("issues", "number")
    for first in ("street", "community", "compound", "operator", "handler", "lead_org", "reporter"):
        _index("issues", first, "opened_at", "id")
    _index("issues", "opened_at", "id")
    _index("issues", "category", "closed_at")
    for whose in ("street", "community", "operator", "handler"):
        columns = [whose, "status", "opened_at", "id"]
        _index_where(f"ix_issues_{whose}_status", "issues", columns, "status <> 'closed'")
        op.create_index(
            f"ix_issues_{whose}_overdue", "issues", [whose, "opened_at", "id"],
            sqlite_where=sa.text("overdue = 1"), postgresql_where=sa.text("overdue"),
        )  # fmt: skip
    _index_where("ix_issues_lead_work", "issues", ["lead_org", "left_by", "id"], "closed_at IS NULL")
    _index_where("ix_issues_handler_work", "issues", ["handler", "left_by", "id"], "closed_at IS NULL")
    _index_where("ix_issues_acts", "issues", ["acts_at"], "closed_at IS NULL")
    op.create_table(
        "search_terms",
        *_words("term"),
        _moment("opened_at"),
        _issue(),
        sa.PrimaryKeyConstraint("term", "opened_at", "issue", name="pk_search_terms"),
        _of_an_issue("search_terms"),
        sqlite_with_rowid=False,
    )


def _events() -> None:
    op.create_table(
        "events",
        _issue(),
        *_numbers("seq"),
        *_words("kind"),
        _moment("at"),
        _moment("recorded_at", nullable=True),
        *_words("digest"),
        _moment("stored_at"),
        sa.Column("body", PLAIN, nullable=False),
        sa.PrimaryKeyConstraint("issue", "seq", name="pk_events"),
        _of_an_issue("events"),
    )
    _index("events", "kind", "at")
    op.create_table(
        "receipts",
        *_words("command_id"),
        _issue(),
        *_words("digest", "outcome", "code"),
        sa.Column("params", sa.Text(), nullable=False),
        *_numbers("seq"),
        sa.PrimaryKeyConstraint("command_id", "issue", name="pk_receipts"),
        _of_an_issue("receipts"),
    )
    _index("receipts", "issue", "seq")
    op.create_table(
        "queued",
        *_words("command_id", "issue", "digest"),
        _moment("at"),
        sa.PrimaryKeyConstraint("command_id", name="pk_queued"),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        *_some_words("issue"),
        *_numbers("seq", "fence", "n"),
        *_words("kind", "template"),
        *_some_words("to_org"),
        _flag("to_reporter"),
        sa.Column("payload", PLAIN, nullable=False),
        *_words("status"),
        *_numbers("attempts"),
        _moment("created_at"),
        _moment("ready_at", nullable=True),
        *_some_words("last_error"),
        _moment("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("issue", "seq", "fence", "n", name="uq_outbox_issue_seq_fence_n"),
        _of_an_issue("outbox"),
    )
    _index_where("ix_outbox_ready", "outbox", ["ready_at", "id"], "ready_at IS NOT NULL")
    op.create_table(
        "notices",
        sa.Column("id", SERIAL, nullable=False, autoincrement=False),
        *_some_words("issue"),
        *_numbers("seq"),
        *_words("template"),
        *_some_words("to_org"),
        _flag("to_reporter"),
        sa.Column("payload", PLAIN, nullable=False),
        _moment("delivered_at"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    _index("notices", "issue")
    _index("notices", "to_org", "delivered_at")
    op.create_table(
        "alarms",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        _moment("at"),
        *_some_words("issue"),
        *_words("kind"),
        sa.Column("detail", PLAIN, nullable=False),
        _moment("seen_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
    )
    _index("alarms", "at")
    _index("alarms", "issue")


def _pinned() -> None:
    op.create_table(
        "policies",
        *_words("digest", "id"),
        *_numbers("version"),
        sa.Column("body", PLAIN, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_policies"),
    )
    op.create_table(
        "calendars",
        *_words("digest"),
        sa.Column("body", PLAIN, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_calendars"),
    )
    op.create_table(
        "published_calendars",
        sa.Column("year", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("body", PLAIN, nullable=False),
        *_words("source"),
        _moment("published_at"),
        *_some_words("published_by"),
        sa.PrimaryKeyConstraint("year", "version", name="pk_published_calendars"),
    )


def _directory() -> None:
    _place("streets", *_words("code", "name", "division_code"))
    _place("communities", *_words("code", "name", "street", "division_code"))
    _place("grids", *_words("code", "name", "community"), unique=False)
    buildings = sa.Column("buildings", sa.Integer(), nullable=True)
    _place("compounds", *_words("code", "name", "community", "grid"), buildings)
    _place("operators", *_words("code", "name", "kind"))
    _place("departments", *_words("code", "name", "street"))
    _place("contracts", *_words("operator", "compound"), *_period(), unique=False)
    _place("appointments", *_words("person", "role", "org", "phone"), *_period(), unique=False)
    _place("bindings", *_words("place", "category", "policy"), *_period(), unique=False)
    op.create_table(
        "directory_version",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        *_numbers("version"),
        *_words("digest"),
        _moment("imported_at"),
        sa.PrimaryKeyConstraint("id", name="pk_directory_version"),
    )


def _period() -> list[sa.Column[date]]:
    return [sa.Column(name, sa.Date(), nullable=True) for name in ("starts_on", "ends_on")]


def _place(table: str, *columns: sa.Column[str] | sa.Column[int] | sa.Column[date], unique: bool = True) -> None:
    constraints: list[sa.Constraint] = [sa.PrimaryKeyConstraint("position", name=f"pk_{table}")]
    if unique:
        constraints.append(sa.UniqueConstraint("code", name=f"uq_{table}_code"))
    position = sa.Column("position", sa.Integer(), nullable=False, autoincrement=False)
    op.create_table(table, position, *columns, *constraints)


def _archive() -> None:
    op.create_table(
        "archive",
        *_words("run", "issue"),
        *_numbers("n"),
        *_words("key", "sha256"),
        *_numbers("events", "size", "stored"),
        _moment("ended_at"),
        _moment("archived_at"),
        sa.PrimaryKeyConstraint("run", name="pk_archive"),
        sa.UniqueConstraint("issue", "n", name="uq_archive_issue_n"),
    )
    _index("archive", "issue")
    op.create_table(
        "seals",
        sa.Column("position", sa.Integer(), nullable=False, autoincrement=False),
        *_words("issue", "leaf"),
        *_some_words("salt"),
        sa.Column("record", PLAIN, nullable=True),
        _moment("sealed_at"),
        sa.PrimaryKeyConstraint("position", name="pk_seals"),
        sa.UniqueConstraint("issue", name="uq_seals_issue"),
    )
    op.create_table(
        "heads",
        sa.Column("size", sa.Integer(), nullable=False, autoincrement=False),
        _moment("at"),
        *_words("root", "note"),
        sa.PrimaryKeyConstraint("size", "at", name="pk_heads"),
    )


def _access() -> None:
    op.create_table(
        "hits",
        sa.Column("id", SERIAL, nullable=False),
        *_words("key"),
        _moment("at"),
        _moment("until"),
        sa.PrimaryKeyConstraint("id", name="pk_hits"),
    )
    _index("hits", "key", "at")
    _index("hits", "until")
    op.create_table(
        "access_log",
        sa.Column("id", SERIAL, nullable=False),
        _moment("at"),
        *_words("person", "role"),
        *_some_words("org", "street"),
        *_words("what"),
        *_some_words("issue"),
        *_words("result"),
        *_some_words("address"),
        sa.PrimaryKeyConstraint("id", name="pk_access_log"),
    )
    for columns in (("street", "at", "id"), ("issue", "at", "id"), ("person", "at", "id"), ("at",)):
        _index("access_log", *columns)


def _privacy() -> None:
    op.create_table(
        "attachments",
        *_words("issue", "digest", "kind"),
        *_numbers("size"),
        *_words("added_by", "role"),
        *_some_words("org"),
        _moment("added_at"),
        sa.PrimaryKeyConstraint("issue", "digest", name="pk_attachments"),
    )
    op.create_table(
        "phone_codes",
        *_words("phone", "code"),
        *_numbers("tries"),
        _moment("until"),
        sa.PrimaryKeyConstraint("phone", name="pk_phone_codes"),
    )
    _index("phone_codes", "until")
    op.create_table(
        "erasures",
        *_words("issue", "why"),
        _moment("asked_at"),
        _moment("done_at", nullable=True),
        sa.PrimaryKeyConstraint("issue", name="pk_erasures"),
    )
    _index("erasures", "done_at", "asked_at", "issue")
