"""Whose texts are to be erased, or were."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.String(24).with_variant(postgresql.TIMESTAMP(timezone=True, precision=3), "postgresql")


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("issue", WORDS, nullable=False),
        sa.Column("why", WORDS, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("issue", name="pk_erasures"),
    )
    op.create_index("ix_erasures_done_at_asked_at_issue", "erasures", ["done_at", "asked_at", "issue"])
    op.create_index("ix_issues_category_closed_at", "issues", ["category", "closed_at"])


def downgrade() -> None:
    raise NotImplementedError("what was erased stays on record; restore a backup instead")
