"""Strict replay: no finding in golden histories, and each small change is found by its step and place."""

import gc
import hashlib
import json
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from audit.archive import history_bytes
from audit.case import STEPS, ArchivedCase, Finding, Leaf, Verdict
from audit.merkle import commitment, leaf_hash
from audit.record import SealedRun, build, code_versions
from audit.refold import moment, refold
from audit.replay import replay
from audit.verify import verify
from domain.wire import canonical
from support.archiving import now
from support.derived import HistoryError, derive
from support.golden import load_runs
from support.scenarios import SCENARIOS

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
"""The SDK leaves one behind where a run cannot even begin."""
Runs = list[list[HistoryEvent]]
STANDARD, LONG, OUTAGE = "standard", "again", "outage"
"""One run; two; one with a climb, a timer that fired and an ordinary activity."""


@pytest.fixture(autouse=True, scope="module")
def collected() -> Iterator[None]:
    """And its warning must not come up in another test, whenever the garbage collector comes by."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        gc.collect()


def runs_of(name: str) -> Runs:
    """Those of a golden history, read anew: whoever asks may change them."""
    return [list(run.events) for run in load_runs(name)]


def case_of(name: str, runs: Runs | None = None, **more: Any) -> ArchivedCase:
    return ArchivedCase(f"golden-{name}", tuple(map(history_bytes, runs_of(name) if runs is None else runs)), **more)


async def findings(name: str, runs: Runs, **options: bool) -> list[Finding]:
    (verdict,) = await verify([case_of(name, runs)], **options)
    return list(verdict.findings)


def first(runs: Runs, kind: str, n: int = 0) -> HistoryEvent:
    """The n-th event of a kind in the first run, e.g. ``TIMER_STARTED``."""
    wanted = EventType.Value(f"EVENT_TYPE_{kind}")
    return [event for event in runs[0] if event.event_type == wanted][n]


def edit(payload: Payload, change: Callable[[Any], Any]) -> None:
    payload.data = canonical(change(json.loads(payload.data)))


def shift(event: HistoryEvent, **by: float) -> None:
    event.event_time.FromDatetime(event.event_time.ToDatetime() + timedelta(**by))


async def test_golden_histories_give_no_finding() -> None:
    cases = [case_of(name) for name in SCENARIOS]
    verdicts = await verify(cases)
    assert [str(each) for verdict in verdicts for each in verdict.findings] == []
    assert [verdict.issue for verdict in verdicts] == [case.issue for case in cases]
    for verdict, case in zip(verdicts, cases, strict=True):
        assert verdict.runs == len(case.runs)
        assert verdict.commands >= verdict.runs
        assert verdict.events > 1
    by_folding = await verify(cases, commands=False)
    assert all(verdict.holds and verdict.commands == 0 for verdict in by_folding)
    assert [verdict.events for verdict in by_folding] == [verdict.events for verdict in verdicts]


# Each of these changes a history in one place; what is said must name the step and the place.


def timer_longer(runs: Runs) -> None:
    first(runs, "TIMER_STARTED").timer_started_event_attributes.start_to_fire_timeout.FromMilliseconds(86_400_000)


def timer_named_otherwise(runs: Runs) -> None:
    edit(first(runs, "TIMER_STARTED").user_metadata.summary, lambda said: f"{said}?")


def activity_input(runs: Runs) -> None:
    activity = first(runs, "ACTIVITY_TASK_SCHEDULED").activity_task_scheduled_event_attributes

    def later(batch: Any) -> Any:
        batch["events"][0]["at"] = "2026-11-24T00:00:00.000Z"
        return batch

    edit(activity.input.payloads[0], later)


def activity_timeout(runs: Runs) -> None:
    activity = first(runs, "ACTIVITY_TASK_SCHEDULED").activity_task_scheduled_event_attributes
    activity.start_to_close_timeout.FromSeconds(11)


def activity_result(runs: Runs) -> None:
    done = first(runs, "ACTIVITY_TASK_COMPLETED").activity_task_completed_event_attributes
    edit(done.result.payloads[0], lambda _: "0" * 32)


def marker_result(runs: Runs) -> None:
    marker = first(runs, "MARKER_RECORDED").marker_recorded_event_attributes
    edit(marker.details["result"].payloads[0], lambda _: "0" * 32)


def result(runs: Runs) -> None:
    done = runs[-1][-1].workflow_execution_completed_event_attributes
    edit(done.result.payloads[0], lambda said: {**said, "closed": {**said["closed"], "kind": "explained"}})


def signal_changed(runs: Runs) -> None:
    said = first(runs, "WORKFLOW_EXECUTION_SIGNALED", 1).workflow_execution_signaled_event_attributes
    edit(said.input.payloads[0], lambda plain: {**plain, "body": {"assessment": "complex"}})


def end_missing(runs: Runs) -> None:
    runs[-1].pop()


def number_missing(runs: Runs) -> None:
    for event in runs[0][10:]:
        event.event_id += 1


def chain_broken(runs: Runs) -> None:
    runs[0][-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id = "another"


def not_continued(runs: Runs) -> None:
    runs.append(runs[1])


def state_not_carried(runs: Runs) -> None:
    (payload,) = runs[1][0].workflow_execution_started_event_attributes.input.payloads
    edit(payload, lambda start: {**start, "state": {**start["state"], "urgent": True}})


def clock_goes_back(runs: Runs) -> None:
    shift(runs[0][-2], seconds=-1)


def stamped(runs: Runs, *, seconds: float) -> None:
    """The server took the accepting command so much later than it was given."""
    shift(first(runs, "WORKFLOW_EXECUTION_SIGNALED"), seconds=seconds)


def too_late(runs: Runs) -> None:
    stamped(runs, seconds=2.5)


def too_early(runs: Runs) -> None:
    stamped(runs, seconds=-1.5)


def fired_early(runs: Runs) -> None:
    shift(first(runs, "TIMER_STARTED"), seconds=2)


def fired_unarmed(runs: Runs) -> None:
    first(runs, "TIMER_FIRED").timer_fired_event_attributes.started_event_id = 1


@pytest.mark.parametrize(
    ("name", "change", "step", "where", "what"),
    [
        (STANDARD, timer_longer, "commands", "run 0, event ", "timer: duration is 86400000, the code gives "),
        (STANDARD, timer_named_otherwise, "commands", "run 0, event ", "timer: summary is "),
        (STANDARD, activity_input, "commands", "run 0, event ", "activity: input is "),
        (
            STANDARD,
            activity_input,
            "fold",
            "run 0, event ",
            "other events were to be recorded than follow: event 7 (confirmed): at",
        ),
        (STANDARD, activity_timeout, "commands", "run 0, event ", "activity: start_to_close_timeout is 11000, "),
        (STANDARD, activity_result, "fold", "run 0, event ", "events 7 to 8: others were recorded than follow"),
        (STANDARD, marker_result, "commands", "run 0, event ", "local activity: result is 0000"),
        (STANDARD, marker_result, "fold", "run 0, event ", "events 1 to 2: others were recorded than follow"),
        (STANDARD, result, "commands", "run 0, event ", "complete: result is "),
        (STANDARD, result, "fold", "run 0, event ", "the outcome does not follow: it is "),
        (STANDARD, signal_changed, "fold", "run 0, event ", "others were recorded than follow from the signals"),
        (STANDARD, end_missing, "archive", "run 0, event ", "the history ends here, without an end"),
        (STANDARD, number_missing, "archive", "run 0, event 11", "event 12 stands here"),
        (LONG, chain_broken, "archive", "run 1", "run 0 is continued by another"),
        (LONG, not_continued, "archive", "run 1", "it is not continued by another run, but one follows"),
        (LONG, state_not_carried, "fold", "run 1, event 1", "it does not go on from what run 0 had come to"),
        (STANDARD, clock_goes_back, "time", "run 0, event ", "the server's time went back"),
        (STANDARD, too_late, "time", "run 0, event ", "too late to count so"),
        (STANDARD, too_early, "time", "run 0, event ", "before it was given"),
        (OUTAGE, fired_early, "time", "run 0, event ", "a timer fired at "),
        (OUTAGE, fired_unarmed, "time", "run 0, event ", "a timer fired that was never started"),
    ],
)
async def test_a_change_is_found_by_its_step_and_place(
    name: str, change: Callable[[Runs], None], step: str, where: str, what: str
) -> None:
    runs = runs_of(name)
    change(runs)
    found = [each for each in await findings(name, runs) if each.step == step]
    assert any(each.where.startswith(where) and what in each.what for each in found), list(map(str, found))
    assert {each.issue for each in found} == {f"golden-{name}"}


@pytest.mark.parametrize("change", [too_late, too_early])
async def test_a_delivery_may_take_as_long_as_the_grace(change: Callable[[Runs], None]) -> None:
    """Half a second less, and nothing is said of the time."""
    runs = runs_of(STANDARD)
    change(runs)
    shift(first(runs, "WORKFLOW_EXECUTION_SIGNALED"), seconds=0.6 if change is too_early else -0.6)
    assert not [each for each in await findings(STANDARD, runs, commands=False) if each.step == "time"]


async def test_without_commands_only_they_are_left_out() -> None:
    runs = runs_of(STANDARD)
    timer_longer(runs)
    assert await findings(STANDARD, runs, commands=False) == []
    activity_input(runs)
    assert {each.step for each in await findings(STANDARD, runs, commands=False)} == {"fold"}


async def test_an_unreplayable_history_does_not_affect_other_verdicts() -> None:
    """The SDK's core would end in a panic over the first, and wait for ever."""
    spoilt, garbled = runs_of(STANDARD), runs_of(STANDARD)
    started = next(
        n for n, event in enumerate(spoilt[0]) if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
    )
    spoilt[0][started + 1].event_type = EventType.EVENT_TYPE_TIMER_FIRED
    first(garbled, "MARKER_RECORDED").marker_recorded_event_attributes.details["data"].payloads[0].data = b"{"
    verdicts = await verify([case_of(STANDARD, spoilt), case_of(STANDARD, garbled), case_of(LONG)])
    cannot = f"golden-standard: commands: run 0: it cannot be replayed: event {started + 2} cannot follow the start"
    assert any(str(each).startswith(cannot) for each in verdicts[0].findings)
    assert any(each.step == "commands" for each in verdicts[1].findings)
    assert verdicts[2].holds
    assert verdicts[2].commands == (await verify([case_of(LONG)]))[0].commands


