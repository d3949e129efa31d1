"""XES (IEEE 1849-2016): one trace per issue, for tools that follow one case at a time.

Every trace is valid by the published schema, whose elements are in no namespace. Our own keys begin with ``jiesu:`` and
belong to no declared extension, since an extension must be published at its address. A trace's attributes give the
issue's state after its last event, but stand before the events. So the events of one trace at a time are held back: in
memory, or on disk beyond a megabyte.
"""

import shutil
from collections.abc import Iterable, Mapping
from tempfile import SpooledTemporaryFile
from types import MappingProxyType
from typing import IO, Final

from audit.mining.attributes import FACTS, Attribute, Type, clean, facts, of_event
from audit.mining.traces import Exported, IssueTrace, Pseudonyms, Sink
from domain.events import Event
from domain.issue import Issue, lead_org
from domain.wire import format_time

OURS: Final = "jiesu:"
_KEYS: Final[Mapping[str, str]] = MappingProxyType({"resource": "org:resource", "role": "org:role", "org": "org:group"})
_TAGS: Final[Mapping[Type, str]] = MappingProxyType(
    {"string": "string", "integer": "int", "boolean": "boolean", "time": "date"}
)
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_HELD_BACK: Final = 1 << 20
_HEAD: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1849.2016" xes.features="">
<extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
<extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
<extension name="Organizational" prefix="org" uri="http://www.xes-standard.org/org.xesext"/>
<extension name="Lifecycle" prefix="lifecycle" uri="http://www.xes-standard.org/lifecycle.xesext"/>
<global scope="trace">
<string key="concept:name" value=""/>
<string key="jiesu:number" value=""/>
<string key="jiesu:category" value=""/>
<boolean key="jiesu:urgent" value="false"/>
<string key="jiesu:policy" value=""/>
<string key="jiesu:compound" value=""/>
</global>
<global scope="event">
<string key="concept:name" value=""/>
<date key="time:timestamp" value="1970-01-01T00:00:00.000Z"/>
<string key="lifecycle:transition" value="complete"/>
<int key="jiesu:seq" value="0"/>
<string key="jiesu:level" value=""/>
</global>
<classifier name="Activity" scope="event" keys="concept:name"/>
<classifier name="ActivityAtLevel" scope="event" keys="concept:name jiesu:level"/>
<classifier name="Category" scope="trace" keys="jiesu:category"/>
<string key="concept:name" value="Jiesu"/>
<string key="lifecycle:model" value="standard"/>
"""


def write_xes(issues: Iterable[IssueTrace], file: Sink, key: bytes, *, names: bool = False) -> Exported:
    """Writes all issues, reading each once. The caller closes the file, and discards it after an error.

    People are named by pseudonyms under the key, or with `names` by their ids.
    """
    people, traces, events = Pseudonyms(key, names=names), 0, 0
    file.write(_HEAD)
    with SpooledTemporaryFile(_HELD_BACK) as held_back:
        for each in issues:
            last, count = _hold(each, held_back, people)
            if last is None:
                continue
            file.write(f"<trace>\n{_text(each.issue)}{_trace(last)}".encode())
            held_back.seek(0)
            shutil.copyfileobj(held_back, file)
            file.write(b"</trace>\n")
            traces, events = traces + 1, events + count
    file.write(b"</log>\n")
    return Exported(traces, events)


def _hold(trace: IssueTrace, held_back: IO[bytes], people: Pseudonyms) -> tuple[Issue | None, int]:
    """Writes the events of one issue into `held_back`; returns the state after the last event (None without events) and
    the number of events.
    """
    held_back.seek(0)
    held_back.truncate()
    last, count = None, 0
    for event, last in trace.steps:  # noqa: B007  (read after the loop)
        held_back.write(_event(event, people).encode())
        count += 1
    return last, count


def _event(event: Event, people: Pseudonyms) -> str:
    own = "".join(_attribute(attribute) for attribute in of_event(event, people))
    return (
        f'<event>\n{_text(event.kind)}<date key="time:timestamp" value="{format_time(event.at)}"/>\n'
        f'<string key="lifecycle:transition" value="complete"/>\n{own}</event>\n'
    )


def _trace(issue: Issue) -> str:
    place, known = issue.place, zip(FACTS.items(), facts(issue, lead_org(issue)), strict=True)
    own = [_attribute((name, kind, value)) for (name, kind), value in known if value or name == "number"]
    where = (("compound", place.compound), ("community", place.community), ("street", place.street))
    own += [_attribute((name, "string", clean(code))) for name, code in where]
    if place.operator is not None:
        own.append(_attribute(("operator", "string", clean(place.operator))))
    return "".join(own)


def _text(name: str) -> str:
    return f'<string key="concept:name" value="{clean(name).translate(_ESCAPES)}"/>\n'


def _attribute(attribute: Attribute) -> str:
    name, kind, value = attribute
    return f'<{_TAGS[kind]} key="{_KEYS.get(name) or OURS + name}" value="{value.translate(_ESCAPES)}"/>\n'
