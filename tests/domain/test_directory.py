"""The directory answers who is responsible for a place on a day, and which policy its issues follow."""

from datetime import date

import pytest

from domain.directory import (
    Appointment,
    Binding,
    Community,
    Compound,
    Contract,
    Department,
    Directory,
    Grid,
    Operator,
    Org,
    Period,
    Street,
    role_fits,
)
from domain.place import Place
from domain.vocabulary import ROLES, Category, Role
from domain.wire import dump, load

DAY = date(2026, 6, 1)
BEFORE = date(2026, 5, 31)

TOWN = Directory(
    streets=(Street("north", "北街道"), Street("south", "南街道")),
    communities=(
        Community("elm", "榆社区", "north"),
        Community("oak", "橡社区", "north"),
        Community("fir", "杉社区", "south"),
    ),
    grids=(Grid("elm-1", "一网格", "elm"),),
    compounds=(
        Compound("garden", "花园", "elm", "elm-1", 12),
        Compound("court", "庭院", "elm"),
        Compound("tower", "塔楼", "oak"),
        Compound("lake", "湖畔", "fir"),
    ),
    operators=(
        Operator("acme", "甲物业", "company"),
        Operator("mutual", "服务社", "society"),
        Operator("elm-runs", "榆社区自管", "community"),
        Operator("helpers", "志愿者", "volunteers"),
    ),
    departments=(Department("north-works", "北工务", "north"),),
    contracts=(
        Contract("acme", "garden", Period(None, DAY)),
        Contract("mutual", "garden", Period(DAY, None)),
        Contract("elm-runs", "court"),
        Contract("acme", "lake", Period(date(2026, 1, 1), date(2027, 1, 1))),
    ),
    appointments=(
        Appointment("p1", "property", "acme"),
        Appointment("x1", "property", "acme", Period(None, DAY)),
        Appointment("x1", "community", "elm", Period(DAY, None)),
        Appointment("x1", "street", "north", Period(DAY, None)),
    ),
)


def bound(*rows: tuple[str, str]) -> Directory:
    """The town with bindings whose policy is called after the binding."""
    bindings = tuple(load(Binding, {"place": p, "category": c, "policy": f"{p},{c}"}) for p, c in rows)
    return Directory(
        streets=TOWN.streets,
        communities=TOWN.communities,
        grids=TOWN.grids,
        compounds=TOWN.compounds,
        bindings=bindings,
    )


@pytest.mark.parametrize(
    ("period", "covers_before", "covers_day"),
    [
        (Period(), True, True),
        (Period(DAY, None), False, True),
        (Period(None, DAY), True, False),
        (Period(BEFORE, DAY), True, False),
    ],
)
def test_a_period_includes_its_first_day_and_excludes_its_last(
    period: Period, covers_before: bool, covers_day: bool
) -> None:
    assert (period.covers(BEFORE), period.covers(DAY)) == (covers_before, covers_day)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (Period(None, DAY), Period(DAY, None), False),
        (Period(None, DAY), Period(BEFORE, None), True),
        (Period(), Period(), True),
        (Period(), Period(BEFORE, DAY), True),
        (Period(BEFORE, DAY), Period(BEFORE, DAY), True),
        (Period(date(2026, 1, 1), BEFORE), Period(DAY, date(2027, 1, 1)), False),
    ],
)
def test_periods_overlap_when_they_share_a_day(one: Period, other: Period, overlap: bool) -> None:
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def test_a_place_names_all_who_answer_for_it() -> None:
    assert TOWN.place("court", DAY) == Place("court", "elm", "north", "elm-runs", "community", "", "庭院")


def test_the_operator_is_the_one_whose_contract_is_in_force_that_day() -> None:
    assert TOWN.place("garden", BEFORE) == Place("garden", "elm", "north", "acme", "company", "elm-1", "花园")
    assert TOWN.place("garden", DAY) == Place("garden", "elm", "north", "mutual", "society", "elm-1", "花园")


def test_a_compound_without_contract_has_no_operator() -> None:
    assert TOWN.place("tower", DAY) == Place("tower", "oak", "north", None, None, "", "塔楼")
    assert TOWN.place("lake", date(2027, 1, 1)) == Place("lake", "fir", "south", None, None, "", "湖畔")


@pytest.mark.parametrize("code", ["nowhere", "elm", "elm-1", "north", "acme", ""])
def test_only_a_compound_is_a_place_to_report_from(code: str) -> None:
    assert TOWN.place(code, DAY) is None
    assert bound(("*", "*")).policy_for(code, "leak", DAY) is None


# The order of precedence at compound `garden` for a leak, written out by hand from the contract:
# each entry beats all that follow it.
PRECEDENCE = [
    ("garden", "leak"),
    ("elm-1", "leak"),
    ("elm", "leak"),
    ("north", "leak"),
    ("*", "leak"),
    ("garden", "*"),
    ("elm-1", "*"),
    ("elm", "*"),
    ("north", "*"),
    ("*", "*"),
]


@pytest.mark.parametrize("first", range(len(PRECEDENCE)))
def test_the_first_binding_in_the_order_of_precedence_wins(first: int) -> None:
    present = PRECEDENCE[first:]
    for rows in (present, present[::-1]):
        assert bound(*rows).policy_for("garden", "leak", DAY) == ",".join(PRECEDENCE[first])


