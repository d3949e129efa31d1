"""What is done by the clock for all issues together: three workflows, each of one activity, started by schedules."""

from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from workflows.contract import RECONCILE, RETAIN, SEAL_DAY

ATTEMPT: Final = timedelta(minutes=10)
RETRY: Final = RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5))
SOON_AGAIN: Final = timedelta(minutes=15)
"""A look that fails for longer is given up: the next one makes up for it."""
THE_DAY: Final = timedelta(hours=20)


@workflow.defn(name="Reconcile")
class ReconcileWorkflow:
    """One look at what Temporal holds."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            RECONCILE, start_to_close_timeout=ATTEMPT, schedule_to_close_timeout=SOON_AGAIN, retry_policy=RETRY
        )


@workflow.defn(name="SealDay")
class SealDayWorkflow:
    """The day's head of the log, as soon as it can be had."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            SEAL_DAY, start_to_close_timeout=ATTEMPT, schedule_to_close_timeout=THE_DAY, retry_policy=RETRY
        )


@workflow.defn(name="Retain")
class RetainWorkflow:
    """What is due to be erased; its result is the report."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        return await workflow.execute_activity(
            RETAIN, result_type=dict[str, Any], start_to_close_timeout=THE_DAY, schedule_to_close_timeout=THE_DAY,
            heartbeat_timeout=ATTEMPT, retry_policy=RETRY,
        )  # fmt: skip
