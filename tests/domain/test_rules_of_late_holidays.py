"""A holiday announced after limits were counted without it: lights go out, a wrong climb is told of and returned."""

from dataclasses import replace
from datetime import date

import domain.commands as c
from domain.issue import Climb
from domain.policy import Policy
from domain.worktime import YearCalendar
from tests.domain.play import (
    ADMIN,
    CALENDARS,
    COMMUNITY,
    COMPANY,
    STREET,
    Stage,
    climbs,
    kinds,
    local,
    pack,
)
from tests.domain.test_notices import heard

THIS_YEAR = next(calendar for calendar in CALENDARS if calendar.year == 2026)
ANSWER: Policy = replace(
    pack("3+3+5"),
    clause=tuple(clause for clause in pack("3+3+5").clause if clause.id == "answer"),
    climb_lands="at once",
)
"""One promise for the whole issue: an answer within five working days, which climbs then."""


def with_holidays(*days: int, version: int = 2) -> YearCalendar:
    """The calendar of 2026 with these days of November off as well."""
    off = (*THIS_YEAR.off, *(date(2026, 11, day) for day in days))
    return replace(THIS_YEAR, version=THIS_YEAR.version + version - 1, off=off)


def not_accepted() -> Stage:
    """Reported on Friday, to be accepted by the end of Monday the 23rd; it has climbed at Tuesday's opening."""
    stage = Stage("12345")
    stage.let_pass(local("2026-11-24 09:00"))
    assert climbs(stage) == [("accept", "community")]
    return stage


def test_a_red_light_that_a_holiday_makes_wrong_goes_out() -> None:
    stage = Stage(ANSWER)
    stage.let_pass(local("2026-11-28 09:00"))
    assert stage.clock("answer").overdue
    (published,) = stage.give(ADMIN, c.CalendarPublished(with_holidays(26, 27)))
    assert published.body.wrong == "answer"  # pyright: ignore[reportAttributeAccessIssue]
    assert (stage.clock("answer").overdue, stage.clock("answer").due) == (False, local("2026-12-01 23:59:59"))
    assert climbs(stage) == [("answer", "community")], "what happened stays on record"


def test_of_a_wrong_climb_both_levels_are_told_why() -> None:
    stage = not_accepted()
    (published,) = stage.give(ADMIN, c.CalendarPublished(with_holidays(23)))
    assert published.body.wrong == "accept"  # pyright: ignore[reportAttributeAccessIssue]
    assert heard(stage, published) == {"elm", "company-a"}
    assert stage.issue.level == "community"


def test_a_calendar_by_which_nothing_was_wrong_is_told_to_nobody() -> None:
    stage = not_accepted()
    (published,) = stage.give(ADMIN, c.CalendarPublished(with_holidays(30)))
    assert (published.body.wrong, heard(stage, published)) == (None, set())  # pyright: ignore[reportAttributeAccessIssue]


def test_a_climb_in_hours_or_by_hand_is_never_wrong() -> None:
    in_hours = Stage()
    in_hours.let_pass(local("2026-11-20 11:00"))
    by_hand = Stage("12345")
    by_hand.give(COMPANY, c.Escalate("办不了"))
    for stage in (in_hours, by_hand):
        assert stage.issue.level == "community"
        (published,) = stage.give(ADMIN, c.CalendarPublished(with_holidays(20, 23)))
        assert published.body.wrong is None  # pyright: ignore[reportAttributeAccessIssue]


def test_an_extension_after_the_climb_does_not_make_it_wrong() -> None:
    twice = replace(ANSWER, ladder=("property", "community", "street"))
    stage = Stage(twice)
    stage.let_pass(local("2026-11-28 09:00"))
    stage.give(COMMUNITY, c.Extend("要勘察"))
    stage.give(STREET, c.Grant())
    (published,) = stage.give(ADMIN, c.CalendarPublished(replace(THIS_YEAR, version=THIS_YEAR.version + 1)))
    assert published.body.wrong is None  # pyright: ignore[reportAttributeAccessIssue]


def test_the_lead_returns_a_wrong_climb_and_it_counts_as_no_transfer() -> None:
    stage = not_accepted()
    stage.give(ADMIN, c.CalendarPublished(with_holidays(23)))
    (returned,) = stage.give(COMMUNITY, c.Return("23日放假"))
    assert (returned.level, returned.body.undoes) == ("property", "accept")  # pyright: ignore[reportAttributeAccessIssue]
    assert (stage.issue.level, stage.issue.transfers, stage.issue.last_climb) == ("property", 0, None)
    assert stage.clock("accept").due == local("2026-11-25 23:59:59"), "a working day from the return"


