"""Pictures of issues, and the codes with which residents prove a phone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.String(24).with_variant(postgresql.TIMESTAMP(timezone=True, precision=3), "postgresql")


def upgrade() -> None:
    op.create_table(
        "attachments",
        sa.Column("issue", WORDS, nullable=False),
        sa.Column("digest", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("added_by", WORDS, nullable=False),
        sa.Column("role", WORDS, nullable=False),
        sa.Column("org", WORDS, nullable=True),
        sa.Column("added_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("issue", "digest", name="pk_attachments"),
    )
    op.create_table(
        "phone_codes",
        sa.Column("phone", WORDS, nullable=False),
        sa.Column("code", WORDS, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("phone", name="pk_phone_codes"),
    )
    op.create_index("ix_phone_codes_until", "phone_codes", ["until"])


def downgrade() -> None:
    raise NotImplementedError("pictures are evidence; restore a backup instead")
