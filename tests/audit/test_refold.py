"""Histories are folded again from their signals alone, and lead to the recorded events."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from audit.refold import ForgedStartError, RefoldError, read_start, refold
from domain.batches import MOST_BYTES, MOST_EVENTS, batches
from domain.events import dump_event
from domain.pins import pins_digest, read_calendars, read_policy
from domain.wire import canonical
from support.golden import HISTORIES, SIGNER, load_runs
from support.scenarios import SCENARIOS

TWO_RUNS = "nobody"
Runs = list[list[HistoryEvent]]


def runs_of(name: str) -> Runs:
    """Those of a golden history, read anew: whoever asks may change them."""
    return [list(run.events) for run in load_runs(name)]


def put_input(started: HistoryEvent, **changed: Any) -> None:
    """Changes what a run was started with."""
    (payload,) = started.workflow_execution_started_event_attributes.input.payloads
    payload.data = json.dumps({**json.loads(payload.data), **changed}).encode()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_golden_history_leads_to_its_events(name: str) -> None:
    runs = runs_of(name)
    folded = refold(f"golden-{name}", runs)
    assert [dump_event(event) for event in folded.events] == json.loads((HISTORIES / f"{name}.json").read_text())[
        "events"
    ]
    assert folded.carried == []
    assert folded.state.is_closed
    last, state = list(folded.states())[-1]
    assert (last, state) == (folded.events[-1], folded.state)
    signals = [
        (number, event.event_id)
        for number, events in enumerate(runs)
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert [(taken.run, taken.event_id) for taken in folded.commands] == [(0, 1), *signals]


def test_a_run_that_does_not_carry_on_is_named() -> None:
    runs = runs_of(TWO_RUNS)
    state = read_start(runs[1][0]).state
    assert state is not None
    put_input(runs[1][0], state={**state, "urgent": True})
    assert refold(f"golden-{TWO_RUNS}", runs).carried == [1]


def test_an_open_history_is_folded() -> None:
    (events,) = runs_of("standard")
    whole = refold("golden-standard", [events])
    for end in range(1, len(events)):
        part = refold("golden-standard", [events[:end]])
        assert part.events == whole.events[: len(part.events)]
    assert part.state.version == 8  # all that is missing now is the end itself


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda runs: runs.clear(), "there is no run"),
        (lambda runs: runs[1].clear(), "run 1: the history does not begin with its start"),
        (lambda runs: runs[0].pop(0), "run 0: the history does not begin with its start"),
        (lambda runs: runs.pop(0), "run 0, event 1: ValueError: the first run is not that of a new issue"),
        (lambda runs: put_input(runs[0][0], policy={}), "run 0, event 1: "),
        (lambda runs: put_input(runs[0][0], report={"id": "r"}), "run 0, event 1: "),
        (lambda runs: put_input(runs[1][0], nonsense=1), "run 1, event 1: TypeError: "),
        (
            lambda runs: put_input(runs[0][0], rules_version=99),
            "run 0, event 1: ForgedError: the report was signed for another policy",
        ),
        (
            lambda runs: runs[0][0].workflow_execution_started_event_attributes.ClearField("input"),
            "run 0, event 1: ValueError: ",
        ),
        (
            lambda runs: setattr(
                runs[0][0].workflow_execution_started_event_attributes.input.payloads[0], "data", b"\xff{"
            ),
            "run 0, event 1: ",
        ),
        (lambda runs: setattr(task(runs[1]).event_time, "seconds", 1 << 40), "run 1, event 3: "),
    ],
)
def test_what_cannot_be_folded_is_named_by_run_and_event(spoil: Any, said: str) -> None:
    runs = runs_of(TWO_RUNS)
    spoil(runs)
    with pytest.raises(RefoldError) as caught:
        refold(f"golden-{TWO_RUNS}", runs)
    assert str(caught.value).startswith(said)


def test_unknown_rules_are_named_as_such() -> None:
    """A newer version of the API signs what it pins, so its starts are genuine."""
    runs = runs_of(TWO_RUNS)
    start = read_start(runs[0][0])
    assert start.report is not None
    pins = pins_digest(read_policy(start.policy), read_calendars(start.calendars), 99)
    report = {name: value for name, value in start.report.items() if name != "proof"}
    report["body"] = {**report["body"], "pins": pins}
    signed = SIGNER.sign(SIGNER.root, start.issue, "report", report)
    put_input(runs[0][0], rules_version=99, report=signed)
    with pytest.raises(RefoldError, match="run 0, event 3: UnknownRulesError: this version has no rules 99") as caught:
        refold(f"golden-{TWO_RUNS}", runs)
    assert not isinstance(caught.value, ForgedStartError)


def task(events: list[HistoryEvent]) -> HistoryEvent:
    """The first workflow task as it was started."""
    return next(event for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)


def test_a_history_of_another_issue_is_refused() -> None:
    with pytest.raises(RefoldError, match="the history is that of issue 'golden-standard'"):
        refold("golden-silent", runs_of("standard"))


def test_whatever_is_done_to_a_history_it_folds_or_is_refused() -> None:
    """Bytes that somebody changed never end in anything but an answer."""
    draw = random.Random(20261124)
    refused = 0
    for _ in range(1000):
        runs = runs_of(TWO_RUNS)
        event = draw.choice(runs[draw.randrange(2)])
        data = bytearray(event.SerializeToString())
        data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            event.ParseFromString(bytes(data))
        except DecodeError:  # the archive says so
            continue
        try:
            refold(f"golden-{TWO_RUNS}", runs)
        except RefoldError as error:
            assert str(error).startswith("run ")
            refused += 1
    assert refused > 10


@st.composite
def weights(draw: st.DrawFn) -> list[int]:
    """Sizes of texts in events, now and then so large that a few of them fill a batch, or one of them alone."""
    each = st.one_of(st.integers(0, 50), st.integers(20_000, 90_000), st.integers(MOST_BYTES - 200, MOST_BYTES + 200))
    return draw(st.lists(each, max_size=12)) + [5] * draw(st.sampled_from((0, 0, 95, 240)))


@given(weights())
@settings(max_examples=40)
def test_batches_keep_the_order_and_both_limits(sizes: list[int]) -> None:
    events = [{"seq": seq, "text": "x" * size} for seq, size in enumerate(sizes, 1)]
    parted = batches(events)
    assert [event for part in parted for event in part] == events
    for part in parted:
        assert 1 <= len(part) <= MOST_EVENTS
        assert len(part) == 1 or weight(part) <= MOST_BYTES
    for part, after in pairwise(parted):
        # No batch ends before it must.
        assert len(part) == MOST_EVENTS or weight([*part, after[0]]) > MOST_BYTES


def weight(part: list[dict[str, Any]]) -> int:
    return sum(len(canonical(event)) for event in part)


def test_batches_hold_100_events_or_256_kib() -> None:
    assert (MOST_EVENTS, MOST_BYTES) == (100, 256 * 1024)
    assert [len(part) for part in batches({"seq": seq} for seq in range(250))] == [100, 100, 50]
    fits = {"text": "x" * (MOST_BYTES // 2 - len(canonical({"text": ""})))}
    assert [len(part) for part in batches([fits, fits, {"seq": 3}])] == [2, 1]
    assert [len(part) for part in batches([fits, {**fits, "more": 1}])] == [1, 1]
