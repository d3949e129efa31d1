"""The example directory holds the places of the reports and the demo, bound to the policies they run under."""

from datetime import date
from pathlib import Path

import pytest

from domain.directory import Directory
from domain.directory_csv import parse
from domain.vocabulary import CATEGORIES, Category

DAY = date(2026, 6, 1)
EXAMPLES = Path(__file__).parents[2] / "examples" / "directory"


@pytest.fixture(scope="module")
def example() -> Directory:
    files = {path.name: path.read_bytes() for path in EXAMPLES.iterdir()}
    return parse(files, {"52022", "3+3+5", "dispute", "12345", "demo"})


def test_the_example_has_the_demo_of_the_contract(example: Directory) -> None:
    place = example.place("demo", DAY)
    assert place is not None
    assert (place.operator, place.community, place.street) == ("demo-property", "demo-community", "demo-street")
    assert (place.operator_kind, place.grid, place.name) == ("company", "g1", "体验小区")
    assert [example.policy_for("demo", category, DAY) for category in CATEGORIES] == ["demo"] * len(CATEGORIES)
    named = {binding.category for binding in example.bindings if binding.place == "demo"}
    assert named >= {*CATEGORIES}
    assert example.org("demo-enforcement") is not None


def test_the_example_names_the_buildings_of_the_compounds_that_count_them(example: Directory) -> None:
    counted = {each.code: each.buildings for each in example.compounds if each.buildings is not None}
    assert {code: len(example.buildings_of(code)) for code in counted} == counted


@pytest.mark.parametrize(
    ("name", "category", "policy"),
    [
        ("东方花苑", "drain", "52022"),
        ("东方花苑", "dispute", "dispute"),
        ("永宁社区住宅区", "noise", "3+3+5"),
        ("永宁社区住宅区", "dispute", "dispute"),
        ("嘉福蓝湾铭著", "leak", "12345"),
        ("运河花园", "animals", "12345"),
        ("桂花街", "parking", "12345"),
        ("金祥", "falling_objects", "12345"),
        ("苗圃", "dispute", "dispute"),
    ],
)
def test_the_example_binds_the_places_as_reported(
    example: Directory, name: str, category: Category, policy: str
) -> None:
    [compound] = [each.code for each in example.compounds if each.name == name]
    assert example.policy_for(compound, category, DAY) == policy


def test_the_example_shows_every_way_to_run_a_compound(example: Directory) -> None:
    kinds = {place.operator_kind for each in example.compounds if (place := example.place(each.code, DAY))}
    assert kinds == {"company", "society", None}
    garden = example.place("dongfang-huayuan", DAY)
    assert garden is not None
    assert garden.operator_kind == "society"


def test_the_example_has_a_stranger_who_shares_nothing_with_the_demo(example: Directory) -> None:
    for mine, theirs in (
        ("demo-property", "other-property"),
        ("demo-community", "other-community"),
        ("demo-street", "other-street"),
    ):
        assert "demo" in example.subtree(mine, DAY)
        assert "other" in example.subtree(theirs, DAY)
        assert not example.subtree(mine, DAY) & example.subtree(theirs, DAY)


def test_the_example_appoints_somebody_to_every_role_and_one_person_twice(example: Directory) -> None:
    roles = {each.role for each in example.appointments}
    assert roles == {"property", "community", "street", "department", "volunteer", "auditor", "admin"}
    crossed = example.appointments_of("x1", DAY)
    assert [(each.role, each.org) for each in crossed] == [
        ("property", "demo-property"),
        ("community", "demo-community"),
    ]
