"""The events of an issue, derived again from its Temporal history by running the workflow's own code over it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import (
    Interceptor,
    Replayer,
    StartActivityInput,
    StartLocalActivityInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityHandle

from activities.contract import RECORD, Batch
from workflows.issue import IssueWorkflow

PREFIX: Final = "issue-"


class HistoryError(RuntimeError):
    """A history cannot be replayed by this code; the message names the issue and the reason."""


@dataclass
class Derived:
    """What the histories of one issue (its runs, in order) say: events as `dump_event` gives them, and the pins."""

    issue: str
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    policy: dict[str, Any] | None = None
    calendars: list[dict[str, Any]] | None = None

    def take(self, batch: Batch) -> None:
        """A batch may be seen twice, first as local and then as ordinary activity."""
        known = len(self.events)
        self.events += [event for event in batch.events if event["seq"] > known]
        self.policy = self.policy or batch.policy
        self.calendars = self.calendars or batch.calendars


class _Capture(Interceptor):
    """Hands every batch that the workflow code records during a replay to `derived`."""

    def __init__(self, derived: Derived) -> None:
        self._derived = derived

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        derived = self._derived

        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
                _take(derived, input.activity, input.args)
                return super().start_activity(input)

            def start_local_activity(self, input: StartLocalActivityInput) -> ActivityHandle[Any]:
                _take(derived, input.activity, input.args)
                return super().start_local_activity(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

        return Inbound


def _take(derived: Derived, activity: str, args: Sequence[Any]) -> None:
    if activity == RECORD and isinstance(args[0], Batch):
        derived.take(args[0])


async def derive(issue: str, runs: Sequence[WorkflowHistory]) -> Derived:
    """The events that the runs of one issue lead to. Raises HistoryError if the code does not fit a history."""
    derived = Derived(issue)
    replayer = Replayer(
        workflows=[IssueWorkflow],
        # Nothing but our own code runs here, and the sandbox would double the time.
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[_Capture(derived)],
    )
    for run in runs:
        result = await replayer.replay_workflow(run, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            raise HistoryError(f"issue {issue}: {result.replay_failure}")
    return derived


async def runs_of(client: Client, issue: str) -> list[WorkflowHistory]:
    """The histories of an issue's runs, the oldest first."""
    runs: list[WorkflowHistory] = []
    run_id: str | None = None
    while True:
        handle = client.get_workflow_handle(PREFIX + issue, run_id=run_id)
        history = await handle.fetch_history()
        runs.insert(0, history)
        first = history.events[0]
        if first.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            raise HistoryError(f"issue {issue}: the history does not begin with its start")
        run_id = first.workflow_execution_started_event_attributes.continued_execution_run_id or None
        if run_id is None:
            return runs


async def issues_of(client: Client, among: str = "") -> AsyncIterator[str]:
    """The ids of every issue that Temporal still knows, each once; `among` is a further visibility condition."""
    seen: set[str] = set()
    async for execution in client.list_workflows('WorkflowType="Issue"' + (f" AND {among}" if among else "")):
        issue = execution.id.removeprefix(PREFIX)
        if issue not in seen:
            seen.add(issue)
            yield issue
