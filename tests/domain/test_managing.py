"""A manager appoints within his own organisation from today on; nobody takes anybody away from another organisation."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import get_args

import pytest

from domain import managing
from domain.commands import Actor
from domain.directory import (
    Appointment,
    Community,
    Compound,
    Contract,
    Directory,
    Operator,
    Period,
    Street,
)
from domain.directory_csv import parse
from domain.directory_files import csv_files
from domain.managing import CannotManage, appointed, ended, is_manager, may_change, named, team, with_duty_phone
from domain.vocabulary import ROLES

TODAY, TOMORROW, LATER = date(2026, 6, 1), date(2026, 6, 2), date(2026, 7, 1)
MANAGER, REPAIRMAN = Actor("p1", "property", "acme"), Actor("p2", "property", "acme")
WHOLE = Directory(
    streets=(Street("north", "北街道"),),
    communities=(Community("elm", "榆社区", "north"),),
    compounds=(Compound("garden", "花园", "elm"),),
    operators=(Operator("acme", "甲物业", "company"), Operator("other", "乙物业", "company")),
    contracts=(Contract("acme", "garden"),),
    appointments=(
        Appointment("p1", "property", "acme", name="经理", manager=True),
        Appointment("p2", "property", "acme", Period(date(2026, 1, 1), None)),
        Appointment("c1", "community", "elm"),
        Appointment("q1", "property", "other", Period(None, TODAY)),
        Appointment("a1", "auditor", "north", manager=True),
        Appointment("old", "property", "acme", Period(date(2025, 1, 1), date(2026, 1, 1)), manager=True),
    ),
)


def held(directory: Directory, person: str) -> list[Appointment]:
    return [each for each in directory.appointments if each.person == person]


def test_only_who_is_marked_today_manages_and_only_in_the_role_and_organisation_of_the_mark() -> None:
    assert is_manager(WHOLE, MANAGER, TODAY)
    for actor in (
        REPAIRMAN, Actor("p1", "property", "other"), Actor("p1", "community", "elm"), Actor("old", "property", "acme"),
        Actor("c1", "community", "elm"), Actor("a1", "auditor", "north"), Actor("p1", "resident"),
    ):  # fmt: skip
        assert not is_manager(WHOLE, actor, TODAY), actor


def test_whoever_watches_over_the_others_is_never_appointed_by_a_manager() -> None:
    assert set(ROLES) - set(managing.MANAGED) == {"resident", "auditor", "admin"}


def test_the_team_is_the_own_organisation_alone() -> None:
    assert [each.person for each in team(WHOLE, MANAGER)] == ["p1", "p2", "old"]


def test_somebody_new_is_appointed_from_today_and_the_directory_can_be_imported_again() -> None:
    after = appointed(WHOLE, MANAGER, "p9", "维修师傅", Period(TODAY, LATER), TODAY)
    assert held(after, "p9") == [Appointment("p9", "property", "acme", Period(TODAY, LATER), name="维修师傅")]
    assert parse(csv_files(after)) == after
    assert replace(after, appointments=after.appointments[:-1]) == WHOLE
    after = appointed(WHOLE, MANAGER, "q1", "", Period(TODAY, None), TODAY)
    assert len(held(after, "q1")) == 2, "the other company has no contract of work with him any more"


@pytest.mark.parametrize(
    ("code", "act"),
    [
        ("appointed-already", lambda d: appointed(d, MANAGER, "p2", "", Period(TODAY, None), TODAY)),
        ("appointed-elsewhere", lambda d: appointed(d, MANAGER, "c1", "", Period(TODAY, None), TODAY)),
        ("appointed-elsewhere", lambda d: appointed(d, MANAGER, "a1", "", Period(LATER, None), TODAY)),
        ("appointment-own", lambda d: appointed(d, MANAGER, "p1", "", Period(LATER, None), TODAY)),
        ("appointed-elsewhere", lambda d: appointed(d, Actor("s1", "street", "north"), "a1", "", Period(TODAY, None), TODAY)),
        ("appointed-in-past", lambda d: appointed(d, MANAGER, "p9", "", Period(date(2026, 5, 31), None), TODAY)),
        ("appointed-in-past", lambda d: appointed(d, MANAGER, "p9", "", Period(None, None), TODAY)),
        ("appointed-in-past", lambda d: ended(d, MANAGER, "p2", date(2026, 1, 1), date(2026, 5, 31), TODAY)),
        ("appointment-own", lambda d: ended(d, MANAGER, "p1", None, LATER, TODAY)),
        ("manager-imported", lambda d: ended(d, MANAGER, "old", date(2025, 1, 1), LATER, TODAY)),
        ("appointment-over", lambda d: ended(ended(d, MANAGER, "p2", date(2026, 1, 1), TODAY, TODAY), MANAGER, "p2", date(2026, 1, 1), LATER, TODAY)),
        ("appointment-unknown", lambda d: ended(d, MANAGER, "p2", TODAY, LATER, TODAY)),
        ("appointment-unknown", lambda d: ended(d, MANAGER, "c1", None, LATER, TODAY)),
        ("appointment-unknown", lambda d: named(d, MANAGER, "c1", "某人")),
        ("appointment-own", lambda d: named(d, MANAGER, "p1", "某人")),
        ("manager-imported", lambda d: named(d, MANAGER, "old", "某人")),
    ],
)  # fmt: skip
def test_what_a_manager_may_not_do_is_refused(code: str, act: Callable[[Directory], Directory]) -> None:
    with pytest.raises(CannotManage) as caught:
        act(WHOLE)
    assert caught.value.code == code
    assert code in get_args(managing.Fault)


def test_an_appointment_ends_before_a_day_and_one_that_never_held_goes() -> None:
    after = ended(WHOLE, MANAGER, "p2", date(2026, 1, 1), TODAY, TODAY)
    assert held(after, "p2") == [Appointment("p2", "property", "acme", Period(date(2026, 1, 1), TODAY))]
    assert after.appointments_of("p2", TODAY) == ()
    added = appointed(WHOLE, MANAGER, "p9", "", Period(TOMORROW, None), TODAY)
    assert held(ended(added, MANAGER, "p9", TOMORROW, TODAY, TODAY), "p9") == []
    assert held(ended(added, MANAGER, "p9", TOMORROW, LATER, TODAY), "p9")[0].period == Period(TOMORROW, LATER)


PHONE = "phone:xyz"
"""The pseudonym by which the rules know on whose side a resident is."""


def with_phone(person: str, start: date) -> Directory:
    known = Appointment(person, "property", "acme", Period(start, None), phone=PHONE)
    return replace(WHOLE, appointments=(*WHOLE.appointments, known))


def test_whoever_is_ended_and_appointed_anew_is_known_by_his_phone_as_before() -> None:
    before = with_phone("p5", date(2026, 1, 1))
    assert before.sides({PHONE}, TOMORROW)
    after = ended(before, MANAGER, "p5", date(2026, 1, 1), TODAY, TODAY)
    after = appointed(after, MANAGER, "p5", "", Period(TOMORROW, None), TODAY)
    assert [each.phone for each in held(after, "p5")] == [PHONE, PHONE]
    assert after.sides({PHONE}, TOMORROW)
    again = ended(after, MANAGER, "p5", TOMORROW, TODAY, TODAY)
    assert [each.phone for each in held(again, "p5")] == [PHONE], "an appointment by mistake goes, the phone stays"


def test_the_one_row_that_knows_a_phone_is_not_taken_away() -> None:
    before = with_phone("p6", TODAY)
    with pytest.raises(CannotManage) as caught:
        ended(before, MANAGER, "p6", TODAY, TODAY, TODAY)
    assert caught.value.code == "appointment-imported"
    assert held(ended(before, MANAGER, "p6", TODAY, TOMORROW, TODAY), "p6")[0].phone == PHONE


def test_changed_is_the_own_role_of_the_own_organisation_alone() -> None:
    p1, p2, c1, q1, *_ = WHOLE.appointments
    assert [may_change(MANAGER, each) for each in (p1, p2, c1, q1)] == [False, True, False, False]
    other = Appointment("p2", "volunteer", "acme", name="志愿者")
    after = named(replace(WHOLE, appointments=(*WHOLE.appointments, other)), MANAGER, "p2", "维修师傅")
    assert [each.name for each in held(after, "p2")] == ["维修师傅", "志愿者"]


def test_an_operator_and_a_community_of_one_code_have_each_its_own_number() -> None:
    shared = replace(WHOLE, communities=(*WHOLE.communities, Community("acme", "甲社区", "north")))
    after = with_duty_phone(shared, MANAGER, "0795-1234567")
    assert (after.operators[0].duty_phone, after.communities) == ("0795-1234567", shared.communities)
    after = with_duty_phone(shared, Actor("c2", "community", "acme"), "12345")
    assert (after.operators, after.communities[1].duty_phone) == (shared.operators, "12345")


def test_names_and_the_duty_phone_are_those_of_the_own_organisation() -> None:
    assert held(named(WHOLE, MANAGER, "p2", "维修师傅"), "p2")[0].name == "维修师傅"
    after = with_duty_phone(WHOLE, MANAGER, "0795-1234567")
    assert [each.duty_phone for each in after.operators] == ["0795-1234567", ""]
    org = after.org("acme")
    assert org is not None
    assert org.duty_phone == "0795-1234567"
    assert parse(csv_files(after)) == after
    assert with_duty_phone(after, MANAGER, "") == WHOLE
    officer = with_duty_phone(WHOLE, Actor("c1", "community", "elm"), "12345")
    assert (officer.communities[0].duty_phone, officer.operators) == ("12345", WHOLE.operators)
