"""Derives the events of an issue's history by running the workflow's own code over it: a second reading beside
`audit.refold`, for comparison in tests.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

from audit import runs
from audit.replay import why_unreplayable
from workflows.contract import PREFIX, RECORD
from workflows.issue import IssueWorkflow

_TIMEOUTS: Final = ("start_to_fire_timeout", "start_to_close_timeout", "schedule_to_close_timeout")


class HistoryError(RuntimeError):
    """A history cannot be replayed by this code; the message names the issue and the reason."""


@dataclass
class Derived:
    """What the histories of one issue (its runs, in order) say.

    `commands` are those that the code gives to Temporal, as plain values; `events` as `dump_event` gives them, of
    which the first `recorded` are known to be stored: the others are on their way.
    """

    issue: str
    commands: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    policy: dict[str, Any] | None = None
    calendars: list[dict[str, Any]] | None = None
    recorded: int = 0
    _recording: int = 0

    def hear(self, jobs: Iterable[WorkflowActivationJob]) -> None:
        """Notes that the batch on its way was stored; there is one at a time."""
        for job in jobs:
            if job.HasField("resolve_activity") and job.resolve_activity.result.HasField("completed"):
                self.recorded = self._recording

    def take(self, commands: Iterable[WorkflowCommand]) -> None:
        """Notes the commands; a batch of events may be among them twice, first for a local activity."""
        for command in commands:
            plain = plain_command(command)
            self.commands.append(plain)
            if plain.get("activity") == RECORD and plain["kind"].startswith("schedule"):
                batch = plain["arguments"][0]
                known = len(self.events)
                self.events += [event for event in batch["events"] if event["seq"] > known]
                self._recording = batch["events"][-1]["seq"]
                if self.policy is None:
                    self.policy, self.calendars = batch.get("policy"), batch.get("calendars")


def plain_command(command: WorkflowCommand) -> dict[str, Any]:
    """The command as ``{kind, activity?, arguments?, result?, ...timeouts in ms}``; never the task queue."""
    kind = command.WhichOneof("variant") or "none"
    detail: Message = getattr(command, kind)
    plain: dict[str, Any] = {"kind": kind}
    for descriptor, value in detail.ListFields():
        name = descriptor.name
        if name in _TIMEOUTS:
            plain[name] = value.ToMilliseconds()
        elif name == "activity_type":
            plain["activity"] = value
        elif name == "arguments":
            plain[name] = [_plain(payload) for payload in value]
        elif name == "result":
            plain[name] = _plain(value)
        elif name == "patch_id":
            plain[name] = value
    return plain


def _plain(payload: Payload) -> Any:
    return json.loads(payload.data) if payload.data else None


class _Capturing(UnsandboxedWorkflowRunner):
    """Runs workflow code as it is; hands on what it hears and what it commands."""

    def __init__(self, derived: Derived) -> None:
        self._derived = derived

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        activate = instance.activate

        def capturing(act: WorkflowActivation) -> WorkflowActivationCompletion:
            self._derived.hear(act.jobs)
            completion = activate(act)
            self._derived.take(completion.successful.commands)
            return completion

        instance.activate = capturing
        return instance


async def derive(issue: str, histories: Sequence[WorkflowHistory]) -> Derived:
    """What the runs of one issue lead to. Raises HistoryError if the code does not fit a history."""
    derived = Derived(issue)
    replayer = Replayer(workflows=[IssueWorkflow], workflow_runner=_Capturing(derived))
    for history in histories:
        if (why := why_unreplayable(history.events)) is not None:
            raise HistoryError(f"issue {issue}: it cannot be replayed: {why}")
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            raise HistoryError(f"issue {issue}: {result.replay_failure}")
    return derived


async def runs_of(client: Client, issue: str) -> list[WorkflowHistory]:
    """The histories of an issue's runs, decrypted, the oldest first."""
    return [WorkflowHistory(PREFIX + issue, run.events) for run in await runs.runs_of(client, issue)]
