"""The whole text of each report is searched, and each code finds its issue: a job puts those of each stored issue in."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from db.types import Plain, UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EACH = timedelta(milliseconds=50)
"""The jobs fall due one by one, so that notices need not wait for all of them."""
AT_ONCE = 1000
ISSUES = sa.table("issues", sa.column("id"), sa.column("opened_at"))
OUTBOX = sa.table(
    "outbox",
    sa.column("issue", sa.Text()), sa.column("seq", sa.Integer()), sa.column("fence", sa.Integer()),
    sa.column("n", sa.Integer()), sa.column("kind", sa.Text()), sa.column("template", sa.Text()),
    sa.column("to_reporter", sa.Boolean()), sa.column("status", sa.Text()), sa.column("attempts", sa.Integer()),
    sa.column("payload", Plain()), sa.column("created_at", UTCDateTime()), sa.column("ready_at", UTCDateTime()),
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "codes",
        sa.Column("hash", WORDS, nullable=False),
        sa.Column("issue", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_codes"),
        sa.ForeignKeyConstraint(["issue"], ["issues.id"], name="fk_codes_issue"),
    )
    connection, now = op.get_bind(), datetime.now(UTC)
    requested = sa.select(OUTBOX.c.issue, sa.func.max(OUTBOX.c.n)).where(OUTBOX.c.seq == 0).group_by(OUTBOX.c.issue)
    taken = {row[0]: row[1] for row in connection.execute(requested)}
    query = sa.select(ISSUES.c.id).order_by(ISSUES.c.opened_at.desc())
    found = connection.scalars(query).all()
    rows: list[dict[str, object]] = [
        {"issue": issue, "seq": 0, "fence": 0, "n": taken.get(issue, -1) + 1, "kind": "job", "template": "index",
         "to_reporter": False, "status": "pending", "attempts": 0, "payload": {"issue": issue, "body": {}},
         "created_at": now, "ready_at": now + at * EACH}
        for at, issue in enumerate(found)
    ]  # fmt: skip
    for start in range(0, len(rows), AT_ONCE):
        op.bulk_insert(OUTBOX, rows[start : start + AT_ONCE])


def downgrade() -> None:
    op.drop_table("codes")  # older code reads the words as they are
