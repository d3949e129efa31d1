"""One resident issue as a durable workflow: it waits, folds and records, and holds no rules."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from domain.advance import advance, follows_from_commands
    from domain.batches import batches
    from domain.clocks import next_deadline, wake_after
    from domain.commands import Command, Report
    from domain.events import chain, dump_event, event_digest
    from domain.issue import dump_issue
    from domain.summary import details, summary
    from domain.wire import dump, truncate
    from workflows.contract import RECORD, Batch, Start
    from workflows.mailbox import ForgedError, beginning, command_of

LOCAL_TIMEOUT: Final = timedelta(milliseconds=300)
ORDINARY_TIMEOUT: Final = timedelta(seconds=10)
RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=5)
)


class LoopDied(RuntimeError):
    """A background loop ended by an error. That fails the workflow's task, which is tried again, never the workflow."""


class DigestMismatch(RuntimeError):
    """The database holds other events than this workflow folded. The task fails until a person repairs it."""


@dataclass
class _Unrecorded:
    """Events waiting to be stored; `repeatable` if a retried workflow task would produce the same events."""

    events: list[dict[str, Any]]
    repeatable: bool


@workflow.defn(name="Issue")
class IssueWorkflow:
    """An issue. Signals have the commands' names and carry ``{id, at, actor, body, expected_version?}``."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        self._inbox: list[Command] = []
        self._root, self._forged = "", ""
        try:
            self._issue, report = beginning(start, is_continued=workflow.info().continued_run_id is not None)
        except ForgedError as error:
            self._forged = str(error)
        else:
            self._root = self._issue.root
            if report is not None:
                assert isinstance(report.body, Report)
                self._root = report.body.root
                self._inbox.append(report)
        self._first_pins = (dict(start.policy), list(start.calendars)) if start.state is None else None
        start.forget()
        self._unrecorded: list[_Unrecorded] = []
        self._armed: list[datetime] = []
        self._fired = False
        self._broken: BaseException | None = None

    @workflow.run
    async def run(self, start: Start) -> dict[str, Any]:
        if self._forged:  # it ends at once, and nothing is recorded
            return {"forged": self._forged}
        recorder = asyncio.create_task(self._record_in_order())
        recorder.add_done_callback(self._supervise)
        if start.state is not None:
            self._show()
        while True:
            self._fold()
            if self._issue.is_closed or workflow.info().is_continue_as_new_suggested():
                # Recording may wait for the database; meanwhile the issue takes commands.
                await self._until(lambda: not self._unrecorded or self._must_fold())
                if not self._unrecorded and not self._must_fold():
                    break
            else:
                await self._until(self._must_fold)
        issue = self._issue
        if issue.is_closed:
            return {"closed": dump(issue.closed), "version": issue.version}
        return workflow.continue_as_new(Start(issue.id, *self._pins(), issue.rules_version, state=dump_issue(issue)))

    @workflow.signal(dynamic=True)
    def take(self, name: str, args: Sequence[RawValue]) -> None:
        """Receives every signal. An unreadable one is recorded, not rejected, since Temporal has acknowledged it."""
        if not self._forged:
            self._inbox.append(self._decode(name, args))

    @workflow.query
    def snapshot(self) -> dict[str, Any]:
        """The whole issue: ``{state, policy, calendars}``, with the effects of all signals acknowledged before.

        `state` is None if the API did not start this workflow, so that there is no issue.
        """
        if self._forged:
            return {"state": None, "policy": {}, "calendars": []}
        policy, calendars = self._pins()
        return {"state": dump_issue(self._issue), "policy": policy, "calendars": calendars}

    @workflow.query
    def receipt(self, command: str) -> dict[str, Any] | None:
        """The receipt of a command: ``{digest, outcome, seq, code?, reason?}``; None if the issue has none."""
        found = None if self._forged else self._issue.receipts.get(command)
        return None if found is None else dump(found)

    def _decode(self, name: str, args: Sequence[RawValue]) -> Command:
        converter = workflow.payload_converter()

        def read(payload: Payload) -> dict[str, Any]:
            return converter.from_payload(payload, dict[str, Any])

        payloads = [arg.payload for arg in args]
        return command_of(name, payloads, truncate(workflow.now()), read, self._issue.id, self._root)

    def _pins(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return dump(self._issue.policy), dump(self._issue.calendars)

    def _must_fold(self) -> bool:
        return bool(self._inbox) or self._fired

    def _fold(self) -> None:
        """Folds the inbox and every passed deadline, queues the events, and arms the next timer."""
        inbox, self._inbox = self._inbox, []
        self._fired = False
        now = truncate(workflow.now())
        self._issue, events = advance(self._issue, inbox, now)
        if events:
            repeatable = follows_from_commands(inbox, events, now)
            self._unrecorded += [_Unrecorded(part, repeatable) for part in batches(map(dump_event, events))]
            self._show()
        self._arm(now)

    def _show(self) -> None:
        """Sets the details in Temporal's UI; they repeat the summary, which a continue-as-new does not carry over."""
        workflow.set_current_details(f"{summary(self._issue)}\n\n{details(self._issue)}")

    def _arm(self, now: datetime) -> None:
        """Starts a timer for the next deadline, unless a running timer fires before it.

        A timer that fires lets the workflow fold, and compute its next deadline again.
        """
        deadline = next_deadline(self._issue, now)
        if deadline is None:
            return
        wake = deadline.at + wake_after(self._issue, deadline)
        if self._armed and min(self._armed) <= wake:
            return
        self._armed.append(wake)
        asyncio.create_task(self._sleep(wake, max(wake - now, timedelta()), deadline.clause)).add_done_callback(
            self._supervise
        )

    async def _sleep(self, wake: datetime, duration: timedelta, clause: str) -> None:
        await workflow.sleep(duration, summary=clause)
        self._armed.remove(wake)
        self._fired = True

    async def _record_in_order(self) -> None:
        while True:
            await workflow.wait_condition(lambda: bool(self._unrecorded))
            part = self._unrecorded[0]
            # Those of the start: when the first event is recorded at last, others may have been pinned since.
            pins = self._first_pins or (None, None)
            stored = await self._record(Batch(self._issue.id, part.events, *pins), part.repeatable)
            if stored != chain(event_digest(event) for event in part.events):
                raise DigestMismatch(f"issue {self._issue.id} from event {part.events[0]['seq']}")
            self._unrecorded.pop(0)
            self._first_pins = None

    async def _record(self, batch: Batch, repeatable: bool) -> str:
        """Stores a batch of events, by a local activity if they are repeatable.

        A local activity runs before its workflow task is committed, so a retried task must produce the same events.
        """
        # The same JSON as for the dataclass, which Temporal would copy value by value: slower than the fold.
        plain = vars(batch)
        if repeatable:
            try:
                return await workflow.execute_local_activity(
                    RECORD, plain, result_type=str, start_to_close_timeout=LOCAL_TIMEOUT,
                    retry_policy=RetryPolicy(maximum_attempts=1),
                )  # fmt: skip
            except FailureError:
                # It failed or timed out (no ActivityError here): the ordinary activity retries.
                pass
        return await workflow.execute_activity(
            RECORD, plain, result_type=str, start_to_close_timeout=ORDINARY_TIMEOUT, retry_policy=RETRY
        )

    def _supervise(self, task: "asyncio.Task[None]") -> None:
        """Keeps the error of a loop that died, for `_until` to raise."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error

    async def _until(self, ready: Callable[[], bool]) -> None:
        await workflow.wait_condition(lambda: self._broken is not None or ready())
        if self._broken is not None:
            raise LoopDied(f"{type(self._broken).__name__}: {self._broken}") from self._broken
