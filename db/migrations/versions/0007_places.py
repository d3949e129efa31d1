"""What places and people need on pages: buildings, names of staff, managers, duty phones, and the board of a compound."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ON_DUTY = ("streets", "communities", "operators", "departments")
BOARD = "ix_issues_compound_board"


def upgrade() -> None:
    is_open = sa.text("closed_at IS NULL")
    op.create_index(BOARD, "issues", ["compound", "left_by", "id"], sqlite_where=is_open, postgresql_where=is_open)
    for table in ON_DUTY:
        op.add_column(table, sa.Column("duty_phone", WORDS, nullable=False, server_default=""))
    op.add_column("appointments", sa.Column("name", WORDS, nullable=False, server_default=""))
    op.add_column("appointments", sa.Column("manager", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "buildings",
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, WORDS, nullable=False) for name in ("compound", "code", "name")),
        sa.PrimaryKeyConstraint("position", name="pk_buildings"),
    )


def downgrade() -> None:
    op.drop_table("buildings")
    for name in ("manager", "name"):
        op.drop_column("appointments", name)
    for table in ON_DUTY:
        op.drop_column(table, "duty_phone")
    op.drop_index(BOARD, "issues")
