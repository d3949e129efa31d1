"""The public board tells no minute from which that of a report follows."""

from datetime import UTC, datetime, timedelta

import pytest

from protocol.board import rounded

HOUR = datetime(2026, 6, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "past", [timedelta(microseconds=1), timedelta(seconds=59), timedelta(minutes=17), timedelta(minutes=59, seconds=59)]
)
def test_what_is_due_within_an_hour_is_told_as_one(past: timedelta) -> None:
    assert rounded(HOUR + past) == HOUR + timedelta(hours=1)


def test_a_full_hour_stays() -> None:
    assert rounded(HOUR) == HOUR
