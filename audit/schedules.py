"""The Temporal schedules that start the upkeep workflows. Each start of a worker creates or updates them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from workflows.contract import TASK_QUEUE

RECONCILE: Final = "reconcile"
SEAL_DAY: Final = "seal-day"
RETAIN: Final = "retain"

log: Final = structlog.stdlib.get_logger(__name__)


def _schedule(name: str, workflow: str, spec: ScheduleSpec, catch_up: timedelta) -> Schedule:
    action = ScheduleActionStartWorkflow(workflow, id=name, task_queue=TASK_QUEUE)
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=catch_up)
    return Schedule(action=action, spec=spec, policy=policy)


def _daily(hour: int, minute: int) -> ScheduleSpec:
    at = ScheduleCalendarSpec(hour=[ScheduleRange(hour)], minute=[ScheduleRange(minute)])
    return ScheduleSpec(calendars=[at], time_zone_name="Asia/Shanghai")


_EVERY_TEN_MINUTES: Final = ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(minutes=10))])
SCHEDULES: Final[Mapping[str, Schedule]] = {
    RECONCILE: _schedule(RECONCILE, "Reconcile", _EVERY_TEN_MINUTES, timedelta(hours=1)),
    # After an outage of Temporal one missed day is made up: a head covers all that the heads before it would have.
    SEAL_DAY: _schedule(SEAL_DAY, "SealDay", _daily(0, 5), timedelta(days=3)),
    RETAIN: _schedule(RETAIN, "Retain", _daily(3, 30), timedelta(days=1)),
}


async def keep_schedules(client: Client) -> None:
    """Creates the schedules that are missing and updates those that exist; paused schedules stay paused. Raises
    RPCError.
    """
    for name, schedule in SCHEDULES.items():
        try:
            await client.create_schedule(name, schedule)
            log.info("schedule.made", schedule=name)
        except ScheduleAlreadyRunningError:
            await _update(client, name, schedule)


async def _update(client: Client, name: str, wanted: Schedule) -> None:
    def anew(found: ScheduleUpdateInput) -> ScheduleUpdate:
        state = found.description.schedule.state
        if state.paused:
            log.warning("schedule.paused", schedule=name)
        return ScheduleUpdate(Schedule(action=wanted.action, spec=wanted.spec, policy=wanted.policy, state=state))

    try:
        await client.get_schedule_handle(name).update(anew)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:  # deleted at this moment: the next start creates it
            raise
