"""Raises an alarm, once a week, while a year that has begun or is about to begin has no calendar."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.alarms import put_alarm
from db.engine import Database
from db.published import read
from db.tables import AlarmRow
from db.upsert import is_sqlite
from domain.wire import truncate
from domain.worktime import SHANGHAI, YearCalendar
from runtime.pause import pause

KIND: Final = "calendar-missing"
PERIOD_SECONDS: Final = 60.0
"""Seconds between two looks."""
AGAIN: Final = timedelta(days=7)
"""How long after an alarm the next one is raised about the same year."""
_DECEMBER: Final = 12
"""The month from whose first day on the next year must have a calendar: notices come out in autumn."""
_LOCK: Final = 0x6A6965737964
"""Key of the PostgreSQL advisory lock that keeps two workers from raising the same alarm."""

log: Final = structlog.stdlib.get_logger(__name__)


class MissingCalendar:
    """Raises the alarm, and marks it as seen once the calendar is there or a newer alarm about the year is.

    `files`: the calendars of this process's files.
    """

    def __init__(self, database: Database, files: Sequence[YearCalendar]) -> None:
        self._database = database
        self._years = {calendar.year for calendar in files}

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every PERIOD_SECONDS until `stop` is set."""
        while not stop.is_set():
            try:
                await self.look(truncate(datetime.now(UTC)))
            except (SQLAlchemyError, OSError, ValueError) as error:
                log.warning("missing_calendar.cannot_look", error=type(error).__name__)
            await pause(stop, PERIOD_SECONDS)

    async def look(self, now: datetime) -> list[int]:
        """Looks once. Returns the years about which an alarm was raised."""
        async with self._database.read() as session:
            if not any(await session.run_sync(self._compare, now)):
                return []

        def work(session: Session) -> list[int]:
            if not is_sqlite(session):  # SQLite has one writer at a time
                session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            due, past = self._compare(session, now)
            session.execute(update(AlarmRow).where(AlarmRow.id.in_(past)).values(seen_at=now))
            for year in due:
                put_alarm(session, KIND, None, {"year": year}, now)
            return due

        return await self._database.transact(work)

    def _compare(self, session: Session, now: datetime) -> tuple[list[int], list[int]]:
        """The years about which an alarm is due, and the ids of unseen alarms that are true no more or told again."""
        known = self._years | {each.calendar.year for each in read(session)}
        missing = [year for year in _needed(now) if year not in known]
        query = select(AlarmRow.id, AlarmRow.at, AlarmRow.seen_at, AlarmRow.detail).where(AlarmRow.kind == KIND)
        alarms = session.execute(query).all()
        told = {alarm.detail["year"] for alarm in alarms if alarm.at > now - AGAIN}
        due = [year for year in missing if year not in told]
        standing = {*missing} - {*due}
        past = [alarm.id for alarm in alarms if alarm.seen_at is None and alarm.detail["year"] not in standing]
        return due, past


def _needed(now: datetime) -> list[int]:
    """The years that must have a calendar: that of today and, from 1 December on, the next."""
    today = now.astimezone(SHANGHAI)
    return [today.year, today.year + 1] if today.month == _DECEMBER else [today.year]
