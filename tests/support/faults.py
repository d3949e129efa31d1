"""Faults of stores: a disk that is full, a database that is read-only, garbage in a file, a frozen Temporal."""

import contextlib
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

READ_ONLY = "PRAGMA query_only=ON"
FULL = "PRAGMA max_page_count=1"
"""SQLite takes the pages that it has, and no further one: the error is that of a full disk."""


@contextlib.contextmanager
def every_connection(do: Callable[[Any], None]) -> Iterator[None]:
    """Something is done with each new connection to any database."""

    def on_connect(connection: Any, _: object) -> None:
        do(connection)

    event.listen(Pool, "connect", on_connect)
    try:
        yield
    finally:
        event.remove(Pool, "connect", on_connect)


@contextlib.contextmanager
def connections_with(pragma: str) -> Iterator[None]:
    def execute(connection: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(pragma)
        cursor.close()

    with every_connection(execute):
        yield


@contextlib.contextmanager
def frozen(server: psutil.Process) -> Iterator[None]:
    """No thread of the process moves; its connections stay open."""
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def writes_nothing(server: psutil.Process) -> Iterator[None]:
    """The process may write no file any more, as on a broken disk."""
    before = server.rlimit(resource.RLIMIT_FSIZE)
    server.rlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        server.rlimit(resource.RLIMIT_FSIZE, before)


def temporal_of(folder: Path) -> psutil.Process:
    """The dev server whose database lies in this folder."""
    for each in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # another test's that has just ended
            if str(folder / "temporal.db") in each.cmdline():
                return each
    raise LookupError(f"no server uses {folder}")


@contextlib.contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """The folders are mounted over themselves, for reading only. Skips the test where nobody may mount."""
    with contextlib.ExitStack() as mounted:
        for folder in folders:
            if mount("--bind", str(folder), str(folder)):
                pytest.skip("mounting needs root")
            mounted.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
            assert mount("-o", "remount,bind,ro", str(folder)) == 0
        yield


def mount(*words: str) -> int:
    return subprocess.run(["mount", *words], check=False, capture_output=True).returncode


def spoil(file: Path) -> None:
    """Garbage in the place of a file of SQLite, and of its log."""
    for each in (file, Path(f"{file}-wal")):
        each.write_bytes(b"garbage!" * 4096)