def only_its_start(runs: Runs) -> None:
    del runs[0][1:]


def no_start(runs: Runs) -> None:
    del runs[0][0]


def another_number(runs: Runs) -> None:
    """Of the last start of a task, which the core waits for."""
    started = [each for each in runs[0] if each.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED]
    started[-1].event_id = 999


@pytest.mark.parametrize(
    ("alter", "why"),
    [
        (only_its_start, "nothing follows its start"),
        (no_start, "event 1 is not its start"),
        (another_number, "event 999 stands where event"),
    ],
)
async def test_what_the_replayer_would_wait_over_for_ever_is_refused_by_every_replay(
    alter: Callable[[Runs], None], why: str
) -> None:
    spoilt, whole = runs_of(STANDARD), runs_of(STANDARD)
    alter(spoilt)
    given = [("spoilt", 0, spoilt[0]), ("whole", 0, whole[0]), ("again", 0, spoilt[0])]
    first_one, second, third = [each async for each in replay(given)]
    assert (second.findings, second.commands > 0) == ((), True)
    for refused in (first_one, third):
        (finding,) = refused.findings
        assert finding.what.startswith(f"it cannot be replayed: {why}")
    with pytest.raises(HistoryError, match=why):
        await derive("spoilt", [WorkflowHistory("spoilt", spoilt[0])])


