"""What a manager may change in the directory by pages: who is appointed to his role in his organisation, from today on.

Everything else - managers, other organisations, phones by which the rules know on whose side a resident is - is imported.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from typing import Final, Literal

from domain.commands import Actor
from domain.directory import Appointment, Community, Department, Directory, Operator, Period, Street
from domain.vocabulary import Role

MANAGED: Final[Collection[Role]] = ("property", "volunteer", "community", "street", "department")
"""Roles that work on issues. Auditors and administrators watch over these, so none of these appoints them."""

Fault = Literal[
    "appointed-already", "appointed-elsewhere", "appointed-in-past", "appointment-over", "appointment-own",
    "appointment-unknown", "manager-imported",
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


def team(directory: Directory, actor: Actor) -> Sequence[Appointment]:
    """All appointments to the actor's organisation, those of the past and of the future as well."""
    return [each for each in directory.appointments if each.org == actor.org]


def appointed(directory: Directory, actor: Actor, person: str, name: str, period: Period, on: date) -> Directory:
    """The directory with this person appointed to the actor's role in his organisation. Raises CannotManage.

    Whoever is appointed for another organisation at that time is refused: else a company could appoint the officer who
    is to judge it, who then would have to stand aside.
    """
    assert actor.org is not None
    if period.start is None or period.start < on:
        raise CannotManage("appointed-in-past")
    for each in directory.appointments:
        if each.person == person and each.period.overlaps(period):
            if each.org != actor.org:
                raise CannotManage("appointed-elsewhere")
            if each.role == actor.role:
                raise CannotManage("appointed-already")
    added = Appointment(person, actor.role, actor.org, period, name=name)
    return replace(directory, appointments=(*directory.appointments, added))


def ended(directory: Directory, actor: Actor, person: str, start: date | None, end: date, on: date) -> Directory:
    """The directory in which the appointment that began at `start` holds up to the day before `end`. Raises CannotManage.

    One that would not hold on any day goes as a whole: it was entered by mistake.
    """
    old = _one(directory, actor, person, start)
    if old.manager:
        raise CannotManage("appointment-own" if person == actor.person else "manager-imported")
    if end < on:
        raise CannotManage("appointed-in-past")
    if old.period.end is not None and old.period.end <= end:
        raise CannotManage("appointment-over")
    is_void = old.period.start is not None and old.period.start >= end
    return _put(directory, old, None if is_void else replace(old, period=Period(old.period.start, end)))


def named(directory: Directory, actor: Actor, person: str, name: str) -> Directory:
    """The directory in which this person of the actor's team is called so. Raises CannotManage."""
    if not any(each.person == person for each in team(directory, actor)):
        raise CannotManage("appointment-unknown")
    changed = (
        replace(each, name=name) if (each.person, each.org) == (person, actor.org) else each
        for each in directory.appointments
    )  # fmt: skip
    return replace(directory, appointments=tuple(changed))


def with_duty_phone(directory: Directory, actor: Actor, number: str) -> Directory:
    """The directory in which the actor's organisation is reached under this number; empty: under none."""

    def changed(org: Operator | Community | Street | Department) -> Operator | Community | Street | Department:
        return replace(org, duty_phone=number) if org.code == actor.org else org

    kinds = ("operators", "communities", "streets", "departments")
    return replace(directory, **{kind: tuple(map(changed, getattr(directory, kind))) for kind in kinds})


def _one(directory: Directory, actor: Actor, person: str, start: date | None) -> Appointment:
    meant = (person, actor.role, actor.org, start)
    for each in directory.appointments:
        if (each.person, each.role, each.org, each.period.start) == meant:
            return each
    raise CannotManage("appointment-unknown")


def _put(directory: Directory, old: Appointment, new: Appointment | None) -> Directory:
    changed = (new if each is old else each for each in directory.appointments)
    return replace(directory, appointments=tuple(each for each in changed if each is not None))
