"""What an analyst adds up in an export, over the strict reader and over two that read as the most used tools do.

`read_tables` reads OCEL as a tool of tables does: it takes the values of JSON as they are, keeps the last relation of an
event to an object, and lets the first value of an attribute hold from the beginning. `sums_of_traces` streams XES and
looks at no declaration. Neither shares code with the exports or the strict reader.
"""

import json
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final
from xml.etree import ElementTree as ET

from support.mining_readers import Ocel

BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
Sums = Counter[str]


@dataclass
class Tables:
    """Events by id, their last relation to each object, and the values of each object's attributes in time."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    relations: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    changes: dict[tuple[str, str], list[tuple[datetime, Any]]] = field(
        default_factory=dict[tuple[str, str], list[tuple[datetime, Any]]]
    )

    def value(self, obj: str, name: str, at: datetime) -> Any:
        found = self.changes.get((obj, name), [])
        place = bisect_right([time for time, _ in found], at)
        return found[place - 1][1] if place else ""


def read_tables(data: bytes) -> Tables:
    plain, tables = json.loads(data), Tables()
    for each in plain["events"]:
        own = {one["name"]: one["value"] for one in each["attributes"]}
        tables.events[each["id"]] = {**own, "kind": each["type"]}
        for relation in each["relationships"]:
            tables.relations[each["id"], relation["objectId"]] = relation["qualifier"]
    for each in plain["objects"]:
        for one in each["attributes"]:
            changes = tables.changes.setdefault((each["id"], one["name"]), [])
            changes.append((datetime.fromisoformat(one["time"]), one["value"]))
        for name in {one["name"] for one in each["attributes"]}:
            changes = sorted(tables.changes[each["id"], name], key=lambda change: change[0])
            tables.changes[each["id"], name] = [(BEGINNING, changes[0][1]), *changes[1:]]
    return tables


def sums_of_tables(tables: Tables) -> Sums:
    found = Sums()
    for each in tables.events.values():
        _add(found, each["kind"], each)
    for (_, other), qualifier in tables.relations.items():
        if qualifier == "by":
            found[f"by {other.partition(':')[2]}"] += 1
    for obj, name in tables.changes:
        if obj.startswith("issue:"):
            _add_end(found, name, tables.value(obj, name, datetime.max.replace(tzinfo=UTC)))
    return found


def sums_of_objects(log: Ocel) -> Sums:
    found = Sums()
    for each in log.events.values():
        _add(found, each.type, each.attributes)
        for other, qualifier in each.relations:
            if qualifier == "by":
                found[f"by {other.partition(':')[2]}"] += 1
    for each in log.objects.values():
        if each.type == "issue":
            last = {name: value for (name, _), value in sorted(each.attributes.items(), key=lambda item: item[0][1])}
            for name, value in last.items():
                _add_end(found, name, value)
    return found


def sums_of_traces(data: bytes) -> Sums:
    found = Sums()
    for _, element in ET.iterparse(BytesIO(data)):
        own = {each.attrib["key"].removeprefix("jiesu:"): _read(each) for each in element if "value" in each.attrib}
        if element.tag == "event":
            _add(found, str(own["concept:name"]), own)
            if "org:group" in own:
                found[f"by {own['org:group']}"] += 1
        elif element.tag == "trace":
            for name, value in own.items():
                _add_end(found, name, value)
    return found


def _read(element: ET.Element) -> Any:
    text = element.attrib["value"]
    return int(text) if element.tag == "int" else text == "true" if element.tag == "boolean" else text


def _add(found: Sums, kind: str, own: Any) -> None:
    """Adds an event: its kind, its milliseconds by holder, and its numbers as whoever adds them up without looking."""
    found["events"] += 1
    found[f"kind {kind}"] += 1
    found["refused before anything was done"] += kind == "refused" and own["level"] == "property"
    for name, value in own.items():
        if name.startswith("held_ms_"):
            found[name] += value


def _add_end(found: Sums, name: str, value: Any) -> None:
    """Adds how an issue ended."""
    if name in ("urgent", "about_operator"):
        found[name] += value
    elif name in ("category", "level", "status", "outcome", "satisfaction", "lead", "handler") and value:
        found[f"{name} {value}"] += 1
