"""What neighbours need to find an issue and join it, where a merged one went, and who took it in. `jiesu rebuild` fills older rows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("issues", sa.Column("building", WORDS, nullable=True))
    op.add_column("issues", sa.Column("joinable", sa.Boolean(), nullable=True))
    op.add_column("issues", sa.Column("merged_into", WORDS, nullable=True))
    op.add_column("issues", sa.Column("taken_by", WORDS, nullable=True))
    op.create_table(
        "voices",
        sa.Column("issue", WORDS, nullable=False),
        sa.Column("person", WORDS, nullable=False),
        sa.Column("reported", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("issue", "person", name="pk_voices"),
        sa.ForeignKeyConstraint(["issue"], ["issues.id"], name="fk_voices_issue"),
    )
    op.create_index("ix_voices_person", "voices", ["person"])


def downgrade() -> None:
    op.drop_table("voices")
    for name in ("taken_by", "merged_into", "joinable", "building"):
        op.drop_column("issues", name)
