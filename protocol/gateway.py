"""Calls Temporal to start, signal and query the workflows of issues. No rules are applied here.

Every call has a time limit. Errors of the SDK become `NoWorker`, `WorkflowClosed` or `TemporalDown`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import HistoryEventFilterType
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest, QueryWorkflowRequest
from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.issue import Issue, load_issue
from domain.pins import read_calendars, read_policy
from domain.policy import Policy
from domain.summary import escape, summary
from domain.wire import dump
from domain.worktime import YearCalendar
from protocol.envelope import Envelope
from runtime.causes import AWAY, cause_of
from runtime.executions import Execution, described
from runtime.failpoints import hit
from security.credentials import Signer
from security.namespace import NamespaceError
from texts.vocabulary import CHINESE
from workflows.contract import PREFIX, TASK_QUEUE, Start
from workflows.signals import signal

log: Final = structlog.stdlib.get_logger(__name__)

WORKFLOW: Final = "Issue"
START_TIMEOUT: Final = timedelta(seconds=3)
_MOST_PINS: Final = 256


class NoWorker(Exception):
    """No worker answered a query of the workflow in time, though Temporal itself answers."""


class WorkflowClosed(Exception):
    """There is no such workflow, or it has ended and takes no more signals."""


class TemporalDown(Exception):
    """Temporal does not answer, or cannot store; whether the call had an effect is not known."""

    def __init__(self, call: str = "", cause: str = AWAY) -> None:
        super().__init__(call)
        self.cause: Final = cause


@dataclass(frozen=True)
class Pins:
    """The policy and calendars under which an issue runs."""

    policy: Policy
    calendars: tuple[YearCalendar, ...]


class TemporalGateway:
    """Starts, signals and queries the workflows of issues."""

    def __init__(self, client: Client, signer: Signer, known: Callable[[], str] = lambda: AWAY) -> None:
        """`known`: why Temporal takes nothing, as far as this process knows; a call that fails seldom tells it."""
        self._client = client
        self._signer = signer
        self._known = known
        self._pins: dict[str, Pins] = {}

    async def start(self, report: Envelope, folded: Issue, pins: Pins) -> bool:
        """Starts the workflow of an issue, unless it runs already; False if the workflow has run and ended before.

        `folded` is the state of the issue after its report. Raises TemporalDown, and CredentialsError if the report
        cannot be signed.
        """
        hit("before-start")
        signed = self._signer.sign(folded.root, folded.id, report.command.name, report.plain)
        first = Start(folded.id, dump(pins.policy), dump(pins.calendars), folded.rules_version, signed)
        try:
            async with asyncio.timeout(START_TIMEOUT.total_seconds()):
                await self._client.start_workflow(
                    WORKFLOW,
                    first,
                    id=PREFIX + folded.id,
                    task_queue=TASK_QUEUE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=_attributes(folded),
                    priority=Priority(priority_key=1 if folded.urgent else 3, fairness_key=folded.place.community[:64]),
                    static_summary=summary(folded),
                    static_details=_details(folded),
                    rpc_timeout=START_TIMEOUT,
                )
        except WorkflowAlreadyStartedError:
            return False
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise self._unreachable("start", error) from error
        hit("after-start")
        return True

    async def signal(self, issue: str, root: str, envelope: Envelope, timeout: timedelta) -> None:
        """Signs a command and signals it to the workflow of the issue; once this returns, the command is durable.

        `root` is the root of trust (a public key) that the issue pinned at its report: the key that signs must have a
        certificate by it. Raises WorkflowClosed or TemporalDown, CredentialsError without such a certificate.
        """
        hit("before-signal")
        name = envelope.command.name
        signed = self._signer.sign(root, issue, name, envelope.plain)
        try:
            await signal(self._client, issue, name, signed, timeout)
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                raise WorkflowClosed from None
            raise self._unreachable("signal", error) from error
        hit("after-signal")

    async def snapshot(self, issue: str, timeout: float = 0.9) -> Issue | None:
        """The issue as its workflow knows it, after all signals that Temporal took so far; None without a workflow.

        Raises NoWorker or TemporalDown.
        """
        found = await self._query(issue, "snapshot", timeout)
        if found is None or found["state"] is None:  # the latter was not started by the API
            return None
        pins = self._pinned(found["state"], found["policy"], found["calendars"])
        return load_issue(found["state"], pins.policy, pins.calendars)

    async def beginning(self, issue: str, timeout: float = 0.9) -> tuple[Start, bool] | None:
        """The input of the current run of a workflow, and whether that run continues an earlier run.

        None if there is no such workflow. No worker is needed. Raises TemporalDown.
        """
        request = GetWorkflowExecutionHistoryRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=PREFIX + issue),
            maximum_page_size=1,
            history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT,
        )
        try:
            answer = await self._client.workflow_service.get_workflow_execution_history(
                request, timeout=timedelta(seconds=timeout)
            )
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise self._unreachable("history", error) from error
        started = answer.history.events[0].workflow_execution_started_event_attributes
        try:
            start, *_ = await self._client.data_converter.decode(started.input.payloads, [Start])
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            start = error
        if not isinstance(start, Start):
            # Encrypted with a key that this process does not have yet, or started by somebody else with any input. It
            # must not look like a missing issue: a report under its id would be answered as taken in.
            log.warning("beginning_not_understood", issue=issue, error=type(start).__name__)
            raise TemporalDown("history")
        return start, bool(started.continued_execution_run_id)

    async def newest_run(self, issue: str, timeout: float = 0.9) -> Execution | None:
        """The newest run of the issue's workflow as Temporal describes it; None without one. Raises TemporalDown."""
        try:
            async with asyncio.timeout(timeout):
                return await described(self._client, PREFIX + issue)
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise self._unreachable("describe", error) from error

    async def _query(self, issue: str, name: str, timeout: float) -> Any:
        request = QueryWorkflowRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=PREFIX + issue),
            query=WorkflowQuery(query_type=name),
        )
        try:
            async with asyncio.timeout(timeout + 0.1):
                answer = await self._client.workflow_service.query_workflow(request, timeout=timedelta(seconds=timeout))
        except (RPCError, RuntimeError, TimeoutError) as error:
            match error:
                case RPCError(status=RPCStatusCode.NOT_FOUND):
                    return None
                case RPCError(status=RPCStatusCode.UNAVAILABLE | RPCStatusCode.PERMISSION_DENIED) | RuntimeError():
                    raise self._unreachable("query", error) from error
                case _:
                    # No worker polls, or the one that does is too busy; a query that fails inside looks like it, too.
                    log.info("workflow_silent", query=name, error=str(error)[:200])
                    raise NoWorker from error
        if answer.HasField("query_rejected"):  # a paused workflow answers none
            log.info("workflow_silent", query=name, error=f"query rejected, status {answer.query_rejected.status}")
            raise NoWorker
        try:
            values = await self._client.data_converter.decode(answer.query_result.payloads)
        except NamespaceError as error:
            # The answer is encrypted with a key that this process does not have yet.
            log.warning("workflow_not_understood", query=name, error=str(error))
            raise NoWorker from error
        return values[0]

    def _unreachable(self, call: str, error: Exception) -> TemporalDown:
        cause = cause_of(error)
        cause = self._known() if cause == AWAY else cause
        log.warning("temporal_fails", call=call, cause=cause, error=type(error).__name__, reason=str(error)[:200])
        return TemporalDown(call, cause)

    def _pinned(
        self, state: Mapping[str, Any], policy: Mapping[str, Any], calendars: Sequence[Mapping[str, Any]]
    ) -> Pins:
        """Decodes the policy and calendars of a snapshot; cached under the digests that its state names.

        Whether the policy and calendars have these digests is checked afterwards, by `load_issue`.
        """
        key = f"{state['policy']['digest']} {state['calendars']}"
        if key not in self._pins:
            if len(self._pins) >= _MOST_PINS:
                self._pins.clear()
            self._pins[key] = read_pins(policy, calendars)
        return self._pins[key]


def read_pins(policy: Mapping[str, Any], calendars: Sequence[Mapping[str, Any]]) -> Pins:
    return Pins(read_policy(policy), read_calendars(calendars))


def _attributes(issue: Issue) -> TypedSearchAttributes:
    """The search attributes of an issue's workflow, by which operators find it in Temporal.

    Search attributes are never encrypted, so they hold places and codes only.
    """
    words = {
        "JiesuCompound": issue.place.compound,
        "JiesuCommunity": issue.place.community,
        "JiesuStreet": issue.place.street,
        "JiesuCategory": issue.category,
        "JiesuPolicy": issue.policy.id,
    }
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in words.items()
    ]
    pairs.append(SearchAttributePair(SearchAttributeKey.for_bool("JiesuUrgent"), issue.urgent))
    return TypedSearchAttributes(pairs)


def _details(issue: Issue) -> str:
    """The text about an issue that Temporal's user interface shows: only facts that never change."""
    place = issue.place
    lines = (
        f"category: {issue.category} {CHINESE[issue.category]}",
        f"compound: {place.compound} {place.name}",
        f"community: {place.community}, street: {place.street}",
        f"policy at the start: {issue.policy.id} {issue.policy.version}",
    )
    return "\n\n".join(map(escape, lines))
