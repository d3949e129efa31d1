"""Who will go to an issue, so that lists show everybody his own work first."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("issues", sa.Column("assigned", WORDS, nullable=True))


def downgrade() -> None:
    op.drop_column("issues", "assigned")
