"""Alarms: each is a row and a line of the log that tell the operator of something that must never happen."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import event, insert, select
from sqlalchemy.orm import Session

from db.tables import AlarmRow

log: Final = structlog.stdlib.get_logger(__name__)


def put_alarm(session: Session, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime) -> None:
    """Adds an alarm to the transaction. `detail` is written to the log as well, so it must hold no personal data."""
    session.execute(insert(AlarmRow).values(at=at, issue=issue, kind=kind, detail=dict(detail)))

    def log_it(_: Session) -> None:
        log.error("alarm", kind=kind, issue=issue, **detail)

    event.listen(session, "after_commit", log_it, once=True)


def put_alarm_once(
    session: Session, kind: str, issue: str | None, detail: Mapping[str, Any], at: datetime, *, ever: bool = False
) -> bool:
    """Adds an alarm, unless the issue has an unseen alarm of this kind. Returns whether one was added.

    With `ever`, for facts that never change: adds it unless the issue has any alarm of this kind and detail, seen or
    not.
    """
    query = select(AlarmRow.detail, AlarmRow.seen_at).where(AlarmRow.kind == kind, AlarmRow.issue == issue)
    known = session.execute(query).all()
    if any(stored == detail if ever else seen_at is None for stored, seen_at in known):
        return False
    put_alarm(session, kind, issue, detail, at)
    return True
