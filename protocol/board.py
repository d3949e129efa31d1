"""The public board of a compound: its open issues, each with whose turn it is until when, and nothing personal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from db import board
from domain.building import building
from domain.directory import Directory
from domain.light import Light, light
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import NotFound, Unavailable
from protocol.read_model import ReadModel, SqlDown


@dataclass(frozen=True)
class Posting:
    """An open issue as the board shows it. `who` is an organisation; empty: the resident, or nobody, who has to do `what`."""

    category: str
    building: str
    """As it is written on the house; ``3幢`` where the directory has no building of the number that a report names."""
    since: datetime
    who: str
    what: str
    due: datetime | None
    """To the hour, rounded up: from its minute a neighbour might know when it was reported, and so who did."""
    light: Light


@dataclass(frozen=True)
class Board:
    """The board of a compound as of a moment. `is_whole` is false if there are more issues than it shows."""

    compound: str
    name: str
    at: datetime
    postings: Sequence[Posting]
    phones: Sequence[tuple[str, str]]
    """The organisations that answer for the compound, with the number of whoever is on duty there."""
    is_whole: bool


def rounded(due: datetime) -> datetime:
    """The next full hour."""
    past = timedelta(minutes=due.minute, seconds=due.second, microseconds=due.microsecond)
    return due - past + timedelta(hours=1) if past else due


class Boards:
    """Makes boards, for anybody."""

    def __init__(self, model: ReadModel, directory: DirectoryCache, now: Now) -> None:
        self._model = model
        self._directory = directory
        self._now = now

    async def of(self, compound: str) -> Board:
        """The board of this compound. Raises NotFound (`no-compound`), Unavailable."""
        directory, now = await self._directory.get(), self._now()
        found = directory.compound(compound)
        if found is None:
            raise NotFound("no-compound")
        try:
            async with self._model.read() as session:
                rows = await board.open_issues(session, compound)
        except SqlDown:
            raise Unavailable("lists-away") from None

        names = _names(directory, compound)

        def posting(row: board.BoardRow) -> Posting:
            org = directory.org(row.next_org) if row.next_org else None
            shown = light(overdue=row.overdue, due=row.due, warn_at=row.warn_at, now=now) or "green"
            return Posting(
                row.category, names.get(row.building, f"{row.building}幢") if row.building else "", row.opened_at, org.name if org else row.next_org or "",
                row.next_milestone or "", row.due and rounded(row.due), shown,
            )  # fmt: skip

        return Board(
            found.code,
            found.name,
            now,
            [posting(row) for row in rows],
            _phones(directory, compound, today(now)),
            len(rows) < board.MOST,
        )


def _names(directory: Directory, compound: str) -> dict[str, str]:
    """What is written on the buildings of the compound, by the number that a report gives."""
    return {building(each.name) or each.code.upper(): each.name for each in directory.buildings_of(compound)}


def _phones(directory: Directory, compound: str, on: date) -> list[tuple[str, str]]:
    place = directory.place(compound, on)
    codes = (place.operator, place.community, place.street) if place is not None else ()
    orgs = [org for code in codes if code and (org := directory.org(code))]
    return [(org.name, org.duty_phone) for org in orgs if org.duty_phone]
