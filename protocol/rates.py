"""How often one subject may ask, so that nobody's flood is everybody's outage."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from protocol.errors import TooMany

_WINDOW: Final = 60.0
_MOST: Final = 100_000
"""Subjects that are remembered: those that asked last."""


class Rates:
    """A bucket for each subject: it holds a minute's requests and fills evenly. Zero a minute means no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = _WINDOW / per_minute if per_minute else 0.0
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, subject: str) -> None:
        """Counts a request. Raises TooMany, which says when there is room for the next one."""
        now = self._clock()
        full_at = max(now, self._full_at.get(subject, now)) + self._pause
        if (wait := full_at - now - _WINDOW) > 0:
            raise TooMany(retry_after=math.ceil(wait))
        self._full_at[subject] = full_at
        self._full_at.move_to_end(subject)
        if len(self._full_at) > _MOST:
            self._full_at.popitem(last=False)
