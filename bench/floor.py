"""The floor: workflows that do only what Temporal requires."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    # By its full name: taken from the package it would be loaded anew for each workflow, and its marks lost.
    import bench.marks

QUEUE: Final = "bench-floor"
SIGNALS: Final = 4
"""The number of signals after which a bare workflow ends: that of the commands after the report of a standard issue."""


@workflow.defn
class Bare:
    """Takes four signals and ends."""

    @workflow.init
    def __init__(self, report: dict[str, Any]) -> None:
        self._seen: list[str] = []

    @workflow.run
    async def run(self, report: dict[str, Any]) -> int:
        await workflow.wait_condition(lambda: len(self._seen) >= SIGNALS)
        return len(self._seen)

    @workflow.signal(dynamic=True)
    def take(self, name: str, args: Sequence[RawValue]) -> None:
        self._seen.append(name)

    @workflow.query
    def seen(self) -> list[str]:
        return self._seen


@workflow.defn
class BareTimer:
    """Sleeps until a moment, writes a mark, and stays open, as an issue does after a climb."""

    @workflow.run
    async def run(self, until: float) -> None:
        await workflow.sleep(timedelta(seconds=max(0.0, until - workflow.now().timestamp())))
        if not workflow.unsafe.is_replaying():
            bench.marks.put(workflow.info().workflow_id)
        await workflow.sleep(timedelta(days=1))
