"""The calendars that new issues get: those of this process's files, and those that were published since."""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.published import published
from domain.pins import Calendars, newest
from domain.worktime import YearCalendar
from protocol.cached import FRESH, Cached
from protocol.read_model import ReadModel

log: Final = structlog.stdlib.get_logger(__name__)


class CalendarCache:
    """Loads the published calendars from the database and keeps them in memory.

    While the database is down, those read last hold; before the first reading, the files alone. `files`: the calendars
    of files, one for each year.
    """

    def __init__(self, model: ReadModel, files: Sequence[YearCalendar], fresh: float = FRESH) -> None:
        self._files = tuple(files)
        self._cached = Cached(model, self._read, fresh)

    async def get(self) -> Calendars:
        """The newest calendar of each year, in order of years."""
        found = await self._cached.get()
        return self._files if found is None else found

    async def _read(self, session: AsyncSession, last: Calendars | None) -> Calendars:
        try:
            found = newest([*self._files, *await published(session)])
        except ValueError as error:
            # Somebody altered a row; reports are taken all the same, with what is known to be sound.
            log.error("calendars_cannot_be_read", reason=str(error))  # noqa: TRY400 - the message says it all
            return self._files if last is None else last
        if last is not None and found == last:
            return last
        log.info("calendars_read", years=[f"{calendar.year}.{calendar.version}" for calendar in found])
        return found
