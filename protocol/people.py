"""The people of an organisation: who is appointed, and what a manager changes of it by pages, each change on record."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from db.access_log import put
from db.engine import Database
from domain import managing
from domain.commands import Actor
from domain.directory import Appointment, Compound, Directory, Org, Period
from domain.directory_sheets import fits
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.directory_change import Abandoning, change_directory
from protocol.errors import Forbidden, Invalid, NotFound, Unavailable
from protocol.guards import AccessGuard
from texts.catalogue import Wrong

_SHOWN_AFTER: Final = timedelta(days=90)
"""So long an appointment that is over stays on the page."""
_WRITE_SECONDS: Final = 5.0
Change = Callable[[Directory, date], Directory]


@dataclass(frozen=True)
class Roster:
    """An organisation and its people; `manages`: whether the viewer may change them."""

    org: Org
    appointments: Sequence[Appointment]
    today: date
    manages: bool
    compounds: Sequence[Compound]
    """The compounds where the organisation works today, for which it prints codes."""


class People:
    """Reads and changes who is appointed to one's own organisation."""

    def __init__(self, database: Database, directory: DirectoryCache, access: AccessGuard, now: Now) -> None:
        self._database = database
        self._directory = directory
        self._access = access
        self._now = now

    async def roster(self, viewer: Actor) -> Roster:
        """The viewer's organisation as of now. Raises NotFound for residents, Unavailable."""
        directory, day = await self._directory.newest(), today(self._now())
        org = directory.org(viewer.org) if viewer.org else None
        if org is None:
            raise NotFound
        since = day - _SHOWN_AFTER
        shown = [
            each for each in managing.team(directory, viewer) if each.period.end is None or each.period.end > since
        ]
        shown.sort(key=lambda each: (not each.period.covers(day), not each.manager, each.name or each.person))
        works = directory.works(org.code, day).compounds
        compounds = [each for each in directory.compounds if each.code in works]
        return Roster(org, shown, day, managing.is_manager(directory, viewer, day), compounds)

    async def appoint(self, viewer: Actor, person: str, name: str, start: date, end: date | None) -> None:
        """Appoints a person to the viewer's own role in his organisation. Raises Forbidden, Invalid, Unavailable."""
        self._check("appointments", "person", person)
        self._check("appointments", "name", name)
        if end is not None and end <= start:
            raise Invalid(("to", Wrong("period-empty")))
        period = Period(start, end)
        await self._change(
            viewer, f"appoint {person} {viewer.role} {_days(period)}",
            lambda all_, on: managing.appointed(all_, viewer, person, name, period, on),
        )  # fmt: skip

    async def end(self, viewer: Actor, person: str, start: date | None, end: date) -> None:
        """Ends an appointment, so that `end` is the first day without it. Raises Forbidden, Invalid, Unavailable."""
        self._check("appointments", "person", person)
        await self._change(
            viewer, f"end {person} {viewer.role} {_days(Period(start, end))}",
            lambda all_, on: managing.ended(all_, viewer, person, start, end, on), can_lose=True,
        )  # fmt: skip

    async def name(self, viewer: Actor, person: str, name: str) -> None:
        """Says how a person is called, which the access log does not repeat. Raises Forbidden, Invalid, Unavailable."""
        self._check("appointments", "person", person)
        self._check("appointments", "name", name)
        await self._change(viewer, f"name {person}", lambda all_, _: managing.named(all_, viewer, person, name))

    async def duty_phone(self, viewer: Actor, number: str) -> None:
        """Says under which number, which is public, the organisation is reached. Raises Forbidden, Invalid, Unavailable."""
        self._check("operators", "duty_phone", number)
        await self._change(
            viewer, f"duty-phone {number or 'none'}", lambda all_, _: managing.with_duty_phone(all_, viewer, number)
        )

    @staticmethod
    def _check(sheet: str, column: str, cell: str) -> None:
        if not fits(sheet, column, cell):
            raise Invalid((column, Wrong("cell-unfit")))

    async def _change(self, viewer: Actor, what: str, change: Change, *, can_lose: bool = False) -> None:
        """Changes the directory and writes it to the access log, in one transaction.

        An attempt counts and is judged before the directory is held, so that nobody makes other changes wait by trying.
        """
        now = self._now()
        day = today(now)
        is_manager = managing.is_manager(await self._directory.get(), viewer, day)
        await self._access.may_manage(viewer, what, is_manager=is_manager)

        def changed(directory: Directory) -> Directory:
            if not managing.is_manager(directory, viewer, day):
                raise Forbidden("manager-only")
            return change(directory, day)

        line = await self._access.line(viewer, what, "done")
        try:
            async with asyncio.timeout(_WRITE_SECONDS), self._database.write() as session:
                await change_directory(session, changed, now, can_lose=can_lose)
                await session.run_sync(put, [line])
        except managing.CannotManage as error:
            raise Invalid(("person", Wrong(error.code))) from None
        except Abandoning as error:
            raise Invalid(("person", Wrong("issues-left", number=error.abandoned[0].issue.number))) from None
        except (SQLAlchemyError, OSError):
            raise Unavailable("directory-away") from None
        await self._directory.newest()


def _days(period: Period) -> str:
    """The days of an appointment as the access log has them, without the end."""
    return f"{period.start or ''}..{period.end or ''}"
