"""Failpoints: named places in the code at which a fault test can kill the process.

The environment variable `JIESU_TEST_FAILPOINT=name[:nth][@file]` kills the process when it reaches that place for the
nth time (by default the first). If a file is named, the process is killed only if the file exists; the file is
deleted first, so that a restarted process is not killed again. Without the variable failpoints do nothing.
"""

import os
import signal
from pathlib import Path
from typing import Final, Literal, get_args

VARIABLE: Final = "JIESU_TEST_FAILPOINT"

Failpoint = Literal[
    "before-start", "after-start", "before-signal", "after-signal",
    "local-before-commit", "local-after-commit", "before-commit", "after-commit",
    "before-delivery", "after-delivery",
    "archive-after-run", "archive-after-rows", "archive-after-leaf",
]  # fmt: skip
"""The names of all failpoints.

In the API they are before and after its calls to Temporal. In the worker they are before and after a commit of events
(``local-...`` in a local activity, while the workflow task is still open), before and after the delivery of a notice,
and between the steps of the archive job.
"""


class Armed:
    """The failpoint at which this process is to be killed. Raises ValueError if there is no failpoint of that name."""

    def __init__(self, value: str) -> None:
        point, _, file = value.partition("@")
        self.name, _, nth = point.partition(":")
        if self.name not in get_args(Failpoint):
            raise ValueError(f"{VARIABLE}: there is no failpoint {self.name}")
        self._left = int(nth or 1)
        self._file = Path(file) if file else None

    def pass_by(self) -> None:
        self._left -= 1
        if self._left == 0 and self._is_first():
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_first(self) -> bool:
        try:
            if self._file is not None:
                self._file.unlink()
        except FileNotFoundError:
            return False
        return True


_ARMED: Final = Armed(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def hit(name: Failpoint) -> None:
    """Marks a place in the code as the failpoint `name`: kills this process if it is to be killed here now."""
    if _ARMED is not None and _ARMED.name == name:
        _ARMED.pass_by()
