"""What an import of a directory leaves open, and which open issues would lose the people who act on them."""

from dataclasses import replace
from datetime import date
from typing import Final

import pytest

from domain.directory import (
    Appointment,
    Binding,
    Community,
    Compound,
    Contract,
    Directory,
    Operator,
    Period,
    Street,
)
from domain.directory_review import OpenIssue, is_staffed, losses, remarks

TODAY: Final = date(2026, 6, 1)
WHOLE: Final = Directory(
    streets=(Street("north", "北街道"),),
    communities=(Community("elm", "榆社区", "north"),),
    compounds=(Compound("garden", "花园", "elm"),),
    operators=(Operator("company", "物业", "company"), Operator("next", "新物业", "company")),
    contracts=(Contract("company", "garden"),),
    appointments=(
        Appointment("p1", "property", "company"),
        Appointment("n1", "property", "next"),
        Appointment("c1", "community", "elm"),
        Appointment("s1", "street", "north"),
        Appointment("a1", "auditor", "north"),
    ),
    bindings=(Binding("*", "*", "12345"),),
)
ISSUE: Final = OpenIssue("i1", "JS-1", "garden", "company", "company")
AT_THE_STREET: Final = OpenIssue("i2", "JS-2", "garden", "company", "north")


def without(*persons: str) -> Directory:
    return replace(WHOLE, appointments=tuple(each for each in WHOLE.appointments if each.person not in persons))


def contracts(*given: tuple[str, date | None, date | None]) -> Directory:
    return replace(WHOLE, contracts=tuple(Contract(who, "garden", Period(start, end)) for who, start, end in given))


def test_of_a_whole_directory_nothing_is_said() -> None:
    assert list(remarks(WHOLE, TODAY)) == []
    assert losses(WHOLE, WHOLE, [ISSUE, AT_THE_STREET], TODAY) == []


@pytest.mark.parametrize(
    ("person", "said"),
    [
        ("p1", "nobody is appointed for company, the property of garden"),
        ("c1", "nobody is appointed for elm, the community of garden"),
        ("s1", "nobody is appointed for north, the street of garden"),
    ],
)
def test_an_organisation_for_which_nobody_is_appointed_is_named(person: str, said: str) -> None:
    assert list(remarks(without(person), TODAY)) == [said]


def test_an_appointment_that_is_over_or_only_looks_on_does_not_count() -> None:
    over = replace(WHOLE, appointments=(Appointment("p1", "property", "company", Period(None, TODAY)),))
    assert not is_staffed(over, "company", TODAY)
    assert not is_staffed(without("s1"), "north", TODAY)


def test_a_category_without_a_policy_is_named() -> None:
    some = replace(WHOLE, bindings=(Binding("garden", "leak", "12345"),))
    (said,) = remarks(some, TODAY)
    assert said.startswith("compound garden has no policy for drain, elevator, ")
    assert list(remarks(replace(WHOLE, bindings=()), TODAY)) == ["compound garden has no policy for any category"]


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        (date(2026, 7, 1), None),
        (date(2026, 7, 2), "compound garden has no operator on 2026-07-01: company ends, next begins"),
        (date(2026, 7, 4), "compound garden has no operator on 2026-07-01 to 2026-07-03: company ends, next begins"),
    ],
)
def test_a_gap_between_contracts_is_named_by_its_days(begins: date, said: str | None) -> None:
    gap = contracts(("company", None, date(2026, 7, 1)), ("next", begins, None))
    assert list(remarks(gap, TODAY)) == ([] if said is None else [said])


def test_a_contract_that_ends_without_another_is_named() -> None:
    ending = contracts(("company", None, date(2026, 7, 1)))
    assert list(remarks(ending, TODAY)) == ["compound garden has no operator from 2026-07-01 on: company ends"]


def test_gaps_that_are_over_are_nobodys_concern() -> None:
    before = contracts(("company", None, date(2026, 1, 1)), ("next", date(2026, 2, 1), None))
    assert list(remarks(before, TODAY)) == []


def test_an_issue_whose_handler_loses_its_people_is_named_and_abandoned_only_if_its_lead_does_too() -> None:
    first, second = losses(WHOLE, without("p1"), [ISSUE, AT_THE_STREET], TODAY)
    assert (first.said, first.abandoned) == ("JS-1: loses the people of company, and nobody is left", True)
    assert (second.said, second.abandoned) == ("JS-2: loses the people of company, who no longer act", False)
    assert losses(WHOLE, without("p1", "s1"), [AT_THE_STREET], TODAY)[0].abandoned


def test_an_organisation_that_is_gone_is_a_loss_though_nobody_was_appointed() -> None:
    bare = replace(WHOLE, appointments=())
    assert losses(bare, bare, [ISSUE], TODAY) == [], "with local tokens it acts all the same"
    gone = replace(bare, compounds=(), operators=(), contracts=())
    assert losses(bare, gone, [ISSUE], TODAY)[0].abandoned


def test_an_issue_that_passes_to_others_is_named_and_needs_people_there() -> None:
    """An organisation that has lost the compound need not be in the directory any more."""
    passed = replace(WHOLE, contracts=(Contract("next", "garden"),), operators=WHOLE.operators[1:])
    first, second = losses(WHOLE, passed, [ISSUE, AT_THE_STREET], TODAY)
    assert (first.said, first.abandoned) == ("JS-1: passes from company to next", False)
    assert (second.said, second.abandoned) == ("JS-2: passes from company to next", False)
    deserted = replace(passed, appointments=without("n1").appointments)
    assert losses(WHOLE, deserted, [ISSUE], TODAY)[0].abandoned
    ended = replace(WHOLE, contracts=())
    assert [loss.said for loss in losses(WHOLE, ended, [ISSUE], TODAY)] == ["JS-1: passes from company to elm"]


def test_a_compound_that_is_gone_is_named() -> None:
    gone = replace(WHOLE, compounds=(), contracts=())
    (loss,) = losses(WHOLE, gone, [ISSUE], TODAY)
    assert (loss.said, loss.abandoned) == ("JS-1: its compound garden is no longer in the directory", False)
