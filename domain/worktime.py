"""Limits, their four timescales, service hours and working days.

Wall time (``s m h``), service time (``sm sh``), natural days (``nd``) and working days (``wd``), all in Asia/Shanghai.
Nothing here asks for the present time, and calendars are arguments, so a replay computes the same as the first run.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Final, Literal, Self, cast, get_args
from zoneinfo import ZoneInfo

from domain.wire import Text, truncate

Unit = Literal["s", "m", "h", "sm", "sh", "nd", "wd"]
Timescale = Literal["wall", "service", "nd", "wd"]
Pause = tuple[datetime, datetime]
"""A period in which clocks stop: start, inclusive, and end, exclusive."""

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
"""The zone of all dates; built at import, since a workflow's sandbox may not read the zone file (package tzdata)."""

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
_TIMESCALE: Final[dict[Unit, Timescale]] = {
    "s": "wall", "m": "wall", "h": "wall", "sm": "service", "sh": "service", "nd": "nd", "wd": "wd",
}  # fmt: skip
_SECONDS: Final[dict[Unit, int]] = {"s": 1, "m": 60, "h": 3600, "sm": 60, "sh": 3600, "nd": 86400, "wd": 86400}
_TEN_YEARS: Final = 10 * 366 * 86400
_MOST_VERSIONS: Final = 9999
"""The highest version of a calendar: a column holds it, and a longer number is a slip."""
_MINUTES_A_DAY: Final = 24 * 60
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_LAST_SECOND: Final = timedelta(hours=23, minutes=59, seconds=59)
_TICK: Final = timedelta(microseconds=1)
_TICKS_A_MINUTE: Final = 60_000_000
_PARTS: Final = 1_000_000
"""Into so many parts a limit is divided when a share of it is taken."""
_FIRST_DAY: Final = datetime(1, 1, 1, tzinfo=SHANGHAI)

_LIMIT = re.compile(r"([1-9][0-9]{0,8})(s|m|h|sm|sh|nd|wd)", re.ASCII)
_HOURS = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", re.ASCII)


@dataclass(frozen=True)
class Limit(Text):
    """A length of time on one of the timescales, e.g. ``5sm`` or ``2nd``; above zero, at most ten years."""

    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        if self.amount < 1 or self.amount * _SECONDS[self.unit] > _TEN_YEARS:
            raise ValueError(f"a limit is above zero and at most ten years, not {self.amount}{self.unit}")

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _LIMIT.fullmatch(text)
        if found is None:
            raise ValueError(f"not a limit: {text!r}; write a whole number above zero and one of {' '.join(UNITS)}")
        return cls(int(found[1]), cast("Unit", found[2]))

    @cached_property
    def timescale(self) -> Timescale:
        return _TIMESCALE[self.unit]

    @cached_property
    def in_days(self) -> bool:
        """Whether the limit counts days, and not hours."""
        return self.unit in ("nd", "wd")

    @cached_property
    def span(self) -> timedelta:
        """The length, for comparing limits of one timescale; a day counts as 24 hours."""
        return timedelta(seconds=self.amount * _SECONDS[self.unit])


@dataclass(frozen=True)
class ServiceHours(Text):
    """The daily working hours: from `opens`, inclusive, to `closes`, exclusive, in minutes after midnight."""

    opens: int
    closes: int

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= _MINUTES_A_DAY:
            raise ValueError("service hours open before they close, between 00:00 and 24:00")

    def __str__(self) -> str:
        return f"{self.opens // 60:02}:{self.opens % 60:02}-{self.closes // 60:02}:{self.closes % 60:02}"

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _HOURS.fullmatch(text)
        if found is None or int(found[2]) > 59 or int(found[4]) > 59:
            raise ValueError(f"not service hours: {text!r}; write them like 08:00-20:00")
        return cls(int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4]))


