"""Golden histories: today's code must give the same commands and the same events."""

import json
from dataclasses import replace
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory

import domain.milestones
from domain.commands import SIGNALS
from domain.events import EVENTS, load_event
from domain.issue import Issue, dump_issue
from domain.policy import Policy
from domain.rules import evolve
from domain.wire import canonical, load
from domain.worktime import YearCalendar
from support.derived import Derived, HistoryError, derive
from support.golden import HISTORIES, expected, load_runs
from support.scenarios import SCENARIOS

NAMES = sorted(SCENARIOS)

RUNBOOK = """
The code gives other {what} for a history that real runs have recorded, so issues that are open now would break.
- A rule changed? Leave the old one dispatchable under its number in domain.rules.VERSIONS, give the new one the next.
- The order of sleeps and activities changed? Guard it with workflow.patched, and record a new golden history with it.
- Only when no issue anywhere can still be on the old code: `make golden`, and say so in CHANGELOG.md.
"""


async def derived(name: str) -> Derived:
    return await derive(f"golden-{name}", load_runs(name))


@pytest.mark.parametrize("name", NAMES)
async def test_golden_histories_replay_to_the_same_commands_and_events(name: str) -> None:
    now = expected(await derived(name))
    then = json.loads((HISTORIES / f"{name}.json").read_text("utf-8"))
    assert now["commands"] == then["commands"], RUNBOOK.format(what="commands")
    assert now["events"] == then["events"], RUNBOOK.format(what="events")


@pytest.mark.parametrize("name", NAMES)
async def test_events_fold_without_gap(name: str) -> None:
    found = await derived(name)
    assert found.policy is not None
    assert found.calendars is not None
    issue = Issue.new(found.issue, load(Policy, found.policy), [load(YearCalendar, each) for each in found.calendars])
    for event in found.events:
        issue = evolve(issue, load_event(event))
    assert issue.version == len(found.events)
    assert issue.is_closed
    assert canonical(dump_issue(issue))


async def test_every_command_and_event_is_in_a_golden_history() -> None:
    sent: set[str] = set()
    happened: set[str] = set()
    applied: set[str] = set()
    for name in NAMES:
        for event in (await derived(name)).events:
            happened.add(event["kind"])
            if event["kind"] == "refused":
                sent.add(event["data"]["command"])
        for _, command, _, _ in SCENARIOS[name]:
            applied.add(command)
    assert not set(SIGNALS) - applied - sent
    assert not set(EVENTS) - happened


def test_what_the_set_holds() -> None:
    """At least twelve, one with a continue-as-new, one with an outage of the database."""
    assert len(NAMES) >= 12
    runs = {name: load_runs(name) for name in NAMES}
    assert any(len(each) > 1 for each in runs.values())
    failed = [event for event in runs["outage"][0].events if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED]
    assert any(event.marker_recorded_event_attributes.HasField("failure") for event in failed)


def without(history: WorkflowHistory, kind: int) -> WorkflowHistory:
    """A copy of the history whose first event of this kind never was."""
    events = list(history.events)
    gone = next(number for number, event in enumerate(events) if event.event_type == kind)
    kept = History(events=[*events[:gone], *events[gone + 1 :]])
    for number, event in enumerate(kept.events, 1):
        event.event_id = number
    return WorkflowHistory(history.workflow_id, kept.events)


@pytest.mark.parametrize(
    "kind", [EventType.EVENT_TYPE_TIMER_STARTED, EventType.EVENT_TYPE_MARKER_RECORDED, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
)  # fmt: skip
async def test_a_history_of_other_code_must_fail(kind: int) -> None:
    with pytest.raises(HistoryError):
        await derive("golden-standard", [without(load_runs("standard")[0], kind)])


async def test_a_changed_rule_must_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local activities leave no input in the history: only the digest that `record` returned tells."""
    meets: dict[str, Any] = {**domain.milestones.MEETS, "accepted": ()}
    monkeypatch.setattr(domain.milestones, "MEETS", meets)
    with pytest.raises(HistoryError, match="DigestMismatch"):
        await derived("standard")


async def test_a_changed_policy_must_fail() -> None:
    history = load_runs("standard")[0]
    started = history.events[0].workflow_execution_started_event_attributes.input.payloads[0]
    plain = json.loads(started.data)
    plain["policy"]["clause"][0]["limit"] = "11s"
    started.data = json.dumps(plain).encode()
    with pytest.raises(HistoryError):
        await derive("golden-standard", [replace(history)])
