"""Alarms: what must not happen goes into a table and into the log, for somebody to look at."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import event, insert, select
from sqlalchemy.orm import Session

from db.tables import AlarmRow

log: Final = structlog.stdlib.get_logger(__name__)


def put_alarm(session: Session, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime) -> None:
    """Adds an alarm to the transaction. `detail` goes to the log as well, so it holds no personal data."""
    session.execute(insert(AlarmRow).values(at=at, issue=issue, kind=kind, detail=dict(detail)))

    def tell(_: Session) -> None:
        log.error("alarm", kind=kind, issue=issue, **detail)

    event.listen(session, "after_commit", tell, once=True)


def put_alarm_once(
    session: Session, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime, *, ever: bool = False
) -> bool:
    """As `put_alarm`, unless one of this kind waits to be seen; whether it did.

    With `ever`, for what has happened once and stays so: unless there is one with the same detail, seen or not.
    """
    query = select(AlarmRow.detail, AlarmRow.seen_at).where(AlarmRow.kind == kind, AlarmRow.issue == issue)
    known = session.execute(query).all()
    if any(told == detail if ever else seen_at is None for told, seen_at in known):
        return False
    put_alarm(session, kind, issue, detail, at)
    return True
