"""Stores the calendars that were published at run time: with those in files they are what new issues get."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.tables import PublishedCalendarRow
from db.upsert import insert_missing, is_sqlite
from domain.pins import newest
from domain.wire import dump, load
from domain.worktime import YearCalendar

_LOCK: Final = 0x6A6965737563
"""Key of the PostgreSQL advisory lock that makes concurrent publications take turns."""


class NotNewError(ValueError):
    """A calendar that may not be published, since another one of its year is known; one line for each."""


@dataclass(frozen=True)
class Published:
    """A published calendar, when it was published, and by whom if that is known."""

    calendar: YearCalendar
    at: datetime
    by: str | None


def publish(
    session: Session, calendars: Sequence[YearCalendar], files: Iterable[YearCalendar], at: datetime, by: str | None
) -> list[Published]:
    """Stores the calendars, all or none. Returns them as they are stored: one that was before, with its time of then.

    `files` are the calendars of this installation's files. Raises NotNewError for a calendar that is older than what is
    known of its year, or bears the version of what is known with another content.
    """
    if not is_sqlite(session):  # SQLite has one writer at a time
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    before = {each.calendar: each for each in read(session)}
    known = {calendar.year: calendar for calendar in newest([*files, *before])}
    problems = [problem for each in calendars if (problem := _problem(each, known.get(each.year)))]
    if problems:
        raise NotNewError("\n".join(problems))
    rows = [
        {
            "year": each.year, "version": each.version, "body": dump(each), "source": each.source,
            "published_at": at, "published_by": by,
        }
        for each in calendars if each not in before
    ]  # fmt: skip
    insert_missing(session, PublishedCalendarRow, rows)
    return [before.get(each, Published(each, at, by)) for each in calendars]


def _problem(calendar: YearCalendar, known: YearCalendar | None) -> str | None:
    """Why the calendar may not be published beside the newest known one of its year; None if it may."""
    if known is None or calendar == known or calendar.version > known.version:
        return None
    said = f"{calendar.year}: version {known.version} is known"
    if calendar.version < known.version:
        return f"{said}, and newer than version {calendar.version}"
    return f"{said} with another content: a changed calendar gets version {known.version + 1}"


def read(session: Session) -> list[Published]:
    """Every published calendar, by year and version. Raises ValueError if a stored one was altered."""
    query = select(PublishedCalendarRow).order_by(PublishedCalendarRow.year, PublishedCalendarRow.version)
    return [_published(row) for row in session.scalars(query)]


async def published(session: AsyncSession) -> list[YearCalendar]:
    """The published calendars, of each year all versions. Raises ValueError if a stored one was altered."""
    return [each.calendar for each in await session.run_sync(read)]


def _published(row: PublishedCalendarRow) -> Published:
    calendar = load(YearCalendar, row.body)
    if (calendar.year, calendar.version) != (row.year, row.version) or any(calendar.problems()):
        raise ValueError(f"the stored calendar of {row.year}, version {row.version}, was altered")
    return Published(calendar, row.published_at, row.published_by)
