"""The moments of a clause: yellow, red, climbs at opening or at once, provisional."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

import calendars
from domain.policy import Clause, Policy
from domain.promise import landing, promised
from domain.worktime import Limit
from policies.loader import load_pack

ZONE = ZoneInfo("Asia/Shanghai")
POLICY = load_pack("52022")
CIVIL_CODE = load_pack("12345")
"""Its limits in natural days move off days off."""
AT_ONCE = replace(POLICY, climb_lands="at once")
SHIPPED = calendars.load_all()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def clause(limit: str, *climb: str, ends: str = "day") -> Clause:
    return Clause(
        id="c",
        level="property",
        milestone="complete",
        starts="accepted",
        limit=Limit.parse(limit),
        climb=tuple(map(Limit.parse, climb)),
        ends=ends,
    )


def test_yellow_red_and_climb_run_from_one_start() -> None:
    promise = promised(clause("5sm", "30sm"), POLICY, SHIPPED, at("2026-09-28 10:00"))
    assert promise.warn == at("2026-09-28 10:04")
    assert promise.due == at("2026-09-28 10:05")
    assert promise.climbs == (at("2026-09-28 10:30"),)
    assert not promise.provisional


def test_the_yellow_light_is_reckoned_on_the_clause_s_own_clock() -> None:
    promise = promised(clause("5sm"), POLICY, SHIPPED, at("2026-09-28 19:58"))
    assert promise.due == at("2026-09-29 08:03")
    assert promise.warn == at("2026-09-29 08:02"), "two minutes in the evening, two in the morning"
    assert promise.climbs == ()
    days = promised(clause("2wd"), POLICY, SHIPPED, at("2026-09-29 10:00"))
    assert days.due == at("2026-10-08 23:59:59")
    assert days.warn == at("2026-10-08 14:23:59.400"), "a working day, and 0.6 of the next, which is not a holiday"
    urgent = promised(clause("3sh"), POLICY, SHIPPED, at("2026-09-28 19:00"), urgent=True)
    assert urgent.warn == at("2026-09-28 21:24")


def test_the_yellow_light_stands_still_in_a_pause_as_its_clock_does() -> None:
    night = (at("2026-09-28 20:00"), at("2026-09-29 08:00"))
    promise = promised(clause("3sh"), POLICY, SHIPPED, at("2026-09-28 18:00"), pauses=[night])
    assert (promise.warn, promise.due) == (at("2026-09-29 08:24"), at("2026-09-29 09:00"))
    day = (at("2026-09-29 08:00"), at("2026-09-29 20:00"))
    promise = promised(clause("1nd"), POLICY, SHIPPED, at("2026-09-28 10:00"), pauses=[day])
    assert (promise.warn, promise.due) == (at("2026-09-30 19:11:59.200"), at("2026-09-30 23:59:59"))


def test_with_extensions_the_yellow_light_warns_of_the_last_one() -> None:
    more = (Limit.parse("1nd"), Limit.parse("2nd"))
    promise = promised(clause("20sm"), POLICY, SHIPPED, at("2026-09-28 10:00"), extended=more)
    assert promise.due == at("2026-10-01 23:59:59")
    assert promise.warn == at("2026-10-01 14:23:59.400"), "the whole of the 30th, and 0.6 of the next day"


def test_an_ordinary_climb_at_night_lands_at_opening() -> None:
    assert promised(clause("2nd", "2nd"), POLICY, SHIPPED, at("2026-09-28 10:00")).climbs == (at("2026-10-01 08:00"),)
    assert promised(clause("24h", "6h", "12h"), POLICY, SHIPPED, at("2026-09-28 15:00")).climbs == (
        at("2026-09-29 08:00"),
        at("2026-09-29 08:00"),
    )
    assert promised(clause("1nd", "1nd"), AT_ONCE, SHIPPED, at("2026-09-28 10:00")).climbs == (
        at("2026-09-29 23:59:59"),
    )


def test_an_urgent_clock_runs_on_the_wall_and_climbs_at_once() -> None:
    promise = promised(clause("5sm", "30sm"), POLICY, SHIPPED, at("2026-09-28 22:00"), urgent=True)
    assert promise.due == at("2026-09-28 22:05")
    assert promise.climbs == (at("2026-09-28 22:30"),)


def test_a_climb_ends_its_day_as_the_limit_does() -> None:
    promise = promised(clause("1wd", "1wd", ends="service"), AT_ONCE, SHIPPED, at("2026-09-28 10:00"))
    assert promise.due == promise.climbs[0] == at("2026-09-29 20:00")


@pytest.mark.parametrize(("limit", "climb"), [("3wd", "3wd"), ("3wd", "1h"), ("1h", "3wd")])
def test_a_promise_is_provisional_if_any_of_its_moments_is(limit: str, climb: str) -> None:
    assert promised(clause(limit, climb), POLICY, SHIPPED, at("2026-12-30 10:00")).provisional
    assert not promised(clause(limit, climb), POLICY, SHIPPED, at("2026-09-28 10:00")).provisional


def test_pauses_move_every_moment() -> None:
    pause = (at("2026-09-28 10:02"), at("2026-09-28 11:02"))
    promise = promised(clause("5sm", "30sm"), POLICY, SHIPPED, at("2026-09-28 10:00"), pauses=[pause])
    assert promise.due == at("2026-09-28 11:05")
    assert promise.climbs == (at("2026-09-28 11:30"),)


def test_a_climb_that_waits_for_the_opening_does_not_land_inside_a_pause() -> None:
    night = (at("2026-09-28 22:00"), at("2026-09-29 10:00"))
    until_evening = (at("2026-09-28 22:00"), at("2026-09-29 21:00"))
    due = at("2026-09-28 21:00")
    assert landing(due, POLICY) == at("2026-09-29 08:00")
    assert landing(due, POLICY, pauses=[night]) == at("2026-09-29 10:00")
    assert landing(due, POLICY, pauses=[until_evening]) == at("2026-09-30 08:00")
    assert landing(due, POLICY, urgent=True, pauses=[night]) == due
    assert landing(at("2026-09-28 19:00"), POLICY, pauses=[night]) == at("2026-09-28 19:00")


# Days off


def of(pack: Policy, name: str) -> Clause:
    return next(clause for clause in pack.clause if clause.id == name)


def test_seven_days_that_end_in_the_national_day_holiday_end_after_it() -> None:
    """From Saturday 26 September 2026 the seventh day is 3 October; the holiday lasts until the 7th."""
    promise = promised(of(CIVIL_CODE, "answer"), CIVIL_CODE, SHIPPED, at("2026-09-26 10:00"))
    assert promise.due == at("2026-10-08 23:59:59")
    assert promise.climbs == (at("2026-10-01 08:00"), at("2026-10-03 08:00")), "days 4 and 6, at opening, as ever"
    assert promise.warn == at("2026-10-02 14:23:59.400"), "day 5, and 0.6 of the next"
    assert not promise.provisional


def test_fifteen_days_may_end_on_a_saturday_that_is_made_up_for() -> None:
    complex_ = of(CIVIL_CODE, "answer-complex")
    assert promised(complex_, CIVIL_CODE, SHIPPED, at("2026-09-25 10:00")).due == at("2026-10-10 23:59:59")
    assert promised(complex_, CIVIL_CODE, SHIPPED, at("2026-09-26 10:00")).due == at("2026-10-12 23:59:59")


def test_a_climb_at_the_limit_moves_with_it_and_one_inside_it_stays() -> None:
    both = promised(clause("7nd", "5nd", "7nd"), CIVIL_CODE, SHIPPED, at("2026-09-26 10:00"))
    assert both.climbs == (at("2026-10-02 08:00"), at("2026-10-09 08:00"))
    later = promised(clause("7nd", "8nd"), CIVIL_CODE, SHIPPED, at("2026-09-26 10:00"))
    assert later.climbs == (at("2026-10-05 08:00"),)


def test_an_extension_counts_on_from_the_moved_limit_and_does_not_move() -> None:
    extended = promised(
        clause("7nd", "7nd"), CIVIL_CODE, SHIPPED, at("2026-09-26 10:00"), extended=(Limit.parse("2nd"),)
    )
    assert extended.due == at("2026-10-10 23:59:59"), "a Saturday that is made up for"
    weekend = promised(clause("7nd"), CIVIL_CODE, SHIPPED, at("2026-10-02 10:00"), extended=(Limit.parse("2nd"),))
    assert weekend.due == at("2026-10-11 23:59:59"), "from Friday the 9th to Sunday"


def test_a_pack_that_keeps_its_days_ends_on_days_off_too() -> None:
    assert promised(clause("7nd"), POLICY, SHIPPED, at("2026-09-26 10:00")).due == at("2026-10-03 23:59:59")


# A year without a calendar


def test_a_climb_that_depends_on_it_comes_when_any_calendar_would_have_it() -> None:
    """Wednesday 30 December: Thursday, Friday and Monday the 4th, if no day of January is off; 15 days on at most."""
    promise = promised(clause("3wd", "3wd"), POLICY, SHIPPED, at("2026-12-30 10:00"))
    assert promise.due == at("2027-01-04 23:59:59")
    assert promise.climbs == (at("2027-01-20 08:00"),), "the end of the 19th, at opening"
    assert promised(clause("3wd", "3wd"), AT_ONCE, SHIPPED, at("2026-12-30 10:00")).climbs == (
        at("2027-01-19 23:59:59"),
    )


def test_a_climb_that_does_not_depend_on_it_comes_at_its_time() -> None:
    promise = promised(clause("3wd", "3h"), POLICY, SHIPPED, at("2026-12-30 10:00"))
    assert (promise.provisional, promise.climbs) == (True, (at("2026-12-30 13:00"),))
    first, second = promised(clause("3wd", "1wd", "3wd"), AT_ONCE, SHIPPED, at("2026-12-30 10:00")).climbs
    assert (first, second) == (at("2026-12-31 23:59:59"), at("2027-01-19 23:59:59"))


def test_a_moved_limit_of_such_a_year_is_provisional_and_its_climb_waits() -> None:
    promise = promised(clause("7nd", "4nd", "7nd"), CIVIL_CODE, SHIPPED, at("2026-12-28 10:00"))
    assert (promise.due, promise.provisional) == (at("2027-01-04 23:59:59"), True)
    assert promise.climbs == (at("2027-01-02 08:00"), at("2027-01-20 08:00"))


# Days counted from another moment than hours


def test_days_may_count_from_an_earlier_day_than_hours() -> None:
    recorded, happened = at("2026-09-29 00:00:01"), at("2026-09-28 23:59:59")
    days = promised(clause("1nd", "2nd"), POLICY, SHIPPED, recorded, day=happened)
    assert (days.due, days.climbs) == (at("2026-09-29 23:59:59"), (at("2026-10-01 08:00"),))
    assert days.warn == at("2026-09-29 19:11:59.200")
    hours = promised(clause("1h", "2h"), AT_ONCE, SHIPPED, recorded, day=happened)
    assert (hours.due, hours.climbs) == (at("2026-09-29 01:00:01"), (at("2026-09-29 02:00:01"),))
