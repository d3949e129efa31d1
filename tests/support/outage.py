"""Makes the database unavailable for a while, as disks, locks and networks do: calls hang without an error."""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from support.again import something_is_away


@contextlib.asynccontextmanager
async def away(url: str) -> AsyncIterator[None]:
    """The database hangs within the block: SQLite for all who write, PostgreSQL for everybody."""
    with something_is_away():
        if make_url(url).get_backend_name() == "sqlite":
            async with _locked(Path(make_url(url).database or "")):
                yield
        else:
            async with _stopped(_postgres(url)):
                yield


@contextlib.asynccontextmanager
async def _locked(file: Path) -> AsyncIterator[None]:
    """Another connection writes and does not come to an end."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=30, check_same_thread=False)) as other:
        # Not on the loop's thread: whoever writes now finishes there.
        await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def _stopped(postmaster: int) -> AsyncIterator[None]:
    """Not one of its processes moves; connections stay open."""
    pids = [postmaster]
    try:
        os.kill(postmaster, signal.SIGSTOP)  # the first of all: from now on there are no new ones
        pids += _children(postmaster)
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _postgres(url: str) -> int:
    """The process id of the server, which must be one that the tests have started here."""
    folder = Path(str(make_url(url).query.get("host", "")))
    file = folder / "data" / "postmaster.pid"
    if not folder.is_absolute() or not file.exists():
        pytest.skip("this PostgreSQL was not started by the tests, so it is not stopped")
    return int(file.read_text().splitlines()[0])


def _children(parent: int) -> list[int]:
    return [child.pid for child in psutil.Process(parent).children()]
