"""The shipped working days against two independent sources, and the errors of an invalid file."""

import json
from datetime import date, timedelta
from pathlib import Path

import chinese_calendar  # pyright: ignore[reportMissingTypeStubs]
import holidays
import pytest

from calendars import SHIPPED, CalendarError, load_all, load_file
from domain.worktime import YearCalendar

YEARS = {calendar.year: calendar for calendar in load_all()}


def days(calendar: YearCalendar) -> list[date]:
    first = date(calendar.year, 1, 1)
    return [day for n in range(366) if (day := first + timedelta(days=n)).year == calendar.year]


def test_the_current_year_and_those_before_it_are_shipped() -> None:
    assert list(YEARS) == [2024, 2025, 2026]
    assert all(calendar.source for calendar in YEARS.values())


@pytest.mark.parametrize("year", YEARS)
def test_every_day_agrees_with_chinesecalendar(year: int) -> None:
    calendar = YEARS[year]
    for day in days(calendar):
        assert calendar.is_working(day) == chinese_calendar.is_workday(day), day


@pytest.mark.parametrize("year", YEARS)
def test_every_day_agrees_with_holidays(year: int) -> None:
    calendar = YEARS[year]
    china = holidays.country_holidays("CN", years=year)
    for day in days(calendar):
        assert calendar.is_working(day) == china.is_working_day(day), day


def test_2026_as_the_notice_words_it() -> None:
    def span(month: int, first: int, last: int) -> list[date]:
        return [date(2026, month, day) for day in range(first, last + 1)]

    off = (
        span(1, 1, 3) + span(2, 15, 23) + span(4, 4, 6) + span(5, 1, 5) + span(6, 19, 21) + span(9, 25, 27)
        + span(10, 1, 7)
    )  # fmt: skip
    on = [date(2026, *day) for day in ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10))]
    assert (list(YEARS[2026].off), list(YEARS[2026].on)) == (off, on)


def write(path: Path, **changes: object) -> Path:
    plain = {"year": 2027, "version": 1, "source": "a notice", "off": ["2027-01-01"], "on": ["2027-01-03"]}
    path.write_text(json.dumps(plain | changes), encoding="utf-8")
    return path


def test_an_override_adds_years_and_replaces_those_it_is_not_older_than(tmp_path: Path) -> None:
    write(tmp_path / "2027.json")
    write(tmp_path / "2026.json", year=2026, off=["2026-05-04"], on=[])
    write(tmp_path / "2025.json", year=2025, version=2, off=[], on=[])
    found = {calendar.year: calendar for calendar in load_all(tmp_path)}
    assert list(found) == [2024, 2025, 2026, 2027]
    assert found[2024] == YEARS[2024]
    assert found[2025].off == ()
    assert found[2026].off == (date(2026, 5, 4),)
    assert [calendar.year for calendar in load_all(tmp_path / "2027.json")] == [2024, 2025, 2026, 2027]


def test_an_override_older_than_what_is_shipped_does_not_count(tmp_path: Path) -> None:
    newer, older = write(tmp_path / "a.json", version=2, on=[]), write(tmp_path / "b.json", version=1)
    assert load_file(older)[0].on
    assert {calendar.year: calendar for calendar in load_all(newer.parent)}[2027].on == ()


