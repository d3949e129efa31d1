"""The flat attributes of an event for process mining, the same in every format.

Attributes from an event's head keep their names; the names of attributes from its body begin with ``data_``. All
attributes are derived from the types in `domain.events`, so that they can be declared before any event is read. Fields
marked PERSONAL are left out. If a field has a type without a flat form, importing this module fails: define the form
here first.
"""

import re
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

from audit.mining.traces import Pseudonyms
from domain.events import EVENTS, Assigned, DirectoryChanged, Event, EventBody, PolicyRef, Refused, Reported
from domain.issue import Issue
from domain.place import Handler, Place
from domain.policy import Policy
from domain.vocabulary import Holder
from domain.wire import PERSONAL, format_time
from domain.worktime import Limit, YearCalendar

Type = Literal["string", "integer", "boolean", "time"]
Attribute = tuple[str, Type, str]
"""An attribute: its name, its type, and its value as text."""


@dataclass(frozen=True)
class Field:
    """One attribute that the body of an event may have; `read` takes its value from a body, None if there is none."""

    name: str
    type: Type
    read: Callable[[Any], str | None]


HELD: Final[Mapping[Holder, tuple[str, str]]] = MappingProxyType(
    {holder: (f"held_ms_{holder}", f"held_org_{holder}") for holder in cast("tuple[Holder, ...]", get_args(Holder))}
)
"""Holder -> the names of two attributes: the milliseconds for which this holder had held the issue since the previous
event, and the holder's organisation.
"""
HEAD: Final[Mapping[str, Type]] = MappingProxyType(
    {
        "seq": "integer", "level": "string", "resource": "string", "role": "string", "org": "string",
        "clause": "string", "due": "time", "was_due": "time", "recorded_at": "time",
        **{name: kind for names in HELD.values() for name, kind in zip(names, ("integer", "string"), strict=True)},
    }
)  # fmt: skip
"""The attributes from the head of an event, which any event may have. `resource` is the pseudonym of the person who
gave the command.
"""
FACTS: Final[Mapping[str, Type]] = MappingProxyType(
    {
        "number": "string", "category": "string", "urgent": "boolean", "about_operator": "boolean", "grid": "string",
        "follows": "string", "policy": "string", "status": "string", "level": "string", "lead": "string",
        "handler": "string", "assessment": "string", "outcome": "string", "satisfaction": "string",
    }
)  # fmt: skip
"""The attributes of an issue that can change during its course, or that tell issues apart."""
_LEFT_OUT: Final[frozenset[tuple[type[EventBody], str]]] = frozenset(
    {
        (Refused, "params"),
        (Reported, "taken_by"),
        (Reported, "reporter"),
        (Reported, "building"),
        (Assigned, "appointed"),
        (DirectoryChanged, "left"),
    }
)
"""The fields that are left out: what the text of a refusal names, beside the code that says which it is; who took a report in, which is the
event's resource; the pseudonym of its resident, which is the same in all issues of one phone; what narrows down a home; and
names of staff, for whom pseudonyms stand elsewhere."""
_UNWRITABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A pattern for characters that XML cannot hold in any form, and JSON only in part."""


def clean(text: str) -> str:
    """The text with U+FFFD in place of each character that cannot be written in every format."""
    return _UNWRITABLE.sub("\ufffd", text)


def label(policy: Policy | PolicyRef) -> str:
    """The name of a policy with its version, as ``id/version``."""
    return f"{policy.id}/{policy.version}"


def of_event(event: Event, people: Pseudonyms) -> Iterator[Attribute]:
    """The attributes of the event, without its kind and its time, which each format writes in its own way."""
    yield "seq", "integer", str(event.seq)
    yield "level", "string", event.level
    if (actor := event.actor) is not None:
        yield "resource", "string", clean(people.resource(actor.person))
        yield "role", "string", actor.role
        if actor.org is not None:
            yield "org", "string", clean(actor.org)
    if event.clause is not None:
        yield "clause", "string", clean(event.clause)
    for name, moment in (("due", event.due), ("was_due", event.was_due), ("recorded_at", event.recorded_at)):
        if moment is not None:
            yield name, "time", format_time(moment)
    if event.held:
        yield from _held(event)
    for field in BODIES[event.kind]:
        if (value := field.read(event.body)) is not None:
            yield field.name, field.type, value


def facts(issue: Issue, lead: str) -> tuple[str, ...]:
    """The issue's values of FACTS in the same order, an empty text for a value that the issue lacks; `lead` is the
    organisation that leads.
    """
    closed = issue.closed
    return (
        clean(issue.number), issue.category, _truth(issue.urgent), _truth(issue.about_operator),
        clean(issue.place.grid), clean(issue.follows or ""), clean(label(issue.policy)), issue.status, issue.level,
        clean(lead), clean(issue.handler.code), issue.assessment or "",
        closed.kind if closed else "", closed.satisfaction if closed else "",
    )  # fmt: skip


def _held(event: Event) -> Iterator[Attribute]:
    """The attributes for the time since the previous event, by holder. If an outage or a change of organisation split a
    holder's time, the parts are added up.
    """
    ms: defaultdict[Holder, int] = defaultdict(int)
    orgs: dict[Holder, dict[str, None]] = {}
    for part in event.held:
        ms[part.holder] += part.ms
        if part.org is not None:
            orgs.setdefault(part.holder, {})[part.org] = None
    for holder, total in ms.items():
        name, of_org = HELD[holder]
        yield name, "integer", str(total)
        if holder in orgs:
            yield of_org, "string", clean(" ".join(orgs[holder]))


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _pair(value: YearCalendar) -> str:
    return f"{value.year}/{value.version}"


_SCALARS: Final[Mapping[Any, tuple[Type, Callable[[Any], str]]]] = MappingProxyType(
    {
        str: ("string", clean), bool: ("boolean", _truth), int: ("integer", str), datetime: ("time", format_time),
        Limit: ("string", str), YearCalendar: ("string", _pair), Policy: ("string", lambda it: clean(label(it))),
        PolicyRef: ("string", lambda it: clean(label(it))),
    }
)  # fmt: skip


def _fields(body: type[EventBody]) -> Iterator[Field]:
    hints = get_type_hints(body)
    for field in fields(body):
        if field.metadata != PERSONAL and (body, field.name) not in _LEFT_OUT:
            yield from _flat(field.name, hints[field.name])


def _flat(name: str, hint: Any) -> Iterator[Field]:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not types.NoneType)
    said = f"data_{name}"
    if hint is Place:  # the objects of the log, or the attributes of the trace, hold the place
        return
    if hint is Handler:
        yield Field(said, "string", _reader(name, lambda handler: clean(handler.code)))
        yield Field(f"{said}_kind", "string", _reader(name, lambda handler: handler.kind))
    elif get_origin(hint) is tuple:
        # Words of the vocabulary are exported; of other values, such as the steps of a plan, only their number.
        if get_origin(get_args(hint)[0]) is Literal:
            yield Field(said, "string", _reader(name, " ".join))
        else:
            yield Field(said, "integer", _reader(name, lambda items: str(len(items))))
    elif get_origin(hint) is Literal:
        yield Field(said, "string", _reader(name, str))
    elif hint in _SCALARS:
        kind, write = _SCALARS[hint]
        yield Field(said, kind, _reader(name, write))
    else:
        raise TypeError(f"{name}: how is a {hint!r} exported for process mining?")


def _reader(name: str, write: Callable[[Any], str]) -> Callable[[Any], str | None]:
    def read(body: Any) -> str | None:
        value = getattr(body, name)
        return None if value is None else write(value)

    return read


BODIES: Final[Mapping[str, tuple[Field, ...]]] = MappingProxyType(
    {kind: tuple(_fields(body)) for kind, body in EVENTS.items()}
)
"""Kind of event -> the attributes that its body may have."""
