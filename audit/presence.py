"""Looks, before an installation starts, whether Temporal holds the issues that are open in SQL."""

from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from db.engine import Database
from db.tables import IssueRow
from runtime.executions import described
from runtime.settings import SettingsError
from workflows.contract import PREFIX

ASKED: Final = 50
"""So many of the oldest and of the newest open issues are asked for at most."""

log: Final = structlog.stdlib.get_logger(__name__)


class EmptyTemporal(SettingsError):
    """Issues are open in SQL, and Temporal holds none of them: its file is gone, or its namespace was made anew."""


async def check_presence(client: Client, database: Database) -> None:
    """Raises EmptyTemporal, in one line that says how to restore.

    A row is written by its workflow, so Temporal knows the issue of each, unless it lost it. Single ones that are gone are
    left to the alarms. If the database or Temporal does not answer, it is only logged: that is no reason not to start.
    """
    try:
        count, issues = await _open_issues(database)
        for issue in issues:
            if await described(client, PREFIX + issue) is not None:
                return
    except (SQLAlchemyError, RPCError, OSError) as error:
        log.warning("presence_unknown", error=type(error).__name__)
        return
    if count:
        few = "1 issue is open, and Temporal does not hold it" if count == 1 else (
            f"{count} issues are open, and Temporal holds none of them"
        )  # fmt: skip
        raise EmptyTemporal(
            f"{few}: its database was lost or its namespace ({client.namespace}) made anew; put it back from a backup "
            "(docs/operations.md, Restore), or start with --anyway, and nobody acts on them any more"
        )


async def _open_issues(database: Database) -> tuple[int, list[str]]:
    """How many issues are open, and the ids of the oldest and of the newest."""
    is_open = IssueRow.closed_at.is_(None)
    query = select(IssueRow.id).where(is_open).limit(ASKED)
    async with database.read() as session:
        count = await session.scalar(select(func.count()).select_from(IssueRow).where(is_open)) or 0
        oldest = await session.scalars(query.order_by(IssueRow.opened_at))
        newest = await session.scalars(query.order_by(IssueRow.opened_at.desc()))
        return count, list(dict.fromkeys([*oldest, *newest]))
