"""Duration of a restart of `jiesu up` with open issues."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from bench.figures import Figure, Goal, Result
from bench.run import Scale
from bench.stage import environment, settings_in
from bench.web import web
from runtime.settings import Settings
from runtime.supervisor import guarded

ABOUT: Final = "`jiesu up` on a home with open issues, from the command to the line that says it is ready."
_PATIENCE: Final = 90.0
_READY: Final = b"Jiesu is ready"


async def restart(scale: Scale) -> Result:
    """Seconds from start to ready, first and again."""
    with tempfile.TemporaryDirectory(prefix="jiesu-bench-") as folder:
        settings = settings_in(Path(folder) / "home")
        async with _up(settings) as first, web(settings) as client:
            for _ in range(scale.open_issues):
                await client.report()
        again: list[float] = []
        for _ in range(scale.restarts):
            async with _up(settings) as seconds:
                again.append(seconds)
    result = Result("restart", ABOUT)
    result.figures = [Figure("`jiesu up` again until ready", tuple(again), "s", Goal("<=", 5))]
    result.details = [Figure("`jiesu up` for the first time until ready", (first,), "s")]
    return result


@contextlib.asynccontextmanager
async def _up(settings: Settings) -> AsyncIterator[float]:
    """Runs `jiesu up` within the block; yields the seconds until it was ready."""
    argv = guarded([sys.executable, "-P", "-m", "cli", "up"])
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *argv, env=environment(settings), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_PATIENCE):
            while line := await process.stdout.readline():
                if _READY in line:
                    break
            else:
                raise RuntimeError(f"`jiesu up` ended with code {await process.wait()}")
        took = time.monotonic() - began
        rest = asyncio.create_task(process.stdout.read())
        yield took
        rest.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
        await process.wait()
