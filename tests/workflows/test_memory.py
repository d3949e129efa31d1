"""What a worker keeps of an open issue."""

import pytest
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

import workflows.issue
from domain.issue import Issue
from runtime.settings import WORKER_MIB
from support.golden import load_runs
from worker import QuickRunner, cached
from workflows.contract import Start
from workflows.issue import IssueWorkflow


class Watched(UnsandboxedWorkflowRunner):
    """Keeps the instances that it makes."""

    def __init__(self) -> None:
        self.made: list[WorkflowInstance] = []

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        self.made.append(super().create_instance(det))
        return self.made[-1]


async def test_what_an_issue_has_pinned_is_not_kept_twice() -> None:
    """The SDK keeps the input of a workflow: it must not hold the plain bodies beside the decoded ones."""
    runner = Watched()
    replayer = Replayer(workflows=[IssueWorkflow], workflow_runner=runner, build_id="test")
    runs = load_runs("again")
    for run in runs:
        await replayer.replay_workflow(run)
    kept = [instance._workflow_input.args[0] for instance in runner.made]
    assert len(kept) == len(runs) > 1
    assert all(isinstance(each, Start) and each.issue for each in kept)
    assert all(not (each.policy or each.calendars or each.report or each.state) for each in kept)


async def test_the_sandbox_loads_the_shell_for_no_workflow_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def summary(issue: Issue) -> str:
        shown.append(issue.id)
        return ""

    monkeypatch.setattr(workflows.issue, "summary", summary)
    replayer = Replayer(workflows=[IssueWorkflow], workflow_runner=QuickRunner(), build_id="test")
    await replayer.replay_workflow(load_runs("standard")[0])
    assert "golden-standard" in shown  # a worker of other tests may show more in this process


def test_the_cache_is_bounded_by_memory() -> None:
    assert cached(WORKER_MIB) == 1820
    assert cached(64) == 455
