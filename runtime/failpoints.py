"""Named places at which a fault test may have a process die, to the instruction; without the variable nothing happens.

`JIESU_TEST_FAILPOINT=name[:nth][@file]` kills a process when it comes to that place for the nth time (the first by
default). With a file, only while that exists: the first to die takes it away, so that it fires once however often the
process is started again.
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
"""In the API around its calls to Temporal; in the worker around the commit of a record, by a local activity (so that
the workflow task is still open) and by an ordinary one, around the delivery of a notice, and between the steps of the
job that archives an issue."""


class Armed:
    """One failpoint of this process. ValueError for a name that does not exist, since it would never fire."""

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
    """Says that this process has come to the place `name`."""
    if _ARMED is not None and _ARMED.name == name:
        _ARMED.pass_by()