async def test_whatever_is_done_to_a_history_there_is_a_verdict() -> None:
    draw = random.Random(20261124)
    cases: list[ArchivedCase] = []
    while len(cases) < 100:
        runs = runs_of(draw.choice((STANDARD, LONG)))
        name = STANDARD if len(runs) == 1 else LONG
        event = draw.choice(draw.choice(runs))
        data = bytearray(event.SerializeToString())
        data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            event.ParseFromString(bytes(data))
        except DecodeError:
            continue
        cases.append(case_of(name, runs))
    verdicts = await verify(cases)
    assert [verdict.issue for verdict in verdicts] == [case.issue for case in cases]
    assert sum(not verdict.holds for verdict in verdicts) > 30
    assert {finding.step for verdict in verdicts for finding in verdict.findings} <= set(STEPS)


# The archive and the seal


def sealed(name: str = STANDARD) -> ArchivedCase:
    """With its leaf, as the archivist would seal it."""
    runs = runs_of(name)
    case = case_of(name, runs)
    folded = refold(case.issue, runs)
    verdict = Verdict(case.issue, len(runs), 1, len(folded.events))
    record = build([SealedRun("r", sha(data), 1) for data in case.runs], folded, verdict, code_versions(), now())
    salt = bytes(range(32))
    leaf = Leaf(3, leaf_hash(commitment(salt, canonical(record))), salt, record)
    return ArchivedCase(case.issue, case.runs, leaf, kept=leaf.seal())


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def with_record(case: ArchivedCase, **changed: Any) -> ArchivedCase:
    """The record is changed, and leaf and seal made anew to fit it."""
    assert case.leaf is not None
    assert case.leaf.record is not None
    assert case.leaf.salt is not None
    record = {**case.leaf.record, **changed}
    leaf = Leaf(3, leaf_hash(commitment(case.leaf.salt, canonical(record))), case.leaf.salt, record)
    return ArchivedCase(case.issue, case.runs, leaf, kept=leaf.seal())


