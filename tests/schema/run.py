"""Calls every operation of an OpenAPI document as one caller, and keeps the answers that contradict the document."""

import functools
import json
import random
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import schemathesis
from hypothesis import strategies as st
from schemathesis import BaseSchema, Case, HookContext
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.hooks import unregister

from domain.wire import format_time
from tests.schema import sound
from tests.schema.world import VALUES, Asker

Way = Literal["coverage", "fuzzing"]
"""The document's examples and everything at the borders of each field, or what chance brings."""
_LIKELY: Final = 0.7
"""How often a place is filled with a value that is known to fit it."""
_KEY: Final = "Idempotency-Key"
_NEW_KEYS: Final = 0.9
_ANY_VERSION: Final = 0.7


def _name(place: str) -> str:
    """The name of what is known of a place."""
    return re.sub("[^a-z]", "_", place.lower())


_TIMES: Final = st.integers(946_684_800, 4_102_444_799).map(lambda at: format_time(datetime.fromtimestamp(at, UTC)))
"""From 2000 to 2099: commands take times of this century only."""


_CONFIG: Final[dict[str, Any]] = {
    "continue-on-failure": True,
    "dictionaries": {_name(place): {"values": list(values)} for place, values in VALUES.items()},
    "parameters": {place: {"dictionary": _name(place), "probability": _LIKELY} for place in VALUES},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": list(sound.ACCEPTED)},
        "negative_data_rejection": {"expected-statuses": list(sound.REJECTED)},
    },
    "generation": {"no-shrink": True, "database": "none"},
    "phases": {"stateful": {"enabled": False}},
}


@dataclass(frozen=True)
class Part:
    """What one process does at a time."""

    asker: Asker
    way: Way
    url: str
    document: Mapping[str, Any]
    seed: int
    examples: int
    """Cases of chance of each operation, at most."""


@dataclass
class Tally:
    """What came of it. `cases` and `statuses` count what was asked, without what a check asks again by itself."""

    cases: Counter[str] = field(default_factory=Counter[str])
    """By operation."""
    statuses: Counter[int] = field(default_factory=Counter[int])
    failures: list[str] = field(default_factory=list[str])

    @property
    def number(self) -> int:
        return sum(self.cases.values())

    def add(self, other: "Tally") -> None:
        self.cases += other.cases
        self.statuses += other.statuses
        self.failures += other.failures


def run(part: Part) -> Tally:
    """Asks everything of the part."""
    schema = _schema(json.dumps(part.document))
    schema.config.headers = dict(part.asker.headers)
    schema.config.update(base_url=part.url)
    schema.config.seed = part.seed
    # Only nobody makes credentials up: beside good ones they would be what is looked at.
    schema.config.generation.update(max_examples=part.examples, with_security_parameters=not part.asker.headers)
    schema.config.phases.examples.enabled = schema.config.phases.coverage.enabled = part.way == "coverage"
    schema.config.phases.fuzzing.enabled = part.way == "fuzzing"
    hook = _to_the_point(part)
    schemathesis.hook("before_call")(hook)
    tally = Tally()
    try:
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                _count(tally, event.label or "", event.recorder, part)
            elif isinstance(event, events.NonFatalError):
                tally.failures.append(f"{part.asker.name}: {event.label}: {event.value!r}")
            elif isinstance(event, events.FatalError):
                raise event.exception
    finally:
        unregister(hook)
    return tally


@functools.lru_cache(maxsize=1)
def _schema(document: str) -> BaseSchema:
    """The document as schemathesis reads it. It keeps what it works out of it, which takes most of the time of few cases."""
    schemathesis.openapi.format("date-time", _TIMES)
    schema = schemathesis.openapi.from_dict(json.loads(document), config=schemathesis.Config.from_dict(_CONFIG))
    schema.hook("filter_failure")(sound.is_failure)
    return schema


def _to_the_point(part: Part) -> Any:
    """The hook that takes away from valid requests what ends most of them early: keys that are known, old versions.

    A repeat says no more than the first time. Whoever has no token has to have UUIDs for keys; the document says so in
    words only.
    """
    chance = random.Random(f"{part.seed} {part.asker.name} {part.way}")
    knows, nameless = part.asker.knows, part.asker.name in ("anonymous", "code")

    def before_call(_: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
        for values in (case.path_parameters, case.query, case.body):
            if isinstance(values, dict):
                values.update({name: knows(text) for name, text in values.items() if isinstance(text, str)})
        if case.meta and case.meta.generation.mode.is_negative:
            return
        if _KEY in case.headers and (nameless or chance.random() < _NEW_KEYS):
            case.headers[_KEY] = str(uuid.UUID(int=chance.getrandbits(128)))
        if chance.random() < _ANY_VERSION:
            case.headers.pop("If-Match", None)

    return before_call


def _count(tally: Tally, label: str, recorder: ScenarioRecorder, part: Part) -> None:
    for name, node in recorder.cases.items():
        asked = recorder.interactions.get(name)
        if node.parent_id is None and asked is not None and asked.response is not None:
            tally.cases[label] += 1
            tally.statuses[asked.response.status_code] += 1
    tally.failures += _failures(label, recorder, part)


def _failures(label: str, recorder: ScenarioRecorder, part: Part) -> Iterator[str]:
    for name, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                asked = recorder.interactions[name]
                answer = asked.response and f"{asked.response.status_code} {asked.response.content[:400]!r}"
                why = " ".join(check.failure_info.failure.message.split())
                yield f"{part.asker.name}: {label}: {check.name}: {why}: {answer}\n  {check.failure_info.code_sample[:2000]}"
