"""The home is the folder in which an installation keeps its files. One `jiesu up` at a time uses a home."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from runtime.settings import SettingsError


class HomeBusy(RuntimeError):
    """Another `jiesu up`, or a process that it left, uses this home."""


@contextlib.contextmanager
def hold_home(home: Path) -> Generator[None]:
    """A context in which this process alone uses the home. The folder is created if missing.

    Raises HomeBusy if another process uses the home, SettingsError if the folder is unusable; each message is one line.
    """
    run = home / "run"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        # It will hold residents' reports, and Temporal makes its database readable for all users.
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
