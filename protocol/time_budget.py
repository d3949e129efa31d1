"""The time budget of a request: the seconds that it may still spend, shared by all functions that serve it."""

import time
from dataclasses import dataclass, field
from typing import Final

REQUEST_SECONDS: Final = 1.0
"""The time budget of each request. When it is spent, the request is answered with what is known by then."""


@dataclass(frozen=True)
class TimeBudget:
    """The time budget of one request, which begins when this object is made."""

    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        return max(0.0, REQUEST_SECONDS - self.spent)
