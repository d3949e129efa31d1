"""The end of every fault test: the system comes to rest, and the invariant checker finds nothing."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from audit.invariants import Acknowledged, check
from db.engine import Database

QUIET = 120.0
"""Seconds that a system may take to catch up: after a crash Temporal shows signals late."""


async def holds(
    client: Client,
    database: Database,
    acknowledged: Iterable[Acknowledged],
    bound: timedelta,
    patience: float = QUIET,
) -> None:
    """Fails with every violation that is still there when the system has had time to come to rest."""
    promised = list(acknowledged)
    deadline = now() + timedelta(seconds=patience)
    while True:
        found = await check(client, database, promised, now=now(), bound=bound)
        if not found:
            return
        assert now() < deadline, "\n".join(map(str, found))
        await asyncio.sleep(1)


def now() -> datetime:
    return datetime.now(UTC)
