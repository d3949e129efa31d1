"""Limits, the four clocks, pauses and working days, by example; `test_worktime_laws` has the laws."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import calendars
from domain.wire import dump, load
from domain.worktime import (
    UNITS,
    Due,
    Limit,
    ServiceHours,
    YearCalendar,
    due,
    opening,
)

ZONE = ZoneInfo("Asia/Shanghai")
HOURS = ServiceHours.parse("08:00-20:00")
SHIPPED = calendars.load_all()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def reached(
    start: str, limit: str, *, pauses: Sequence[tuple[str, str]] = (), ends: str = "day", wall: bool = False
) -> str:
    stretches = [(at(begin), at(end)) for begin, end in pauses]
    moment = due(at(start), Limit.parse(limit), HOURS, SHIPPED, pauses=stretches, ends=ends, wall=wall).at
    assert moment.tzinfo is UTC
    return moment.astimezone(ZONE).isoformat(" ")[:19]


# Limits and service hours as text


@pytest.mark.parametrize("unit", UNITS)
def test_limit_reads_what_it_writes(unit: str) -> None:
    assert str(Limit.parse(f"5{unit}")) == f"5{unit}"
    assert load(Limit, dump(Limit.parse(f"5{unit}"))) == Limit.parse(f"5{unit}")


@pytest.mark.parametrize(
    "text", ["", "5", "m", "0m", "-1m", "05m", "1.5h", "5 m", "5M", "5x", "５m", "1d", "5m\n", "99999nd", "999999999h"]
)
def test_bad_limit_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(ValueError, match="limit"):
        Limit.parse(text)


@pytest.mark.parametrize(("text", "opens", "closes"), [("08:00-20:00", 480, 1200), ("00:00-24:00", 0, 1440)])
def test_service_hours_read_what_they_write(text: str, opens: int, closes: int) -> None:
    hours = ServiceHours.parse(text)
    assert (hours.opens, hours.closes) == (opens, closes)
    assert str(hours) == text


@pytest.mark.parametrize("text", ["", "8-20", "20:00-08:00", "08:00-08:00", "08:60-20:00", "08:00-24:01", "08:00"])
def test_bad_service_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="service hours"):
        ServiceHours.parse(text)


def test_a_calendar_survives_the_wire() -> None:
    for calendar in SHIPPED:
        calendar.is_working(date(calendar.year, 1, 1))  # what it remembers for speed must not travel
        assert load(YearCalendar, dump(calendar)) == calendar


# Each clock by example


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        ("2026-09-28 23:50", "30s", "2026-09-28 23:50:30"),
        ("2026-09-28 23:50", "30m", "2026-09-29 00:20:00"),
        ("2026-09-28 23:50", "24h", "2026-09-29 23:50:00"),
    ],
)
def test_wall_time_runs_day_and_night(start: str, limit: str, expected: str) -> None:
    assert reached(start, limit) == expected


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        ("2026-09-28 10:00", "5sm", "2026-09-28 10:05:00"),
        ("2026-09-28 19:58", "5sm", "2026-09-29 08:03:00"),
        ("2026-09-28 19:55", "5sm", "2026-09-28 20:00:00"),  # exactly at closing is still today
        ("2026-09-28 20:00", "5sm", "2026-09-29 08:05:00"),
        ("2026-09-28 23:30", "5sm", "2026-09-29 08:05:00"),
        ("2026-09-28 03:00", "5sm", "2026-09-28 08:05:00"),
        ("2026-09-28 18:00", "3sh", "2026-09-29 09:00:00"),
        ("2026-09-28 08:00", "12sh", "2026-09-28 20:00:00"),
        ("2026-09-28 07:00", "24sh", "2026-09-29 20:00:00"),
        ("2026-10-03 10:00", "1sh", "2026-10-03 11:00:00"),  # service hours are every day's
    ],
)
def test_service_time_runs_in_service_hours_only(start: str, limit: str, expected: str) -> None:
    assert reached(start, limit) == expected


def test_urgent_service_time_runs_on_the_wall_clock() -> None:
    assert reached("2026-09-28 23:30", "5sm", wall=True) == "2026-09-28 23:35:00"
    assert reached("2026-09-28 19:00", "3sh", wall=True) == "2026-09-28 22:00:00"
    assert reached("2026-09-28 19:00", "1nd", wall=True) == "2026-09-29 23:59:59"


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        ("2026-09-28 00:00", "1nd", "2026-09-29 23:59:59"),
        ("2026-09-28 23:59", "1nd", "2026-09-29 23:59:59"),
        ("2026-09-28 10:00", "7nd", "2026-10-05 23:59:59"),
        ("2026-12-30 10:00", "2nd", "2027-01-01 23:59:59"),
        ("2026-09-30 16:00", "3wd", "2026-10-10 23:59:59"),  # a week's holiday, then a working Saturday
        ("2026-02-13 10:00", "2wd", "2026-02-24 23:59:59"),  # a working Saturday, then nine days off
        ("2026-02-13 23:59", "1wd", "2026-02-14 23:59:59"),
        ("2026-09-26 10:00", "1wd", "2026-09-28 23:59:59"),
        ("2025-12-30 10:00", "3wd", "2026-01-05 23:59:59"),  # Wed 31, Sunday 4 January made up for, Mon 5
    ],
)
def test_day_clocks_leave_out_the_first_day_and_end_with_the_last(start: str, limit: str, expected: str) -> None:
    assert reached(start, limit) == expected


def test_days_are_shanghai_days_wherever_the_start_was_written_down() -> None:
    evening = datetime(2026, 9, 28, 17, 0, tzinfo=UTC)  # 01:00 on the 29th in Shanghai
    assert due(evening, Limit(1, "nd"), HOURS, ()).at == at("2026-09-30 23:59:59")


def test_day_clocks_may_end_with_the_service_hours() -> None:
    assert reached("2026-09-28 10:00", "1wd", ends="service") == "2026-09-29 20:00:00"
    assert reached("2026-09-28 10:00", "1nd", ends="service") == "2026-09-29 20:00:00"
    round_the_clock = ServiceHours.parse("00:00-24:00")
    moment = due(at("2026-09-28 10:00"), Limit(1, "nd"), round_the_clock, (), ends="service").at
    assert moment == at("2026-09-30 00:00")


# Years without a calendar


def test_without_a_calendar_weekdays_count_and_the_deadline_is_provisional() -> None:
    found = due(at("2026-12-30 10:00"), Limit.parse("3wd"), HOURS, SHIPPED)
    assert found == Due(at("2027-01-04 23:59:59").astimezone(UTC), provisional=True)  # Thu 31, Fri 1, Mon 4


def test_a_deadline_is_provisional_only_if_such_a_year_was_looked_at() -> None:
    assert not due(at("2026-12-30 10:00"), Limit.parse("1wd"), HOURS, SHIPPED).provisional
    assert not due(at("2026-12-30 10:00"), Limit.parse("9nd"), HOURS, ()).provisional
    assert not due(at("2026-12-31 10:00"), Limit.parse("9sh"), HOURS, ()).provisional
    assert due(at("2026-12-31 10:00"), Limit.parse("1wd"), HOURS, SHIPPED).provisional
    paused_over_new_year = [(at("2026-12-30 10:00"), at("2027-01-05 21:00"))]
    calendar = YearCalendar(2027, 1, off=(date(2027, 1, 6),), on=())
    settled = due(at("2026-12-30 10:00"), Limit(1, "wd"), HOURS, [*SHIPPED, calendar], pauses=paused_over_new_year)
    assert settled == Due(at("2027-01-07 23:59:59").astimezone(UTC), provisional=False)


def test_the_newest_calendar_of_a_year_counts() -> None:
    first = YearCalendar(2027, 1, off=(), on=())
    second = YearCalendar(2027, 2, off=(date(2027, 1, 5),), on=())
    for known in ([first, second], [second, first]):
        assert due(at("2027-01-04 10:00"), Limit(1, "wd"), HOURS, known).at == at("2027-01-06 23:59:59")


# Pauses by example


def test_a_pause_stops_wall_and_service_clocks() -> None:
    assert reached("2026-09-28 10:00", "2h", pauses=[("2026-09-28 11:00", "2026-09-28 14:00")]) == "2026-09-28 15:00:00"
    assert (
        reached("2026-09-28 10:00", "2sh", pauses=[("2026-09-28 11:00", "2026-09-29 09:00")]) == "2026-09-29 10:00:00"
    )
    night = [("2026-09-28 21:00", "2026-09-29 07:00")]
    assert reached("2026-09-28 19:00", "2sh", pauses=night) == "2026-09-29 09:00:00"  # no service time was lost


def test_days_whose_whole_service_time_was_paused_do_not_count() -> None:
    tuesday = ("2026-09-29 08:00", "2026-09-29 20:00")
    assert reached("2026-09-28 10:00", "1nd", pauses=[tuesday]) == "2026-09-30 23:59:59"
    assert reached("2026-09-28 10:00", "2wd", pauses=[tuesday]) == "2026-10-08 23:59:59"
    in_two_parts = [("2026-09-29 07:00", "2026-09-29 13:00"), ("2026-09-29 13:00", "2026-09-30 09:00")]
    assert reached("2026-09-28 10:00", "1nd", pauses=in_two_parts) == "2026-09-30 23:59:59"
    three_days = [("2026-09-29 07:59", "2026-10-02 08:00")]
    assert reached("2026-09-28 10:00", "1nd", pauses=three_days) == "2026-10-02 23:59:59"
    start_day = [("2026-09-28 10:00", "2026-09-29 07:00")]
    assert reached("2026-09-28 10:00", "1nd", pauses=start_day) == "2026-09-29 23:59:59"


@pytest.mark.parametrize(
    "pause",
    [
        ("2026-09-29 12:00", "2026-09-29 12:01"),
        ("2026-09-29 20:00", "2026-09-30 08:00"),
        ("2026-09-29 08:00:01", "2026-09-30 19:59:59"),
        ("2026-09-29 09:00", "2026-09-30 09:00"),
    ],
)
def test_a_pause_takes_nothing_off_a_day_of_which_service_time_is_left(pause: tuple[str, str]) -> None:
    for limit in ("1nd", "2nd", "2wd"):
        assert reached("2026-09-28 10:00", limit, pauses=[pause]) == reached("2026-09-28 10:00", limit)


def test_a_minute_a_day_does_not_stop_a_day_clock() -> None:
    a_minute_a_day = [(f"2026-09-{day:02} 09:00", f"2026-09-{day:02} 09:01") for day in range(1, 31)]
    assert reached("2026-09-01 08:00", "7nd", pauses=a_minute_a_day) == "2026-09-08 23:59:59"
    assert reached("2026-09-01 08:00", "2sh", pauses=a_minute_a_day) == "2026-09-01 10:01:00"


@pytest.mark.parametrize(
    ("limit", "ends", "pause"),
    [
        ("2h", "day", ("2026-09-28 12:00", "2026-09-28 13:00")),
        ("10sh", "day", ("2026-09-28 20:00", "2026-09-29 10:00")),
        ("1nd", "day", ("2026-09-29 23:59:59", "2026-09-30 10:00")),
        ("1wd", "service", ("2026-09-29 21:00", "2026-09-29 22:00")),
    ],
)
def test_a_pause_after_the_deadline_does_not_take_it_back(limit: str, ends: str, pause: tuple[str, str]) -> None:
    assert reached("2026-09-28 10:00", limit, ends=ends, pauses=[pause]) == reached(
        "2026-09-28 10:00", limit, ends=ends
    )


def test_pauses_may_overlap_be_empty_lie_before_the_start_and_come_in_any_order() -> None:
    pauses = [
        ("2026-09-28 11:30", "2026-09-28 13:00"),
        ("2026-09-28 11:00", "2026-09-28 12:00"),
        ("2026-09-28 09:00", "2026-09-28 10:15"),
        ("2026-09-27 09:00", "2026-09-27 10:00"),
        ("2026-09-28 11:10", "2026-09-28 11:10"),
    ]
    assert reached("2026-09-28 10:00", "2h", pauses=pauses) == "2026-09-28 14:15:00"


# Opening and part of the way


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-09-28 07:59:59", "2026-09-28 08:00:00"),
        ("2026-09-28 08:00:00", "2026-09-28 08:00:00"),
        ("2026-09-28 19:59:59", "2026-09-28 19:59:59"),
        ("2026-09-28 20:00:00", "2026-09-29 08:00:00"),
        ("2026-09-28 23:59:59", "2026-09-29 08:00:00"),
        ("2026-12-31 23:59:59", "2027-01-01 08:00:00"),
    ],
)
def test_opening_is_the_next_start_of_service_hours(moment: str, expected: str) -> None:
    assert opening(at(moment), HOURS) == at(expected)
    assert opening(at(moment), ServiceHours.parse("00:00-24:00")) == at(moment)


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        ("2026-09-28 10:00", "10s", "2026-09-28 10:00:08"),
        ("2026-09-28 18:00", "10h", "2026-09-29 02:00:00"),
        ("2026-09-28 18:00", "10sh", "2026-09-29 14:00:00"),
        ("2026-09-28 10:00", "5nd", "2026-10-02 23:59:59"),  # four whole days
        ("2026-09-28 10:00", "5wd", "2026-10-09 23:59:59"),  # Tue, Wed, Thu 8, Fri 9
        ("2026-09-28 10:00", "1nd", "2026-09-29 19:11:59"),  # 0.8 of 86,399 seconds
        ("2026-09-30 10:00", "1wd", "2026-10-08 19:11:59"),  # of the first day that counts
        ("2026-09-28 10:00", "2nd", "2026-09-30 14:23:59"),  # a day, and 0.6 of the next
    ],
)
def test_a_share_of_a_limit_is_reached_on_its_own_clock(start: str, limit: str, expected: str) -> None:
    moment = due(at(start), Limit.parse(limit), HOURS, SHIPPED, share=0.8).at
    assert moment.astimezone(ZONE).isoformat(" ")[:19] == expected


def test_a_share_of_a_day_ends_with_the_service_hours_where_the_day_does() -> None:
    assert due(at("2026-09-28 10:00"), Limit(1, "wd"), HOURS, SHIPPED, ends="service", share=0.8).at == at(
        "2026-09-29 16:00"
    )


def test_a_share_is_cut_to_milliseconds() -> None:
    start = at("2026-09-28 10:00")
    assert due(start, Limit(1, "s"), HOURS, (), share=1 / 3).at == start + timedelta(milliseconds=333)
    assert due(start, Limit(1, "nd"), HOURS, (), share=0.8).at == at("2026-09-29 19:11:59.200")


# Days off


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        ("2026-09-26 10:00", "7nd", "2026-10-08"),  # 3 October is a holiday, until the 7th
        ("2026-09-25 10:00", "15nd", "2026-10-10"),  # a Saturday, but made up for
        ("2026-09-26 10:00", "15nd", "2026-10-12"),  # a Sunday
        ("2026-09-28 10:00", "2nd", "2026-09-30"),  # a Wednesday
        ("2026-09-30 10:00", "1wd", "2026-10-08"),  # working days end on one anyway
    ],
)
def test_natural_days_that_end_on_a_day_off_may_move_to_the_next_working_day(
    start: str, limit: str, expected: str
) -> None:
    moved = due(at(start), Limit.parse(limit), HOURS, SHIPPED, day_off="next_working_day")
    assert moved == Due(at(f"{expected} 23:59:59").astimezone(UTC))


def test_a_moved_day_is_one_that_counts() -> None:
    paused = [(at("2026-10-08 07:00"), at("2026-10-08 21:00"))]
    moved = due(at("2026-09-26 10:00"), Limit(7, "nd"), HOURS, SHIPPED, pauses=paused, day_off="next_working_day")
    assert moved.at == at("2026-10-09 23:59:59")


def test_in_a_year_without_a_calendar_weekends_are_off_and_what_moves_is_provisional() -> None:
    for start, expected in (("2026-12-28 10:00", "2027-01-04"), ("2026-12-30 10:00", "2027-01-06")):  # Monday 4th
        moved = due(at(start), Limit(7, "nd"), HOURS, SHIPPED, day_off="next_working_day")
        assert moved == Due(at(f"{expected} 23:59:59").astimezone(UTC), provisional=True)
    saturday = due(at("2026-12-31 10:00"), Limit(2, "nd"), HOURS, SHIPPED, day_off="next_working_day")
    assert saturday == Due(at("2027-01-04 23:59:59").astimezone(UTC), provisional=True)
    assert not due(at("2026-12-28 10:00"), Limit(7, "nd"), HOURS, SHIPPED).provisional
