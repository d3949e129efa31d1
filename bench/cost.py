"""The cost of a standard issue in Temporal, counted from its history and kept as a table in docs/architecture.md."""

import asyncio
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History
from temporalio.client import Client, WorkflowHistory

from audit.runs import runs_of
from bench.figures import Figure, Goal, Result
from bench.machine import ROOT
from bench.run import Run
from bench.web import Web, web
from domain.wire import canonical

ABOUT: Final = (
    "The history of a standard issue (report, accept, arrive, complete, confirm, paced), counted; stored is what its "
    "protobuf takes compressed with a dictionary of other issues (zlib, which is in Python: zstd takes no more)."
)
EVENTS: Final = 32
TASKS: Final = 6
ACTIONS: Final = 11
MOST_KIB: Final = 4.5
PAUSE: Final = 0.3
"""Seconds between two commands, so that no two share a workflow task."""
DOCUMENT: Final = ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- cost: begin (written by `python -m bench cost --write`) -->"
END: Final = "<!-- cost: end -->"
_RESOLVED: Final = ("policy", "calendars")
_DICTIONARY: Final = 32 * 1024
_TENTH: Final = 102.4
_SLACK: Final = 1.02
_WIDE: Final = 1.1
_TRIES: Final = 5
_FAMILIES: Final = ("workflow task", "workflow execution", "activity task", "timer", "marker")
_SIZE: Final = (
    "What limits the size: {theirs:.1f} KiB are Temporal's own (ids, times, attempts, names of queues and workers, the "
    "record of each local activity), whatever the events hold; our {ours:.1f} KiB are who, when and what of five "
    "commands, their digests, the search attributes, and the two closing events once more as an activity's input."
)
_E: Final = EventType
_ACTIONS: Final = {
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: "start",
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: "signals",
    _E.EVENT_TYPE_TIMER_STARTED: "timers",
    _E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: "activities",
    _E.EVENT_TYPE_MARKER_RECORDED: "local activities",
}
"""What counts as an action: the start, each signal, each timer and each activity, including local ones (markers in the
history). Upserts of search attributes would count too, and there are none. Workflow tasks and the closing do not."""


@dataclass(frozen=True)
class Cost:
    """Counts and sizes of one history; sizes in bytes of the protobuf before encryption."""

    kinds: tuple[tuple[str, int], ...]
    """Event type -> count, the most frequent first."""
    actions: tuple[tuple[str, int], ...]
    size: int
    resolved: int
    """The part of it that the API resolved into the input: policy, calendars and place."""
    content: int
    """The part of the rest that is our data: bodies, search attributes, the summary."""

    @property
    def events(self) -> int:
        return sum(number for _, number in self.kinds)

    @property
    def tasks(self) -> int:
        return dict(self.kinds).get("workflow task completed", 0)

    @property
    def action_count(self) -> int:
        return sum(number for _, number in self.actions)

    @property
    def own(self) -> int:
        """The size without resolved data."""
        return self.size - self.resolved


def cost_of(history: WorkflowHistory) -> Cost:
    """The cost of one history."""
    events = history.events
    kinds = Counter(event.event_type for event in events)
    named = sorted(((_name(kind), number) for kind, number in kinds.items()), key=lambda each: (-each[1], each[0]))
    actions = tuple((name, kinds[kind]) for kind, name in _ACTIONS.items() if kinds[kind])
    size = History(events=events).ByteSize()
    started = events[0].workflow_execution_started_event_attributes.input.payloads[0]
    resolved = _resolved(started)
    content = sum(_payloads(event) for event in events) - resolved
    return Cost(tuple(named), actions, size, resolved, content)


def _name(kind: int) -> str:
    return _E.Name(_E.ValueType(kind)).removeprefix("EVENT_TYPE_").lower().replace("_", " ")


def _resolved(payload: Payload) -> int:
    """Bytes of the input that the API looked up: policy and calendars, and the place within the report."""
    plain = json.loads(payload.data)
    parts = [plain[name] for name in _RESOLVED] + [plain["report"]["body"]["place"]]
    # As they stand in the input: its text is escaped to ASCII or not.
    is_ascii = payload.data.isascii()
    return sum(len(json.dumps(part, separators=(",", ":"))) if is_ascii else len(canonical(part)) for part in parts)


def _payloads(message: Message) -> int:
    """Bytes of all payload data in a message."""
    if isinstance(message, Payload):
        return len(message.data)
    found = 0
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        inner: Sequence[object] = (value,)
        if hasattr(value, "values"):
            inner = tuple(value.values())
        elif not isinstance(value, Message):
            inner = tuple(value)
        found += sum(_payloads(each) for each in inner if isinstance(each, Message))
    return found


@dataclass(frozen=True)
class Bounds:
    """Bounds of sizes in the table, in tenths of a KiB, since ids, names and varints make sizes differ by some bytes."""

    own: int
    content: int

    @classmethod
    def over(cls, cost: Cost) -> "Bounds":
        """Bounds slightly above the measured sizes."""
        return cls(math.ceil(cost.own * _SLACK / _TENTH), math.ceil(cost.content * _SLACK / _TENTH))

    @classmethod
    def in_table(cls, text: str) -> "Bounds":
        """Reads the bounds from a table. Raises ValueError if it has none."""
        own, content = (int(each.replace(".", "")) for each in re.findall(r"≤ (\d+\.\d) KiB", text))
        return cls(own, content)

    def hold(self, cost: Cost) -> bool:
        """Whether the sizes are within the bounds and not far below them."""
        pairs = ((self.own, cost.own), (self.content, cost.content))
        return all(size <= bound * _TENTH <= size * _WIDE + _TENTH for bound, size in pairs)


