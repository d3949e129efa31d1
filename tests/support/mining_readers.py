"""Readers of OCEL 2.0 JSON and XES, written from the published standards and without our code.

OCEL: the JSON schema ocel20-schema-json.json and the page on the JSON format at ocel-standard.org. XES: the schema
xes-ieee-1849-2016-April-15-2020.xsd at xes-standard.org and the prose of IEEE 1849-2016. They are stricter than the
schemas, which accept unknown keys and undeclared attributes: everything that the text does not define is refused.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

Value = str | int | float | bool | datetime


class Unfit(ValueError):
    """What the published structure does not allow, with the place."""


def _fit(fits: object, where: str, what: object = "not allowed") -> None:
    if not fits:
        raise Unfit(f"{where}: {what}")


_LEXICAL: Final = {
    "integer": (re.compile(r"[+-]?[0-9]+"), int),
    "float": (re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?INF|NaN"), float),
    "boolean": (re.compile("true|false"), lambda text: text == "true"),
    "time": (
        re.compile(r"-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"),
        datetime.fromisoformat,
    ),
    "string": (re.compile(".*", re.DOTALL), str),
}  # fmt: skip


def _time(plain: Any, where: str) -> datetime:
    value = _value("time", _text(plain, where), where)
    assert isinstance(value, datetime)
    return value


def _value(kind: str, text: str, where: str) -> Value:
    form, read = _LEXICAL[kind]
    _fit(form.fullmatch(text), where, f"{text!r} is no {kind}")
    try:
        value: Value = read(text)
    except ValueError as error:
        raise Unfit(f"{where}: {text!r} is no {kind}") from error
    return value


_NATIVE: Final = {"integer": (int,), "float": (int, float), "boolean": (bool,)}
"""What a reader that knows the types of JSON takes for each declared type; the rest is text."""


# OCEL 2.0 -----------------------------------------------------------------------------------------------------------


@dataclass
class OcelEvent:
    type: str
    time: datetime
    attributes: dict[str, Value]
    relations: set[tuple[str, str]]


@dataclass
class OcelObject:
    type: str
    attributes: dict[tuple[str, datetime], Value]
    relations: set[tuple[str, str]]


@dataclass
class Ocel:
    event_types: dict[str, dict[str, str]] = field(default_factory=dict)
    object_types: dict[str, dict[str, str]] = field(default_factory=dict)
    events: dict[str, OcelEvent] = field(default_factory=dict)
    objects: dict[str, OcelObject] = field(default_factory=dict)


def read_ocel(data: bytes) -> Ocel:
    """Raises Unfit."""
    try:
        plain = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except ValueError as error:
        raise Unfit(f"log: {error}") from error
    _keys(plain, ("eventTypes", "objectTypes", "events", "objects"), (), "log")
    log = Ocel(_types(plain["eventTypes"], "eventTypes"), _types(plain["objectTypes"], "objectTypes"))
    for item, where in _items(plain["objects"], "objects"):
        _keys(item, ("id", "type"), ("attributes", "relationships"), where)
        kind = _kind(log.object_types, item, where)
        _fit(_text(item["id"], where) not in log.objects, where, "id is not unique")
        log.objects[item["id"]] = OcelObject(
            item["type"], _timed(item.get("attributes", []), kind, where), _relations(item, where)
        )
    for item, where in _items(plain["events"], "events"):
        _keys(item, ("id", "type", "time"), ("attributes", "relationships"), where)
        kind = _kind(log.event_types, item, where)
        _fit(_text(item["id"], where) not in log.events, where, "id is not unique")
        time = _time(item["time"], where)
        values: dict[str, Value] = {}
        for each, place in _items(item.get("attributes", []), f"{where}.attributes"):
            _keys(each, ("name", "value"), (), place)
            _fit(each["name"] not in values, place, "given twice")
            values[each["name"]] = _declared(each, kind, place)
        log.events[item["id"]] = OcelEvent(item["type"], time, values, _relations(item, where))
    for part in (log.objects, log.events):
        for name, each in part.items():
            for other, _ in each.relations:
                _fit(other in log.objects, name, f"is related to {other!r}, which is not there")
    return log


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    _fit(len(found) == len(pairs), "log", "a key is given twice")
    return found


def _types(plain: Any, where: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item, place in _items(plain, where):
        _keys(item, ("name", "attributes"), (), place)
        _fit(_text(item["name"], place) not in found, place, "name is not unique")
        own = found[item["name"]] = {}
        for each, at in _items(item["attributes"], f"{place}.attributes"):
            _keys(each, ("name", "type"), (), at)
            _fit(_text(each["name"], at) not in own, at, "name is not unique")
            _fit(each["type"] in ("string", "time", "integer", "float", "boolean"), at, "unknown type")
            own[each["name"]] = each["type"]
    return found


def _kind(types: dict[str, dict[str, str]], item: dict[str, Any], where: str) -> dict[str, str]:
    _fit(_text(item["type"], where) in types, where, "type is not declared")
    return types[item["type"]]


def _timed(plain: Any, kind: dict[str, str], where: str) -> dict[tuple[str, datetime], Value]:
    found: dict[tuple[str, datetime], Value] = {}
    for each, place in _items(plain, f"{where}.attributes"):
        _keys(each, ("name", "value", "time"), (), place)
        key = (each["name"], _time(each["time"], place))
        _fit(key not in found, place, "has two values at one time")
        found[key] = _declared(each, kind, place)
    return found


def _declared(each: dict[str, Any], kind: dict[str, str], where: str) -> Value:
    """The value, which has to be a number or a truth in JSON where its type is one."""
    _fit(_text(each["name"], where) in kind, where, "is not declared for this type")
    declared, value = kind[each["name"]], each["value"]
    if native := _NATIVE.get(declared):
        _fit(type(value) in native, where, f"{value!r} is no {declared}")
        return value
    return _value(declared, _text(value, where), where)


def _relations(item: dict[str, Any], where: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for each, place in _items(item.get("relationships", []), f"{where}.relationships"):
        _keys(each, ("objectId", "qualifier"), (), place)
        relation = (_text(each["objectId"], place), _text(each["qualifier"], place))
        _fit(relation not in found, place, "given twice")
        found.add(relation)
    return found


def _items(plain: Any, where: str) -> Iterable[tuple[Any, str]]:
    _fit(isinstance(plain, list), where, "not an array")
    return ((item, f"{where}[{number}]") for number, item in enumerate(plain))


def _keys(plain: Any, needed: tuple[str, ...], allowed: tuple[str, ...], where: str) -> None:
    _fit(isinstance(plain, dict), where, "not an object")
    _fit(plain.keys() >= set(needed), where, f"lacks one of {needed}")
    _fit(plain.keys() <= {*needed, *allowed}, where, f"has unknown keys among {list(plain)}")


def _text(plain: Any, where: str) -> str:
    _fit(isinstance(plain, str), where, f"{plain!r} is not text")
    return plain


# XES ----------------------------------------------------------------------------------------------------------------

Attributes = dict[str, tuple[str, Value]]
"""Key -> tag and value."""


@dataclass
class XesTrace:
    attributes: Attributes
    events: list[Attributes]


@dataclass
class Xes:
    attributes: Attributes
    extensions: dict[str, tuple[str, str]]
    globals: dict[str, Attributes]
    classifiers: dict[str, tuple[str, list[str]]]
    traces: list[XesTrace]


_NAME: Final = re.compile(r"[^\W\d][\w.:-]*")
_NCNAME: Final = re.compile(r"[^\W\d][\w.-]*")
_TAGS: Final = {
    "string": "string", "date": "time", "int": "integer", "float": "float", "boolean": "boolean", "id": "string",
}  # fmt: skip
_STANDARD: Final = {
    "concept": ("Concept", "http://www.xes-standard.org/concept.xesext"),
    "time": ("Time", "http://www.xes-standard.org/time.xesext"),
    "org": ("Organizational", "http://www.xes-standard.org/org.xesext"),
    "lifecycle": ("Lifecycle", "http://www.xes-standard.org/lifecycle.xesext"),
}  # fmt: skip
_MEANT: Final = {
    "concept:name": ("string", ("log", "trace", "event")),
    "concept:instance": ("string", ("event",)),
    "time:timestamp": ("date", ("event",)),
    "org:resource": ("string", ("event",)),
    "org:role": ("string", ("event",)),
    "org:group": ("string", ("event",)),
    "lifecycle:model": ("string", ("log", "trace")),
    "lifecycle:transition": ("string", ("event",)),
    "lifecycle:state": ("string", ("event",)),
}  # fmt: skip
"""Key -> its type and where it may stand, by the standard extensions."""
_TRANSITIONS: Final = (
    "schedule", "assign", "withdraw", "reassign", "start", "suspend", "resume", "pi_abort", "ate_abort", "complete",
    "autoskip", "manualskip", "unknown",
)  # fmt: skip


def read_xes(data: bytes) -> Xes:
    """Raises Unfit. Only what is elementary is read: no nested attributes and no lists."""
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise Unfit(f"log: {error}") from error
    _fit(root.tag == "log", root.tag)
    _named(root, {"xes.version": r"[0-9]+(\.[0-9]+)?"}, {"xes.features": r"\S*( \S+)*"})
    _in_order(root, (("extension",), ("global",), ("classifier",), tuple(_TAGS), ("trace",), ("event",)))
    log = Xes({}, {}, {}, {}, [])
    for each in root.iterfind("extension"):
        _named(each, {"name": _NCNAME.pattern, "prefix": _NCNAME.pattern, "uri": r"\S+"}, {})
        _fit(not len(each), "extension")
        _fit(each.attrib["prefix"] not in log.extensions, "extension", "prefix is not unique")
        log.extensions[each.attrib["prefix"]] = (each.attrib["name"], each.attrib["uri"])
        standard = _STANDARD.get(each.attrib["prefix"])
        _fit(standard in (None, log.extensions[each.attrib["prefix"]]), "extension", "is not the standard one")
    for each in root.iterfind("global"):
        _named(each, {}, {"scope": "trace|event"})
        _in_order(each, (tuple(_TAGS),))
        scope = each.attrib.get("scope", "event")
        _fit(scope not in log.globals, "global", "scope is not unique")
        log.globals[scope] = _attributes(each, scope, log)
    for each in root.iterfind("classifier"):
        _named(each, {"name": _NCNAME.pattern, "keys": r"\S+( \S+)*"}, {"scope": "trace|event"})
        _fit(not len(each), "classifier")
        _fit(each.attrib["name"] not in log.classifiers, "classifier", "name is not unique")
        scope, keys = each.attrib.get("scope", "event"), each.attrib["keys"].split()
        _fit({*keys} <= log.globals.get(scope, {}).keys(), "classifier", "keys are not global")
        log.classifiers[each.attrib["name"]] = (scope, keys)
    log.attributes = _attributes(root, "log", log)
    _fit(root.find("event") is None, "log", "events outside of traces are not read")
    log.traces = [_trace(each, log) for each in root.iterfind("trace")]
    return log


def _trace(element: ET.Element, log: Xes) -> XesTrace:
    _named(element, {}, {})
    _in_order(element, (tuple(_TAGS), ("event",)))
    events: list[Attributes] = []
    for each in element.iterfind("event"):
        _named(each, {}, {})
        _in_order(each, (tuple(_TAGS),))
        events.append(_attributes(each, "event", log))
    trace = XesTrace(_attributes(element, "trace", log), events)
    for scope, found in (("trace", [trace.attributes]), ("event", events)):
        for key, (tag, _) in log.globals.get(scope, {}).items():
            _fit(all(key in each and each[key][0] == tag for each in found), scope, f"lacks the global {key}")
    return trace


def _attributes(element: ET.Element, scope: str, log: Xes) -> Attributes:
    found: Attributes = {}
    for each in element:
        if each.tag not in _TAGS:
            continue
        _named(each, {"key": _NAME.pattern, "value": "(?s).*"}, {})
        _fit(not len(each), each.tag, "nested attributes are not read")
        key, value = each.attrib["key"], _value(_TAGS[each.tag], each.attrib["value"], each.attrib["key"])
        _fit(each.tag != "int" or -(2**63) <= int(value) < 2**63, key, "is no long")  # pyright: ignore[reportArgumentType]
        _fit(key not in found, key, "given twice")
        prefix, colon, _ = key.partition(":")
        if colon and prefix in _STANDARD:
            _fit(prefix in log.extensions, key, "its extension is not declared")
            tag, scopes = _MEANT.get(key, ("", ()))
            _fit(each.tag == tag and scope in scopes, key, "is not of its extension")
        _fit(key != "lifecycle:transition" or value in _TRANSITIONS, key, "is not of the standard model")
        found[key] = (each.tag, value)
    return found


def _named(element: ET.Element, needed: dict[str, str], allowed: dict[str, str]) -> None:
    """Checks what stands in the tag itself, and that no text stands between the elements."""
    given = element.attrib
    _fit(given.keys() >= needed.keys(), element.tag, f"lacks one of {list(needed)}")
    for name, value in given.items():
        _fit(name in {**needed, **allowed}, element.tag, f"unknown {name}")
        _fit(re.fullmatch({**needed, **allowed}[name], value), element.tag, f"{name} is {value!r}")
    _fit(not (element.text or "").strip() and not (element.tail or "").strip(), element.tag, "text")


def _in_order(element: ET.Element, groups: tuple[tuple[str, ...], ...]) -> None:
    places = {tag: place for place, tags in enumerate(groups) for tag in tags}
    ranks = [places.get(each.tag, -1) for each in element]
    _fit(-1 not in ranks, element.tag, "holds an unknown element")
    _fit(ranks == sorted(ranks), element.tag, "its elements are out of order")
