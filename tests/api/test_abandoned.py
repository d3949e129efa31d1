"""An issue whose workflow somebody deleted or ended: its callers learn that nobody acts on it, and the operators do."""

import asyncio

from sqlalchemy import select

from db.tables import AlarmRow
from runtime.executions import described
from support.again import something_is_away
from support.system import System
from tests.audit.test_reconcile import delete
from workflows.contract import PREFIX

SAID = "nobody acts on this issue any more; the operators were told"


async def alarms(system: System, issue: str) -> list[tuple[str, dict[str, str]]]:
    async with system.database.read() as session:
        rows = await session.scalars(select(AlarmRow).where(AlarmRow.issue == issue))
        return [(row.kind, row.detail) for row in rows]


async def reported(system: System) -> tuple[str, dict[str, str]]:
    taken = await system.report()
    code = {"X-Tracking-Code": taken["tracking_code"]}
    await system.until(f"/v1/issues/{taken['id']}/timeline", code, lambda body: len(body["events"]) == 2)
    return taken["id"], code


async def test_a_deleted_workflow_is_said_to_whoever_writes_to_its_issue_and_to_the_operators(system: System):
    issue, code = await reported(system)
    await delete(system.temporal, issue)
    async with asyncio.timeout(90):
        while await described(system.temporal, PREFIX + issue) is not None:
            await asyncio.sleep(0.1)  # Temporal deletes a moment later
    with something_is_away():
        given = await system.send(issue, "accept", system.staff)
        assert (given.status, given["detail"]) == (503, SAID)
        again = await system.send(issue, "comment", code, text="还在漏")
        assert (again.status, again["detail"]) == (503, SAID)
    assert await alarms(system, issue) == [("gone-from-temporal", {})]
    assert (await system.get(f"/v1/issues/{issue}", code))["status"] == "dispatched"


async def test_a_terminated_workflow_is_said_as_well(system: System):
    issue, _ = await reported(system)
    handle = system.temporal.get_workflow_handle(PREFIX + issue)
    run = (await handle.describe()).run_id
    await handle.terminate(reason="x")
    with something_is_away():
        given = await system.send(issue, "accept", system.staff)
    assert (given.status, given["detail"]) == (503, SAID)
    assert await alarms(system, issue) == [("ended-from-outside", {"run": run, "status": "terminated"})]


async def test_a_closed_issue_is_refused_by_its_rules_and_alarms_nobody(system: System):
    issue, code = await reported(system)
    await system.give(issue, "withdraw", code)
    given = await system.send(issue, "accept", system.staff)
    assert (given.status, given["code"]) == (409, "closed")
    assert await alarms(system, issue) == []
