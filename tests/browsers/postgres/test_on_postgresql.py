"""Flows of the pages again, on PostgreSQL: the tests are those of SQLite, the system is another."""

from types import ModuleType

import pytest

from browsers import test_flows_staff, test_life, test_live

pytestmark = pytest.mark.engines


def _take(module: ModuleType, *names: str) -> None:
    """Makes tests of another file tests of this one."""
    for name in names:
        globals()[name] = getattr(module, name)


_take(
    test_life,
    "test_from_report_to_rating", "test_an_officer_reads_what_climbed_and_searches",
    "test_staff_sign_in_by_one_click_and_out_again",
)  # fmt: skip
_take(test_live, "test_what_happens_is_on_the_screen_without_reloading_and_stays_accessible")
_take(
    test_flows_staff,
    "test_the_manager_assigns_with_one_tap_and_it_is_first_in_that_list",
    "test_an_officer_decides_what_waits_and_reminds_what_climbed",
)