def test_the_order_in_a_file_does_not_matter(tmp_path: Path) -> None:
    mixed = write(tmp_path / "a.json", off=["2027-05-01", "2027-01-01"])
    assert load_file(mixed)[0].off == (date(2027, 1, 1), date(2027, 5, 1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"off": ["2026-12-31"]}, "off[0]: 2026-12-31 is not in 2027"),
        ({"off": ["2027-01-01", "2027-01-01"]}, "off[1]: 2027-01-01 is there already"),
        ({"off": ["2027-1-1"]}, "off[0]: not a date: '2027-1-1'"),
        ({"off": "2027-01-01"}, "off: expected a list"),
        ({"on": ["2027-01-04"]}, "on[0]: 2027-01-04 is not at a weekend"),
        ({"off": ["2027-01-03"]}, "on[0]: 2027-01-03 is also off"),
        ({"year": 1999, "off": [], "on": []}, "year: 1999"),
        ({"year": "2027"}, "year: expected int"),
        ({"version": 0}, "version: counts from 1"),
        ({"version": 10**30}, "version: counts up to 9999"),
        ({"of": []}, "of: unknown field"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_place(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "2027.json", **changes)
    with pytest.raises(CalendarError) as caught:
        load_file(path)
    assert f"{path}: {reason}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"year": 2027,\n "version" 1}', ":2: not JSON"),
        (b"[]", ": holds no calendar"),
        (b'{"calendars": []}', ": holds no calendar"),
        (b"2027", ": expected an object, got 2027"),
        (b"[2027]", ": [0]: expected an object, got 2027"),
        (b'{"calendars": 2027}', ": calendars: expected an object, got 2027"),
        (b'{"year": ' + b"1" * 5000 + b"}", ": not JSON"),
        (b"{}", ": year: missing"),
        (b"\xff\xfe", ": not JSON in UTF-8"),
        (b"[" * 100_000, ": not JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "2027.json"
    path.write_bytes(content)
    with pytest.raises(CalendarError) as caught:
        load_file(path)
    assert str(caught.value).startswith(f"{path}{reason}")


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "2027.json", version=0, off=["2026-12-31"], on=["2027-01-04"])
    with pytest.raises(CalendarError) as caught:
        load_file(path)
    assert len(caught.value.problems) == 3


def test_what_cannot_be_read_is_named_at_once_as_well(tmp_path: Path) -> None:
    path = tmp_path / "2027.json"
    path.write_text(json.dumps({"year": "2027", "off": ["2027-01-01", 5, "1 May"], "on": 6, "of": []}))
    with pytest.raises(CalendarError) as caught:
        load_file(path)
    assert [problem.removeprefix(f"{path}: ").split(":")[0] for problem in caught.value.problems] == [
        "version", "year", "off[1]", "off[2]", "on", "of",
    ]  # fmt: skip


FREES_NEW_YEARS_EVE = [
    {"year": 2026, "version": 2, "off": ["2026-12-31"], "on": []},
    {"year": 2027, "version": 1, "off": ["2027-01-01"], "on": ["2027-01-03"]},
]


@pytest.mark.parametrize("plain", [FREES_NEW_YEARS_EVE, {"calendars": FREES_NEW_YEARS_EVE[::-1]}])
def test_one_file_may_hold_the_calendars_of_several_years(plain: object, tmp_path: Path) -> None:
    path = tmp_path / "notice.json"
    path.write_text(json.dumps(plain), encoding="utf-8")
    assert [(each.year, each.version) for each in load_file(path)] == [(2026, 2), (2027, 1)]
    assert load_all(path)[-2].off == (date(2026, 12, 31),)


def test_faults_in_one_of_several_calendars_are_named_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "notice.json"
    one, other = FREES_NEW_YEARS_EVE
    path.write_text(json.dumps({"calendars": [one | {"version": 0}, other | {"off": ["x"]}, one]}), encoding="utf-8")
    with pytest.raises(CalendarError) as caught:
        load_file(path)
    assert caught.value.problems == (
        f"{path}: calendars[0].version: counts from 1",
        f"{path}: calendars[1].off[0]: not a date: 'x'",
        f"{path}: calendars[2].year: 2026 is there already",
    )


def test_who_names_a_day_of_another_year_learns_how_to_write_it(tmp_path: Path) -> None:
    path = write(tmp_path / "2027.json", off=["2026-12-31", "2027-01-01"])
    with pytest.raises(CalendarError) as caught:
        load_file(path)
    assert caught.value.problems == (f"{path}: off[0]: 2026-12-31 is not in 2027",)
    assert str(caught.value).splitlines()[1].startswith("a file may hold one calendar for each year")
    with pytest.raises(CalendarError) as caught:
        load_file(write(path, version=0))
    assert "a file may hold" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match=r"2027\.json: cannot be read: No such file"):
        load_all(tmp_path / "2027.json")


def test_every_shipped_file_bears_its_year() -> None:
    for path in SHIPPED.glob("*.json"):
        assert [calendar.year for calendar in load_file(path)] == [int(path.stem)]


def test_a_name_that_is_there_twice_is_refused_since_one_of_the_two_would_be_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"year": 2027, "year": 2028, "version": 1, "off": ["2028-01-01"], "on": []}', encoding="utf-8")
    with pytest.raises(CalendarError) as caught:
        load_file(path)
    assert caught.value.problems == (f"{path}: year: it is there more than once",)
