"""Turns values of the domain into plain values for answers, with personal data masked if the viewer may not see it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, Final, cast

from domain.access import Sight
from domain.commands import ContactDetails, Voice
from domain.events import Denied, Event, Granted, Reported
from domain.personal import Personal, Sealed
from domain.wire import dump

MASK: Final = "***"
TOLD: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "answered": ("text",), "planned": ("steps",), "completed": ("answer",), "suspended": ("question",),
        "rejected": ("reason",), "granted": ("note",), "denied": ("reason",),
    }
)  # fmt: skip
"""Kind of event -> what staff write in it to everybody concerned; those who follow the issue read this and no note. Of
grants and denials that is only the answer to an objection."""


_ALL: Final = Sight(text=True, phone=True)
_NOTHING: Final = Sight(text=False, phone=False)


def masked_event(event: Event, sight: Sight) -> Any:
    """The plain body of the event, as far as the viewer may read it.

    Of what residents wrote, a resident reads only his own. Who follows the issue reads of staff's texts those in `TOLD`.
    """
    body, by = event.body, event.actor
    if sight.own and by is not None and by.role == "resident":
        sight = _ALL if by.person == sight.own else _NOTHING
        told = ()
    else:
        told = TOLD.get(event.kind, ()) if sight.own and not sight.text else ()
    if isinstance(body, (Granted, Denied)) and body.what != "objection":
        told = ()
    shown = masked(body, sight) | {name: _personal(getattr(body, name), _ALL) for name in told}
    if isinstance(body, Reported):  # who reported, and the house, are no words, but tell as much
        shown["reporter"] = body.reporter and mask_person(body.reporter, "resident", sight)
        shown["building"] = mask(body.building, sight)
    return shown


def masked(value: Any, sight: Sight) -> Any:
    """The plain value of `value`, a dataclass with all its fields.

    Fields that are marked personal are masked unless `sight` lets the viewer see them.
    """
    if isinstance(value, ContactDetails):
        return {"name": mask(value.name, sight), "phone": mask_phone(value.phone, sight)}
    if isinstance(value, Voice):
        return {"person": mask_person(value.person, "resident", sight), "since": dump(value.since)}
    if is_dataclass(value) and hasattr(type(value), "parse"):  # a `Text`: its wire form is one string
        return dump(value)
    if is_dataclass(value):
        return {
            field.name: _personal(getattr(value, field.name), sight)
            if field.metadata.get("personal")
            else masked(getattr(value, field.name), sight)
            for field in fields(value)
        }
    if isinstance(value, (tuple, list)):
        return [masked(each, sight) for each in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {key: masked(each, sight) for key, each in cast("Mapping[str, Any]", value).items()}
    return dump(value)


def _personal(value: Any, sight: Sight) -> Any:
    if isinstance(value, (tuple, list)):
        return [_personal(each, sight) for each in cast("Sequence[Any]", value)]
    return mask(value, sight) if isinstance(value, (str, Sealed)) else masked(value, sight)


def mask(text: Personal, sight: Sight) -> str:
    """The text if the viewer may read it, else the mask. An empty text stays empty, so all see that it is empty."""
    return MASK if isinstance(text, Sealed) or (text and not sight.text) else text


def mask_phone(phone: Personal, sight: Sight) -> str:
    """The phone number, as far as the viewer may see it.

    The whole number if `sight` allows phones, 138****8000 if it allows texts only, else the mask.
    """
    if isinstance(phone, Sealed):
        return MASK
    if sight.phone or not phone:
        return phone
    phone = phone.partition(" 转")[0]  # its extension is masked as well
    if not sight.text or len(phone) < 8:
        return MASK
    return phone[:3] + "*" * max(4, len(phone) - 7) + phone[-4:]


def mask_person(person: str, role: str, sight: Sight) -> str:
    """The name; for a resident the mask, unless the viewer may read texts. Staff answer by name for what they do.

    Residents read no name of another resident.
    """
    shown = person == sight.own if sight.own else sight.text
    return person if shown or role != "resident" else MASK
