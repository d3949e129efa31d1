"""The moments of a clause: yellow, red, climbs at opening or at once, provisional."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

import calendars
from domain.policy import Clause
from domain.promise import landing, promised
from domain.worktime import Limit
from policies.loader import load_pack

ZONE = ZoneInfo("Asia/Shanghai")
POLICY = load_pack("52022")
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


def test_the_yellow_light_is_reckoned_on_the_wall_clock() -> None:
    promise = promised(clause("5sm"), POLICY, SHIPPED, at("2026-09-28 19:58"))
    assert promise.due == at("2026-09-29 08:03")
    assert promise.warn == at("2026-09-29 05:38")
    assert promise.climbs == ()


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
