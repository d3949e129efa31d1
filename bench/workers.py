"""Workers that a benchmark starts as processes of their own: the floor's, and ours with another cache.

Both run under the settings of `worker.build`. Beside the workflow, ours also delivers, archives, indexes for the search and
encrypts, and the floor does none of it: a figure and its floor differ by all that an issue costs, not by its workflow alone.
"""

import argparse
import asyncio
import contextlib
import signal
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

import worker
from activities.notices import Deliverer, TableChannel
from bench import marks
from bench.floor import QUEUE, Bare, BareTimer
from db.engine import Database
from runtime.settings import WORKER_MIB, load_settings
from runtime.temporal import encrypting
from security.opening import open_keys


def _floor(client: Client, cached: int) -> Worker:
    return Worker(
        client, task_queue=QUEUE, workflows=[Bare, BareTimer], max_cached_workflows=cached,
        sticky_queue_schedule_to_start_timeout=worker.RECOVERY, graceful_shutdown_timeout=timedelta(seconds=3),
    )  # fmt: skip


async def _serve(given: argparse.Namespace) -> None:
    """Runs until SIGINT or SIGTERM."""
    client = await Client.connect(given.address, namespace=given.namespace)
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    if given.kind == "floor":
        async with _floor(client, given.cached):
            await stop.wait()
        return
    settings = load_settings()
    database, keys = Database(settings.database), open_keys(settings)
    if not given.plain:
        client = encrypting(client, keys.converter)
    jobs = worker.handlers(client, database, worker.open_archive(settings), keys)
    async with worker.build(client, database, max_cached_workflows=given.cached):
        await Deliverer(database, TableChannel(database), jobs).run(stop)
    await database.close()
    await keys.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["floor", "issues"])
    parser.add_argument("address")
    parser.add_argument("namespace")
    parser.add_argument("--plain", action="store_true", help="encrypt nothing")
    parser.add_argument("--marks", type=Path)
    parser.add_argument("--cached", type=int, default=worker.cached(WORKER_MIB))
    given = parser.parse_args()
    with marks.into(given.marks) if given.marks else contextlib.nullcontext():
        asyncio.run(_serve(given))


if __name__ == "__main__":
    main()
