"""What an audit needs: the archive's index, the log of sealed issues and its heads, notices that concern no issue."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.String(24).with_variant(postgresql.TIMESTAMP(timezone=True, precision=3), "postgresql")


def upgrade() -> None:
    op.create_table(
        "archive",
        sa.Column("run", WORDS, nullable=False),
        sa.Column("issue", WORDS, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("sha256", WORDS, nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.Column("archived_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_archive"),
        sa.UniqueConstraint("issue", "n", name="uq_archive_issue_n"),
    )
    op.create_index("ix_archive_issue", "archive", ["issue"])
    op.create_table(
        "seals",
        sa.Column("position", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("issue", WORDS, nullable=False),
        sa.Column("leaf", WORDS, nullable=False),
        sa.Column("salt", WORDS, nullable=True),
        sa.Column("record", sa.Text(), nullable=True),
        sa.Column("sealed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_seals"),
        sa.UniqueConstraint("issue", name="uq_seals_issue"),
    )
    op.create_table(
        "heads",
        sa.Column("size", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("root", WORDS, nullable=False),
        sa.Column("note", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("size", "at", name="pk_heads"),
    )
    for table in ("outbox", "notices"):
        with op.batch_alter_table(table) as batch:
            batch.alter_column("issue", existing_type=WORDS, nullable=True)


def downgrade() -> None:
    raise NotImplementedError("seals are for ever; restore a backup instead")