@pytest.mark.parametrize(
    ("rows", "compound", "category", "policy"),
    [
        # a category everywhere comes before a place's own pack, however near
        ([("garden", "*"), ("*", "dispute")], "garden", "dispute", "*,dispute"),
        ([("garden", "*"), ("*", "dispute")], "garden", "leak", "garden,*"),
        # but this place and category comes before the category everywhere
        ([("garden", "dispute"), ("*", "dispute")], "garden", "dispute", "garden,dispute"),
        # the street's binding for the category comes before the compound's own for all
        ([("garden", "*"), ("north", "leak")], "garden", "leak", "north,leak"),
        # another place's bindings, and other categories', do not count
        ([("court", "leak"), ("elm-1", "*"), ("*", "*")], "tower", "leak", "*,*"),
        ([("garden", "drain"), ("oak", "leak")], "garden", "leak", None),
        # a compound in no grid
        ([("elm-1", "*"), ("elm", "*")], "court", "leak", "elm,*"),
        ([("elm-1", "leak"), ("*", "*")], "court", "leak", "*,*"),
        ([], "garden", "leak", None),
    ],
)
def test_policy_for_finds_the_expected_binding(
    rows: list[tuple[str, str]], compound: str, category: Category, policy: str | None
) -> None:
    assert bound(*rows).policy_for(compound, category, DAY) == policy


def test_a_binding_counts_only_in_its_period() -> None:
    town = Directory(
        streets=TOWN.streets,
        communities=TOWN.communities,
        compounds=TOWN.compounds,
        bindings=(
            Binding("court", "*", "trial", Period(DAY, date(2026, 7, 1))),
            Binding("court", "*", "settled", Period(date(2026, 7, 1), None)),
            Binding("*", "*", "general"),
        ),
    )
    policies = [town.policy_for("court", "leak", day) for day in (BEFORE, DAY, date(2026, 6, 30), date(2026, 7, 1))]
    assert policies == ["general", "trial", "trial", "settled"]


@pytest.mark.parametrize(
    ("code", "org"),
    [
        ("acme", Org("acme", "company", "甲物业", None, operator=True)),
        ("mutual", Org("mutual", "society", "服务社", None, operator=True)),
        ("elm-runs", Org("elm-runs", "community", "榆社区自管", None, operator=True)),
        ("helpers", Org("helpers", "volunteers", "志愿者", None, operator=True)),
        ("elm", Org("elm", "community", "榆社区", "north")),
        ("south", Org("south", "street", "南街道", "south")),
        ("north-works", Org("north-works", "department", "北工务", "north")),
        ("garden", None),
        ("elm-1", None),
        ("nobody", None),
    ],
)
def test_organisations(code: str, org: Org | None) -> None:
    assert TOWN.org(code) == org


FITTING = {
    "resident": set[str](),
    "property": {"acme", "mutual", "elm-runs"},
    "volunteer": {"helpers"},
    "community": {"elm"},
    "street": {"north"},
    "department": {"north-works"},
    "auditor": {"north"},
    "admin": {"north"},
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_fits_its_kind_of_organisation_only(role: Role) -> None:
    codes = ["acme", "mutual", "elm-runs", "helpers", "elm", "north", "north-works"]
    orgs = [org for code in codes if (org := TOWN.org(code))]
    assert len(orgs) == len(codes)
    assert {org.code for org in orgs if role_fits(role, org)} == FITTING[role]


@pytest.mark.parametrize(
    ("org", "on", "compounds"),
    [
        ("north", DAY, {"garden", "court", "tower"}),
        ("south", DAY, {"lake"}),
        ("elm", DAY, {"garden", "court"}),
        ("oak", DAY, {"tower"}),
        ("acme", BEFORE, {"garden", "lake"}),
        ("acme", DAY, {"lake"}),
        ("acme", date(2027, 1, 1), set[str]()),
        ("mutual", BEFORE, set[str]()),
        ("mutual", DAY, {"garden"}),
        ("elm-runs", DAY, {"court"}),
        ("helpers", DAY, set[str]()),
        ("north-works", DAY, set[str]()),
        ("garden", DAY, set[str]()),
        ("nobody", DAY, set[str]()),
    ],
)
def test_an_organisation_sees_its_own_compounds(org: str, on: date, compounds: set[str]) -> None:
    assert TOWN.subtree(org, on) == compounds


@pytest.mark.parametrize(
    ("org", "on", "streets"),
    [
        ("acme", None, {"north", "south"}),
        ("acme", BEFORE, {"north", "south"}),
        ("acme", DAY, {"south"}),
        ("helpers", None, set[str]()),
        ("elm", None, {"north"}),
        ("south", DAY, {"south"}),
        ("north-works", DAY, {"north"}),
        ("nobody", None, set[str]()),
    ],
)
def test_the_streets_of_an_organisation(org: str, on: date | None, streets: set[str]) -> None:
    assert TOWN.streets_of(org, on) == streets


def test_appointments_are_those_of_the_day() -> None:
    assert [(each.role, each.org) for each in TOWN.appointments_of("x1", BEFORE)] == [("property", "acme")]
    assert [(each.role, each.org) for each in TOWN.appointments_of("x1", DAY)] == [
        ("community", "elm"),
        ("street", "north"),
    ]
    assert TOWN.appointments_of("stranger", DAY) == ()


def test_a_directory_survives_the_wire() -> None:
    again = load(Directory, dump(TOWN))
    assert again == TOWN
    assert again.place("garden", DAY) == TOWN.place("garden", DAY)


def test_asking_leaves_a_directory_equal() -> None:
    fresh = load(Directory, dump(TOWN))
    fresh.place("garden", DAY)
    fresh.subtree("north", DAY)
    assert fresh == load(Directory, dump(TOWN))
