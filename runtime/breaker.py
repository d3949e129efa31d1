"""A circuit breaker: while a service is down, calls to the service are refused at once instead of waiting for it."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

log: Final = structlog.stdlib.get_logger(__name__)


class Breaker:
    """The circuit breaker of one service: closed while calls are allowed, open after a call failed.

    While it is open, it allows one trial call every `rest` seconds; the first call that succeeds closes it. A timeout
    within `busy` seconds of a success does not open it: then the service is busy, not down. `opened` and `closed` are
    the names of the log events.
    """

    def __init__(
        self, rest: float, *, opened: str, closed: str, clock: Callable[[], float] = time.monotonic, busy: float = 0.0
    ) -> None:
        self._rest = rest
        self._opened = opened
        self._closed = closed
        self._clock = clock
        self._busy = busy
        self._open_until: float | None = None
        self._succeeded_at = -busy

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    def allows(self) -> bool:
        """Whether a call may be made now. While the breaker is open, the caller that gets True makes the trial call."""
        if self._open_until is None:
            return True
        if self._clock() < self._open_until:
            return False
        self._open_until = self._clock() + self._rest
        return True

    def trip(self, error: BaseException) -> None:
        """Opens the breaker, after a call that failed with `error`."""
        too_slow = isinstance(error, TimeoutError | asyncio.CancelledError)
        if too_slow and self._clock() - self._succeeded_at < self._busy:
            return
        if self._open_until is None:
            log.warning(self._opened, error=type(error).__name__)
        self._open_until = self._clock() + self._rest

    def close(self) -> None:
        """Closes the breaker, after a call that succeeded."""
        if self._open_until is not None:
            log.info(self._closed)
        self._open_until = None
        self._succeeded_at = self._clock()
