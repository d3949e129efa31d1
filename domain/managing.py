"""What a manager may change in the directory by pages: who is appointed to his role in his organisation, from today on.

Everything else - managers, other organisations, phones by which the rules know on whose side a resident is - is imported.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final, Literal

from domain.commands import Actor
from domain.directory import Appointment, Community, Department, Directory, Operator, Period, Street
from domain.vocabulary import Role

MANAGED: Final[Collection[Role]] = ("property", "volunteer", "community", "street", "department")
"""Roles that work on issues. Auditors and administrators watch over these, so none of these appoints them."""

_KINDS: Final[Mapping[Role, str]] = {
    "property": "operators", "volunteer": "operators", "community": "communities", "street": "streets",
    "department": "departments",
}  # fmt: skip
"""Where the organisation of each role is: an operator and a community may bear the same code."""

Fault = Literal[
    "appointed-already", "appointed-elsewhere", "appointed-in-past", "appointment-imported", "appointment-over",
    "appointment-own", "appointment-unknown", "manager-imported",
]  # fmt: skip


class CannotManage(ValueError):
    """A change that a manager may not make, by a code."""

    def __init__(self, code: Fault) -> None:
        super().__init__(code)
        self.code: Final[Fault] = code


def is_manager(directory: Directory, actor: Actor, on: date) -> bool:
    """Whether the actor may change, on that day, who is appointed to his role in his organisation."""
    held = directory.appointments_of(actor.person, on)
    return actor.role in MANAGED and any(
        each.manager and (each.role, each.org) == (actor.role, actor.org) for each in held
    )


def may_change(actor: Actor, appointment: Appointment) -> bool:
    """Whether a manager may name and end this appointment: one to his own role and organisation, and no manager's."""
    return (appointment.role, appointment.org) == (actor.role, actor.org) and not appointment.manager


def team(directory: Directory, actor: Actor) -> Sequence[Appointment]:
    """All appointments to the actor's organisation, those of the past and of the future as well."""
    return [each for each in directory.appointments if each.org == actor.org]


def appointed(directory: Directory, actor: Actor, person: str, name: str, period: Period, on: date) -> Directory:
    """The directory with this person appointed to the actor's role in his organisation. Raises CannotManage.

    Whoever is appointed for another organisation at that time is refused: else a company could appoint the officer who
    is to judge it, who then would have to stand aside. So is whoever watches over this one. The phone by which the rules
    know on whose side a resident is stays with the person: else ending and appointing anew would hide a conflict of
    interest.
    """
    assert actor.org is not None
    if person == actor.person:
        raise CannotManage("appointment-own")
    if period.start is None or period.start < on:
        raise CannotManage("appointed-in-past")
    for each in directory.appointments:
        if each.person == person and each.period.overlaps(period):
            if each.org != actor.org or each.role not in MANAGED:
                raise CannotManage("appointed-elsewhere")
            if each.role == actor.role:
                raise CannotManage("appointed-already")
    known = (each.phone for each in reversed(directory.appointments) if each.person == person and each.phone)
    added = Appointment(person, actor.role, actor.org, period, next(known, ""), name)
    return replace(directory, appointments=(*directory.appointments, added))


def ended(directory: Directory, actor: Actor, person: str, start: date | None, end: date, on: date) -> Directory:
    """The directory in which the appointment that began at `start` holds up to the day before `end`. Raises CannotManage.

    One that would not hold on any day goes as a whole: it was entered by mistake. Not the only one with its phone.
    """
    old = _one(directory, actor, person, start)
    _check(actor, [old])
    if end < on:
        raise CannotManage("appointed-in-past")
    if old.period.end is not None and old.period.end <= end:
        raise CannotManage("appointment-over")
    is_void = old.period.start is not None and old.period.start >= end
    after = _put(directory, old, None if is_void else replace(old, period=Period(old.period.start, end)))
    if old.phone and not any((each.person, each.phone) == (person, old.phone) for each in after.appointments):
        raise CannotManage("appointment-imported")
    return after


def named(directory: Directory, actor: Actor, person: str, name: str) -> Directory:
    """The directory in which this person of the actor's team is called so. Raises CannotManage."""
    meant = [each for each in team(directory, actor) if (each.person, each.role) == (person, actor.role)]
    _check(actor, meant)
    changed = (
        replace(each, name=name) if each in meant and may_change(actor, each) else each
        for each in directory.appointments
    )  # fmt: skip
    return replace(directory, appointments=tuple(changed))


def with_duty_phone(directory: Directory, actor: Actor, number: str) -> Directory:
    """The directory in which the actor's organisation is reached under this number; empty: under none."""

    def changed(org: Operator | Community | Street | Department) -> Operator | Community | Street | Department:
        return replace(org, duty_phone=number) if org.code == actor.org else org

    kind = _KINDS[actor.role]
    return replace(directory, **{kind: tuple(map(changed, getattr(directory, kind)))})


def _check(actor: Actor, meant: Sequence[Appointment]) -> None:
    """Raises CannotManage unless the manager may change one of these appointments of one person."""
    if not meant:
        raise CannotManage("appointment-unknown")
    if not any(may_change(actor, each) for each in meant):
        raise CannotManage("appointment-own" if meant[0].person == actor.person else "manager-imported")


def _one(directory: Directory, actor: Actor, person: str, start: date | None) -> Appointment:
    meant = (person, actor.role, actor.org, start)
    for each in directory.appointments:
        if (each.person, each.role, each.org, each.period.start) == meant:
            return each
    raise CannotManage("appointment-unknown")


def _put(directory: Directory, old: Appointment, new: Appointment | None) -> Directory:
    changed = (new if each is old else each for each in directory.appointments)
    return replace(directory, appointments=tuple(each for each in changed if each is not None))
