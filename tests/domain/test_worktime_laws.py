"""Laws of the four clocks over random starts, limits and pauses, each against a slow and simple count."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

import calendars
from domain.worktime import Due, Limit, Pause, ServiceHours, YearCalendar, due

ZONE = ZoneInfo("Asia/Shanghai")
HOURS = ServiceHours.parse("08:00-20:00")
SHIPPED = calendars.load_all()
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LAW = settings(deadline=None)  # a slow machine proves nothing wrong

moments = st.integers(0, 3 * 366 * 24 * 3600 * 1000).map(
    lambda ms: datetime(2024, 6, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
limits = st.one_of(
    st.builds(Limit, st.integers(1, 100_000), st.just("s")),
    st.builds(Limit, st.integers(1, 3000), st.sampled_from(("m", "sm"))),
    st.builds(Limit, st.integers(1, 100), st.sampled_from(("h", "sh"))),
    st.builds(Limit, st.integers(1, 40), st.sampled_from(("nd", "wd"))),
)
service_limits = st.one_of(
    st.builds(Limit, st.integers(1, 600), st.just("sm")), st.builds(Limit, st.integers(1, 10), st.just("sh"))
)
clock_limits = st.one_of(st.builds(Limit, st.integers(1, 100_000), st.just("s")), service_limits)
hours_of_service = st.builds(
    lambda opens, length: ServiceHours(opens, min(opens + length, 1440)), st.integers(0, 1439), st.integers(1, 1440)
)
long_hours = st.builds(
    lambda opens, length: ServiceHours(opens, opens + length), st.integers(0, 720), st.integers(180, 720)
)
ends = st.sampled_from(("day", "service"))
known_years = st.lists(st.sampled_from(SHIPPED), unique=True)


@st.composite
def cases(draw: st.DrawFn) -> tuple[datetime, list[Pause]]:
    start = draw(moments)
    pauses: list[Pause] = []
    for begin, length in draw(st.lists(st.tuples(st.integers(-3000, 20_000), st.integers(0, 5000)), max_size=5)):
        pauses.append((start + begin * MINUTE, start + (begin + length) * MINUTE))
    return start, pauses


@LAW
@given(case=cases(), limit=limits, hours=hours_of_service, known=known_years, end=ends, wall=st.booleans())
def test_a_deadline_is_always_after_its_start(
    *,
    case: tuple[datetime, list[Pause]],
    limit: Limit,
    hours: ServiceHours,
    known: list[YearCalendar],
    end: str,
    wall: bool,
) -> None:
    start, pauses = case
    assert due(start, limit, hours, known, pauses=pauses, ends=end, wall=wall).at > start


@LAW
@given(case=cases(), limit=limits, more=st.integers(1, 500), hours=hours_of_service, known=known_years, end=ends)
def test_a_longer_limit_is_never_due_earlier(
    *,
    case: tuple[datetime, list[Pause]],
    limit: Limit,
    more: int,
    hours: ServiceHours,
    known: list[YearCalendar],
    end: str,
) -> None:
    start, pauses = case
    longer = Limit(limit.amount + more, limit.unit)
    first = due(start, limit, hours, known, pauses=pauses, ends=end).at
    assert first <= due(start, longer, hours, known, pauses=pauses, ends=end).at


@LAW
@given(case=cases(), later=st.integers(0, 10_000), limit=limits, hours=hours_of_service, known=known_years, end=ends)
def test_a_later_start_is_never_due_earlier(
    *,
    case: tuple[datetime, list[Pause]],
    later: int,
    limit: Limit,
    hours: ServiceHours,
    known: list[YearCalendar],
    end: str,
) -> None:
    start, pauses = case
    first = due(start, limit, hours, known, pauses=pauses, ends=end).at
    assert first <= due(start + later * MINUTE, limit, hours, known, pauses=pauses, ends=end).at


@LAW
@given(cases(), limits, hours_of_service, known_years, ends)
def test_a_pause_never_shortens_and_one_that_begins_at_the_deadline_changes_nothing(
    case: tuple[datetime, list[Pause]], limit: Limit, hours: ServiceHours, known: list[YearCalendar], end: str
) -> None:
    start, pauses = case
    found = due(start, limit, hours, known, pauses=pauses, ends=end).at
    for left_out in range(len(pauses)):
        fewer = pauses[:left_out] + pauses[left_out + 1 :]
        assert due(start, limit, hours, known, pauses=fewer, ends=end).at <= found
    after = [*pauses, (found, found + DAY)]
    assert due(start, limit, hours, known, pauses=after, ends=end).at == found


@LAW
@given(moments, clock_limits, st.floats(0, 0.999), st.integers(1, 10**6))
def test_a_pause_adds_exactly_its_length_to_the_wall_clock(
    start: datetime, limit: Limit, share: float, length: int
) -> None:
    plain = due(start, limit, HOURS, (), wall=True).at
    begin = start + (plain - start) * share
    pause = (begin, begin + timedelta(seconds=length))
    assert due(start, limit, HOURS, (), pauses=[pause], wall=True).at - plain == timedelta(seconds=length)


@LAW
@given(cases(), service_limits, long_hours)
def test_a_service_clock_runs_exactly_the_limit_in_service_time(
    case: tuple[datetime, list[Pause]], limit: Limit, hours: ServiceHours
) -> None:
    start = case[0].replace(second=0, microsecond=0)
    pauses = [(begin.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)) for begin, end in case[1]]
    found = due(start, limit, hours, (), pauses=pauses).at
    assert found == step_by_minutes(start, limit.span // MINUTE, hours, pauses)


def step_by_minutes(start: datetime, minutes: int, hours: ServiceHours, pauses: Sequence[Pause]) -> datetime:
    """The slow and plain way: look at every minute and count those in service that no pause covers."""
    moment = start
    while minutes:
        local = moment.astimezone(ZONE)
        in_service = hours.opens <= local.hour * 60 + local.minute < hours.closes
        minutes -= in_service and not any(begin <= moment < end for begin, end in pauses)
        moment += MINUTE
    return moment


@LAW
@given(cases(), st.integers(1, 40), st.sampled_from(("nd", "wd")), known_years, ends)
def test_a_day_clock_counts_whole_days(
    case: tuple[datetime, list[Pause]], amount: int, unit: str, known: list[YearCalendar], end: str
) -> None:
    start, pauses = case
    limit = Limit.parse(f"{amount}{unit}")
    assert due(start, limit, HOURS, known, pauses=pauses, ends=end) == count_days(start, limit, known, pauses, end)


def count_days(start: datetime, limit: Limit, known: Sequence[YearCalendar], pauses: Sequence[Pause], end: str) -> Due:
    """The slow and plain way: look at every day."""
    years = {calendar.year: calendar for calendar in known}
    day, left, guessed = start.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0), limit.amount, False
    while left:
        day += DAY
        if stood(day + HOURS.opens * MINUTE, day + HOURS.closes * MINUTE, pauses):
            continue
        calendar = years.get(day.year)
        guessed = guessed or (limit.unit == "wd" and calendar is None)
        weekday = day.weekday() < 5
        works = (
            weekday if calendar is None else day.date() in calendar.on or (weekday and day.date() not in calendar.off)
        )
        left -= limit.unit == "nd" or works
    last = timedelta(hours=20) if end == "service" else timedelta(hours=23, minutes=59, seconds=59)
    return Due((day + last).astimezone(UTC), guessed)


def stood(opens: datetime, closes: datetime, pauses: Sequence[Pause]) -> bool:
    """Whether pauses, one after the other, leave no moment from opening to closing."""
    reached = opens
    while reached < closes:
        until = max((stop for begin, stop in pauses if begin <= reached), default=reached)
        if until <= reached:
            return False
        reached = until
    return True


@LAW
@given(
    case=cases(),
    limit=limits,
    more=st.floats(0.001, 1),
    less=st.floats(0.001, 1),
    hours=hours_of_service,
    known=known_years,
    end=ends,
    wall=st.booleans(),
)
def test_a_share_of_a_limit_comes_before_a_greater_one_and_never_after_the_limit(
    *,
    case: tuple[datetime, list[Pause]],
    limit: Limit,
    more: float,
    less: float,
    hours: ServiceHours,
    known: list[YearCalendar],
    end: str,
    wall: bool,
) -> None:
    start, pauses = case
    less, more = sorted((less, more))

    def reached(share: float) -> datetime:
        return due(start, limit, hours, known, pauses=pauses, ends=end, wall=wall, share=share).at

    assert start <= reached(less) <= reached(more) <= reached(1.0)


@LAW
@given(case=cases(), amount=st.integers(1, 40), known=known_years, end=ends)
def test_a_limit_moves_off_a_day_off_to_the_first_working_day_after_it(
    case: tuple[datetime, list[Pause]], amount: int, known: list[YearCalendar], end: str
) -> None:
    start, pauses = case
    limit = Limit(amount, "nd")
    plain = due(start, limit, HOURS, known, pauses=pauses, ends=end).at
    moved = due(start, limit, HOURS, known, pauses=pauses, ends=end, day_off="next_working_day").at
    assert plain <= moved
    day = plain.astimezone(ZONE)
    years = {calendar.year: calendar for calendar in known}

    def off(day: datetime) -> bool:
        calendar = years.get(day.year)
        weekend = day.weekday() >= 5
        return weekend if calendar is None else not calendar.is_working(day.date())

    while day < moved.astimezone(ZONE):
        midnight = day.replace(hour=0, minute=0, second=0)
        assert off(day) or stood(midnight + HOURS.opens * MINUTE, midnight + HOURS.closes * MINUTE, pauses)
        day += DAY
    assert not off(moved.astimezone(ZONE))


@LAW
@given(start=moments, amount=st.integers(1, 40), end=ends)
def test_fifteen_days_after_what_weekdays_give_no_year_gave_a_later_moment(
    start: datetime, amount: int, end: str
) -> None:
    limit = Limit(amount, "wd")
    guessed = due(start, limit, HOURS, (), ends=end).at
    latest = due(guessed, Limit(15, "nd"), HOURS, ()).at
    known = due(start, limit, HOURS, SHIPPED, ends=end)
    assert known.provisional or known.at <= latest
