"""The working days of each year as data: one JSON file a year, read and checked here.

Every autumn the State Council publishes the holidays of the next year. Until then deadlines in that year are
provisional.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from domain.wire import WireError, load
from domain.worktime import YearCalendar

SHIPPED: Final = Path(__file__).parent


class CalendarError(ValueError):
    """A calendar file that cannot be used; `problems` are lines ``file: place: reason``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load_all(override: Path | None = None) -> tuple[YearCalendar, ...]:
    """The shipped calendars and those of `override` (a file or a folder), one for each year, in order of years.

    Where both have a year, the higher version is taken, and of equal versions `override`. Raises CalendarError.
    """
    newest = {calendar.year: calendar for calendar in map(load_file, _files(SHIPPED))}
    for calendar in map(load_file, _files(override) if override else ()):
        known = newest.get(calendar.year)
        if known is None or calendar.version >= known.version:
            newest[calendar.year] = calendar
    return tuple(newest[year] for year in sorted(newest))


def load_file(path: Path) -> YearCalendar:
    """The calendar in `path`. Raises CalendarError with everything that is wrong with it."""
    try:
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
        calendar = load(YearCalendar, plain)
    except OSError as error:
        raise CalendarError([f"{path}: cannot be read: {error.strerror or error}"]) from error
    except json.JSONDecodeError as error:
        raise CalendarError([f"{path}:{error.lineno}: not JSON: {error.msg}"]) from error
    except WireError as error:
        raise CalendarError([f"{path}: {str(error).removeprefix('YearCalendar').lstrip('.: ')}"]) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise CalendarError([f"{path}: not JSON in UTF-8"]) from error
    problems = [f"{path}: {problem}" for problem in calendar.problems()]
    if problems:
        raise CalendarError(problems)
    return replace(calendar, off=tuple(sorted(calendar.off)), on=tuple(sorted(calendar.on)))


def _files(place: Path) -> list[Path]:
    return sorted(place.glob("*.json")) if place.is_dir() else [place]
