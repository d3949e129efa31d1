"""How long one request may take in all, whatever it does in turn."""

import time
from dataclasses import dataclass, field
from typing import Final

PATIENCE: Final = 1.0
"""Seconds after which a request is answered with what is known by then."""


@dataclass(frozen=True)
class Patience:
    """What is left of it; it begins where the request does."""

    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        return max(0.0, PATIENCE - self.spent)
