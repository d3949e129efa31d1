"""The folder of an installation on this machine: one `jiesu up` at a time runs it."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from runtime.settings import SettingsError


class HomeBusy(RuntimeError):
    """Another `jiesu up` runs on the same home."""


@contextlib.contextmanager
def hold_home(home: Path) -> Generator[None]:
    """Locks the home for this process; makes the folder when it is missing.

    Raises HomeBusy if another process holds it, SettingsError if the home cannot be used; both are one line.
    """
    run = home / "run"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        # What residents report lies below it, and Temporal leaves its database open to everybody.
        home.mkdir(mode=0o700, exist_ok=True)
        run.mkdir(mode=0o700, exist_ok=True)
        lock = (run / "up.lock").open("a+")
    except OSError as error:
        raise SettingsError(f"JIESU_HOME: {error.filename} cannot be used ({error.strerror})") from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise HomeBusy(f"Jiesu already runs on {home} (process {file.read().strip() or 'unknown'})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        # The kernel releases the lock however this process ends; the file itself stays.
        yield
