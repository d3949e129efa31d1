"""What the desk of an officer is sorted by: rulings that wait, promises, and since when a level above has the lead."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.String(24).with_variant(postgresql.TIMESTAMP(timezone=True, precision=3), "postgresql")
COLUMNS = ("community_rules_by", "street_rules_by", "promised_by", "led_at")
INDICES = (
    ("community", "community_rules_by"), ("street", "street_rules_by"), ("handler", "promised_by"), ("community", "led_at"),
    ("street", "led_at"),
)  # fmt: skip


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("issues", sa.Column(name, MOMENT, nullable=True))
    for whose, name in INDICES:
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_issues_{whose}_{name}", "issues", [whose, name, "id"], sqlite_where=there, postgresql_where=there
        )


def downgrade() -> None:
    for whose, name in INDICES:
        op.drop_index(f"ix_issues_{whose}_{name}", "issues")
    for name in COLUMNS:
        op.drop_column("issues", name)
