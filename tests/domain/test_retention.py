"""Retention of personal texts: valid rules are read, invalid ones are refused with their place."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.retention import DEFAULT, LONGEST, SHORTEST, Retention, read_retention
from domain.vocabulary import CATEGORIES
from domain.wire import WireError

NOW = datetime(2027, 7, 1, 8, tzinfo=UTC)
days = st.integers(SHORTEST, LONGEST)


@given(days, st.dictionaries(st.sampled_from(CATEGORIES), days))
def test_a_category_has_its_own_number_or_that_of_all(all_days: int, named: dict[str, int]) -> None:
    rules = read_retention({"days": all_days, "categories": named})
    for category in CATEGORIES:
        wanted = named.get(category, all_days)
        assert rules.days_of(category) == wanted
        assert rules.closed_before(category, NOW) == NOW - timedelta(days=wanted)


def test_categories_may_be_left_out() -> None:
    assert read_retention({"days": 400}) == Retention(400)


def test_without_a_file_what_ends_in_court_is_kept_longest() -> None:
    assert DEFAULT.days_of("leak") == 1095
    assert DEFAULT.days_of("falling_objects") == DEFAULT.days_of("illegal_building") == 1825
    assert all(SHORTEST <= DEFAULT.days_of(category) <= LONGEST for category in CATEGORIES)


@pytest.mark.parametrize(
    ("plain", "place"),
    [
        ({}, "days: "),
        ({"days": SHORTEST - 1}, "days: "),
        ({"days": LONGEST + 1}, "days: "),
        ({"days": 400.0}, "days: "),
        ({"days": "400"}, "days: "),
        ({"days": True}, "days: "),
        ({"days": 400, "day": 4}, "day: there is no such setting"),
        ({"days": 400, "categories": 400}, "categories: "),
        ({"days": 400, "categories": {"leaks": 400}}, "categories.leaks: there is no such category"),
        ({"days": 400, "categories": {"leak": 1}}, "categories.leak: "),
        ({"days": 400, "categories": {"leak": None}}, "categories.leak: "),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_place(plain: dict[str, Any], place: str) -> None:
    with pytest.raises(WireError) as refused:
        read_retention(plain)
    assert str(refused.value).startswith(place)
