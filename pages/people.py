"""The page of an organisation's people: who is appointed from when to when, and under which number it is reached."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from api.dependencies import Use
from domain import managing
from domain.directory import Appointment
from pages.forms import fields_of
from pages.shell import onwards, page, router_of
from pages.who import Member, Signed
from protocol.context import LANGUAGE
from protocol.errors import Invalid, NotFound
from protocol.people import People
from texts.catalogue import Wrong

router: Final = router_of()

_NOTHING: Final = dict.fromkeys(("what", "person", "name", "from", "to", "duty_phone"), "")
"""Of a form that was not sent."""


@router.get("/people")
async def people(who: Signed, use: Use) -> Response:
    """Whoever acts for the organisation, for everybody who does; a manager may change it."""
    return await _shown(who, use)


@router.post("/people/{what}")
async def change(what: str, who: Signed, use: Use, request: Request) -> Response:
    """Changes one thing, and shows the page."""
    form = await fields_of(request)
    if what not in _CHANGES:
        raise NotFound
    try:
        await _CHANGES[what](use.people, who, form)
    except Invalid as error:
        return await _shown(who, use, error, {"what": what, **form})
    return onwards("/people")


async def _shown(
    who: Member, use: Use, error: Invalid | None = None, sent: Mapping[str, str] | None = None
) -> Response:
    roster = await use.people.roster(who.caller.staff)
    faults = error.errors(LANGUAGE.get()) if error is not None else []

    def is_over(each: Appointment) -> bool:
        return each.period.end is not None and each.period.end <= roster.today

    def may_change(each: Appointment) -> bool:
        return roster.manages and managing.may_change(who.caller.staff, each)

    return page(
        "people.html", 422 if faults else 200, who=who, roster=roster, faults=faults, sent={**_NOTHING, **(sent or {})},
        is_over=is_over, may_change=may_change,
    )  # fmt: skip


async def _appoint(use: People, who: Member, form: Mapping[str, str]) -> None:
    start, end = _day(form, "from"), _day(form, "to", optional=True)
    assert start is not None
    await use.appoint(who.caller.staff, form.get("person", "").strip(), form.get("name", "").strip(), start, end)


async def _end(use: People, who: Member, form: Mapping[str, str]) -> None:
    start, end = _day(form, "from", optional=True), _day(form, "to")
    assert end is not None
    await use.end(who.caller.staff, form.get("person", ""), start, end)


async def _name(use: People, who: Member, form: Mapping[str, str]) -> None:
    await use.name(who.caller.staff, form.get("person", ""), form.get("name", "").strip())


async def _duty_phone(use: People, who: Member, form: Mapping[str, str]) -> None:
    await use.duty_phone(who.caller.staff, form.get("duty_phone", "").strip())


_CHANGES: Final[Mapping[str, Any]] = {"appoint": _appoint, "end": _end, "name": _name, "duty-phone": _duty_phone}


def _day(form: Mapping[str, str], field: str, *, optional: bool = False) -> date | None:
    """The day in a field of a form. Raises Invalid."""
    text = form.get(field, "").strip()
    if not text and optional:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid((field, Wrong("no-day"))) from None
