"""`temporal workflow terminate`, `reset` and `delete` on an issue: each raises an alarm, which names the issue."""

import asyncio
import contextlib
from pathlib import Path

from audit.reconcile import Reconciler, ReconcileResult
from db.engine import Database
from db.upgrade import upgrade_async
from support.archiving import now
from tests.audit.test_reconcile import SOON, archiving, delete, opened, put_back
from workflows.contract import PREFIX


async def test_row_27_what_is_done_from_outside_raises_an_alarm(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    await upgrade_async(url)
    database = Database(url)
    try:
        async with archiving(tmp_path, database) as held:
            look = Reconciler(held.client, database)
            await opened(held, "untouched", "ended", "put-back", "deleted")
            assert await look.look(now() + SOON) == ReconcileResult(0, 0)
            await held.client.get_workflow_handle(PREFIX + "ended").terminate(reason="nobody shall see")
            await put_back(held.client, "put-back")
            await delete(held.client, "deleted")
            expected = {
                ("ended-from-outside", "ended"), ("reset-from-outside", "put-back"), ("gone-from-temporal", "deleted"),
            }  # fmt: skip
            with contextlib.suppress(TimeoutError):  # Temporal's lists are true a moment later
                async with asyncio.timeout(90):
                    while set(await held.alarms()) != expected:
                        await look.look(now() + SOON)
                        await asyncio.sleep(0.2)
            assert set(await held.alarms()) == expected
    finally:
        await database.close()
