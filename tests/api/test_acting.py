"""The role in which a signed-in person acts: one at a time, from the directory or the token of that day."""

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from api.identity.authenticator import acting, appointments
from api.identity.tokens import Claims
from domain.commands import Actor, Authority
from domain.directory import Appointment, Community, Compound, Contract, Directory, Operator, Period, Street
from domain.issue import Issue
from policies.loader import shipped
from protocol.caller import Caller
from protocol.errors import ChooseRole, Forbidden, Unauthenticated
from security import ids
from support.system import SECRET

DAY = date(2026, 6, 1)
EARLY, LATE = Period(None, date(2026, 6, 1)), Period(date(2026, 6, 1), date(2026, 6, 2))
DIRECTORY = Directory(
    streets=(Street("street", "街道"),),
    communities=(Community("community", "社区", "street"),),
    compounds=(Compound("compound", "小区", "community"),),
    operators=(Operator("property", "物业", "company"),),
    contracts=(Contract("property", "compound"),),
    appointments=(
        Appointment("one", "property", "property"),
        Appointment("two", "property", "property"),
        Appointment("two", "community", "community", LATE),
        Appointment("past", "street", "street", EARLY),
        Appointment("wrong", "street", "community"),
        Appointment("wrong", "street", "nowhere"),
    ),
)


def act(person: str, day: date = DAY, headers: dict[str, str] | None = None, **claimed: Any) -> Any:
    claims = Claims(person, claimed.get("role"), claimed.get("org"), own_grant=claimed.get("own_grant", False))
    return acting(claims, headers or {}, DIRECTORY, day, SECRET)


def meant(role: str, org: str | None = None) -> dict[str, str]:
    return {"x-acting-role": role, **({"x-acting-org": org} if org else {})}


def test_the_only_appointment_is_the_default() -> None:
    actor, grants = act("one")
    assert actor == Actor("one", "property", "property")
    assert grants == (Authority("property", "property", "appointment"),)


def test_of_several_one_is_chosen_and_they_never_add_up() -> None:
    with pytest.raises(ChooseRole) as caught:
        act("two")
    assert caught.value.roles == [
        {"role": "community", "org": "community"}, {"role": "property", "org": "property"},
    ]  # fmt: skip
    for found in (
        act("two", headers=meant("community")), act("two", headers=meant("community", "community")),
        act("two", headers={"x-acting-org": "community"}), act("two", role="community", org="community"),
        act("two", headers=meant("community"), role="property", org="property"),
    ):  # fmt: skip
        term = {"start": LATE.start, "end": LATE.end}
        assert found == (
            Actor("two", "community", "community"), (Authority("community", "community", "appointment", **term),),
        )  # fmt: skip


def test_an_appointment_counts_from_its_first_day_to_before_its_last() -> None:
    assert act("two", DAY - timedelta(1))[0].role == "property"
    assert act("two", DAY + timedelta(1))[0].role == "property"
    assert act("past", DAY - timedelta(1))[0] == Actor("past", "street", "street")
    assert act("past")[0].role == "resident"
    assert appointments("two", DIRECTORY, DAY) == (("property", "property"), ("community", "community"))


@pytest.mark.parametrize(
    ("headers", "claimed"),
    [
        (meant("street"), {}), (meant("street", "street"), {}), (meant("property", "community"), {}),
        (meant("admin", "street"), {}), (meant("resident", "property"), {}), (meant("king"), {}), (meant(""), {}),
        ({"x-acting-org": "nowhere"}, {}), ({}, {"role": "street", "org": "street"}), ({}, {"org": "street"}),
    ],
)  # fmt: skip
def test_acting_in_a_role_not_held_is_forbidden(headers: dict[str, str], claimed: dict[str, str]) -> None:
    for person in ("one", "two", "past", "nobody"):
        with pytest.raises(Forbidden):
            act(person, headers=headers, **claimed)


def test_an_appointment_that_fits_no_organisation_is_none() -> None:
    assert act("wrong")[0].role == "resident"


def test_who_holds_no_appointment_and_who_wants_to_is_a_resident() -> None:
    for found in (act("nobody"), act("nobody", headers=meant("resident")), act("nobody", role="resident")):
        assert found == (
            Actor(ids.pseudonym(SECRET, "nobody"), "resident"), (Authority("resident", None, "token"),)
        )  # fmt: skip
    assert act("two", headers=meant("resident"))[0] == Actor(ids.pseudonym(SECRET, "two"), "resident")


def test_a_token_that_is_its_own_grant_speaks_for_its_role_alone() -> None:
    own: dict[str, Any] = {"role": "community", "org": "community", "own_grant": True}
    assert act("new", **own) == (
        Actor("new", "community", "community"), (Authority("community", "community", "token"),),
    )  # fmt: skip
    assert act("new", headers=meant("community", "community"), **own)[0].role == "community"
    for headers in (meant("property"), meant("community", "street"), meant("resident")):
        with pytest.raises(Forbidden):
            act("two", headers=headers, **own)
    for org in ("nowhere", "street"):
        with pytest.raises(Unauthenticated):
            act("new", **{**own, "org": org})


def test_a_pseudonym_is_for_ever_and_tells_nothing() -> None:
    found = ids.pseudonym(SECRET, "resident-110101199001011234")
    assert re.fullmatch(r"r-[a-z2-7]{26}", found)
    assert found == ids.pseudonym(SECRET, "resident-110101199001011234")
    assert len({found, ids.pseudonym(SECRET, "other"), ids.pseudonym(b"x" * 32, "resident-110101199001011234")}) == 3
    assert ids.is_pseudonym(found)
    assert not ids.is_pseudonym("r-7")


def test_a_resident_finds_again_what_was_reported_under_the_pseudonym() -> None:
    actor = Actor(ids.pseudonym(SECRET, "zhu"), "resident")
    caller = Caller(actor, None, SECRET, "zhu")
    some = Issue.new("a", next(iter(shipped())), ())
    own, foreign = (replace(some, reporter=name) for name in (actor.person, ids.pseudonym(SECRET, "other")))
    assert [caller.reported(issue) for issue in (own, foreign)] == [True, False]
    assert [caller.in_issue(issue) for issue in (own, foreign)] == [actor, actor]