@dataclass(frozen=True)
class YearCalendar:
    """The working days of one year as published: public holidays, and make-up working days at weekends (调休)."""

    year: int
    version: int
    off: tuple[date, ...]
    on: tuple[date, ...]
    source: str = ""

    def problems(self) -> Iterator[str]:
        """Mistakes in the calendar, each with the path to its place."""
        if not 2000 <= self.year <= 2999:
            yield f"year: {self.year} is not a year from 2000 on"
        if self.version < 1:
            yield "version: counts from 1"
        if self.version > _MOST_VERSIONS:
            yield f"version: counts up to {_MOST_VERSIONS}"
        for key, days in (("off", self.off), ("on", self.on)):
            for index, day in enumerate(days):
                if day.year != self.year:
                    yield f"{key}[{index}]: {day} is not in {self.year}"
                if day in days[:index]:
                    yield f"{key}[{index}]: {day} is there already"
        for index, day in enumerate(self.on):
            if day.weekday() < 5:
                yield f"on[{index}]: {day} is not at a weekend, so it needs no making up"
            if day in self.off:
                yield f"on[{index}]: {day} is also off"

    def is_working(self, day: date) -> bool:
        return day in self._on or (day.weekday() < 5 and day not in self._off)

    @cached_property
    def _off(self) -> frozenset[date]:
        return frozenset(self.off)

    @cached_property
    def _on(self) -> frozenset[date]:
        return frozenset(self.on)


@dataclass(frozen=True)
class Due:
    """The due time (UTC) of a clock; provisional if the calendar of a year in between is not published yet."""

    at: datetime
    provisional: bool = False


def due(
    start: datetime,
    limit: Limit,
    hours: ServiceHours,
    calendars: Sequence[YearCalendar],
    *,
    pauses: Sequence[Pause] = (),
    ends: str = "day",
    wall: bool = False,
    day_off: str = "keep",
    share: float = 1.0,
) -> Due:
    """The time (UTC) at which a clock that starts at `start` reaches `limit`.

    With `wall` (urgent issues) a limit in service time runs in wall time. Clocks stop during `pauses`, which may
    overlap, lie before the start or come in any order; a pause that begins at the due moment or later changes
    nothing, since that moment has passed. Limits in days count neither the start day nor a day whose whole service
    time was paused, and end with the last day (23:59:59), or at the close of service hours where `ends` is
    ``service``. Where `day_off` is ``next_working_day``, a limit in natural days that ends on a day off ends on the
    next working day that counts.

    With `share` (above 0, at most 1) it is the time, in whole milliseconds, at which that share of the limit is
    reached on the same clock. Of days that is so many whole ones, and the rest as a share of the next one that
    counts, from its midnight to its end.
    """
    pauses = _merged(start, pauses) if pauses else ()
    timescale = limit.timescale
    if limit.in_days:
        return _by_days(start, limit, hours, calendars, pauses, ends, day_off == "next_working_day", share)
    span = limit.span if share == 1 else limit.span * share
    by_wall = wall or timescale == "wall"
    at = _by_wall(start, span, pauses) if by_wall else _by_service(start, span, hours, pauses)
    return Due(at if share == 1 else truncate(at))


def opening(moment: datetime, hours: ServiceHours) -> datetime:
    """The moment (UTC) itself if it is within service hours, else the next opening; the closing time is outside."""
    local = moment.astimezone(SHANGHAI)
    minute = local.hour * 60 + local.minute
    if hours.opens <= minute < hours.closes:
        return moment.astimezone(UTC)
    day = local.date() if minute < hours.opens else local.date() + _DAY
    return _shanghai(day, hours.opens * _MINUTE)


def at_opening(moment: datetime, hours: ServiceHours) -> bool:
    """Whether the moment is the opening of service hours, when climbs of the night take effect."""
    local = moment.astimezone(SHANGHAI)
    return local.hour * 60 + local.minute == hours.opens and local.second == 0


def service_time(begin: datetime, end: datetime, hours: ServiceHours) -> timedelta:
    """The service time between two moments."""
    return timedelta(microseconds=_served(end, hours) - _served(begin, hours))


def whole_days(begin: datetime, end: datetime, hours: ServiceHours) -> int:
    """The number of days whose whole service time lies within the period."""
    first, last = begin.astimezone(SHANGHAI), end.astimezone(SHANGHAI)
    opens, closes = hours.opens * _MINUTE, hours.closes * _MINUTE
    day = first.date() if begin <= _shanghai(first.date(), opens) else first.date() + _DAY
    until = last.date() if end >= _shanghai(last.date(), closes) else last.date() - _DAY
    return max(0, (until - day).days + 1)


