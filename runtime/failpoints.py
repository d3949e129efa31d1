"""Failpoints: named places in the code at which a fault test kills the process; without the variable they do nothing.

`JIESU_TEST_FAILPOINT=name[:nth][@file]` kills a process when it reaches that place for the nth time (by default the
first). With a file, only while the file exists; it is deleted first, so that a restarted process is not killed again.
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
"""In the API around its calls to Temporal. In the worker around the commit of events, by a local activity (with the
workflow task still open) or an ordinary one, around the delivery of a notice, and between steps of the archive job."""


class Armed:
    """The failpoint of this process. Raises ValueError for an unknown name, which would never fire."""

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
    """Marks the place `name`: kills this process if its failpoint is due here."""
    if _ARMED is not None and _ARMED.name == name:
        _ARMED.pass_by()