def table(cost: Cost, bounds: Bounds) -> str:
    """The table as Markdown: exact counts, and sizes as bounds."""
    actions = ", ".join(f"{name} {number}" for name, number in cost.actions)
    families: Counter[str] = Counter()
    for kind, number in cost.kinds:
        families[next((family for family in _FAMILIES if kind.startswith(family)), kind)] += number
    kinds = ", ".join(f"{name} {number}" for name, number in families.most_common())
    rows = (
        ("history events", str(cost.events), kinds),
        ("workflow tasks", str(cost.tasks), "one for the report, one for each command, one once the close is stored"),
        ("actions", str(cost.action_count), actions),
        (
            "protobuf",
            _kib(bounds.own),
            "before encryption, without the policy, calendars and place that the API resolves into it",
        ),
        ("of that ours", _kib(bounds.content), "bodies, digests, search attributes, summary; the rest is Temporal's"),
    )
    head = "A standard issue (report, accept, arrive, complete, confirm) | number | which"
    return "\n".join([f"| {head} |", "| --- | ---: | --- |", *(f"| {' | '.join(row)} |" for row in rows)])


def _kib(tenths: int) -> str:
    return f"≤ {tenths // 10}.{tenths % 10} KiB"


def committed(document: Path = DOCUMENT) -> str | None:
    """The table in the document; None if there is none."""
    text = document.read_text("utf-8") if document.exists() else ""
    _, begin, rest = text.partition(BEGIN)
    found, end, _ = rest.partition(END)
    return found.strip() if begin and end else None


def write(cost: Cost, document: Path = DOCUMENT) -> None:
    """Replaces the table in the document."""
    text = document.read_text("utf-8") if document.exists() else "# Architecture\n\n## What one issue costs\n"
    block = f"{BEGIN}\n{table(cost, Bounds.over(cost))}\n{END}"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    text = f"{before}{block}{after}" if begin and end else f"{text.rstrip()}\n\n{block}\n"
    document.parent.mkdir(exist_ok=True)
    document.write_text(text, "utf-8")


async def history_of(client: Client, issue: str) -> WorkflowHistory:
    """The history of a closed issue with one run. Raises RuntimeError if it does not close soon or was continued."""
    await asyncio.wait_for(client.get_workflow_handle(f"issue-{issue}").result(), 30)
    runs = await runs_of(client, issue)
    if len(runs) != 1:
        raise RuntimeError(f"issue {issue} has {len(runs)} runs")
    return WorkflowHistory(f"issue-{issue}", runs[0].events)


async def measured(client: Client, api: Web) -> Cost:
    """The cost of a standard issue that runs through the API.

    On a busy machine an ordinary activity may replace a local one that timed out; then another issue is tried.
    """
    for _ in range(_TRIES):
        issue, _ = await api.live(PAUSE)
        history = await history_of(client, issue.id)
        if not any(event.marker_recorded_event_attributes.HasField("failure") for event in history.events):
            return cost_of(history)
    raise RuntimeError("local activities keep giving up: the machine is too busy to count on it")


async def cost(run: Run) -> Result:
    """Counts and sizes of a standard issue."""
    async with web(run.stage.settings) as api:
        found = await measured(run.stage.protected, api)
    stored = await _stored(run)
    result = Result("cost", ABOUT)
    result.figures = [
        Figure("history events of a standard issue", (found.events,), goal=Goal("<=", EVENTS)),
        Figure("its workflow tasks", (found.tasks,), goal=Goal("<=", TASKS)),
        Figure("its actions", (found.action_count,), goal=Goal("<=", ACTIONS)),
        Figure("its protobuf without what was resolved", (found.own / 1024,), "KiB", Goal("<=", MOST_KIB)),
        Figure("its history as stored", (stored / 1024,), "KiB", Goal("<=", 1)),
    ]
    if result.figures[3].verdict == "missed":
        result.remarks.append(_SIZE.format(theirs=(found.own - found.content) / 1024, ours=found.content / 1024))
    result.details = [
        Figure("its whole protobuf", (found.size / 1024,), "KiB"),
        Figure("of that policy, calendars and place", (found.resolved / 1024,), "KiB"),
        Figure("of the rest what is ours", (found.content / 1024,), "KiB"),
        Figure("of the rest what is Temporal's own", ((found.own - found.content) / 1024,), "KiB"),
    ]
    return result


async def _stored(run: Run) -> float:
    """Mean bytes of a history compressed with a dictionary trained on other issues."""
    histories: list[bytes] = []
    async with web(run.stage.settings) as client:
        for _ in range(run.scale.stored):
            issue, _ = await client.live()
            history = await history_of(run.stage.protected, issue.id)
            histories.append(History(events=history.events).SerializeToString(deterministic=True))
    half = len(histories) // 2
    return compressed(histories[half:], b"".join(histories[:half])[-_DICTIONARY:])


def compressed(histories: Sequence[bytes], dictionary: bytes) -> float:
    """Mean bytes of the histories, each compressed separately with the dictionary."""
    sizes: list[int] = []
    for history in histories:
        packer = zlib.compressobj(9, zdict=dictionary)
        sizes.append(len(packer.compress(history)) + len(packer.flush()))
    return sum(sizes) / len(sizes)
