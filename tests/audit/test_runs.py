"""What an issue's runs fold to follows from their input; the result, which nobody signs, changes nothing."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from audit.archive import Archive
from audit.holdings import Holdings
from audit.invariants import check_events
from audit.rebuild import rebuild
from audit.refold import ForgedStartError, refold
from audit.runs import WorkflowRun, fold_runs
from audit.service import AuditService
from db.engine import Database
from domain.wire import truncate
from support.golden import HISTORIES, load_runs

ISSUE = "golden-standard"
EXPECTED = json.loads((HISTORIES / "standard.json").read_text("utf-8"))["events"]
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


def result_of(run: WorkflowRun) -> Any:
    last = run.events[-1]
    assert last.event_type == COMPLETED
    return last.workflow_execution_completed_event_attributes.result


def with_data(data: bytes, encoding: bytes = b"json/plain") -> Callable[[WorkflowRun], None]:
    def alter(run: WorkflowRun) -> None:
        (payload,) = result_of(run).payloads
        payload.data = data
        payload.metadata["encoding"] = encoding

    return alter


RESULTS = {
    "untouched": lambda run: None,
    "a refusal": with_data(b'{"forged": "x"}'),
    "an empty payload": with_data(b""),
    "a binary null": with_data(b"", b"binary/null"),
    "bytes": with_data(b"\xff\x00{", b"binary/plain"),
    "the JSON null": with_data(b"null"),
    "a number": with_data(b"1"),
    "no payload": lambda run: result_of(run).ClearField("payloads"),
}


def genuine() -> WorkflowRun:
    (run,) = load_runs("standard")
    return WorkflowRun("run-0", list(run.events))


@pytest.fixture(params=RESULTS)
def altered(request: pytest.FixtureRequest) -> WorkflowRun:
    """A genuine run whose result was altered."""
    run = genuine()
    RESULTS[request.param](run)
    return run


@pytest.fixture
def temporal(altered: WorkflowRun, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Stands for a server that holds this run alone."""

    async def issues(*_: object) -> AsyncIterator[str]:
        yield ISSUE

    async def runs(*_: object) -> list[WorkflowRun]:
        return [altered]

    monkeypatch.setattr("audit.rebuild.issues_of", issues)
    for module in ("rebuild", "service"):
        monkeypatch.setattr(f"audit.{module}.runs_of", runs)
    return cast("Client", object())


def put_report(run: WorkflowRun, **changed: Any) -> None:
    """Alters what was reported, without signing it anew."""
    (payload,) = run.events[0].workflow_execution_started_event_attributes.input.payloads
    start = json.loads(payload.data)
    start["report"]["body"].update(changed)
    payload.data = json.dumps(start).encode()


def refused(result: dict[str, Any]) -> WorkflowRun:
    """A run with a forged start, which the workflow refused at its first task."""
    run = genuine()
    put_report(run, description="nobody reported this")
    end = HistoryEvent(event_id=5, event_type=COMPLETED, event_time=run.events[3].event_time)
    end.workflow_execution_completed_event_attributes.result.payloads.add(data=json.dumps(result).encode())
    kinds = [event.event_type for event in run.events[:4]]
    assert kinds[-1] == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    return WorkflowRun(run.id, [*run.events[:4], end])


def test_an_altered_result_does_not_change_the_fold(altered: WorkflowRun) -> None:
    folded = fold_runs(ISSUE, [altered])
    assert folded is not None
    assert [each.plain for each in folded.written] == EXPECTED
    assert folded.events == refold(ISSUE, [altered.events]).events
    assert check_events(ISSUE, folded.events, set(), folded.events[-1].at - folded.events[0].at) == []


async def test_an_altered_result_hides_no_issue_from_rebuild_and_difference(
    temporal: Client, database: Database, tmp_path: Path
) -> None:
    now = truncate(datetime.now(UTC))
    report = await rebuild(temporal, database, now)
    assert (report.issues, report.unread, len(report.differences)) == (1, 0, len(EXPECTED))
    assert (await rebuild(temporal, database, now)).differences == []

    service = AuditService(Holdings(database, Archive(tmp_path.as_uri())), tmp_path, temporal)
    found = await service.difference(ISSUE)
    assert found.witnesses == ("temporal", "sql")
    assert found.same, found.plain()
    assert len(found.lines) == len(EXPECTED)


@pytest.mark.parametrize("result", [{"forged": "x"}, {}, {"status": "closed"}])
def test_a_refused_start_records_nothing_whatever_its_result(result: dict[str, Any]) -> None:
    run = refused(result)
    assert fold_runs(ISSUE, [run]) is None
    with pytest.raises(ForgedStartError, match="run 0, event 1: ForgedError: the report is not taken"):
        refold(ISSUE, [run.events])


def test_a_start_altered_later_does_not_pass_for_a_refused_one(altered: WorkflowRun) -> None:
    """Else the issue would be dropped without a word: its workflow did record events."""
    put_report(altered, description="nobody reported this")
    with pytest.raises(ForgedStartError):
        fold_runs(ISSUE, [altered])
