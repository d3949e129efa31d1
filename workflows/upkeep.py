"""Scheduled maintenance over all issues: three workflows of one activity each."""

from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from workflows.contract import RECONCILE, RETAIN, SEAL_DAY

ATTEMPT: Final = timedelta(minutes=10)
RETRY: Final = RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5))
SOON_AGAIN: Final = timedelta(minutes=15)
"""How long a reconciliation may fail before it is given up; the next scheduled run does the same work."""
THE_DAY: Final = timedelta(hours=20)


@workflow.defn(name="Reconcile")
class ReconcileWorkflow:
    """Compares the workflows in Temporal with the database and the archive."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            RECONCILE, start_to_close_timeout=ATTEMPT, schedule_to_close_timeout=SOON_AGAIN, retry_policy=RETRY
        )


@workflow.defn(name="SealDay")
class SealDayWorkflow:
    """Publishes the head of the log for the day; retries until it succeeds."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            SEAL_DAY, start_to_close_timeout=ATTEMPT, schedule_to_close_timeout=THE_DAY, retry_policy=RETRY
        )


@workflow.defn(name="Retain")
class RetainWorkflow:
    """Erases the personal texts that are due for erasure, and returns a report on what it erased."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        return await workflow.execute_activity(
            RETAIN, result_type=dict[str, Any], start_to_close_timeout=THE_DAY, schedule_to_close_timeout=THE_DAY,
            heartbeat_timeout=ATTEMPT, retry_policy=RETRY,
        )  # fmt: skip
