"""Selects issues by a text of conditions, such as ``category=leak compound=demo since=2026-11-01``."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, Final

from sqlalchemy import ColumnElement, literal, or_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from db.engine import Database
from db.tables import IssueRow, SealRow
from db.types import UTCDateTime, Words
from domain.wire import WireError, parse_time
from domain.worktime import SHANGHAI
from texts.catalogue import Wrong

_PAGE: Final = 500
_COLUMNS: Final[Mapping[str, InstrumentedAttribute[Any]]] = {
    "issue": IssueRow.id,
    "number": IssueRow.number,
    "compound": IssueRow.compound,
    "community": IssueRow.community,
    "street": IssueRow.street,
    "operator": IssueRow.operator,
    "handler": IssueRow.handler,
    "category": IssueRow.category,
    "level": IssueRow.level,
    "status": IssueRow.status,
    "policy": IssueRow.policy_id,
    "closed": IssueRow.closed_kind,
}
_BOUNDS: Final[Mapping[str, Callable[[datetime], ColumnElement[bool]]]] = {
    "since": lambda moment: IssueRow.opened_at >= moment,
    "until": lambda moment: IssueRow.opened_at < moment,
}
_ORDER: Final = (IssueRow.opened_at, IssueRow.id)
NAMES: Final = (*_COLUMNS, *_BOUNDS)


class SelectionError(Wrong):
    """A condition in the text of a selection cannot be understood; the message names it."""


@dataclass(frozen=True)
class Selection:
    """Conditions that an issue must all meet; a condition may name several values between commas, of which one must
    match.
    """

    text: str
    conditions: tuple[ColumnElement[bool], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Selection":
        """The selection by its text, such as ``category=leak since=2026-11-01``. Raises SelectionError."""
        return cls(" ".join(text.split()), tuple(map(_condition, text.split())))

    def within(self, street: str) -> "Selection":
        """A selection with the same conditions, limited to the issues of one street."""
        return replace(self, conditions=(*self.conditions, IssueRow.street == street))

    @property
    def sealed(self) -> "Selection":
        """A selection with the same conditions, limited to sealed issues whose record was not erased."""
        whole = IssueRow.id.in_(select(SealRow.issue).where(SealRow.record.is_not(None)))
        return replace(self, conditions=(*self.conditions, whole))

    async def issues(self, database: Database, after: str | None = None, most: int | None = None) -> AsyncIterator[str]:
        """The ids of the selected issues, the oldest first. With `after`, only those that follow this issue; with
        `most`, at most so many.

        Raises SelectionError if there is no issue `after`: an empty answer would look like the end of the list.
        """
        begin, left = true(), most
        if after is not None:
            async with database.read() as session:
                last = await session.get(IssueRow, after)
            if last is None:
                raise SelectionError("after-unknown", issue=repr(after))
            begin = _after(last.opened_at, last.id)
        while left is None or left > 0:
            query = select(IssueRow.opened_at, IssueRow.id).where(begin, *self.conditions).order_by(*_ORDER)
            async with database.read() as session:
                found = (await session.execute(query.limit(_PAGE if left is None else min(left, _PAGE)))).all()
            for _, issue in found:
                yield issue
            if len(found) < _PAGE:
                return
            left = None if left is None else left - len(found)
            begin = _after(*found[-1])


def _after(opened_at: datetime, issue: str) -> ColumnElement[bool]:
    # With the columns' types: SQLite compares times as text, which must have the stored form.
    return tuple_(IssueRow.opened_at, IssueRow.id) > tuple_(literal(opened_at, UTCDateTime()), literal(issue, Words()))


def _condition(word: str) -> ColumnElement[bool]:
    name, separator, value = word.partition("=")
    if not separator or not value:
        raise SelectionError("no-condition", word=repr(word), known=", ".join(NAMES))
    if name in _BOUNDS:
        return _BOUNDS[name](moment_of(value))
    column = _COLUMNS.get(name)
    if column is None:
        raise SelectionError("no-name-of-condition", name=repr(name), known=", ".join(NAMES))
    return or_(*(column == each for each in value.split(",")))


def moment_of(text: str) -> datetime:
    """The moment, in UTC, that the text names: the beginning of a day in Shanghai, or a time with its time zone. Raises
    SelectionError.
    """
    with contextlib.suppress(ValueError, OverflowError, WireError):
        if "T" not in text:
            return datetime.combine(date.fromisoformat(text), time(), SHANGHAI).astimezone(UTC)
        moment = parse_time(text) if text.endswith("Z") else datetime.fromisoformat(text)
        if moment.tzinfo is not None:  # without a zone it would be read in that of this machine
            return moment.astimezone(UTC)
    raise SelectionError("no-moment", text=repr(text))