def test_any_other_return_is_a_transfer() -> None:
    stage = not_accepted()
    (returned,) = stage.give(COMMUNITY, c.Return("物业再办"))
    assert (returned.body.undoes, stage.issue.transfers) == (None, 1)  # pyright: ignore[reportAttributeAccessIssue]
    second = not_accepted()
    second.give(ADMIN, c.CalendarPublished(with_holidays(23)))
    second.give(COMMUNITY, c.Return("23日放假"))
    second.give(COMMUNITY, c.Redispatch("helpers", "换人", "volunteers"))
    assert second.issue.transfers == 1


def test_undoing_a_climb_never_climbs_for_its_number_of_transfers() -> None:
    stage = Stage("12345")
    stage.give(COMMUNITY, c.Redispatch("helpers", "换人", "volunteers"))
    stage.give(COMMUNITY, c.Redispatch("company-a", "换人", "company", ("north",)))
    stage.let_pass(local("2026-11-24 09:00"))
    assert (stage.issue.level, stage.issue.transfers) == ("community", 2)
    stage.give(ADMIN, c.CalendarPublished(with_holidays(23)))
    assert kinds(stage.give(COMMUNITY, c.Return("23日放假"))) == ["returned"]
    assert kinds(stage.give(COMMUNITY, c.Redispatch("helpers", "换人", "volunteers"))) == [
        "redispatched",
        "escalated",
    ], "the third"


def at_the_street() -> Stage:
    """Climbed from the company for its hours, and from the community, which did nothing, at Tuesday's opening."""
    lazy = replace(pack("3+3+5"), clause=tuple(each for each in pack("3+3+5").clause if each.id != "community-accept"))
    stage = Stage(lazy)
    stage.let_pass(local("2026-11-24 09:00"))
    assert climbs(stage) == [("arrive", "community"), ("community-act", "street")]
    stage.give(ADMIN, c.CalendarPublished(with_holidays(23)))
    return stage


def test_a_wrong_climb_is_returned_to_the_level_from_which_it_came() -> None:
    stage = at_the_street()
    (returned,) = stage.give(STREET, c.Return("23日放假"))
    assert (returned.level, returned.body.undoes) == ("community", "community-act")  # pyright: ignore[reportAttributeAccessIssue]
    assert stage.issue.transfers == 0


def test_two_levels_down_is_a_transfer() -> None:
    stage = at_the_street()
    stage.give(STREET, c.Return("物业再办", "property"))
    assert (stage.issue.level, stage.issue.transfers) == ("property", 1)


def test_a_climb_that_was_undone_happens_when_it_is_due() -> None:
    stage = Stage(ANSWER)
    stage.let_pass(local("2026-11-28 09:00"))
    stage.give(ADMIN, c.CalendarPublished(with_holidays(26, 27)))
    stage.give(COMMUNITY, c.Return("放假"))
    stage.let_pass(local("2026-12-02 09:00"))
    times = [(event.kind, event.at) for event in stage.events if event.clause == "answer"]
    assert times[-2:] == [
        ("overdue", local("2026-12-01 23:59:59")),
        ("escalated", local("2026-12-01 23:59:59")),
    ]


def test_a_newer_calendar_may_say_that_the_climb_was_right() -> None:
    stage = not_accepted()
    stage.give(ADMIN, c.CalendarPublished(with_holidays(23)))
    again = replace(THIS_YEAR, version=THIS_YEAR.version + 2)
    (published,) = stage.give(ADMIN, c.CalendarPublished(again))
    assert published.body.wrong is None  # pyright: ignore[reportAttributeAccessIssue]
    stage.give(COMMUNITY, c.Return("物业再办"))
    assert stage.issue.transfers == 1


def test_the_same_calendar_again_changes_nothing() -> None:
    stage = not_accepted()
    for _ in range(2):
        (published,) = stage.give(ADMIN, c.CalendarPublished(with_holidays(23)))
        assert published.body.wrong == "accept"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_issue_keeps_which_clock_the_lead_came_by() -> None:
    stage = not_accepted()
    last = stage.issue.last_climb
    assert last is not None
    assert last == Climb("accept", last.start, 0, local("2026-11-24 08:00"), "property")
    assert last.start.at == local("2026-11-20 10:00")
    assert "accept" not in stage.running(), "the clock itself is gone"
