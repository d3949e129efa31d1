"""Puts another directory in the place of the one in force, unless an open issue would have nobody left who may act on it.

Imports of files and changes by pages both come this way. The worker then tells open issues what has changed for them.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from db import queries
from db.directory import load_directory, locked, store_directory
from domain.directory import Directory
from domain.directory_review import Loss, losses
from domain.worktime import SHANGHAI


class Abandoning(Exception):
    """The change would leave these open issues without anybody."""

    def __init__(self, abandoned: Sequence[Loss]) -> None:
        super().__init__(*(each.said for each in abandoned))
        self.abandoned = abandoned


async def change_directory(
    session: AsyncSession,
    change: Callable[[Directory], Directory],
    now: datetime,
    *,
    force: Collection[str] = (),
    dry_run: bool = False,
    can_lose: bool = True,
) -> Sequence[Loss]:
    """What open issues lose by the change, which is stored unless it is a `dry_run`. One change waits for another.

    Raises Abandoning if one would have nobody left, unless `force` holds its number, or it is a `dry_run`. Where a change
    takes nobody away (not `can_lose`), the open issues are not read.
    """
    await locked(session)
    before = await load_directory(session)
    after = change(before)
    issues = await queries.open_issues(session) if can_lose else ()
    lost = losses(before, after, issues, now.astimezone(SHANGHAI).date())
    if dry_run:
        return lost
    if abandoned := [loss for loss in lost if loss.abandoned and loss.issue.number not in force]:
        raise Abandoning(abandoned)
    await store_directory(session, after, now)
    return lost
