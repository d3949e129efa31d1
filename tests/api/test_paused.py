"""An issue whose workflow somebody paused in Temporal is read as before, and what is sent to it waits: no answer is 500."""

import asyncio
import uuid
from pathlib import Path

from audit.holdings import Holdings
from audit.service import AuditService
from support.system import System
from support.temporal import dev_server
from tests.audit.test_outside import PAUSABLE, pause, unpause


async def test_a_paused_workflow_is_answered_for(tmp_path: Path) -> None:
    async with dev_server(tmp_path, PAUSABLE) as temporal, System(tmp_path, temporal) as system:
        key = str(uuid.uuid4())
        taken = await system.report(key=key)
        issue, code = taken["id"], {"X-Tracking-Code": taken["tracking_code"]}
        path = f"/v1/issues/{issue}"
        await system.until(f"{path}/timeline", code, lambda body: len(body["events"]) == 2)
        await pause(temporal, issue)

        given = await system.send(issue, "accept", system.staff)
        assert (given.status, given["outcome"]) == (202, "queued")
        assert (await system.get(f"/v1/commands/{given['command_id']}", system.staff))["outcome"] == "queued"
        assert (await system.get(path, code))["version"] == 2
        assert (await system.report(key=key))["tracking_code"] == taken["tracking_code"]
        async with system.without_sql():  # now its workflow is asked, and tells nothing
            assert (await system.get(path, code)).status == 503
            assert (await system.send(issue, "comment", system.staff, text="?")).status == 202
            assert (await system.report(key=key))["tracking_code"] == taken["tracking_code"]

        await unpause(temporal, issue)
        read = await system.until(path, code, lambda body: body["status"] == "accepted")
        assert read["version"] >= 3

        # What was paused is sealed and replays like any other.
        assert (await system.give(issue, "withdraw", code, reason="好了")).status == 200
        auditor = AuditService(Holdings(system.database, system.archive), system.heads)
        async with asyncio.timeout(90):
            while (await auditor.holdings.case(issue)).leaf is None:
                await asyncio.sleep(0.2)
        verdict = await auditor.verdict(issue)
        assert (verdict.findings, verdict.commands > 0) == ((), True)
