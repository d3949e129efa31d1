"""The time budget of a request, shared by all parts that it calls."""

import time
from dataclasses import dataclass, field
from typing import Final

REQUEST_SECONDS: Final = 1.0
"""After so long a request is answered with what is known by then."""


@dataclass(frozen=True)
class TimeBudget:
    """The seconds of one request, from where it begins."""

    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        return max(0.0, REQUEST_SECONDS - self.spent)
