"""The working days of each year as data: JSON files, read and checked here.

Every autumn the State Council publishes the holidays of the next year. Until then deadlines in that year are
provisional. A file holds one calendar, or several: a notice may touch two years.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final, cast

from domain.pins import newest
from domain.wire import WireError, load
from domain.worktime import YearCalendar

SHIPPED: Final = Path(__file__).parent
_KINDS: Final[Mapping[str, type[Any]]] = {"year": int, "version": int, "off": date, "on": date, "source": str}
"""The fields of a calendar, with the type of their value; of `off` and `on`, that of each day in the list."""
SEVERAL: Final = (
    'a file may hold one calendar for each year that a notice touches: {"calendars": [{"year": 2026, ...}, '
    '{"year": 2027, ...}]}; each names all days of its year, and a year that was published before gets the next version'
)
"""How to write a notice that touches two years."""


class CalendarError(ValueError):
    """A calendar file that cannot be used.

    `problems` are lines ``file: place: reason``; `hint` says what to do about them, where that is not plain.
    """

    def __init__(self, problems: Iterable[str], hint: str = "") -> None:
        self.problems = tuple(problems)
        self.hint = hint
        super().__init__("\n".join((*self.problems, *([hint] if hint else []))))


def load_all(override: Path | None = None) -> tuple[YearCalendar, ...]:
    """The shipped calendars and those of `override` (a file or a folder), one for each year, in order of years.

    Where both have a year, the higher version is taken, and of equal versions `override`. Raises CalendarError.
    """
    return newest([*load_place(SHIPPED), *(load_place(override) if override is not None else ())])


def load_place(place: Path) -> list[YearCalendar]:
    """All calendars of a file, or of the .json files of a folder in order of their names. Raises CalendarError."""
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    return [calendar for file in files for calendar in load_file(file)]


def load_file(path: Path) -> tuple[YearCalendar, ...]:
    """The calendars in `path`, in order of years: those of one object, of a list, or of ``{"calendars": [...]}``.

    Raises CalendarError with everything that is wrong with the file.
    """
    try:
        plain: Any = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as error:
        raise CalendarError([f"{path}: cannot be read: {error.strerror or error}"]) from error
    except json.JSONDecodeError as error:
        raise CalendarError([f"{path}:{error.lineno}: not JSON: {error.msg}"]) from error
    except _Repeated as error:
        raise CalendarError([f"{path}: {error}: it is there more than once"]) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or a number of thousands of digits
        raise CalendarError([f"{path}: not JSON in UTF-8"]) from error
    found: dict[int, YearCalendar] = {}
    problems: list[str] = []
    for where, each in _calendars(plain):
        read = list(_mistakes(each))
        if not read:
            calendar = load(YearCalendar, each)
            read += calendar.problems()
            if found.setdefault(calendar.year, calendar) is not calendar:
                read.append(f"year: {calendar.year} is there already")
        problems += [f"{path}: {where}{problem}" for problem in read]
    if not found and not problems:
        problems.append(f"{path}: holds no calendar")
    if problems:
        strays = any(day.year != each.year for each in found.values() for day in (*each.off, *each.on))
        raise CalendarError(problems, SEVERAL if strays else "")
    return tuple(_sorted(found[year]) for year in sorted(found))


class _Repeated(ValueError):
    """A name that an object of JSON bears twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for name, value in pairs:
        if name in found:
            raise _Repeated(name)
        found[name] = value
    return found


def _calendars(plain: Any) -> Iterator[tuple[str, Any]]:
    """The plain calendars of a file, each with the path to it, such as ``calendars[1].``"""
    name, value = "", plain
    if isinstance(plain, dict) and set(cast("dict[str, Any]", plain)) == {"calendars"}:
        name, value = "calendars", cast("dict[str, Any]", plain)["calendars"]
    if isinstance(value, list):
        for index, each in enumerate(cast("list[Any]", value)):
            yield f"{name}[{index}]" + ("." if isinstance(each, dict) else ": "), each
    else:
        yield name and f"{name}: ", value


def _mistakes(plain: Any) -> Iterator[str]:
    """What keeps `plain` from being decoded as a calendar, each mistake with the path to its place."""
    if not isinstance(plain, dict):
        yield f"expected an object, got {plain!r}"
        return
    entries = cast("dict[str, Any]", plain)
    yield from (f"{name}: missing" for name in _KINDS if name not in entries and name != "source")
    for name, value in entries.items():
        kind = _KINDS.get(name)
        if kind is None:
            yield f"{name}: unknown field"
        elif kind is not date:
            yield from _mistake(kind, value, name)
        elif not isinstance(value, list):
            yield f"{name}: expected a list, got {value!r}"
        else:
            for index, day in enumerate(cast("list[Any]", value)):
                yield from _mistake(date, day, f"{name}[{index}]")


def _mistake(kind: type[Any], plain: Any, where: str) -> Iterator[str]:
    try:
        load(kind, plain, where)
    except WireError as error:
        yield str(error)


def _sorted(calendar: YearCalendar) -> YearCalendar:
    return replace(calendar, off=tuple(sorted(calendar.off)), on=tuple(sorted(calendar.on)))