async def said(case: ArchivedCase) -> list[str]:
    (verdict,) = await verify([case], commands=False)
    return [str(each).removeprefix(f"{case.issue}: ") for each in verdict.findings]


async def test_a_sealed_case_gives_no_finding() -> None:
    assert await said(sealed()) == []
    assert await said(sealed(LONG)) == []


async def test_a_seal_that_does_not_fit_is_found() -> None:
    case = sealed()
    leaf = case.leaf
    assert leaf is not None
    other = Leaf(3, bytes(32), leaf.salt, leaf.record)
    assert await said(ArchivedCase(case.issue, case.runs, other, kept=other.seal())) == [
        "seal: leaf 3: the leaf is not that of this record"
    ]
    assert await said(ArchivedCase(case.issue, case.runs, leaf)) == ["seal: leaf 3: the archive holds no seal of it"]
    kept = {**leaf.seal(), "salt": "00", "position": 4}
    assert await said(ArchivedCase(case.issue, case.runs, leaf, kept=kept)) == [
        "seal: leaf 3: the seal in the archive is another one: position, salt"
    ]
    assert await said(with_record(case, issue="another")) == ["seal: leaf 3: the record is that of issue another"]


async def test_what_was_sealed_must_follow_from_the_history() -> None:
    case = sealed()
    assert case.leaf is not None
    record = case.leaf.record
    assert record is not None
    assert await said(with_record(case, events={**record["events"], "count": 9})) == [
        "fold: events: the history leads to 8 events, 9 others were sealed"
    ]
    (found,) = await said(with_record(case, replay={**record["replay"], "holds": False}))
    assert found.startswith("commands: record: the replay did not hold when it was archived: ")
    altered = runs_of(STANDARD)
    altered[0][2].task_id += 1
    assert await said(ArchivedCase(case.issue, case_of(STANDARD, altered).runs, case.leaf, kept=case.kept)) == [
        "archive: run 0: the history is not the one that was sealed"
    ]
    assert await said(ArchivedCase(case.issue, (), case.leaf, kept=case.kept, unread=("x is missing",))) == [
        "archive: history: x is missing",
        "archive: history: 0 runs, 1 were sealed",
        "fold: history: there is no run",
    ]


@pytest.mark.parametrize("changed", [{"runs": None}, {"runs": [{}]}, {"events": []}, {"replay": None}, {"events": {}}])
async def test_a_record_of_another_shape_is_a_finding(changed: dict[str, Any]) -> None:
    found = await said(with_record(sealed(), **changed))
    assert found
    assert all(each.startswith(("seal: data: it cannot be read", "archive: history: 1 runs, 0")) for each in found)


async def test_bytes_that_are_no_history_are_a_finding() -> None:
    (verdict,) = await verify([ArchivedCase("golden-standard", (b"\xff\xff",))])
    assert [each.step for each in verdict.findings] == ["archive", "fold"]


@pytest.mark.parametrize("erased", [False, True])
async def test_a_leaf_of_which_nothing_is_left_is_a_finding(*, erased: bool) -> None:
    """Erasing takes nothing away but a key: whoever says so in SQL has not made it so."""
    leaf = sealed().leaf
    assert leaf is not None
    (verdict,) = await verify([ArchivedCase("golden-standard", leaf=Leaf(3, leaf.leaf, None, None), erased=erased)])
    assert [(each.step, each.where) for each in verdict.findings] == [("seal", "leaf 3")]


async def test_what_was_erased_is_still_replayed_strictly() -> None:
    case = sealed()
    (verdict,) = await verify([replace(case, erased=True)])
    assert (verdict.holds, verdict.erased) == (True, True)
    assert verdict.commands > 0
    assert case.leaf is not None
    (verdict,) = await verify([replace(case, leaf=replace(case.leaf, leaf=bytes(32)), erased=True)])
    assert (verdict.holds, verdict.erased) == (False, True)


def test_events_bear_the_servers_time_to_the_microsecond() -> None:
    event = HistoryEvent()
    event.event_time.FromNanoseconds(1_795_528_943_249_980_928)
    assert moment(event).isoformat() == "2026-11-24T14:02:23.249980+00:00"