def _merged(start: datetime, pauses: Sequence[Pause]) -> Sequence[Pause]:
    """The pauses from `start` on, sorted and merged."""
    merged: list[Pause] = []
    for begin, end in sorted((max(begin, start), end) for begin, end in pauses):
        if end <= begin:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _by_wall(start: datetime, span: timedelta, pauses: Sequence[Pause]) -> datetime:
    at = start.astimezone(UTC) + span
    for begin, end in pauses:
        if begin >= at:
            break
        at += end - begin
    return at


def _by_service(start: datetime, span: timedelta, hours: ServiceHours, pauses: Sequence[Pause]) -> datetime:
    """Converts `start` to service time since a fixed day, in microseconds, adds `span`, and converts back."""
    target = _served(start, hours) + span // _TICK
    at = _served_by(target, hours)
    for begin, end in pauses:
        if begin >= at:
            break
        target += _served(end, hours) - _served(begin, hours)
        at = _served_by(target, hours)
    return at


def _served(moment: datetime, hours: ServiceHours) -> int:
    local = moment.astimezone(SHANGHAI)
    opens, closes = hours.opens * _TICKS_A_MINUTE, hours.closes * _TICKS_A_MINUTE
    now = ((local.hour * 60 + local.minute) * 60 + local.second) * 1_000_000 + local.microsecond
    today = 0 if now < opens else closes - opens if now > closes else now - opens
    return local.toordinal() * (closes - opens) + today


def _served_by(target: int, hours: ServiceHours) -> datetime:
    # A target at the very end of a day's service is that day's closing.
    day, rest = divmod(target - 1, (hours.closes - hours.opens) * _TICKS_A_MINUTE)
    return (_FIRST_DAY + timedelta(day - 1, 0, hours.opens * _TICKS_A_MINUTE + rest + 1)).astimezone(UTC)


def _by_days(
    start: datetime,
    limit: Limit,
    hours: ServiceHours,
    calendars: Sequence[YearCalendar],
    pauses: Sequence[Pause],
    ends: str,
    works: bool,
    share: float,
) -> Due:
    """Counts days after the day of `start`; with `works` a limit in natural days ends on a working day."""
    left, last = limit.amount, hours.closes * _MINUTE if ends == "service" else _LAST_SECOND
    if share < 1:
        whole, rest = divmod(max(1, round(limit.amount * share * _PARTS)), _PARTS)
        left, last = (whole + 1, last * (rest / _PARTS)) if rest else (whole, last)
    natural = limit.timescale == "nd"
    works = works and natural and share == 1
    days = _WorkingDays(calendars)
    day = start.astimezone(SHANGHAI).date()
    stood = _days_stood(hours, pauses) if pauses else []
    if natural and not stood:
        day, left = day + left * _DAY, 0
    while left > 0 or (works and not days.count(day)):
        day += _DAY
        while (until := next((end for begin, end in stood if begin <= day < end), None)) is not None:
            day = until
        left -= 1 if natural or days.count(day) else 0
    return Due(truncate(_shanghai(day, last)), days.guessed)


def _days_stood(hours: ServiceHours, pauses: Sequence[Pause]) -> list[tuple[date, date]]:
    """The days whose whole service time lies in one of the merged pauses: first, inclusive, to last, exclusive."""
    found: list[tuple[date, date]] = []
    for begin, end in pauses:
        first, after = begin.astimezone(SHANGHAI).date(), end.astimezone(SHANGHAI).date()
        if begin > _shanghai(first, hours.opens * _MINUTE):
            first += _DAY
        if end >= _shanghai(after, hours.closes * _MINUTE):
            after += _DAY
        if first < after:
            found.append((first, after))
    return found


class _WorkingDays:
    """Working days by the newest calendar of each year; `guessed` if weekdays replaced a missing calendar."""

    def __init__(self, calendars: Sequence[YearCalendar]) -> None:
        self._calendars = calendars
        self._year = 0
        self._calendar: YearCalendar | None = None
        self.guessed = False

    def count(self, day: date) -> bool:
        if day.year != self._year:
            self._year = day.year
            ours = [calendar for calendar in self._calendars if calendar.year == day.year]
            self._calendar = max(ours, key=lambda calendar: calendar.version) if ours else None
        if self._calendar is None:
            self.guessed = True
            return day.weekday() < 5
        return self._calendar.is_working(day)


def _shanghai(day: date, since_midnight: timedelta) -> datetime:
    local = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + since_midnight
    return local.astimezone(UTC)
