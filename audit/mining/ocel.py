"""OCEL 2.0 as JSON: events related to issues, organisations, places and policies.

Numbers and truths are those of JSON, as in the standard's own examples: the published schema wants text whatever the
declared type, but readers take text for text and add nothing up. Some readers let the first value of an attribute hold
from the beginning, and keep the last of an event's relations to one object only: so what becomes known later is empty at
first, and an event's relations go from the least to the most telling. Events are written straight to the file, the objects after them. Until then the objects of issues wait in a
temporary file; the objects that issues share (as many as the directory has) wait in memory.

People are not objects but an attribute of events, `resource`. Each object must appear once in the file, so all
reporters would have to be remembered, and a log that follows a person is not wanted. An event names other issues by
attributes too (`follows`, `data_issue`, `data_into`): a relation to an issue that is not selected would lead nowhere.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import Any, Final, Literal

from audit.mining.attributes import BODIES, FACTS, HEAD, clean, facts, label, of_event
from audit.mining.traces import Exported, IssueTrace, Pseudonyms, Sink
from domain.events import Event
from domain.issue import Issue, lead_org
from domain.place import Place
from domain.vocabulary import HandlerKind, Holder, Role
from domain.wire import format_time

Org = Literal["operator", "community", "street", "department"]
_OBJECTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "issue": FACTS, "compound": {"name": "string"}, "operator": {"kind": "string"}, "community": {}, "street": {},
        "department": {}, "policy": {"id": "string", "version": "integer", "digest": "string"},
    }
)  # fmt: skip
"""The type of an object -> its attributes and their types. An ``operator`` is the organisation that does the work for a
compound, volunteers included.
"""
_BY_KIND: Final[Mapping[HandlerKind, Org]] = MappingProxyType(
    {
        "company": "operator", "society": "operator", "volunteers": "operator", "community": "community",
        "street": "street", "department": "department",
    }
)  # fmt: skip
_BY_ROLE: Final[Mapping[Role | Holder, Org]] = MappingProxyType(
    {
        "property": "operator", "volunteer": "operator", "community": "community", "street": "street",
        "department": "department", "auditor": "street", "admin": "street",
        "operator": "operator", "third_party": "operator",
    }
)  # fmt: skip
"""The type of object for an organisation of which only the role of its people is known, or that it held an issue: role
or holder -> type.
"""
_LEAD: Final = tuple(FACTS).index("lead")
_HANDLER: Final = tuple(FACTS).index("handler")
_POLICY: Final = tuple(FACTS).index("policy")
_NOTHING: Final = ("",) * len(FACTS)
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write_ocel(issues: Iterable[IssueTrace], file: Sink, key: bytes, *, names: bool = False) -> Exported:
    """Writes all issues, reading each once. The caller closes the file, and discards it after an error.

    People are named by pseudonyms under the key, or with `names` by their ids. No two issues may have the same id. That
    is not checked, since it would take remembering all ids.
    """
    people, shared = Pseudonyms(key, names=names), _Shared()
    file.write(f'{{"eventTypes":{_encode(_event_types())},\n"objectTypes":{_encode(_object_types())},\n'.encode())
    file.write(b'"events":[')
    events, count = _Items(file), 0
    with TemporaryFile() as aside:
        objects = _Items(aside)
        for each in issues:
            story = _IssueExport(each.issue, shared)
            for event, state in each.steps:
                events.add(story.event(event, state, people))
            if story.values:
                objects.add(story.object())
                count += 1
        file.write(b'],\n"objects":[')
        aside.seek(0)
        shutil.copyfileobj(aside, file)
    objects = _Items(file, objects.count)
    for item in shared.objects():
        objects.add(item)
    file.write(b"]}\n")
    return Exported(count, events.count)


def _event_types() -> list[dict[str, Any]]:
    own = {kind: {field.name: field.type for field in fields} for kind, fields in BODIES.items()}
    return [_type(kind, {**HEAD, **body}) for kind, body in own.items()]


def _object_types() -> list[dict[str, Any]]:
    return [_type(name, attributes) for name, attributes in _OBJECTS.items()]


def _type(name: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "attributes": [{"name": each, "type": kind} for each, kind in attributes.items()]}


class _Items:
    """Writes the items of a JSON array, one a line; `count` is the number of items that are in the array already."""

    def __init__(self, file: Sink, count: int = 0) -> None:
        self._file = file
        self.count = count

    def add(self, item: str) -> None:
        self._file.write(f"{',' if self.count else ''}\n{item}".encode())
        self.count += 1


@dataclass
class _Object:
    """An object that several issues share. `values` gives for each (attribute, value) the first moment at which an
    issue shows it.
    """

    type: str
    values: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    relations: dict[tuple[str, str], None] = field(default_factory=dict[tuple[str, str], None])


class _Shared:
    """Collects the objects that issues share, each once."""

    def __init__(self) -> None:
        self._known: dict[str, _Object] = {}

    def id(self, kind: str, code: str, at: str = "", /, **values: str) -> str:
        """The id of an object, which is added if it is new. `values` are attributes that the object has at the moment
        `at`.
        """
        id_ = f"{kind}:{clean(code)}"
        known = self._known.setdefault(id_, _Object(kind))
        for item in values.items():
            known.values[item] = min(at, known.values.get(item, at))
        return id_

    def relate(self, one: str, qualifier: str, other: str) -> None:
        self._known[one].relations[other, qualifier] = None

    def objects(self) -> Iterator[str]:
        for id_, known in self._known.items():
            timed: dict[tuple[str, str], str] = {}
            for (name, value), at in known.values.items():
                timed.setdefault((at, name), value)  # of issues that differ at one moment the first in the log counts
            values = ((name, value, at) for (at, name), value in sorted(timed.items()))
            yield _object(id_, known.type, values, known.relations)


class _IssueExport:
    """One issue while it is written. `values` holds the history of its attributes; of several values at one moment only
    the last is kept.
    """

    def __init__(self, issue: str, shared: _Shared) -> None:
        self._id = f"issue:{clean(issue)}"
        self._shared = shared
        self._facts: tuple[str, ...] = _NOTHING
        self.values: dict[tuple[str, str], str] = {}
        self._relations: dict[tuple[str, str], None] = {}

    def event(self, event: Event, issue: Issue, people: Pseudonyms) -> str:
        """The event as an item of the log; `issue` is the state after the event."""
        at, before = format_time(event.at), self._facts
        self._facts = facts(issue, lead_org(issue))
        for name, was, value in zip(FACTS, before, self._facts, strict=True):
            if value != was or before is _NOTHING:
                self.values[name, at] = value
        id_ = f"{self._id.removeprefix('issue:')}:{event.seq}"
        own = ",".join(
            f'{{"name":"{name}","value":{_native(kind, value)}}}' for name, kind, value in of_event(event, people)
        )
        about = _relationships(dict.fromkeys(self._related(event, issue, before, at)))
        return f'{{"id":{_encode(id_)},"type":"{event.kind}","time":"{at}","attributes":[{own}],"relationships":[{about}]}}'

    def object(self) -> str:
        known = {name for (name, _), value in self.values.items() if value}  # the others never get a value
        timed = ((name, value, at) for (name, at), value in self.values.items() if name in known)
        return _object(self._id, "issue", timed, self._relations)

    def _related(self, event: Event, issue: Issue, before: tuple[str, ...], at: str) -> Iterator[tuple[str, str]]:
        """The objects related to the event: the issue, who had held it, what the event changed, who gave the command.

        The last relation to an object is the one that every reader keeps, so who gave the command comes last.
        """
        yield self._id, "issue"
        if before is _NOTHING:
            yield from self._place(issue.place, at)
        for part in event.held:
            if part.org:
                yield from self._org(part.org, part.holder, issue, "held")
        if self._facts[_LEAD] != before[_LEAD]:
            yield from self._org(lead_org(issue), issue.level, issue, "lead")
        if self._facts[_HANDLER] != before[_HANDLER]:
            yield from self._org(issue.handler.code, "operator", issue, "handler")
        if self._facts[_POLICY] != before[_POLICY]:
            policy = issue.policy
            version, digest = str(policy.version), policy.digest
            code = f"{label(policy)}/{digest}"
            yield self._shared.id("policy", code, at, id=clean(policy.id), version=version, digest=digest), "policy"
        if event.actor is not None and event.actor.org:
            yield from self._org(event.actor.org, event.actor.role, issue, "by")

    def _place(self, place: Place, at: str) -> Iterator[tuple[str, str]]:
        """The objects that make up the issue's place. They are related to the issue and to each other."""
        shared = self._shared
        named = {"name": clean(place.name)} if place.name else {}
        compound = shared.id("compound", place.compound, at, **named)
        community, street = shared.id("community", place.community), shared.id("street", place.street)
        shared.relate(compound, "community", community)
        shared.relate(community, "street", street)
        where = [(compound, "compound"), (community, "community"), (street, "street")]
        if place.operator:
            kind = _BY_KIND[place.operator_kind or "company"]
            own = {"kind": place.operator_kind or "company"} if kind == "operator" else {}
            where.append((shared.id(kind, place.operator, at, **own), "operator"))
        self._relations.update(dict.fromkeys(where))
        yield from where

    def _org(self, code: str, role: Role | Holder, issue: Issue, qualifier: str) -> Iterator[tuple[str, str]]:
        """The object of an organisation. Its type follows from the issue's handler or operator if it is one of them,
        otherwise from `role`, the role or holder in which the organisation appears.

        The handler and operator come first because a community may run a compound itself: its people then act as
        ``property``, yet the organisation is a community.
        """
        kind = _BY_ROLE.get(role)
        if code == issue.handler.code:
            kind = _BY_KIND[issue.handler.kind]
        elif code == issue.place.operator:
            kind = _BY_KIND[issue.place.operator_kind or "company"]
        if code and kind is not None:
            yield self._shared.id(kind, code), qualifier


def _object(id_: str, kind: str, timed: Iterable[tuple[str, str, str]], relations: Iterable[tuple[str, str]]) -> str:
    types = _OBJECTS[kind]
    own = ",".join(
        f'{{"name":"{name}","value":{_native(types[name], value)},"time":"{at}"}}' for name, value, at in timed
    )
    return f'{{"id":{_encode(id_)},"type":"{kind}","attributes":[{own}],"relationships":[{_relationships(relations)}]}}'


def _native(kind: str, value: str) -> str:
    """The value in JSON; the texts of numbers and truths are theirs already."""
    return value if kind in ("integer", "boolean") else _encode(value)


def _relationships(relations: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{{"objectId":{_encode(other)},"qualifier":"{qualifier}"}}' for other, qualifier in relations)
