"""Lists by level and by category, and worklists of others, cost as little with a million issues as with a few."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CLIMBED = sa.text("level <> 'property'")
OPEN = sa.text("closed_at IS NULL")
INDICES = {
    "ix_issues_street_category_opened_at_id": (["street", "category", "opened_at", "id"], None),
    "ix_issues_street_level": (["street", "level", "opened_at", "id"], CLIMBED),
    "ix_issues_community_level": (["community", "level", "opened_at", "id"], CLIMBED),
    "ix_issues_operator_level": (["operator", "level", "opened_at", "id"], CLIMBED),
    "ix_issues_handler_level": (["handler", "level", "opened_at", "id"], CLIMBED),
    "ix_issues_community_work": (["community", "left_by", "id"], OPEN),
    "ix_issues_street_work": (["street", "left_by", "id"], OPEN),
}


def upgrade() -> None:
    for name, (columns, there) in INDICES.items():
        op.create_index(name, "issues", columns, sqlite_where=there, postgresql_where=there)


def downgrade() -> None:
    for name in INDICES:
        op.drop_index(name, "issues")
