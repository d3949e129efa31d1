"""What keeps people from asking too much, and the record of who saw what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.String(24).with_variant(postgresql.TIMESTAMP(timezone=True, precision=3), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "hits",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hits"),
    )
    op.create_index("ix_hits_key_at", "hits", ["key", "at"])
    op.create_index("ix_hits_until", "hits", ["until"])
    op.create_table(
        "access_log",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("person", WORDS, nullable=False),
        sa.Column("role", WORDS, nullable=False),
        sa.Column("org", WORDS, nullable=True),
        sa.Column("street", WORDS, nullable=True),
        sa.Column("what", WORDS, nullable=False),
        sa.Column("issue", WORDS, nullable=True),
        sa.Column("result", WORDS, nullable=False),
        sa.Column("address", WORDS, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_access_log"),
    )
    for columns in (["street", "at", "id"], ["issue", "at", "id"], ["person", "at", "id"], ["at"]):
        op.create_index(f"ix_access_log_{'_'.join(columns)}", "access_log", columns)


def downgrade() -> None:
    raise NotImplementedError("the record of who saw what is kept; restore a backup instead")
